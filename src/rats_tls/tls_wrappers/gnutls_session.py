"""Connections of the `gnutls` wrapper, in memory."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers import gnutls_library as gnutls
from rats_tls.tls_wrappers.alerts import ALERT_NUMBERS, alert_name
from rats_tls.tls_wrappers.callbacks import callback_error
from rats_tls.tls_wrappers.sessions import SessionState, speaks_tls

_VERSIONS = {gnutls.TLS1_3: "TLSv1.3", gnutls.TLS1_2: "TLSv1.2"}
_TLS12_EXCHANGES = {gnutls.KX_ECDHE_ECDSA: "ECDHE_ECDSA_WITH_", gnutls.KX_ECDHE_RSA: "ECDHE_RSA_WITH_"}
_HASHES = {gnutls.DIG_SHA256: HashAlgorithm.SHA256, gnutls.DIG_SHA384: HashAlgorithm.SHA384}
_NOT_NOW = frozenset({gnutls.E_AGAIN, gnutls.E_INTERRUPTED})
_ALERT_RECORD = re.compile(rb"\x15\x03[\x00-\x04]\x00\x02[\x01\x02](.)", re.DOTALL)


class GnutlsTlsSession(SessionState):
    """One connection. Used by one thread at a time.

    libgnutls runs without a callback for certificates: it takes any, once the peer has proved to hold the key.

    Args:
        library: the loaded library.
        session: its session, that is freed with the last reference.
        handle: cffi's handle of `wire`, the session's transport pointer, kept for as long as the session.
        wire: where its bytes go.
        settings: what the session uses and does not own.
    """

    __slots__ = (
        "_ended",
        "_first",
        "_handle",
        "_last",
        "_lib",
        "_library",
        "_session",
        "_settings",
        "_wire",
    )

    def __init__(self, library: gnutls.Library, session: Any, handle: Any, wire: gnutls.Wire, settings: object) -> None:  # noqa: ANN401  # cffi has no types
        super().__init__()
        self._library = library
        self._lib = library.lib
        self._session = session
        self._handle = handle
        self._wire = wire
        self._settings = settings
        self._first: int | None = None  # first byte of the peer's
        self._last = b""  # its last bytes in the handshake, as many as an alert has
        self._ended = False  # the peer has sent close_notify

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        while (code := self._step()) < 0:
            if code in _NOT_NOW:
                return False
            if code != gnutls.E_WARNING_ALERT_RECEIVED:
                self._fail("handshake", code)
        self._require_acceptable()
        self._complete = True
        return True

    def _step(self) -> int:
        """Go on until more bytes are needed. Gives 0 or an error code."""
        wire = self._wire
        while True:
            wire.starved = False
            left = len(wire.incoming)
            code: int = self._lib.gnutls_handshake(self._session)
            self._raise_of_callback("handshake")
            # A message of several records ends the call behind each of them.
            if code not in _NOT_NOW or wire.starved or len(wire.incoming) == left:
                return code

    def _require_acceptable(self) -> None:
        """Require of a handshake that GnuTLS has completed what it does not require itself."""
        lib, session = self._lib, self._session
        # RFC 7627 5: without it, one connection can be made to look like another one.
        if lib.gnutls_protocol_get_version(session) == gnutls.TLS1_2 and not (
            lib.gnutls_session_ext_master_secret_status(session)
        ):
            self._refuse(gnutls.A_HANDSHAKE_FAILURE, "the peer does TLS 1.2 without extended master secret")
        size, most = len(self._leaf() or b""), DEFAULT_LIMITS.certificate_read
        if size > most:
            self._refuse(gnutls.A_BAD_CERTIFICATE, f"the peer's certificate has {size} bytes, expected at most {most}")

    def _refuse(self, alert: int, why: str) -> NoReturn:
        self._send_alert(alert)
        self._error = TlsError(f"TLS handshake: {why}")
        raise self._error

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer; behind its end or a failure they are dropped."""
        if self._error is not None or self._ended or not data:
            return
        if self._first is None:
            self._first = data[0]
        if not self._complete:
            self._last = (self._last + data[-7:])[-7:]
        self._wire.incoming += data

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._wire.ended = True

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        wire = self._wire
        if not wire.outgoing:
            return b""
        out, wire.outgoing = wire.outgoing, bytearray()
        return out

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        space = self._library.space.pointer
        count = self._read(space, min(size, gnutls.SPACE))
        return None if count is None else bytes(self._library.ffi.buffer(space, count))

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        with self._library.ffi.from_buffer("char[]", buffer, require_writable=True) as pointer:
            return self._read(pointer, len(buffer))

    def _read(self, pointer: Any, size: int) -> int | None:  # noqa: ANN401  # cffi has no types
        self._require_complete("read")
        wire, done = self._wire, 0
        while done < size:
            wire.starved = False
            left = len(wire.incoming)
            count = self._lib.gnutls_record_recv(self._session, pointer + done, size - done)
            self._raise_of_callback("read")
            if count > 0:
                done += count
                if not wire.incoming:
                    break
            elif count == 0:
                self._ended = True
                wire.incoming.clear()
                return done
            elif count in _NOT_NOW:
                # A record without data, as a key update or a ticket, ends the call too.
                if wire.starved or len(wire.incoming) == left:
                    break
            else:
                # Raised by the next call, once these bytes were taken.
                failure = self._failed("read", count)
                if not done:
                    raise failure
                break
        return done or None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        size, done = len(view), 0
        with self._library.ffi.from_buffer("char[]", view) as pointer:
            while done < size:
                count = self._lib.gnutls_record_send(self._session, pointer + done, size - done)  # one record a call
                self._raise_of_callback("write")
                if count <= 0:
                    self._fail("write", count)
                done += count

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if not self._begins_to_close():
            return
        code = self._lib.gnutls_bye(self._session, gnutls.SHUT_WR)
        self._raise_of_callback("close")
        if code < 0:
            self._fail("close", code)

    def alert(self, name: str) -> None:
        """Send the fatal alert `name`, which ends the connection: later calls raise TlsError.

        Does nothing after close_notify or a failure.

        Raises:
            ValueError: no fatal alert has that name.
        """
        number = ALERT_NUMBERS.get(name)
        if not number:
            raise ValueError(f"{name!r} is no fatal alert")
        if self._closed or self._error is not None:
            return
        self._send_alert(number)
        self._error = TlsError(f"TLS: this side has ended the connection by alert {name}")

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        leaf = self._leaf() if self._complete else None
        return None if leaf is None else bytes(leaf)

    def _leaf(self) -> Any:  # noqa: ANN401  # cffi has no types
        """Give the peer's leaf certificate where GnuTLS has it, or None."""
        ffi = self._library.ffi
        count = ffi.new("unsigned int *")
        chain = self._lib.gnutls_certificate_get_peers(self._session, count)
        return ffi.buffer(chain[0].data, chain[0].size) if chain != ffi.NULL and count[0] else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        chosen = self._library.ffi.new("gnutls_datum_t *")
        if self._lib.gnutls_alpn_get_selected_protocol(self._session, chosen) < 0 or not chosen.size:
            return None
        return bytes(self._library.ffi.buffer(chosen.data, chosen.size)).decode("ascii", "replace")

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self._lib.gnutls_session_is_resumed(self._session))

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash."""
        lib, session, text = self._lib, self._session, self._library.text
        version = lib.gnutls_protocol_get_version(session)
        used = _HASHES.get(lib.gnutls_prf_hash_get(session), HashAlgorithm.SHA256)
        cipher = text(lib.gnutls_cipher_get_name(lib.gnutls_cipher_get(session))).replace("-", "_")
        exchange = _TLS12_EXCHANGES.get(lib.gnutls_kx_get(session), "") if version == gnutls.TLS1_2 else ""
        return TlsFacts(
            version=_VERSIONS.get(version, "none"),
            cipher=f"TLS_{exchange}{cipher}_{used.value.upper()}",
            group=text(lib.gnutls_group_get_name(lib.gnutls_group_get(session))),
            hash=used,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises TlsError before the handshake is complete."""
        if not self._complete:
            raise TlsError("TLS exporter: the handshake is not complete")
        name = label.encode("ascii")
        out = self._library.ffi.new("char[]", length)
        code = self._lib.gnutls_prf_rfc5705(self._session, len(name), name, len(context), context, length, out)
        if code < 0:
            raise TlsError(f"TLS exporter: {self._library.reason(code)}")
        return bytes(self._library.ffi.buffer(out, length))

    def _send_alert(self, number: int) -> None:
        self._lib.gnutls_alert_send(self._session, gnutls.AL_FATAL, number)
        self._raise_of_callback("alert")

    def _raise_of_callback(self, doing: str) -> None:
        """Raise what a callback raised in the last call, whatever libgnutls made of it; the error stays."""
        raised = self._library.raised()
        if raised is not None:
            self._wire.incoming.clear()
            self._error = callback_error(doing, raised)
            raise raised if interrupts(raised) else self._error

    def _fail(self, doing: str, code: int) -> NoReturn:
        raise self._failed(doing, code)

    def _failed(self, doing: str, code: int) -> TlsError:
        """Give the error that `code` stands for, which stays; the peer is told where it has not ended this itself."""
        wire = self._wire
        wire.incoming.clear()
        alert = self._alert_of_peer(code)
        if alert is not None:
            name = alert_name(alert)
            error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif code == gnutls.E_PREMATURE_TERMINATION:
            error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        else:
            self._send_alert(self._lib.gnutls_error_to_alert(code, self._library.ffi.new("int *")))
            said = self._library.reason(code)
            if not speaks_tls(self._first):
                said = f"the peer does not speak TLS ({said})"
            error = TlsError(f"TLS {doing}: {said}")
        self._error = error
        return error

    def _alert_of_peer(self, code: int) -> int | None:
        """Give the number of the alert that `code` is about, or None."""
        if code == gnutls.E_FATAL_ALERT_RECEIVED:
            number: int = self._lib.gnutls_alert_get(self._session)
            return number
        # OpenSSL's clients do not encrypt the alert by which they refuse a server's certificate, but libgnutls tries to
        # decrypt it. Whoever can put it there can end the connection anyway.
        if code == gnutls.E_DECRYPTION_FAILED and not self._complete:
            found = _ALERT_RECORD.fullmatch(self._last)
            return found[1][0] if found else None
        return None
