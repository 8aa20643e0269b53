"""Connections of the `wolfssl` wrapper."""

from __future__ import annotations

from typing import Any

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError, UnsupportedError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers.alerts import alert_name
from rats_tls.tls_wrappers.callbacks import callback_error
from rats_tls.tls_wrappers.sessions import SessionState, speaks_tls
from rats_tls.tls_wrappers.wolfssl_library import (
    ALERT_FATAL,
    ERROR_WANT_READ,
    ERROR_ZERO_RETURN,
    FATAL_ERROR,
    HANDSHAKE_SIZE_ERROR,
    SUCCESS,
    Library,
)
from rats_tls.tls_wrappers.wolfssl_wire import Wire

SUITES = {
    0x1301: ("TLS_AES_128_GCM_SHA256", HashAlgorithm.SHA256),
    0x1302: ("TLS_AES_256_GCM_SHA384", HashAlgorithm.SHA384),
    0x1303: ("TLS_CHACHA20_POLY1305_SHA256", HashAlgorithm.SHA256),
}
"""Cipher suites that are offered and taken (RFC 8446 B.4)."""
_RECORD = 16_384  # most plain bytes of a record, RFC 8446 5.1
_LONGEST_ANSWER = 5 + 5 + 1 + 16
"""Bytes of the longest record that reading may send: a KeyUpdate, with header, type and tag (RFC 8446 4.6.3, 5.2)."""


class WolfsslTlsSession(SessionState):
    """One connection in memory. Used by one thread at a time.

    Args:
        library: the library.
        ssl: a new WOLFSSL of a context with the library's callbacks; frees itself.
        server: its role.
        needs_certificate: whether its peer must present one.
        keeps: what must live as long as the connection: its context, whose callbacks it uses.
    """

    __slots__ = (
        "_alpn",
        "_facts",
        "_ffi",
        "_handle",
        "_keeps",
        "_lib",
        "_library",
        "_needs_certificate",
        "_notified",
        "_resumed",
        "_server",
        "_ssl",
        "_wire",
    )

    def __init__(self, library: Library, ssl: Any, *, server: bool, needs_certificate: bool, keeps: object) -> None:  # noqa: ANN401  # cffi has no types
        super().__init__()
        self._library, self._ffi, self._lib = library, library.ffi, library.lib
        self._ssl = ssl
        self._keeps = keeps
        self._needs_certificate = needs_certificate
        self._server = server
        self._wire = Wire()
        self._handle = library.ffi.new_handle(self._wire)  # lives as long as the connection that holds it
        self._lib.wolfSSL_SetIOReadCtx(ssl, self._handle)
        self._lib.wolfSSL_SetIOWriteCtx(ssl, self._handle)
        self._facts: TlsFacts | None = None
        self._alpn: str | None = None
        self._resumed = False
        self._notified = False  # close_notify came

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        with self._library.leaf_certificate_to(self._wire):
            done = (self._lib.wolfSSL_accept if self._server else self._lib.wolfSSL_connect)(self._ssl)
        self._raise_of_callback("handshake")
        if done == SUCCESS:
            self._library.forget_errors()
            if self._needs_certificate and self._wire.certificate is None:
                self._error = TlsError("TLS handshake: the peer presents no certificate")
                raise self._error
            # Asked now: a connection that both sides have closed is cleared.
            self._facts, self._alpn = self._read_facts(), self._read_alpn()
            self._resumed = bool(self._lib.wolfSSL_session_reused(self._ssl))
            self._complete = True
            return True
        if self._lib.wolfSSL_get_error(self._ssl, done) == ERROR_WANT_READ:
            return False
        raise self._failed("handshake", done)

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        self._wire.feed(data)

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._wire.ended = True

    def data_to_send(self) -> bytes:
        """Give and forget the bytes due to the peer."""
        return self._wire.drain()

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        buffer = self._ffi.new("char[]", max(min(size, _RECORD), 1))
        count = self._read(buffer, min(size, _RECORD))
        return None if count is None else self._ffi.buffer(buffer, count)[:]

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        with self._ffi.from_buffer(buffer, require_writable=True) as pointer:
            return self._read(pointer, min(len(buffer), _RECORD))

    def _read(self, pointer: Any, size: int) -> int | None:  # noqa: ANN401  # cffi has no types
        self._require_complete("read")
        if self._notified:
            return 0
        due = len(self._wire.out)
        count: int = self._lib.wolfSSL_read(self._ssl, pointer, size)
        self._raise_of_callback("read")
        if self._wire.longest_record(due) > _LONGEST_ANSWER:
            # wolfSSL answers a CertificateRequest behind the handshake even where the client never offered to.
            del self._wire.out[due:]
            self._error = TlsError("TLS read: the peer asks for authentication after the handshake")
            raise self._error
        if count > 0:
            return count
        error = self._lib.wolfSSL_get_error(self._ssl, count)
        if error == ERROR_WANT_READ:
            return None
        if error == ERROR_ZERO_RETURN:
            self._notified = True
            return 0
        raise self._failed("read", count)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        with self._ffi.from_buffer(view) as plain:
            done = 0
            while done < len(view):
                count = self._lib.wolfSSL_write(self._ssl, plain + done, len(view) - done)
                self._raise_of_callback("write")
                if count <= 0:
                    raise self._failed("write", count)
                done += count

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure. Raises TlsError."""
        if not self._begins_to_close():
            return
        # Behind the peer's close_notify this clears the connection: from here on it is asked for nothing any more.
        done = self._lib.wolfSSL_shutdown(self._ssl)
        self._raise_of_callback("close")
        if done < 0:
            raise self._failed("close", done)

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        return self._wire.certificate if self._complete else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._alpn

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return self._resumed

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash. Raises TlsError before the handshake is complete."""
        if self._facts is None:
            raise TlsError("TLS facts: the handshake is not complete")
        return self._facts

    def _read_alpn(self) -> str | None:
        if "alpn" not in self._library.has:
            return None
        name, size = self._ffi.new("char **"), self._ffi.new("unsigned short *")
        if self._lib.wolfSSL_ALPN_GetProtocol(self._ssl, name, size) != SUCCESS:
            return None
        return bytes(self._ffi.buffer(name[0], size[0])).decode("ascii", "replace")

    def _read_facts(self) -> TlsFacts:
        suite = self._lib.wolfSSL_get_current_cipher_suite(self._ssl)
        name, digest = SUITES.get(suite, (f"0x{suite:04X}", HashAlgorithm.SHA256))
        group = self._lib.wolfSSL_get_curve_name(self._ssl)
        return TlsFacts(
            version=self._ffi.string(self._lib.wolfSSL_get_version(self._ssl)).decode("ascii", "replace"),
            cipher=name,
            group=self._ffi.string(group).decode("ascii", "replace").lower() if group else "",
            hash=digest,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5).

        Raises:
            TlsError: before the handshake is complete, or when both sides have closed.
            UnsupportedError: the library was built without it.
        """
        if "exporter" not in self._library.has:
            raise UnsupportedError("TLS wrapper wolfssl: the library was built without HAVE_KEYING_MATERIAL")
        self._require_complete("exporter")
        if self._closed and self._notified:
            raise TlsError("TLS exporter: both sides have closed the connection")
        out = self._ffi.new("unsigned char[]", length)
        name = label.encode("ascii")
        done = self._lib.wolfSSL_export_keying_material(
            self._ssl, out, length, name, len(name), context, len(context), 1
        )
        if done != SUCCESS:
            raise TlsError("TLS exporter: wolfSSL exports nothing")
        return bytes(self._ffi.buffer(out))

    def _raise_of_callback(self, doing: str) -> None:
        """Raise what a callback raised in the last call, whatever wolfSSL made of it; the error stays."""
        raised = self._library.raised()
        if raised is not None:
            self._library.forget_errors()
            self._error = callback_error(doing, raised)
            raise raised if interrupts(raised) else self._error

    def _failed(self, doing: str, done: int) -> TlsError:
        error = self._lib.wolfSSL_get_error(self._ssl, done)
        self._library.forget_errors()
        history = self._ffi.new("WOLFSSL_ALERT_HISTORY *")
        self._lib.wolfSSL_get_alert_history(self._ssl, history)
        received = history.last_rx
        if error == FATAL_ERROR and received.level == ALERT_FATAL:
            name = alert_name(received.code)
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not speaks_tls(self._wire.first):
            said = self._library.text(self._lib.wolfSSL_state(self._ssl))
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({said})")
        elif self._wire.ended:
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        else:
            code = self._lib.wolfSSL_state(self._ssl)
            self._error = TlsError(f"TLS {doing}: {self._library.text(code)}", too_large=code == HANDSHAKE_SIZE_ERROR)
        return self._error
