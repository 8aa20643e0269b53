"""The subset of CBOR that preamble messages use, read strictly.

Integers, byte strings, text strings, arrays, maps, booleans and null, in definite length and shortest form
(RFC 8949 4.2.1); map keys are integers or text strings, none twice. No tags and no floats: nothing that a decoder
would turn into something other than what is written.
"""

from __future__ import annotations

from collections.abc import Mapping

import cbor2

from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits

Cbor = int | bytes | str | bool | None | list["Cbor"] | dict["int | str", "Cbor"]

_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}


def encode_message(items: Mapping[int, object]) -> bytes:
    """Encode one message: a map with integer keys."""
    return cbor2.dumps(dict(items), canonical=True)


def decode_message(data: bytes, structure: str, limits: Limits) -> dict[int, Cbor]:
    """Decode one message: a map with integer keys.

    Raises:
        DecodeError: not such a map, or not in the form above, or bytes behind it.
    """
    reader = _Reader(data, structure, limits.cbor_depth)
    value = reader.item(0)
    if reader.offset != len(data):
        raise reader.error(f"{len(data) - reader.offset} bytes behind the message")
    if not isinstance(value, dict):
        raise DecodeError(structure, "", 0, f"got {type(value).__name__}, expected a map")
    message: dict[int, Cbor] = {}
    for key, item in value.items():
        if not isinstance(key, int):
            raise DecodeError(structure, "", 0, f"key {_shown(key)}: expected an integer")
        message[key] = item
    return message


def _shown(key: int | str) -> str:
    return repr(key[:64]) if isinstance(key, str) else repr(key)


class _Reader:
    """Reads items from the front of `data`."""

    def __init__(self, data: bytes, structure: str, max_depth: int) -> None:
        self._data = data
        self._structure = structure
        self._max_depth = max_depth
        self.offset = 0

    def error(self, problem: str) -> DecodeError:
        return DecodeError(self._structure, "cbor", self.offset, problem)

    def item(self, depth: int) -> Cbor:
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
            case 7 if initial & 0x1F in _SIMPLE:
                return _SIMPLE[argument]
            case _:
                raise self.error(f"initial byte {initial:#04x} is not in the subset of CBOR used here")

    def _map(self, size: int, depth: int) -> dict[int | str, Cbor]:
        items: dict[int | str, Cbor] = {}
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
        if value < 24 or (size > 1 and value < 1 << (4 * size)):
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
