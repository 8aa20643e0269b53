"""The few kinds of fields of Protocol Buffers that services of devices use, by hand.

Source: Protocol Buffers, Encoding. Unknown fields are skipped; the same field twice is refused where it is not
repeated, as no writer does that.
"""

from __future__ import annotations

from collections.abc import Collection

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT = 10
_MOST_FIELDS = 64
_MOST_NUMBER = (1 << 29) - 1
_U64 = (1 << 64) - 1


class Message:
    """The fields of one message, read by number.

    Args:
        data: the message; the caller has bounded it.
        structure: its name, for errors.
        repeated: numbers of fields that there may be several of; of these the last is kept.

    Raises:
        DecodeError: malformed, or more than 64 fields.
    """

    def __init__(self, data: bytes, structure: str, *, repeated: Collection[int] = ()) -> None:
        self._structure = structure
        self._repeated = repeated
        self._integers: dict[int, int] = {}
        self._octets: dict[int, bytes] = {}
        reader = Reader(data, structure)
        count = 0
        while reader.remaining:
            count += 1
            if count > _MOST_FIELDS:
                raise reader.error("", f"more than {_MOST_FIELDS} fields")
            self._read(reader)

    def integer(self, number: int, name: str, *, maximum: int) -> int:
        """Give an unsigned integer; 0 where it was left out. Raises DecodeError: over `maximum`, or another kind."""
        if number in self._octets:
            raise self._error(name, "got bytes, expected an integer")
        value = self._integers.get(number, 0)
        if value > maximum:
            raise self._error(name, f"got {value}, at most {maximum} is read")
        return value

    def octets(self, number: int, name: str) -> bytes:
        """Give bytes, or a message within; none where it was left out. Raises DecodeError: another kind."""
        if number in self._integers:
            raise self._error(name, "got an integer, expected bytes")
        return self._octets.get(number, b"")

    def text(self, number: int, name: str) -> str:
        """Give a text; "" where it was left out. Raises DecodeError: not UTF-8, or another kind."""
        try:
            return self.octets(number, name).decode()
        except UnicodeDecodeError as error:
            raise self._error(name, "not UTF-8") from error

    def _read(self, reader: Reader) -> None:
        key = _read_varint(reader, "key")
        number, kind = key >> 3, key & 7
        if not 1 <= number <= _MOST_NUMBER:
            raise reader.error("key", f"got field {number}, expected 1 to {_MOST_NUMBER}")
        if (number in self._integers or number in self._octets) and number not in self._repeated:
            raise reader.error("key", f"field {number} twice")
        field = f"field {number}"
        if kind == _VARINT:
            self._integers[number] = _read_varint(reader, field)
        elif kind == _LENGTH:
            self._octets[number] = reader.take(field, _read_varint(reader, field))
        elif kind in _FIXED_SIZES:
            reader.take(field, _FIXED_SIZES[kind])  # nothing here has such fields
        else:
            raise reader.error("key", f"got wire type {kind} of field {number}, expected 0, 1, 2 or 5")

    def _error(self, name: str, problem: str) -> DecodeError:
        return DecodeError(self._structure, name, None, problem)


def integer_field(number: int, value: int) -> bytes:
    """Write an unsigned integer; nothing where it is 0, which is what leaving it out means."""
    return _varint(number << 3 | _VARINT) + _varint(value) if value else b""


def octets_field(number: int, value: bytes) -> bytes:
    """Write bytes, a text in UTF-8 or a message within; nothing where there are none."""
    return _varint(number << 3 | _LENGTH) + _varint(len(value)) + value if value else b""


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_varint(reader: Reader, field: str) -> int:
    value = 0
    for position in range(_MOST_VARINT):
        byte = reader.u8(field)
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if value > _U64:
                raise reader.error(field, "an integer of more than 64 bits")
            return value
    raise reader.error(field, f"an integer of more than {_MOST_VARINT} bytes")
