"""A blocking attested connection over a socket: the shell around the sans-I/O channel.

Behaves as users of `ssl.SSLSocket` expect. One thread may read while another writes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rats_tls.channel import Accepted, AppraisalNeeded, Channel, Credentials, Event, EvidenceNeeded
from rats_tls.connection_io import open_file
from rats_tls.core.errors import ConnectionFailedError, HandshakeTimeoutError, RatsTlsError
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult

_log = logging.getLogger(__name__)

_LEAVING_SECONDS = 1.0
"""How long a thread may take to leave a call on a socket that was shut down; a signal handler has interrupted it."""
_RECEIVE_SIZE = 262_144
_SEND_SIZE = 262_144


class Connection:
    """An attested connection. Made by a `Context`; nothing is sent or delivered before both sides accepted.

    Args:
        sock: a connected stream socket; the connection owns and closes it.
        channel: the protocol.
        collect: gives this side's credentials; may block.
        appraise: judges the peer; may block; raises to refuse.
        limits: times.
    """

    def __init__(
        self,
        sock: socket.socket,
        channel: Channel,
        *,
        collect: Callable[[], Credentials],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
        limits: Limits,
    ) -> None:
        self._socket = sock
        self._channel = channel
        self._collect = collect
        self._appraise = appraise
        self._limits = limits
        self._peer: AttestationResult | None = None
        self._timeout = sock.gettimeout()
        self._accepted = False
        self._closed = False
        self._state_lock = threading.RLock()
        self._send_lock = threading.Lock()
        self._receive_lock = threading.Lock()
        self._handshake_lock = threading.Lock()

    # --- handshake -----------------------------------------------------------------------------------------------
    def handshake(self) -> None:
        """Do the TLS handshake, the preamble and the appraisals; does nothing once they are done.

        Called by `Context.connect` and by the first read or write. Takes at most `limits.handshake_seconds`, and
        less when the socket's timeout is shorter.

        Raises:
            RatsTlsError: this side refused the peer, or the peer this side, or the connection failed. The
                connection is closed.
        """
        with self._handshake_lock:
            if self._accepted:
                return
            seconds = self._limits.handshake_seconds
            if self._timeout is not None:
                seconds = min(seconds, self._timeout)
            deadline = time.monotonic() + seconds
            try:
                with self._receive_lock:
                    self._handshake_until(deadline)
            except TimeoutError:
                self._refuse_late(seconds)
            except RatsTlsError:
                self._abandon()
                raise
            except OSError as error:
                self._abandon()
                raise ConnectionFailedError(f"connection failed during the handshake: {error}") from error
            except BaseException:
                self._abandon()
                raise
            self._restore_timeout()

    def _handshake_until(self, deadline: float) -> None:
        while True:
            self._answer_events()
            self._flush(deadline)
            if self._channel.error is not None:
                raise self._channel.error
            if self._accepted:
                return
            self._receive_once(deadline)

    def _answer_events(self) -> None:
        while (event := self._next_event()) is not None:
            if isinstance(event, EvidenceNeeded):
                credentials = self._collect()
                with self._state_lock:
                    self._channel.supply_evidence(credentials)
            elif isinstance(event, AppraisalNeeded):
                try:
                    result = self._appraise(event)
                except RatsTlsError as error:
                    with self._state_lock:
                        self._channel.refuse(error)
                else:
                    self._peer = result
                    with self._state_lock:
                        self._channel.supply_result(result)
            elif isinstance(event, Accepted):
                self._accepted = True

    def _next_event(self) -> Event | None:
        with self._state_lock:
            return self._channel.next_event()

    def _refuse_late(self, seconds: float) -> None:
        with self._state_lock:
            self._channel.time_out()
        self._abandon()
        raise self._channel.error or HandshakeTimeoutError(f"handshake: not complete after {seconds:g} s")

    def _abandon(self) -> None:
        """Send what is due (an alert, a refusal) without waiting, and close the socket."""
        try:
            self._flush(time.monotonic() + 1.0)
        except OSError:
            _log.debug("peer does not take the refusal", exc_info=True)
        self._closed = True
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
                        self._socket.shutdown(socket.SHUT_RDWR)
                    if not lock.acquire(timeout=_LEAVING_SECONDS):
                        continue
                held.append(lock)
            self._socket.close()
        finally:
            for lock in held:
                lock.release()

    def _restore_timeout(self) -> None:
        with contextlib.suppress(OSError):  # closed by another thread in the meantime
            self._socket.settimeout(self._timeout)

    # --- wire ----------------------------------------------------------------------------------------------------
    def _receive_once(self, deadline: float | None) -> None:
        """Receive what the peer sends next and hand it to the channel."""
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
        data = self._socket.recv(_RECEIVE_SIZE)
        with self._state_lock:
            if data:
                self._channel.receive_from_wire(data)
            else:
                self._channel.receive_eof()

    def _flush(self, deadline: float | None = None) -> None:
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
                self._send_due(None)
            finally:
                self._send_lock.release()

    def _send_due(self, deadline: float | None) -> None:
        while True:
            with self._state_lock:
                data = self._channel.data_to_send()
            if not data:
                return
            if deadline is not None:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            self._socket.sendall(data)

    # --- data ----------------------------------------------------------------------------------------------------
    def recv(self, size: int = 65_536) -> bytes:
        """Receive up to `size` bytes; b"" after the peer's close_notify.

        Raises:
            TimeoutError: the socket's timeout ran out; nothing is lost.
            RatsTlsError: the connection failed or was cut off.
        """
        self._require_open()
        self.handshake()
        if size <= 0:
            return b""
        with self._receive_lock:
            while True:
                with self._state_lock:
                    data = self._channel.receive(size)
                if data is not None:
                    return data
                try:
                    self._receive_once(None)
                except TimeoutError:
                    raise
                except OSError as error:
                    raise ConnectionFailedError(f"connection failed while receiving: {error}") from error
                self._require_open()
                self._flush_unless_sending()

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0) -> int:
        """Receive into `buffer`; gives the number of bytes, 0 after the peer's close_notify. Raises as `recv`."""
        view = memoryview(buffer).cast("B")
        data = self.recv(min(nbytes or len(view), len(view)))
        view[: len(data)] = data
        return len(data)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send all of `data`; gives its length. Raises as `sendall`."""
        self.sendall(data)
        return memoryview(data).nbytes

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`.

        Raises:
            TimeoutError: the socket's timeout ran out; how much the peer got is unknown, the connection is unusable.
            RatsTlsError: the connection failed.
        """
        self._require_open()
        self.handshake()
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SEND_SIZE):
            with self._state_lock:
                self._channel.send(view[start : start + _SEND_SIZE])
            try:
                self._flush()
            except TimeoutError:
                self._closed = True
                self._close_socket()
                raise
            except OSError as error:
                raise ConnectionFailedError(f"connection failed while sending: {error}") from error

    def makefile(self, mode: str = "r", buffering: int = -1, *, encoding: str | None = None) -> io.IOBase:
        """Give a file object over the connection, as `socket.makefile` does. Closing it leaves the connection open.

        Args:
            mode: "r", "w", "rw", each with or without "b".
            buffering: buffer size; 0 gives the raw object (binary modes only).
            encoding: for text modes; UTF-8 by default.

        Raises:
            ValueError: an unknown mode, or unbuffered text.
        """
        return open_file(self, mode, buffering, encoding)

    # --- end -----------------------------------------------------------------------------------------------------
    def unwrap(self) -> None:
        """Send close_notify and wait for the peer's, at most `limits.close_seconds`; bytes that arrive are dropped.

        Raises:
            TimeoutError: the peer's did not come in that time.
            RatsTlsError: the peer cut the connection off without close_notify.
        """
        self._require_open()
        deadline = time.monotonic() + self._limits.close_seconds
        with self._state_lock:
            self._channel.close()
        try:
            self._flush(deadline)
            with self._receive_lock:
                self._drop_until_end(deadline)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionFailedError(f"connection failed while closing: {error}") from error
        finally:
            self._restore_timeout()

    def _drop_until_end(self, deadline: float) -> None:
        while True:
            with self._state_lock:
                data = self._channel.receive(_RECEIVE_SIZE)
            if data == b"":
                return
            if data is None:
                self._receive_once(deadline)

    def close(self) -> None:
        """Send close_notify when the connection is open, and close the socket. May be called twice.

        Threads that wait in another call are woken and get an error.
        """
        if self._closed:
            return
        self._closed = True
        try:
            with self._state_lock:
                self._channel.close()
            self._flush(time.monotonic() + self._limits.close_seconds)
        except (OSError, RatsTlsError):
            _log.debug("peer does not take close_notify", exc_info=True)
        finally:
            self._close_socket()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- facts ---------------------------------------------------------------------------------------------------
    @property
    def peer(self) -> AttestationResult | None:
        """What was judged about the peer; None when this side judges nobody.

        Raises:
            ConnectionFailedError: the handshake is not done.
        """
        if not self._accepted:
            raise ConnectionFailedError("handshake not done: nothing is known of the peer yet")
        return self._peer

    def selected_alpn_protocol(self) -> str | None:
        """The application's protocol that both sides agreed on, or None."""
        return self._channel.selected_alpn_protocol()

    def export_keying_material(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Labels that rats-tls itself uses are refused."""
        with self._state_lock:
            return self._channel.exporter(label, context, length)

    def version(self) -> str | None:
        """TLS version, "none" without TLS, or None before the handshake."""
        facts = self._channel.facts
        return facts.version if facts is not None else None

    def cipher(self) -> str | None:
        """Cipher suite, or None before the handshake."""
        facts = self._channel.facts
        return facts.cipher if facts is not None else None

    def fileno(self) -> int:
        """File descriptor of the socket, -1 when closed. Decrypted bytes may be waiting: see `pending`."""
        return self._socket.fileno()

    def getpeername(self) -> object:
        """Address of the peer, as `socket.getpeername`."""
        return self._socket.getpeername()

    def getsockname(self) -> object:
        """Own address, as `socket.getsockname`."""
        return self._socket.getsockname()

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of reads and writes; None blocks, 0 is refused (use a channel for non-blocking work).

        Raises:
            ValueError: negative or zero.
        """
        if seconds is not None and seconds <= 0:
            raise ValueError(f"timeout: got {seconds}, expected a positive number of seconds or None")
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """The timeout of reads and writes in seconds, or None."""
        return self._timeout

    def _require_open(self) -> None:
        if self._closed:
            raise ConnectionFailedError("the connection is closed")
