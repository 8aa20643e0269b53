"""No TLS at all: bytes pass as they are. For tests and for transports that are trusted by other means.

Nobody proves to hold a key and nothing is encrypted, so Evidence over it is judged with `binding: none`.
"""

from __future__ import annotations

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import TlsError, UnsupportedError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsFacts
from rats_tls.tls_wrappers.buffers import require_writable


class NullTlsSession:
    """One connection that passes bytes on. The end of the transport is the end of the data."""

    __slots__ = ("_closed", "_ended", "_in", "_out")

    def __init__(self) -> None:
        self._in = bytearray()
        self._out: list[bytes] = []
        self._ended = False
        self._closed = False

    def handshake(self) -> bool:
        """There is none: always complete."""
        return True

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        self._in += data

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._ended = True

    def data_to_send(self) -> bytes:
        """Give and forget the bytes due to the peer."""
        out, self._out = self._out, []
        return b"".join(out)

    def read(self, size: int) -> bytes | None:
        """Read up to `size` bytes: None when none are there yet, b"" at the end."""
        if not self._in:
            return b"" if self._ended else None
        data = bytes(self._in[:size])
        del self._in[:size]
        return data

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`."""
        require_writable(buffer)
        data = self.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass `data` on. Raises TlsError after `close`."""
        if self._closed:
            raise TlsError("write: this side has closed the connection")
        self._out.append(bytes(data))

    def close(self) -> None:
        """End this side's data; the transport's end is all that the peer sees of it."""
        self._closed = True

    @property
    def peer_certificate(self) -> bytes | None:
        """None: no certificate is presented here."""
        return None

    @property
    def alpn(self) -> str | None:
        """None: nothing is negotiated here."""
        return None

    @property
    def resumed(self) -> bool:
        """Never."""
        return False

    def facts(self) -> TlsFacts:
        """Version "none"."""
        return TlsFacts(version="none", cipher="", group="", hash=HashAlgorithm.SHA256)

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Raise UnsupportedError: there is no secret to derive from."""
        raise UnsupportedError(f"TLS wrapper null has no exporter (label {label!r}, {len(context)}, {length} bytes)")


class NullTlsContext:
    """Settings without effect."""

    __slots__ = ()

    def session(self, server_hostname: str | None = None) -> NullTlsSession:  # noqa: ARG002  # the Protocol's argument
        """Start a connection in memory."""
        return NullTlsSession()


class NullTlsWrapper:
    """No TLS."""

    name = "null"
    version = "none"
    capabilities = TlsCapabilities(
        encrypts=False,
        mutual_server=True,
        exporter_with_context=False,
        alpn=False,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072}),
        caution="nothing is encrypted, and no peer proves to hold a key",
    )

    def context(self, config: TlsConfig) -> NullTlsContext:  # noqa: ARG002  # the Protocol's argument
        """Load nothing."""
        return NullTlsContext()
