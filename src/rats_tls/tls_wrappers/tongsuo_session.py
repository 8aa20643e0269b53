"""Connections of the `tongsuo` wrapper, in memory."""

from __future__ import annotations

from typing import Any

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers.alerts import alert_name
from rats_tls.tls_wrappers.callbacks import callback_error
from rats_tls.tls_wrappers.sessions import SessionState
from rats_tls.tls_wrappers.tongsuo_library import (
    AD_REASON_OFFSET,
    BIO_C_SET_BUF_MEM_EOF_RETURN,
    BIO_CTRL_RESET,
    CTRL_GET_EXTMS_SUPPORT,
    CTRL_GET_PEER_TMP_KEY,
    ERROR_WANT_READ,
    ERROR_WANT_WRITE,
    ERROR_ZERO_RETURN,
    NID_SECP384R1,
    NID_SM2,
    NID_X9_62_PRIME256V1,
    NID_X25519,
    R_HTTP_REQUEST,
    R_HTTPS_PROXY_REQUEST,
    R_WRONG_VERSION_NUMBER,
    SPACE,
    TLS1_3_VERSION,
    Library,
)

_RECORD = 16_384  # RFC 8446 5.1
_MOST = 1 << 30  # sizes are C's int
_NOT_TLS = frozenset({R_WRONG_VERSION_NUMBER, R_HTTP_REQUEST, R_HTTPS_PROXY_REQUEST})
_GROUPS = {
    NID_X25519: "x25519",
    NID_X9_62_PRIME256V1: "secp256r1",
    NID_SECP384R1: "secp384r1",
    NID_SM2: "curveSM2",
}
"""Names of RFC 8446 4.2.7 and RFC 8998 3.3.1."""


class TongsuoTlsSession(SessionState):
    """One connection over memory BIOs. Used by one thread at a time.

    Args:
        library: the library.
        ssl: the connection, in accept or connect state, freed with its object.
        bios: what it reads from, and what it writes into; they belong to it.
        context: what it was made of, which stays for as long as it.
    """

    __slots__ = (
        "_context",
        "_eof",
        "_ffi",
        "_in",
        "_lib",
        "_library",
        "_out",
        "_ssl",
    )

    def __init__(self, library: Library, ssl: Any, bios: tuple[Any, Any], context: object) -> None:  # noqa: ANN401  # cffi has no types
        super().__init__()
        self._library = library
        self._ffi = library.ffi
        self._lib = library.functions
        self._ssl = ssl
        self._in, self._out = bios
        self._context = context
        self._eof = False

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        self._lib.ERR_clear_error()
        done = self._lib.SSL_do_handshake(self._ssl)
        raised = self._library.raised.take()  # which other calls do not: callbacks are the handshake's
        if raised is not None:
            self._error = callback_error("handshake", raised)
            raise raised if interrupts(raised) else self._error
        if done != 1:
            kind = self._lib.SSL_get_error(self._ssl, done)
            if kind in (ERROR_WANT_READ, ERROR_WANT_WRITE):
                return False
            raise self._failed("handshake", kind)
        self._require_extended_master_secret()
        self._complete = True
        return True

    def _require_extended_master_secret(self) -> None:
        """RFC 7627: without it two TLS 1.2 sessions can share a master secret, and so exported values."""
        if self._lib.SSL_version(self._ssl) == TLS1_3_VERSION:
            return
        if self._lib.SSL_ctrl(self._ssl, CTRL_GET_EXTMS_SUPPORT, 0, self._ffi.NULL) != 1:
            self._lib.BIO_ctrl(self._out, BIO_CTRL_RESET, 0, self._ffi.NULL)  # no Finished for such a peer
            self._error = TlsError("TLS handshake: the peer does TLS 1.2 without extended master secret")
            raise self._error

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        done = 0
        with self._ffi.from_buffer(data) as source:
            while done < len(data):
                count = self._lib.BIO_write(self._in, source + done, min(len(data) - done, _MOST))
                if count <= 0:
                    raise MemoryError("Tongsuo takes no more bytes into memory")
                done += count

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._eof = True
        self._lib.BIO_ctrl(self._in, BIO_C_SET_BUF_MEM_EOF_RETURN, 0, self._ffi.NULL)

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        size = self._lib.BIO_ctrl_pending(self._out)
        if not size:
            return b""
        out = bytearray(size)
        with self._ffi.from_buffer(out) as target:
            count = self._lib.BIO_read(self._out, target, size)
        del out[max(count, 0) :]
        return out

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        space = self._library.buffer
        count = self._read(space, min(size, SPACE))
        return bytes(self._ffi.buffer(space, count)) if count is not None else None

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        with self._ffi.from_buffer(buffer, require_writable=True) as space:
            return self._read(space, min(len(buffer), _MOST))

    def _read(self, space: Any, size: int) -> int | None:  # noqa: ANN401  # likewise
        self._require_complete("read")
        done = 0
        while done < size:
            self._lib.ERR_clear_error()
            count = self._lib.SSL_read(self._ssl, space + done, size - done)
            if count <= 0:
                return self._stopped_reading(count, done)
            done += count
            if count < _RECORD:
                break  # seldom is another record behind one that is not full
        return done or None

    def _stopped_reading(self, count: int, done: int) -> int | None:
        """Take what came behind `done` plain bytes. Raises a failure behind none; else the next call does."""
        kind = self._lib.SSL_get_error(self._ssl, count)
        if kind in (ERROR_WANT_READ, ERROR_WANT_WRITE):
            return done or None
        if kind == ERROR_ZERO_RETURN:
            return done  # behind bytes, the next call says so again
        failure = self._failed("read", kind)
        if not done:
            raise failure
        return done

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        done = 0
        with self._ffi.from_buffer(view) as source:
            while done < len(view):
                self._lib.ERR_clear_error()
                count = self._lib.SSL_write(self._ssl, source + done, min(len(view) - done, _MOST))
                if count <= 0:
                    raise self._failed("write", self._lib.SSL_get_error(self._ssl, count))
                done += count

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if not self._begins_to_close():
            return
        self._lib.ERR_clear_error()
        done = self._lib.SSL_shutdown(self._ssl)
        if done < 0:
            raise self._failed("close", self._lib.SSL_get_error(self._ssl, done))

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        if not self._complete:
            return None
        found = self._lib.SSL_get_peer_certificate(self._ssl)
        if found == self._ffi.NULL:
            return None
        certificate = self._ffi.gc(found, self._lib.X509_free)
        size = self._lib.i2d_X509(certificate, self._ffi.NULL)
        if size <= 0:
            raise TlsError(f"TLS: the peer's certificate cannot be encoded: {self._library.reason().text}")
        der = self._ffi.new("unsigned char[]", size)
        self._lib.i2d_X509(certificate, self._ffi.new("unsigned char **", der))
        return bytes(self._ffi.buffer(der))

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        protocol, size = self._ffi.new("const unsigned char **"), self._ffi.new("unsigned int *")
        self._lib.SSL_get0_alpn_selected(self._ssl, protocol, size)
        if not size[0]:
            return None
        return bytes(self._ffi.buffer(protocol[0], size[0])).decode("ascii", "replace")

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self._lib.SSL_session_reused(self._ssl))

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash."""
        if not self._complete:
            raise TlsError("TLS: the handshake is not complete")
        cipher = self._text(self._lib.SSL_CIPHER_standard_name(self._lib.SSL_get_current_cipher(self._ssl)))
        return TlsFacts(
            version=self._text(self._lib.SSL_get_version(self._ssl)),
            cipher=cipher,
            group=self._group(),
            hash=HashAlgorithm(cipher.rpartition("_")[2].lower()),
        )

    def _group(self) -> str:
        """Name the group of the key exchange by the peer's key share."""
        out = self._ffi.new("EVP_PKEY **")
        if self._lib.SSL_ctrl(self._ssl, CTRL_GET_PEER_TMP_KEY, 0, out) != 1:
            return ""
        key = self._ffi.gc(out[0], self._lib.EVP_PKEY_free)
        number = self._lib.EVP_PKEY_id(key)
        if number != NID_X25519:
            curve = self._lib.EVP_PKEY_get0_EC_KEY(key)
            if curve != self._ffi.NULL:
                number = self._lib.EC_GROUP_get_curve_name(self._lib.EC_KEY_get0_group(curve))
        return _GROUPS.get(number, "")

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises TlsError before the handshake is complete."""
        if not self._complete:
            raise TlsError("TLS exporter: the handshake is not complete")
        name = label.encode("ascii")
        out = self._ffi.new("unsigned char[]", length)
        self._lib.ERR_clear_error()
        if self._lib.SSL_export_keying_material(self._ssl, out, length, name, len(name), context, len(context), 1) != 1:
            raise TlsError(f"TLS exporter: {self._library.reason().text}")
        return bytes(self._ffi.buffer(out))

    def _text(self, pointer: Any) -> str:  # noqa: ANN401  # likewise
        text: bytes = self._ffi.string(pointer)
        return text.decode("ascii", "replace")

    def _failed(self, doing: str, kind: int) -> TlsError:
        """Give, and keep, the error behind a call that failed with an SSL_ERROR_* of that number."""
        reason = self._library.reason()
        if kind == ERROR_ZERO_RETURN:
            self._error = TlsError(f"TLS {doing}: the peer sent alert close_notify", peer_alert="close_notify")
        elif not reason.number and self._eof:
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        elif reason.of_tls and reason.number >= AD_REASON_OFFSET:
            name = alert_name(reason.number - AD_REASON_OFFSET)
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not self._complete and reason.of_tls and reason.number in _NOT_TLS:
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({reason.text})")
        else:
            self._error = TlsError(f"TLS {doing}: {reason.text}")
        return self._error
