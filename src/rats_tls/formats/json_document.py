"""JSON documents of vendors: strict reading, and the exact bytes of a value that is signed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]  # public in CPython, absent from typeshed
from typing import Any, NoReturn

from rats_tls.core.errors import DecodeError

SIGNATURE_SIZE = 64

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_MAX_LIST = 1024


class _RepeatedMemberError(ValueError):
    pass


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _RepeatedMemberError(f"member {name!r} occurs twice")
            seen.add(name)
    return members


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"number {text[:32]} is not an integer")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_refuse, parse_constant=_refuse)


class JsonObject:
    """Members of one JSON object, read by name and type; every failure is a DecodeError that names the member.

    Members that are not asked for are left alone: vendors add members without a new version.
    """

    __slots__ = ("_members", "_structure")

    def __init__(self, members: dict[str, object], structure: str) -> None:
        self._members = members
        self._structure = structure

    @classmethod
    def from_bytes(cls, data: bytes, structure: str) -> JsonObject:
        """Decode UTF-8 JSON whose whole is one object without repeated members and without fractions.

        Raises:
            DecodeError: it is not.
        """
        text = _text(data, structure)
        try:
            value = _DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            raise DecodeError(structure, "", None, f"not strict JSON: {error}") from error
        return cls(_object(value, structure, ""), structure)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def holds(self, name: str) -> bool:
        """Whether there is a member `name` that is not null."""
        return self._members.get(name) is not None

    def error(self, name: str, problem: str) -> DecodeError:
        """Make the error for member `name`."""
        return DecodeError(self._structure, name, None, problem)

    def _get(self, name: str) -> object:
        try:
            return self._members[name]
        except KeyError:
            raise self.error(name, "missing") from None

    def integer(self, name: str, *, maximum: int) -> int:
        """Read an integer from 0 to `maximum`."""
        value = self._get(name)
        if type(value) is not int:
            raise self.error(name, f"got {_kind(value)}, expected an integer")
        if not 0 <= value <= maximum:
            raise self.error(name, f"got an integer outside 0 to {maximum}")
        return value

    def text(self, name: str) -> str:
        """Read a string."""
        value = self._get(name)
        if not isinstance(value, str):
            raise self.error(name, f"got {_kind(value)}, expected a string")
        return value

    def one_of(self, name: str, allowed: Collection[str]) -> str:
        """Read a string that is one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise self.error(name, f"got {value[:64]!r}, expected {' or '.join(allowed)}")
        return value

    def hexadecimal(self, name: str, *, size: int) -> bytes:
        """Read `size` bytes in hexadecimal digits of either case."""
        value = self.text(name)
        if len(value) != 2 * size or not _HEX.fullmatch(value):
            raise self.error(name, f"got {len(value)} characters, expected {2 * size} hexadecimal digits")
        return bytes.fromhex(value)

    def octets(self, name: str) -> bytes:
        """Read bytes, perhaps none, in hexadecimal digits of either case."""
        value = self.text(name)
        if not _HEX.fullmatch(value):
            raise self.error(name, f"got {value[:32]!r}, expected pairs of hexadecimal digits")
        return bytes.fromhex(value)

    def octet_array(self, name: str, *, size: int) -> bytes:
        """Read `size` bytes in an array of numbers."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) != size:
            got = f"{len(value)} elements" if isinstance(value, list) else _kind(value)
            raise self.error(name, f"got {got}, expected an array of {size} numbers")
        if not all(type(item) is int and 0 <= item <= 0xFF for item in value):
            raise self.error(name, "got an element that is no number from 0 to 255")
        return bytes(value)

    def time(self, name: str) -> datetime:
        """Read a time in UTC, `YYYY-MM-DDThh:mm:ssZ`."""
        value = self.text(name)
        match = _DATE.fullmatch(value)
        if match is None:
            raise self.error(name, f"got {value[:32]!r}, expected YYYY-MM-DDThh:mm:ssZ")
        try:
            return datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]  # six integers
        except ValueError as error:
            raise self.error(name, f"got {value}, which is no time: {error}") from error

    def member(self, name: str) -> JsonObject:
        """Read a member that is an object."""
        return JsonObject(_object(self._get(name), self._structure, name), f"{self._structure}.{name}")

    def objects(
        self, name: str, *, count: int | None = None, least: int = 1, most: int = _MAX_LIST
    ) -> tuple[JsonObject, ...]:
        """Read a list of objects; of `count` objects, or of `least` to `most`."""
        values = self._list(name, most=most)
        if count is not None and len(values) != count:
            raise self.error(name, f"got {len(values)} members, expected {count}")
        if len(values) < least:
            raise self.error(name, "the list is empty" if not values else f"got {len(values)}, expected {least}")
        prefix = f"{self._structure}.{name}"
        made = []
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{name}[{index}]", f"got {_kind(value)}, expected an object")
            made.append(JsonObject(value, f"{prefix}[{index}]"))
        return tuple(made)

    def integers(self, name: str, member: str, *, count: int, maximum: int) -> tuple[int, ...]:
        """Read a list of `count` objects, and of each the same member: an integer from 0 to `maximum`."""
        values: list[Any] = self._list(name)
        if len(values) == count:
            with suppress(KeyError, TypeError):  # no such member, no object
                numbers = tuple([value[member] for value in values])
                if set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) <= maximum:
                    return numbers
        # Something is wrong, and the error says what.
        return tuple([item.integer(member, maximum=maximum) for item in self.objects(name, count=count)])

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of strings; () when it is missing."""
        if name not in self._members:
            return ()
        values: list[Any] = self._list(name)
        if set(map(type, values)) - {str}:
            other = next(value for value in values if type(value) is not str)
            raise self.error(name, f"holds {_kind(other)}, expected strings only")
        return tuple(values)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Read all members, each a string, in their order."""
        return tuple((name, self.text(name)) for name in self._members)

    def _list(self, name: str, *, most: int = _MAX_LIST) -> list[object]:
        value = self._get(name)
        if not isinstance(value, list):
            raise self.error(name, f"got {_kind(value)}, expected a list")
        if len(value) > most:
            raise self.error(name, f"{len(value)} members, at most {most} are read")
        return value


def objects_from_bytes(data: bytes, structure: str, *, most: int) -> tuple[JsonObject, ...]:
    """Decode UTF-8 JSON whose whole is one list of at most `most` objects, as strict as `JsonObject.from_bytes`.

    Raises:
        DecodeError: it is not.
    """
    text = _text(data, structure)
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(structure, "", None, f"not strict JSON: {error}") from error
    return JsonObject({"list": value}, structure).objects("list", least=0, most=most)


def split_response(body: bytes, member: str, structure: str) -> tuple[bytes, bytes]:
    """Split `{"<member>": {...}, "signature": "..."}` into the exact bytes of the inner value and the signature.

    The signature is over those bytes, so they are sliced out and never written anew (Intel PCS API v4).

    Args:
        body: the whole response.
        member: "tcbInfo" or "enclaveIdentity".
        structure: what to call it in errors.

    Returns:
        The inner value's bytes; the signature, 64 bytes r‖s.

    Raises:
        DecodeError: not that form, other members, members that occur twice, or a signature of another size.
    """
    text = _text(body, structure)
    found: dict[str, tuple[object, str]] = {}
    try:
        position = _expect(text, 0, "{")
        while True:
            position = _expect(text, position, '"')
            name, position = scanstring(text, position, True)  # strict: no control characters
            position = _expect(text, position, ":")
            position = _skip(text, position)
            value, end = _DECODER.raw_decode(text, position)
            if name in found:
                raise _RepeatedMemberError(f"member {name!r} occurs twice")
            found[name] = (value, text[position:end])
            position = _skip(text, end)
            if text[position : position + 1] != ",":
                break
            position += 1
        position = _skip(text, _expect(text, position, "}"))
    except (ValueError, RecursionError) as error:
        raise DecodeError(structure, "", None, f"not strict JSON: {error}") from error
    if position != len(text):
        raise DecodeError(structure, "", None, f"{len(text) - position} characters behind the object")
    if set(found) != {member, "signature"}:
        names = ", ".join(repr(name[:32]) for name in list(found)[:4])
        raise DecodeError(structure, "", None, f"members are {names}; expected {member} and signature")
    outer = JsonObject({"signature": found["signature"][0]}, structure)
    _object(found[member][0], structure, member)
    return found[member][1].encode(), outer.hexadecimal("signature", size=SIGNATURE_SIZE)


def join_response(data: bytes, member: str, signature: bytes) -> bytes:
    """Write what `split_response` splits, around the exact bytes of the inner value."""
    return b'{"%s":%s,"signature":"%s"}' % (member.encode(), data, signature.hex().encode())


def _skip(text: str, position: int) -> int:
    match = WHITESPACE.match(text, position)
    return position if match is None else int(match.end())


def _expect(text: str, position: int, character: str) -> int:
    position = _skip(text, position)
    if text[position : position + 1] != character:
        raise ValueError(f"expected {character!r} at character {position}")
    return position + 1


def _text(data: bytes, structure: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(structure, "", error.start, "not UTF-8") from error


def _object(value: object, structure: str, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DecodeError(structure, name, None, f"got {_kind(value)}, expected an object")
    return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}[type(value)]
