"""Connections of the `rustls` wrapper: the server's side, in memory."""

from __future__ import annotations

import re
import ssl
from typing import Any

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError, UnsupportedError
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers.alerts import ALERTS, alert_name
from rats_tls.tls_wrappers.sessions import PlainBytesSession

_LONGEST = 16_384 + 256  # RFC 8446 5.2
_CONTENT_TYPES = range(20, 24)  # RFC 8446 5.1
_HEADER = 5  # RFC 8446 5.2: type, version, length of two bytes
_RECEIVED = re.compile(r"received fatal alert: (\w+)(?:\((?:0x)?([0-9a-fA-F]+)\))?")
_ALERTS = {name.replace("_", ""): name for name in ALERTS.values()} | {"unrecognisedname": "unrecognized_name"}
"""Names of alerts by the letters in them: rustls writes UnknownCA, HandshakeFailure."""
_NOT_TLS = frozenset({"InvalidContentType", "UnknownProtocolVersion"})
_SUITE = re.compile(r"TLS13_(\w+)")


class RustlsTlsSession(PlainBytesSession):
    """One connection of a server. Used by one thread at a time.

    Args:
        connection: an `rtls._rustls.RustlsServerConnection`.
    """

    __slots__ = ("_connection", "_ended", "_in", "_out")

    def __init__(self, connection: Any) -> None:  # noqa: ANN401  # rtls has no types
        super().__init__()
        self._connection = connection
        self._in = bytearray()
        self._out: list[bytes] = []
        self._ended = False

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        while self._connection.is_handshaking():
            if not self._take_record("handshake"):
                return False
        self._complete = True
        return True

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        self._in += data

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._ended = True

    def data_to_send(self) -> bytes:
        """Give and forget the bytes due to the peer."""
        self._drain()
        out, self._out = self._out, []
        return b"".join(out)

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        if not self._complete:
            self._require_complete("read")
        while True:
            data: bytes = self._connection.read_plaintext(size)
            if data:
                return data
            if self._error is None and not self._connection.wants_read():
                return b""  # with nothing to read, it wants no more only behind close_notify
            if not self._take_record("read"):
                return None

    def _encrypt(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._connection.write_plaintext(data) :]
            except ssl.SSLError as error:
                raise self._failed("write", error) from error
            self._drain()  # rustls takes 64 KiB at most before its records are taken out, and then nothing

    def _send_close_notify(self) -> None:
        self._connection.send_close_notify()

    @property
    def peer_certificate(self) -> bytes | None:
        """None: it is never asked for."""
        return None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        chosen: bytes | None = self._connection.alpn_protocol()
        return chosen.decode("ascii", "replace") if chosen else None

    @property
    def resumed(self) -> bool:
        """Never: there is nothing to resume."""
        return False

    def facts(self) -> TlsFacts:
        """Version, cipher suite and hash; rtls does not tell the group."""
        suite = _SUITE.fullmatch(self._connection.negotiated_cipher_suite() or "")
        cipher = f"TLS_{suite[1]}" if suite else ""
        return TlsFacts(
            version="TLSv1.3" if self._connection.protocol_version() == 0x0304 else "",
            cipher=cipher,
            group="",
            hash=HashAlgorithm.SHA384 if cipher.endswith("SHA384") else HashAlgorithm.SHA256,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Raise UnsupportedError: rtls has none."""
        raise UnsupportedError(f"TLS wrapper rustls has no exporter (label {label!r}, {len(context)}, {length} bytes)")

    def _drain(self) -> None:
        while self._connection.wants_write():
            self._out.append(self._connection.write_tls())

    def _take_record(self, doing: str) -> bool:
        """Give rustls one more whole record: it must keep no more, or its buffers overflow."""
        self._raise_earlier_error()
        size = self._size_of_record()
        if size == 0:
            if self._ended:
                self._error = TlsError(
                    f"TLS {doing}: the peer closed the connection without close_notify", truncated=True
                )
                raise self._error
            return False
        record = bytes(self._in[:size])
        del self._in[: len(record)]
        try:
            while record:
                record = record[self._connection.read_tls(record) :]
                self._connection.process_new_packets()
        except ssl.SSLError as error:
            raise self._failed(doing, error) from error
        return True

    def _size_of_record(self) -> int:
        """Give the size of the record at the front, 0 while it is not whole; all where it is none: rustls says so."""
        if not self._in or self._in[0] not in _CONTENT_TYPES:
            return len(self._in)
        size = _HEADER + int.from_bytes(self._in[3:_HEADER], "big")
        if size > _HEADER + _LONGEST:
            return len(self._in)
        return size if len(self._in) >= size else 0

    def _failed(self, doing: str, error: ssl.SSLError) -> TlsError:
        said = str(error.args[0]) if error.args else ""
        if alert := _RECEIVED.fullmatch(said):
            name = _ALERTS.get(alert[1].lower()) or (alert_name(int(alert[2], 16)) if alert[2] else alert[1].lower())
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not self._complete and said.rpartition(" ")[2] in _NOT_TLS:
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({said})")
        else:
            self._error = TlsError(f"TLS {doing}: {said or 'no reason given'}")
        return self._error
