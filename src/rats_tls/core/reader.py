"""A bounded reader of vendor bytes. Everything it cannot give is a `DecodeError` that names the field."""

from __future__ import annotations

from rats_tls.core.errors import DecodeError


class Reader:
    """Reads fields from the front of `data`, little-endian as all TEE structures here are.

    Args:
        data: the bytes of the structure.
        structure: its name, for errors.
        base: offset of `data` within the outermost structure, added to the offsets that errors name.
    """

    __slots__ = ("_base", "_data", "_offset", "_structure")

    def __init__(self, data: bytes, structure: str, *, base: int = 0) -> None:
        self._data = data
        self._structure = structure
        self._offset = 0
        self._base = base

    @property
    def offset(self) -> int:
        """Offset of the next field, `base` included."""
        return self._base + self._offset

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._offset

    def take(self, field: str, size: int) -> bytes:
        """Read `size` bytes."""
        start = self._offset
        end = start + size
        if end > len(self._data):
            raise self.error(field, f"need {size} bytes, {self.remaining} left")
        self._offset = end
        return self._data[start:end]

    def _unsigned(self, field: str, size: int) -> int:
        return int.from_bytes(self.take(field, size), "little")

    def u8(self, field: str) -> int:
        """Read one byte."""
        return self._unsigned(field, 1)

    def u16(self, field: str) -> int:
        """Read a 16-bit unsigned integer."""
        return self._unsigned(field, 2)

    def u32(self, field: str) -> int:
        """Read a 32-bit unsigned integer."""
        return self._unsigned(field, 4)

    def u64(self, field: str) -> int:
        """Read a 64-bit unsigned integer."""
        return self._unsigned(field, 8)

    def zeros(self, field: str, size: int) -> None:
        """Read `size` reserved bytes, all of which must be zero."""
        data = self.take(field, size)
        if data != bytes(size):
            first = next(i for i, byte in enumerate(data) if byte)
            raise DecodeError(
                self._structure,
                field,
                self.offset - size + first,
                f"reserved byte is {data[first]:#04x}, must be zero",
            )

    def rest(self) -> bytes:
        """Read all bytes that are left."""
        return self.take("rest", self.remaining)

    def end(self) -> None:
        """Require that nothing is left."""
        if self.remaining:
            raise self.error("end", f"{self.remaining} bytes behind the structure")

    def error(self, field: str, problem: str) -> DecodeError:
        """Make the error for `field` at the present offset."""
        return DecodeError(self._structure, field, self.offset, problem)
