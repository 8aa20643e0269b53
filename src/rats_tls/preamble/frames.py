"""Frames: u8 type, u24 length (big-endian), payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rats_tls.core.errors import ProtocolError
from rats_tls.core.limits import Limits

HEADER_SIZE = 4


class FrameType(IntEnum):
    """Types of preamble message, in the order in which one side sends them; `REFUSED` may take any later place."""

    HELLO = 1
    EVIDENCE = 2
    ENDORSEMENTS = 3
    ACCEPTED = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    type: FrameType
    payload: bytes

    def to_bytes(self) -> bytes:
        """Give the frame as it travels."""
        return bytes((self.type,)) + len(self.payload).to_bytes(3, "big") + self.payload


_SHORT = 256
_LARGEST: dict[FrameType, int] = {FrameType.HELLO: 16_384, FrameType.ACCEPTED: _SHORT, FrameType.REFUSED: _SHORT}
"""Largest payloads of the messages that hold no document, whatever `Limits.preamble_message` is."""


class FrameReader:
    """Assembles one peer's frames from pieces of any size.

    Args:
        limits: `preamble_message` bounds one payload, `preamble_total` all frames together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._size = HEADER_SIZE
        self._type: FrameType | None = None
        self._total = 0

    @property
    def wanted(self) -> int:
        """Bytes to the end of the present header or payload, once `next` has given all frames; at least 1."""
        return self._size - len(self._buffer)

    @property
    def rest(self) -> int:
        """Bytes behind the frames that `next` gave."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def next(self) -> Frame | None:
        """Give the next frame that is complete, or None.

        Raises:
            ProtocolError: unknown type, or larger than the limits.
        """
        if self._type is None:
            if len(self._buffer) < HEADER_SIZE:
                return None
            self._type = self._header()
        if len(self._buffer) < self._size:
            return None
        frame = Frame(self._type, bytes(self._buffer[: self._size]))
        del self._buffer[: self._size]
        self._type = None
        self._size = HEADER_SIZE
        return frame

    def _header(self) -> FrameType:
        number, size = self._buffer[0], int.from_bytes(self._buffer[1:HEADER_SIZE], "big")
        try:
            frame_type = FrameType(number)
        except ValueError:
            raise ProtocolError(f"preamble: unknown message type {number}") from None
        largest = min(self._limits.preamble_message, _LARGEST.get(frame_type, self._limits.preamble_message))
        if size > largest:
            raise ProtocolError(f"preamble: {frame_type.name.lower()} of {size} bytes, at most {largest}")
        self._total += HEADER_SIZE + size
        if self._total > self._limits.preamble_total:
            raise ProtocolError(
                f"preamble: messages of {self._total} bytes together, at most {self._limits.preamble_total}"
            )
        del self._buffer[:HEADER_SIZE]
        self._size = size
        return frame_type
