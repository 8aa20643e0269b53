"""A blocking attested connection over a socket. Behaves as users of `ssl.SSLSocket` expect."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, overload

from rats_tls.channel import AppraisalNeeded, Channel, Credentials
from rats_tls.connection_file import open_file
from rats_tls.connection_wire import SocketWire
from rats_tls.core.errors import ConfigurationError, ConnectionFailedError
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult
from rats_tls.core.tls import TlsFacts

_KEY_BITS = {"AES_256": 256, "AES_128": 128, "CHACHA20": 256, "SM4": 128}


class Connection:
    """An attested connection. Made by a `Context`; nothing is sent or delivered before both sides accepted.

    One thread may read while another writes. A forked child cannot use it.

    What a signal's handler raises, be it KeyboardInterrupt or an exception of the application's, comes out of every
    call as it is. The call may have sent half of a record by then, or taken bytes that nobody got: the connection is
    unusable, and sends no close_notify. Only a `recv` that was waiting loses nothing, and may be called again. A
    handler is known by the frame that Python gives it; where it deletes or replaces that argument, its exception may
    come out as InternalError or TlsError, with the exception itself as `__cause__`.

    Args:
        sock: a connected stream socket; the connection owns and closes it.
        make_channel: makes the protocol over `sock`.
        collect: gives this side's credentials; may block.
        recall: gives the judgement on the same peer that still holds, or None; does not block.
        appraise: judges the peer; may block; raises to refuse.
        limits: times.

    Raises:
        ConfigurationError: a socket that is not a stream, that listens, or that does not block.
    """

    def __init__(
        self,
        sock: socket.socket,
        make_channel: Callable[[socket.socket], Channel],
        *,
        collect: Callable[[], Credentials],
        recall: Callable[[AppraisalNeeded], AttestationResult | None],
        appraise: Callable[[AppraisalNeeded], AttestationResult],
        limits: Limits,
    ) -> None:
        _require_usable(sock)
        self._wire = SocketWire(sock, make_channel, limits)
        self._collect = collect
        self._recall = recall
        self._appraise = appraise
        self._peer: AttestationResult | None = None
        self._close_asked = False
        self._files = 0
        self._no_more_reading = False

    def handshake(self) -> None:
        """Do the TLS handshake, the preamble and the appraisals; does nothing once they are done.

        Called by `Context.connect` and by the first read or write. Takes at most `limits.handshake_seconds`, and
        less when the socket's timeout is shorter.

        Raises:
            RatsTlsError: this side refused the peer, or the peer this side, or the connection failed. The
                connection is closed.
        """
        self._wire.require_open()
        self._wire.handshake(self._collect, self._recall, self._appraise)

    def _ready(self, flags: int) -> SocketWire:
        """Give the wire once data may flow."""
        if flags:
            raise ValueError(f"flags: got {flags:#x}, expected 0: they mean nothing over TLS")
        wire = self._wire
        wire.require_open()
        if not wire.accepted:
            self.handshake()
        return wire

    # --- data ----------------------------------------------------------------------------------------------------
    def recv(self, size: int = 65_536, flags: int = 0) -> bytes:
        """Receive up to `size` bytes; b"" after the peer's close_notify.

        Raises:
            TimeoutError: the socket's timeout ran out; nothing is lost.
            RatsTlsError: the connection failed or was cut off.
            ValueError: a negative size; flags, which mean nothing over TLS.
        """
        if size < 0:
            raise ValueError(f"size: got {size}, expected at least 0")
        wire = self._ready(flags)
        return b"" if self._no_more_reading or not size else wire.receive(size)

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into `buffer`, at most `nbytes` or its size; gives the number of bytes, 0 after the peer's end.

        Raises:
            TypeError: `buffer` cannot be written to.
            ValueError: a negative number.
            TimeoutError: as `recv`, like the others that it raises.
        """
        view = memoryview(buffer).cast("B")
        if nbytes < 0:
            raise ValueError(f"nbytes: got {nbytes}, expected at least 0")
        if view.readonly:
            raise TypeError("recv_into: the buffer cannot be written to")
        if nbytes:
            view = view[:nbytes]
        wire = self._ready(flags)
        return 0 if self._no_more_reading or not view else wire.receive_into(view)

    def pending(self) -> int:
        """Bytes that `recv` gives without waiting: after `select`, read until there are none."""
        self._wire.require_open()
        return self._wire.pending() if self._wire.accepted else 0

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send all of `data`; gives its length. Raises as `sendall`."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all of `data`.

        Raises:
            TimeoutError: the socket's timeout ran out; how much the peer got is unknown, the connection is unusable.
            RatsTlsError: the connection failed.
            ValueError: flags, which mean nothing over TLS.
        """
        self._ready(flags).send(memoryview(data).cast("B"))

    @overload
    def makefile(self, mode: Literal["rb", "br"], buffering: Literal[-1] | None = None) -> io.BufferedReader: ...

    @overload
    def makefile(self, mode: Literal["wb", "bw"], buffering: Literal[-1] | None = None) -> io.BufferedWriter: ...

    @overload
    def makefile(
        self,
        mode: Literal["r", "w", "rw", "wr"] = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...

    @overload
    def makefile(
        self,
        mode: str,
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.IOBase: ...

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.IOBase:
        """Give a file object over the connection, as `socket.makefile` does.

        The connection stays open until it and all its file objects are closed. A read that timed out leaves the file
        unusable, since it may have taken bytes.

        Args:
            mode: "r", "w", "rw", each with or without "b".
            buffering: buffer size; 0 gives the raw object (binary modes only), None or -1 the default size.
            encoding: for text modes; UTF-8 by default.
            errors: for text modes, as `open` takes it.
            newline: for text modes, as `open` takes it.

        Raises:
            ValueError: an unknown mode, or unbuffered text.
        """
        self._wire.require_open()
        made = open_file(self, mode, buffering, encoding=encoding, errors=errors, newline=newline)
        self._files += 1
        return made

    # --- end -----------------------------------------------------------------------------------------------------
    def unwrap(self) -> None:
        """Send close_notify and wait for the peer's, at most `limits.close_seconds`; bytes that arrive are dropped.

        Raises:
            TimeoutError: the peer's did not come in that time.
            RatsTlsError: the peer cut the connection off without close_notify.
        """
        self._wire.require_open()
        self._wire.end_data()
        self._wire.drop_until_end()

    def shutdown(self, how: int) -> None:
        """End one direction or both, as `socket.shutdown`: the end of this side's data is a close_notify.

        After `SHUT_RD`, `recv` gives b"".

        Args:
            how: `socket.SHUT_WR`, `socket.SHUT_RD` or `socket.SHUT_RDWR`.

        Raises:
            TimeoutError: the peer does not take it within `limits.close_seconds`.
            RatsTlsError: the connection failed.
            OSError: as `socket.shutdown`.
        """
        self._wire.require_open()
        if how != socket.SHUT_RD:
            self._wire.end_data()
        if how != socket.SHUT_WR:
            self._no_more_reading = True
        self._wire.socket.shutdown(how)

    def close(self) -> None:
        """Send close_notify when the connection is open, and close the socket. May be called twice.

        While file objects of `makefile` are open this is left to the last of them. Threads that wait in another call
        are woken and get an error.
        """
        self._close_asked = True
        if self._files <= 0:
            self._wire.close()

    def release_file(self) -> None:
        """Take note that a file object of `makefile` was closed."""
        self._files -= 1
        if self._close_asked:
            self.close()

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
        if not self._wire.accepted:
            raise ConnectionFailedError("handshake not done: nothing is known of the peer yet")
        if self._peer is None and self._wire.peer is not None:
            self._peer = self._wire.peer.with_peer_accepted(self._wire.peer_accepted)
        return self._peer

    def selected_alpn_protocol(self) -> str | None:
        """The application's protocol that both sides agreed on, or None."""
        return self._wire.channel.selected_alpn_protocol()

    def export_keying_material(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Labels that rats-tls itself uses are refused."""
        with self._wire.state_lock:
            return self._wire.channel.exporter(label, context, length)

    def version(self) -> str | None:
        """TLS version, "none" without TLS, or None before the handshake."""
        facts = self._facts()
        return facts.version if facts is not None else None

    def cipher(self) -> tuple[str, str, int | None] | None:
        """Cipher suite, TLS version and bits of the secret key, as `ssl` gives them; None before the handshake."""
        facts = self._facts()
        if facts is None or not facts.cipher:
            return None
        bits = next((bits for part, bits in _KEY_BITS.items() if part in facts.cipher), None)
        return facts.cipher, facts.version, bits

    def _facts(self) -> TlsFacts | None:
        with self._wire.state_lock:
            return self._wire.channel.facts

    # --- the socket ----------------------------------------------------------------------------------------------
    def fileno(self) -> int:
        """File descriptor of the socket, -1 when closed. `select` sees no bytes that are here already: `pending`."""
        return self._wire.socket.fileno()

    def getpeername(self) -> Any:  # noqa: ANN401  # of the socket's family
        """Address of the peer, as `socket.getpeername`."""
        return self._wire.socket.getpeername()

    def getsockname(self) -> Any:  # noqa: ANN401  # of the socket's family
        """Own address, as `socket.getsockname`."""
        return self._wire.socket.getsockname()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the socket, as `socket.setsockopt`."""
        self._wire.socket.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        """Give an option of the socket, as `socket.getsockopt`."""
        return self._wire.socket.getsockopt(level, option)

    def setblocking(self, flag: bool) -> None:
        """Block in reads and writes; what does not block is refused (see `settimeout`). Raises ValueError."""
        self.settimeout(None if flag else 0)

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of reads and writes; None blocks. Without blocking work asyncio connections.

        Raises:
            ValueError: negative or zero.
        """
        if seconds is not None and seconds <= 0:
            raise ValueError(f"timeout: got {seconds}, expected a positive number of seconds or None")
        self._wire.timeout = seconds

    def gettimeout(self) -> float | None:
        """The timeout of reads and writes in seconds, or None."""
        return self._wire.timeout


def _require_usable(sock: socket.socket) -> None:
    if sock.type != socket.SOCK_STREAM:
        raise ConfigurationError(f"socket: got {sock.type.name}, expected a stream socket")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ConfigurationError("socket: it listens; wrap what it accepts, or use Context.listen")
    if sock.gettimeout() == 0:
        raise ConfigurationError("socket: it does not block; give it a timeout, or use asyncio connections")
