"""The blocking shell around the channel: moves its bytes over a socket, within deadlines, for several threads."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

from rats_tls.channel import Accepted, AppraisalNeeded, Channel, Credentials, Event, EvidenceNeeded
from rats_tls.core.errors import ConnectionFailedError, HandshakeTimeoutError, RatsTlsError
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult

_log = logging.getLogger(__name__)

_LEAVING_SECONDS = 1.0
"""How long a thread may take to leave a call on a socket that was shut down; a signal handler has interrupted it."""
_LINGER_SECONDS = 1.0
"""How long the peer of a refused connection may take to read why."""
_RECEIVE_SIZE = 65_536  # above 128 KiB glibc maps fresh pages for every buffer
_SEND_SIZE = 262_144


@contextlib.contextmanager
def _failing(doing: str) -> Iterator[None]:
    """Give a failure of the socket as a failure of the connection; a timeout stays one."""
    try:
        yield
    except (RatsTlsError, TimeoutError):
        raise
    except OSError as error:
        raise ConnectionFailedError(f"connection failed while {doing}: {error}") from error


class SocketWire:
    """A socket, the channel over it, and their locks. One thread may receive while another sends.

    Args:
        sock: a connected stream socket, blocking or with a timeout.
        channel: the protocol.
        limits: times.

    Attributes:
        socket: the socket; closed with the connection.
        accepted: both sides accepted.
        peer: what was judged about the peer.
        closed: nothing works any more.
        timeout: seconds for each read and write, or None.
    """

    def __init__(self, sock: socket.socket, channel: Channel, limits: Limits) -> None:
        self.socket = sock
        self.channel = channel
        self.accepted = False
        self.peer: AttestationResult | None = None
        self.closed = False
        self.timeout = sock.gettimeout()
        self._limits = limits
        self._process = os.getpid()
        self._ahead = b""
        self.state_lock = threading.RLock()
        self._send_lock = threading.Lock()
        self._receive_lock = threading.Lock()
        self._handshake_lock = threading.Lock()

    def require_open(self) -> None:
        """Require that the connection is usable here.

        Raises:
            ConnectionFailedError: it is closed, or belongs to the process that this one was forked from: two users of
                one TLS state would encrypt different data with the same key and nonce.
        """
        if self.closed:
            raise ConnectionFailedError("the connection is closed")
        if os.getpid() != self._process:
            raise ConnectionFailedError("the connection belongs to the process that this one was forked from")

    # --- handshake -----------------------------------------------------------------------------------------------
    def handshake(
        self, collect: Callable[[], Credentials], appraise: Callable[[AppraisalNeeded], AttestationResult]
    ) -> None:
        """Do the TLS handshake, the preamble and the appraisals; does nothing once they are done.

        Takes at most `limits.handshake_seconds`, and less when the timeout is shorter. On any error the connection is
        closed. Raises RatsTlsError.
        """
        with self._handshake_lock:
            if self.accepted:
                return
            seconds = self._limits.handshake_seconds
            if self.timeout is not None:
                seconds = min(seconds, self.timeout)
            try:
                with self._receive_lock:
                    self._handshake_until(time.monotonic() + seconds, collect, appraise)
            except RatsTlsError:
                self.abandon()
                raise
            except TimeoutError:
                self._refuse_late(seconds)
            except OSError as error:
                self.abandon()
                raise ConnectionFailedError(f"connection failed during the handshake: {error}") from error
            except BaseException:
                self.abandon()
                raise

    def _handshake_until(
        self,
        deadline: float,
        collect: Callable[[], Credentials],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
    ) -> None:
        while True:
            while (event := self._next_event()) is not None:
                self._answer(event, collect, appraise)
                if not self.accepted and time.monotonic() > deadline:
                    raise TimeoutError  # a plug-in is not interrupted, and what it says comes too late
            self.flush(deadline)
            if self.channel.error is not None:
                raise self.channel.error
            if self.accepted:
                return
            self._receive_once(deadline)

    def _next_event(self) -> Event | None:
        with self.state_lock:
            return self.channel.next_event()

    def _answer(
        self,
        event: Event,
        collect: Callable[[], Credentials],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
    ) -> None:
        if isinstance(event, EvidenceNeeded):
            credentials = collect()
            with self.state_lock:
                self.channel.supply_evidence(credentials)
        elif isinstance(event, AppraisalNeeded):
            try:
                result = appraise(event)
            except RatsTlsError as error:
                with self.state_lock:
                    self.channel.refuse(error)
            else:
                self.peer = result
                with self.state_lock:
                    self.channel.supply_result(result)
        elif isinstance(event, Accepted):
            if self.peer is not None:
                self.peer = self.peer.with_peer_accepted(event.peer_accepted)
            self.accepted = True

    def _refuse_late(self, seconds: float) -> None:
        with self.state_lock:
            self.channel.time_out()
        self.abandon()
        raise self.channel.error or HandshakeTimeoutError(f"handshake: not complete after {seconds:g} s")

    # --- data ----------------------------------------------------------------------------------------------------
    def receive(self, size: int) -> bytes:
        """Receive 1 to `size` bytes; b"" after the peer's end.

        Raises:
            TimeoutError: the timeout ran out; nothing is lost.
            RatsTlsError: the connection failed or was cut off.
        """
        with self._receive_lock:
            while (data := self._read(size)) is None:
                with _failing("receiving"):
                    self._receive_once(None)
                self.require_open()
                self._flush_unless_sending()
            return data

    def pending(self) -> int:
        """Bytes that can be received without waiting for the peer; at least 1 when there are any."""
        if self._receive_lock.acquire(blocking=False):  # else another thread reads, and takes them
            try:
                if not self._ahead:
                    self._ahead = self._read(_RECEIVE_SIZE) or b""
            finally:
                self._receive_lock.release()
        return len(self._ahead)

    def _read(self, size: int) -> bytes | None:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        with self.state_lock:
            return self.channel.receive(size)

    def send(self, data: memoryview) -> None:
        """Send all of `data`, of bytes.

        Raises:
            TimeoutError: the timeout ran out; how much the peer got is unknown, and the connection is closed.
            RatsTlsError: the connection failed.
        """
        for start in range(0, len(data), _SEND_SIZE):
            with self.state_lock:
                self.channel.send(data[start : start + _SEND_SIZE])
            self._flush_or_close()

    def _flush_or_close(self) -> None:
        """Send what is due. What was not sent in time is lost, and with it the connection."""
        try:
            with _failing("sending"):
                self.flush()
        except TimeoutError:
            self.closed = True
            self._close_socket()
            raise

    def set_timeout(self, seconds: float | None) -> None:
        """Set the timeout of reads and writes."""
        self.timeout = seconds
        self.socket.settimeout(seconds)

    # --- bytes ---------------------------------------------------------------------------------------------------
    def _receive_once(self, deadline: float | None) -> None:
        """Receive what the peer sends next and hand it to the channel."""
        data = self._receive_bytes(deadline)
        with self.state_lock:
            if data:
                self.channel.receive_from_wire(data)
            else:
                self.channel.receive_eof()

    def _receive_bytes(self, deadline: float | None) -> bytes:
        """Receive from the socket; until `deadline` without its own timeout, which another thread may be using."""
        if deadline is None:
            return self.socket.recv(_RECEIVE_SIZE)
        while True:
            self._wait_for(select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                return self.socket.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT)

    def _send_bytes(self, data: bytes | bytearray, deadline: float | None) -> None:
        """Send on the socket, as `_receive_bytes` receives."""
        if deadline is None:
            self.socket.sendall(data)
            return
        left = memoryview(data)
        while left:
            self._wait_for(select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                left = left[self.socket.send(left, socket.MSG_DONTWAIT) :]

    def _wait_for(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready. Raises TimeoutError, and OSError when it is closed."""
        left = deadline - time.monotonic()
        descriptor = self.socket.fileno()
        if descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if left <= 0:
            raise TimeoutError
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(left * 1000):
            raise TimeoutError

    def flush(self, deadline: float | None = None) -> None:
        """Send what is due.

        Raises:
            TimeoutError: not all of it was sent until `deadline`, or another thread is still sending then.
            OSError: the connection failed.
        """
        seconds = -1 if deadline is None else max(deadline - time.monotonic(), 0.001)
        if not self._send_lock.acquire(timeout=seconds):
            raise TimeoutError("another thread is sending")
        try:
            self._send_due(deadline)
        finally:
            self._send_lock.release()

    def _flush_unless_sending(self) -> None:
        """Send what the channel answers to what it received (key updates, alerts).

        Never waits for a thread that is sending: that one may wait for the peer to read, and the peer for this side.
        It sends these bytes too.
        """
        if self._send_lock.acquire(blocking=False):
            try:
                with _failing("sending"):
                    self._send_due(None)
            except TimeoutError:
                self.closed = True  # perhaps a part of a record was sent; both locks are held here
                self.socket.close()
                raise
            finally:
                self._send_lock.release()

    def _send_due(self, deadline: float | None) -> None:
        while True:
            with self.state_lock:
                data = self.channel.data_to_send()
            if not data:
                return
            self._send_bytes(data, deadline)

    # --- end -----------------------------------------------------------------------------------------------------
    def end_data(self) -> None:
        """Send close_notify, within `limits.close_seconds`. Raises TimeoutError, ConnectionFailedError."""
        with self.state_lock:
            self.channel.close()
        with _failing("closing"):
            self.flush(time.monotonic() + self._limits.close_seconds)

    def drop_until_end(self) -> None:
        """Receive and drop until the peer's end, within `limits.close_seconds`.

        Raises:
            TimeoutError: it did not come in that time.
            RatsTlsError: the connection failed or was cut off.
        """
        deadline = time.monotonic() + self._limits.close_seconds
        if not self._receive_lock.acquire(timeout=self._limits.close_seconds):
            raise TimeoutError("another thread is receiving")
        try:
            with _failing("closing"):
                while (data := self._read(_RECEIVE_SIZE)) != b"":
                    if data is None:
                        self._receive_once(deadline)
        finally:
            self._receive_lock.release()

    def close(self) -> None:
        """Send close_notify when the connection is open, and close the socket. Never raises."""
        if self.closed:
            return
        self.closed = True
        if os.getpid() != self._process:
            self.socket.close()  # the descriptor alone: the connection goes on in the other process
            return
        try:
            self.end_data()
        except (OSError, RatsTlsError):
            _log.debug("peer does not take close_notify", exc_info=True)
        finally:
            self._close_socket()

    def abandon(self) -> None:
        """Send what is due, an alert or a refusal, give the peer a moment to read it, and close the socket.

        A socket that is closed over unread bytes resets the connection, and the peer loses what was sent last.
        """
        self.closed = True
        deadline = time.monotonic() + _LINGER_SECONDS
        try:
            self.flush(deadline)
            self.socket.shutdown(socket.SHUT_WR)
            while self._receive_bytes(deadline):
                pass
        except OSError:
            _log.debug("peer does not take the refusal", exc_info=True)
        self._close_socket()

    def _close_socket(self) -> None:
        """Close the socket once no other thread is in a call on it; wake those that are.

        A descriptor that is closed under a thread may be that of another connection when the thread uses it.
        """
        held: list[threading.Lock] = []
        try:
            for lock in (self._send_lock, self._receive_lock):
                if not lock.acquire(blocking=False):
                    with contextlib.suppress(OSError):  # the peer may have gone before
                        self.socket.shutdown(socket.SHUT_RDWR)
                    if not lock.acquire(timeout=_LEAVING_SECONDS):
                        continue
                held.append(lock)
            self.socket.close()
        finally:
            for lock in held:
                lock.release()
