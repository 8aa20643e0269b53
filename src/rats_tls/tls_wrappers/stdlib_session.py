"""Connections of the `stdlib` wrapper: an `ssl.SSLObject` over memory."""

from __future__ import annotations

import re
import ssl
from typing import cast

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError, UnsupportedError
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers.buffers import require_writable
from rats_tls.tls_wrappers.sessions import SessionState

RECORD = 16_384  # largest plaintext of one record, RFC 8446 5.1

# OpenSSL's reasons for alerts that it received: "tlsv13 alert certificate required", "sslv3 alert bad certificate"; for
# a few the word is left out.
_ALERT = re.compile(r"(?:ssl/tls|tls|sslv3|tlsv1|tlsv13) alert (.+)|tlsv1 (unsupported extension|unrecognized name)")
# What the first bytes of HTTP, SSH, SMTP, ... or of noise look like to OpenSSL.
_NOT_TLS = frozenset({"wrong version number", "http request", "https proxy request"})
# How `ssl` puts a reason that it has no name for: "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)".
_TEXT = re.compile(r"(?:\[[^]]*\] )?(.*?)(?: \(_ssl\.c:\d+\))?")


class StdlibTlsSession(SessionState):
    """One connection. Used by one thread at a time.

    Args:
        tls: over both BIOs, its handshake not begun.
        incoming: what the peer sends.
        outgoing: what is due to the peer.
    """

    __slots__ = ("_ended", "_incoming", "_outgoing", "_read_before", "_tls")

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        super().__init__()
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._ended = False
        self._read_before = bytearray()  # of one record at most: decrypted before close_notify was sent

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._wait("handshake")
            return False
        except ssl.SSLError as error:
            raise self._failed("handshake", error) from error
        self._complete = True
        return True

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        self._incoming.write(data)

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._ended = True  # told when OpenSSL waits for more; behind `write_eof`, `close` could put nothing back

    def data_to_send(self) -> bytes:
        """Give and forget the bytes due to the peer."""
        return self._outgoing.read()

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        if self._read_before:
            data = bytes(self._read_before[:size])
            del self._read_before[:size]
            return data
        self._require_complete("read")
        try:
            return self._tls.read(min(size, RECORD))
        except ssl.SSLWantReadError:
            self._wait("read")
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise self._failed("read", error) from error

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        require_writable(buffer)
        if self._read_before:
            data = self.read(len(buffer)) or b""
            buffer[: len(data)] = data
            return len(data)
        self._require_complete("read")
        try:
            # With a buffer it gives the count; typeshed knows only the other form.
            return cast("int", self._tls.read(len(buffer), cast("bytearray", buffer)))
        except ssl.SSLWantReadError:
            self._wait("read")
            return None
        except ssl.SSLZeroReturnError:
            return 0
        except ssl.SSLError as error:
            raise self._failed("read", error) from error

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        while view:
            try:
                view = view[self._tls.write(view[:RECORD]) :]
            except ssl.SSLError as error:
                raise self._failed("write", error) from error

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if not self._begins_to_close():
            return
        # `unwrap` also looks for the peer's close_notify, and fails for good on data in front of it: all data is taken
        # out of its sight. What is left of the last record is in OpenSSL, what came behind it in the BIO.
        while count := self._tls.pending():
            self._read_before += self._tls.read(count)
        behind = self._incoming.read()
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise self._failed("close", error) from error
        if behind:
            self._incoming.write(behind)

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the server's leaf certificate, or None."""
        return self._tls.getpeercert(binary_form=True) if self._complete else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._tls.selected_alpn_protocol()

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self._tls.session_reused)

    def facts(self) -> TlsFacts:
        """Version, cipher suite and hash; `ssl` does not tell the group."""
        cipher, _, _ = self._tls.cipher() or ("", "", 0)
        return TlsFacts(
            version=self._tls.version() or "",
            cipher=cipher,
            group="",
            hash=HashAlgorithm.SHA384 if cipher.endswith("SHA384") else HashAlgorithm.SHA256,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Raise UnsupportedError: `ssl` has none."""
        raise UnsupportedError(f"TLS wrapper stdlib has no exporter (label {label!r}, {len(context)}, {length} bytes)")

    def _wait(self, doing: str) -> None:
        """Wait for more bytes. Raises TlsError where none will come."""
        if self._ended:
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
            raise self._error

    def _failed(self, doing: str, error: ssl.SSLError) -> TlsError:
        said = _reason(error)
        if alert := _ALERT.fullmatch(said):
            name = (alert[1] or alert[2]).replace(" ", "_")
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not self._complete and said in _NOT_TLS:
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({said})")
        else:
            self._error = TlsError(f"TLS {doing}: {said or 'no reason given'}")
        return self._error


def _reason(error: ssl.SSLError) -> str:
    """Give OpenSSL's reason in its own words."""
    if error.reason:
        return error.reason.lower().replace("_", " ")
    text = _TEXT.fullmatch(error.strerror or "")
    return text[1] if text else ""
