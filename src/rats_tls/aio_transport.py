"""The transport that an application's asyncio Protocol gets of an attested connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rats_tls.core.results import AttestationResult

if TYPE_CHECKING:
    from rats_tls.aio_wire import Wire


class AttestedTransport(asyncio.Transport):
    """The transport of an accepted connection. Made by `rats_tls.aio` once both sides accepted.

    `write` raises nothing for a connection that is over: `connection_lost` tells. `write_eof` ends this side's data.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    @property
    def peer(self) -> AttestationResult | None:
        """What was judged about the peer; None when this side judges nobody."""
        return self._wire.peer

    def selected_alpn_protocol(self) -> str | None:
        """The application's protocol that both sides agreed on, or None."""
        return self._wire.channel.selected_alpn_protocol()

    def export_keying_material(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Labels that rats-tls itself uses are refused."""
        return self._wire.channel.exporter(label, context, length)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  # asyncio's signature
        """Give facts of the connection.

        "peer" is the AttestationResult, "tls" the TLS facts, "application_protocol" what was agreed on; any other
        name is asked of the transport below, such as "peername", "sockname" and "socket".
        """
        if name == "peer":
            return self._wire.peer
        if name == "tls":
            return self._wire.channel.facts
        if name == "application_protocol":
            return self._wire.channel.selected_alpn_protocol()
        return self._wire.raw.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The application's Protocol."""
        return self._wire.application

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over to another Protocol."""
        self._wire.application = protocol

    # --- reading -------------------------------------------------------------------------------------------------
    def is_reading(self) -> bool:
        """Whether data is delivered."""
        return not self._wire.paused and not self._wire.closing

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; the transport below is paused too."""
        self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._wire.resume_reading()

    # --- writing -------------------------------------------------------------------------------------------------
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send `data`; buffered below, with the flow control of the transport there.

        Raises:
            RuntimeError: after `write_eof`.
        """
        self._wire.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all pieces as one. Raises as `write`."""
        self._wire.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """End this side's data by close_notify; the peer's still comes."""
        self._wire.write_eof()

    def can_write_eof(self) -> bool:
        """Always: TLS 1.3 ends each direction by itself."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, above and below which the application is told to pause and to resume writing."""
        self._wire.raw.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the low and the high mark."""
        return self._wire.raw.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Bytes that are encrypted and not yet taken by the system."""
        return self._wire.raw.get_write_buffer_size()

    # --- end -----------------------------------------------------------------------------------------------------
    def is_closing(self) -> bool:
        """Whether the connection is over, or ending."""
        return self._wire.closing

    def close(self) -> None:
        """Send what is buffered and close_notify, and wait for the peer's end; `connection_lost` follows.

        The wait ends after `limits.close_seconds` in which nothing moves.
        """
        self._wire.close()

    def abort(self) -> None:
        """End the connection at once; buffered data is lost."""
        self._wire.abort()
