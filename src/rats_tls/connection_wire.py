"""The blocking shell around the channel: moves its bytes over a socket, within deadlines, for several threads."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import NoReturn, TypeVar

from rats_tls.channel import Accepted, AppraisalNeeded, Channel, Credentials, Event, EvidenceNeeded
from rats_tls.connection_pumps import CarryingPump, DirectPump, Pump, receive_bytes, require_time
from rats_tls.core.errors import ConnectionFailedError, HandshakeTimeoutError, RatsTlsError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult

_log = logging.getLogger(__name__)

_LEAVING_SECONDS = 1.0
"""How long a thread may take to leave a call on a socket that was shut down; a signal handler has interrupted it."""
_LINGER_SECONDS = 1.0
"""How long the peer of a refused connection may take to read why."""
_LATE_SECONDS = 0.05
"""The same where the time for the handshake is over: the caller was promised an answer."""
_AHEAD_SIZE = 65_536
_Into = TypeVar("_Into")
_Got = TypeVar("_Got")
_SEND_SIZE = 262_144


class _failing:  # noqa: N801  # used as a function; a generator would cost more than what it guards
    """Give a failure of the socket as a failure of the connection; a timeout stays one."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ours = isinstance(error, RatsTlsError | TimeoutError)
        if isinstance(error, OSError) and not ours and not interrupts(error):
            raise ConnectionFailedError(f"connection failed while {self._doing}: {error}") from error


class SocketWire:
    """A socket, the channel over it, and their locks. One thread may receive while another sends.

    What interrupts a call, as a KeyboardInterrupt does, may leave half of a record sent, or bytes taken that nobody
    gets. The connection is then closed like after a time-out, without close_notify: half a message must not look whole.
    Only who waits to receive can be interrupted and go on.

    Args:
        sock: a connected stream socket, blocking or with a timeout.
        make_channel: makes the protocol over the socket, which does not block from then on if TLS uses it by itself.
        limits: times.

    Attributes:
        socket: the socket; closed with the connection.
        accepted: both sides accepted.
        peer: what was judged about the peer.
        peer_accepted: whether the peer said that it accepted this side; None when it does not speak the preamble.
        closed: nothing works any more.
        timeout: seconds for each read and write, or None.
    """

    def __init__(self, sock: socket.socket, make_channel: Callable[[socket.socket], Channel], limits: Limits) -> None:
        self.socket = sock
        self.accepted = False
        self.peer: AttestationResult | None = None
        self.peer_accepted: bool | None = None
        self.closed = False
        self.timeout = sock.gettimeout()
        self.channel = make_channel(sock)
        self._limits = limits
        self._process = os.getpid()
        self._ahead = b""
        self.state_lock = threading.RLock()
        self._send_lock = threading.Lock()
        self._receive_lock = threading.Lock()
        self._handshake_lock = threading.Lock()
        pump = DirectPump if self.channel.over_socket else CarryingPump
        self._pump: Pump = pump(sock, self.channel, self.state_lock)
        self._direct = pump is DirectPump
        # The descriptor of a socket with a timeout does not block either; that of another one is left as it is.
        if self._direct or self.timeout is not None:
            sock.setblocking(False)
        self._likely_empty = False

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
        self,
        collect: Callable[[], Credentials],
        recall: Callable[[AppraisalNeeded], AttestationResult | None],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
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
                    self._handshake_until(
                        time.monotonic() + seconds, collect, partial(self._appraise, recall, appraise)
                    )
            except RatsTlsError:
                self.abandon()
                raise
            except Exception as error:
                if interrupts(error):
                    self._give_up()
                    raise
                if isinstance(error, TimeoutError):
                    self._refuse_late(seconds)
                self.abandon()
                if isinstance(error, OSError):
                    raise ConnectionFailedError(f"connection failed during the handshake: {error}") from error
                raise
            except BaseException:
                self._give_up()  # at once: nobody waits for a peer to read why
                raise

    def _handshake_until(
        self,
        deadline: float,
        collect: Callable[[], Credentials],
        appraise: Callable[[AppraisalNeeded, float], AttestationResult],
    ) -> None:
        with self.state_lock:
            self.channel.proceed()
        while True:
            while (event := self._next_event()) is not None:
                self._answer(event, deadline, collect, appraise)
                if not self.accepted and time.monotonic() > deadline:
                    raise TimeoutError  # a plug-in is not interrupted, and what it says comes too late
            if self.channel.error is not None:
                raise self.channel.error  # what is due to the peer is sent when the connection is given up
            if self._all_sent(deadline):
                if self.accepted:
                    return
                self._pump.receive(deadline)

    def _all_sent(self, deadline: float) -> bool:
        if self._direct and not self.channel.unsent:
            return True
        with self._send_lock:
            return self._pump.send_or_receive(deadline)

    def _next_event(self) -> Event | None:
        with self.state_lock:
            return self.channel.next_event()

    def _answer(
        self,
        event: Event,
        deadline: float,
        collect: Callable[[], Credentials],
        appraise: Callable[[AppraisalNeeded, float], AttestationResult],
    ) -> None:
        if isinstance(event, EvidenceNeeded):
            credentials = collect()
            with self.state_lock:
                self.channel.supply_evidence(credentials)
        elif isinstance(event, AppraisalNeeded):
            try:
                result = appraise(event, deadline)
            except RatsTlsError as error:
                with self.state_lock:
                    self.channel.refuse(error)
            else:
                self.peer = result
                self._pump.take_what_is_here()  # what came before this side accepts must not count as after
                with self.state_lock:
                    self.channel.supply_result(result)
        elif isinstance(event, Accepted):
            self.peer_accepted = event.peer_accepted
            self.accepted = True

    def _appraise(
        self,
        recall: Callable[[AppraisalNeeded], AttestationResult | None],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
        needed: AppraisalNeeded,
        deadline: float,
    ) -> AttestationResult:
        """Judge the peer. What takes time is done while the peer has what it needs to judge this side."""
        result = recall(needed)
        if result is None:
            self.flush(deadline)
            result = appraise(needed)
        return result

    def _refuse_late(self, seconds: float) -> NoReturn:
        with self.state_lock:
            self.channel.time_out()
        self.abandon(_LATE_SECONDS)
        raise self.channel.error or HandshakeTimeoutError(f"handshake: not complete after {seconds:g} s")

    # --- data ----------------------------------------------------------------------------------------------------
    def receive(self, size: int) -> bytes:
        """Receive 1 to `size` bytes; b"" after the peer's end.

        Raises:
            TimeoutError: the timeout ran out; nothing is lost.
            RatsTlsError: the connection failed or was cut off.
        """
        return self._receive(self._read, size)

    def receive_into(self, buffer: memoryview) -> int:
        """As `receive`, into a writable buffer of at least one byte: the number of bytes, 0 after the peer's end."""
        return self._receive(self._read_into, buffer)

    def _receive(self, read: Callable[[_Into], _Got | None], into: _Into) -> _Got:
        begun = False
        try:
            with self._receive_lock:
                begun = True
                self._pump.waits = False
                deadline = self._deadline()
                if self._likely_empty:
                    self._wait_for_more(deadline)
                while (got := read(into)) is None:
                    self._wait_for_more(deadline)
                self._likely_empty = self._direct and not self._ahead and self.channel.drained
                return got
        except RatsTlsError:
            raise
        except BaseException:  # around the lock: what interrupts its release loses what was received
            if begun and not self._pump.waits:
                self._give_up()
            raise

    def _read_into(self, buffer: memoryview) -> int | None:
        if self._ahead:
            data = self._read(len(buffer)) or b""
            buffer[: len(data)] = data
            return len(data)
        with self.state_lock:
            return self.channel.receive_into(buffer)

    def _wait_for_more(self, deadline: float | None) -> None:
        # A direct read that took all that was here: waiting before the next one saves a read in vain.
        self._likely_empty = False
        with _failing("receiving"):
            self._pump.receive(deadline)
        self.require_open()
        if not self._direct:
            self._flush_unless_sending()

    def _deadline(self) -> float | None:
        return None if self.timeout is None else time.monotonic() + self.timeout

    def pending(self) -> int:
        """Bytes that can be received without waiting for the peer; at least 1 when there are any."""
        try:
            if self._receive_lock.acquire(blocking=False):  # else another thread reads, and takes them
                try:
                    if not self._ahead:
                        self._ahead = self._read(_AHEAD_SIZE) or b""
                        self._likely_empty = False
                finally:
                    self._receive_lock.release()
        except RatsTlsError:
            raise
        except BaseException:
            self._give_up()
            raise
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
        try:
            for start in range(0, len(data), _SEND_SIZE):
                with self.state_lock:
                    self.channel.send(data[start : start + _SEND_SIZE])
                    unsent = not self._direct or self.channel.unsent
                if unsent:
                    self._flush_in_time()
        except RatsTlsError:
            with self.state_lock:
                self.channel.own_unsent()
            raise
        except BaseException:  # what was not sent, in time or at all, is lost, and with it the connection
            self._give_up()
            raise

    def _flush_in_time(self) -> None:
        with _failing("sending"):
            self.flush(self._deadline())
        if self.channel.error is not None:  # found by a thread that receives; what was left is lost
            raise self.channel.error

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
            self._pump.send(deadline)
        finally:
            self._send_lock.release()

    def _flush_unless_sending(self) -> None:
        """Send what the channel answers to what it received (key updates, alerts).

        Never waits for a thread that is sending: that one may wait for the peer to read, and the peer for this side.
        It sends these bytes too. What is raised here ends the connection: perhaps a part of a record was sent.
        """
        if self._send_lock.acquire(blocking=False):
            try:
                with _failing("sending"):
                    self._pump.send(self._deadline())
            finally:
                self._send_lock.release()

    # --- end -----------------------------------------------------------------------------------------------------
    def end_data(self) -> None:
        """Send close_notify, within `limits.close_seconds`. Raises TimeoutError, ConnectionFailedError."""
        try:
            with self.state_lock:
                self.channel.close()
            with _failing("closing"):
                self.flush(time.monotonic() + self._limits.close_seconds)
        except BaseException as error:
            if interrupts(error):
                self._give_up()
            raise

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
                while (data := self._read(_AHEAD_SIZE)) != b"":
                    require_time(deadline)
                    if data is None:
                        self._pump.receive(deadline)
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

    def abandon(self, seconds: float = _LINGER_SECONDS) -> None:
        """Send what is due, an alert or a refusal, give the peer `seconds` to read it, and close the socket.

        A socket that is closed over unread bytes resets the connection, and the peer loses what was sent last.
        """
        self.closed = True
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError, RatsTlsError):  # what cannot be sent is no reason to reset the connection
            self.flush(deadline)
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while receive_bytes(self.socket, deadline):
                pass
        except (OSError, RatsTlsError):
            _log.debug("peer does not take the refusal", exc_info=True)
        finally:
            self._close_socket()

    def _give_up(self) -> None:
        """Close the socket over whatever was not sent, and say no good-bye."""
        self.closed = True
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
            with self.state_lock:
                self.channel.detach()
            self.socket.close()
        finally:
            for lock in held:
                lock.release()
