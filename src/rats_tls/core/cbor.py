"""The subset of CBOR that Evidence, certificates and messages use, read strictly (RFC 8949).

Integers, byte strings, text strings, arrays, maps, tags, booleans and null, in definite length; map keys are integers
or text strings, none twice. No floats, and tags are given as they stand: nothing that a decoder would turn into
something other than what is written (dates, big numbers, shared references).
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError

_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tagged item."""

    tag: int
    value: object


def decode_first(data: bytes, structure: str, *, max_depth: int, canonical: bool = False) -> tuple[object, int]:
    """Decode the first item of `data`.

    Args:
        data: bytes that begin with an item.
        structure: what to call them in errors.
        max_depth: deepest nesting of arrays, maps and tags.
        canonical: require that every integer and length is in its shortest form (RFC 8949 4.2.1), and allow no tags.

    Returns:
        The item, and the number of bytes that it takes; what is behind them is not read.

    Raises:
        DecodeError: not an item in the form above.
    """
    reader = _Reader(data, structure, max_depth, canonical=canonical)
    value = reader.item(0)
    return value, reader.offset


def decode_exact(data: bytes, structure: str, *, max_depth: int, canonical: bool = False) -> object:
    """Decode the one item that `data` is. Raises DecodeError, also when bytes are behind it."""
    value, end = decode_first(data, structure, max_depth=max_depth, canonical=canonical)
    if end != len(data):
        raise DecodeError(structure, "cbor", end, f"{len(data) - end} bytes behind the item")
    return value


def _shown(key: int | str) -> str:
    return repr(key[:64]) if isinstance(key, str) else repr(key)


class _Reader:
    """Reads items from the front of `data`."""

    def __init__(self, data: bytes, structure: str, max_depth: int, *, canonical: bool) -> None:
        self._data = data
        self._structure = structure
        self._max_depth = max_depth
        self._canonical = canonical
        self.offset = 0

    def error(self, problem: str) -> DecodeError:
        return DecodeError(self._structure, "cbor", self.offset, problem)

    def item(self, depth: int) -> object:
        if depth > self._max_depth:
            raise self.error(f"nested deeper than {self._max_depth}")
        initial = self._take(1)[0]
        major, argument = initial >> 5, self._argument(initial & 0x1F)
        match major:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                return self._take(argument)
            case 3:
                return self._text(argument)
            case 4:
                self._require_room(argument)
                return [self.item(depth + 1) for _ in range(argument)]
            case 5:
                self._require_room(argument)
                return self._map(argument, depth + 1)
            case 6 if not self._canonical:
                return Tagged(argument, self.item(depth + 1))
            case 7 if initial & 0x1F in _SIMPLE:
                return _SIMPLE[argument]
            case _:
                raise self.error(f"initial byte {initial:#04x} is not in the subset of CBOR used here")

    def _map(self, size: int, depth: int) -> dict[int | str, object]:
        items: dict[int | str, object] = {}
        for _ in range(size):
            key = self.item(depth)
            # bool is an int to Python, and True == 1 would make two keys one.
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise self.error("map key is neither integer nor text")
            if key in items:
                raise self.error(f"map key {_shown(key)} twice")
            items[key] = self.item(depth)
        return items

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error("text string is not UTF-8") from error

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise self.error("indefinite length or reserved additional information")
        size = 1 << (info - 24)
        value = int.from_bytes(self._take(size), "big")
        if self._canonical and (value < 24 or (size > 1 and value < 1 << (4 * size))):
            raise self.error(f"integer {value} is not in shortest form")
        return value

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.offset:
            raise self.error(f"need {size} bytes, {len(self._data) - self.offset} left")
        start = self.offset
        self.offset = start + size
        return self._data[start : self.offset]

    def _require_room(self, items: int) -> None:
        """Refuse a count that the bytes left cannot hold, before anything is made for it."""
        if items > len(self._data) - self.offset:
            raise self.error(f"{items} items announced, {len(self._data) - self.offset} bytes left")
