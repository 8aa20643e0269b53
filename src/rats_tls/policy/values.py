"""Values of policy fields: how each is written in a file, held in Python, and described by the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any as Anything

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


class Any(Enum):
    """The value that accepts everything, always written out."""

    ANY = "any"

    def __repr__(self) -> str:
        return "ANY"


ANY = Any.ANY

_SHOWN = 80
_LONGEST_TEXT = 256
_HEX = re.compile("[0-9a-fA-F]*")


class ValueProblem(Exception):  # noqa: N818  # caught in this package only: becomes a ConfigurationError
    """A value that its field does not take; the text says got and expected, of all its parts that are wrong."""


def _parse_all(parsers: Iterable[Callable[[], Anything]]) -> list[Anything]:
    """Parse every part. Raises ValueProblem with all that is wrong."""
    parsed: list[Anything] = []
    problems: dict[str, None] = {}
    for parse in parsers:
        try:
            parsed.append(parse())
        except ValueProblem as problem:
            problems[str(problem)] = None
    if problems:
        raise ValueProblem("; ".join(problems))
    return parsed


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one field's value.

    Attributes:
        parse: from a file's or a caller's value to the one held; raises ValueProblem.
        dump: from the value held to JSON and TOML.
        schema: JSON Schema of the written form.
        text: the written form, for people.
    """

    parse: Callable[[object], Anything]
    dump: Callable[[Anything], Json]
    schema: Mapping[str, Json]
    text: str


def _problem(got: object, expected: str) -> ValueProblem:
    return ValueProblem(f"got {shown(got)}, expected {expected}")


def shown(got: object) -> str:
    """Give `got` for people, on one line. Python refuses to write integers of more than some thousand digits."""
    try:
        text = got.hex() if isinstance(got, bytes) else ascii(got)
    except ValueError:
        text = "a number too long to show"
    except RecursionError:
        text = "a value nested too deeply to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_any(value: object) -> bool:
    return value is ANY or value == "any"


def or_any(form: Form) -> Form:
    """Give `form`, or "any"."""

    def parse(value: object) -> Anything:
        if _is_any(value):
            return ANY
        try:
            return form.parse(value)
        except ValueProblem as problem:
            raise ValueProblem(f'{problem}, or "any"') from problem

    return Form(
        parse=parse,
        dump=lambda value: "any" if value is ANY else form.dump(value),
        schema={"anyOf": [dict(form.schema), {"const": "any"}]},
        text=f'{form.text}, or "any"',
    )


def octets(size: int | None) -> Form:
    """Bytes, written as hex; of exactly `size` bytes unless None."""
    expected = f"{size} bytes as {2 * size} hex digits" if size is not None else "bytes as hex digits"

    def parse(value: object) -> bytes:
        data = value
        if isinstance(value, str) and _HEX.fullmatch(value) and len(value) % 2 == 0:
            data = bytes.fromhex(value)
        if not isinstance(data, bytes) or (len(data) != size if size is not None else not data):
            raise _problem(value, expected)
        return data

    pattern = f"^[0-9a-fA-F]{{{2 * size}}}$" if size is not None else "^([0-9a-fA-F]{2})+$"
    return Form(parse=parse, dump=bytes.hex, schema={"type": "string", "pattern": pattern}, text=expected)


def integer(bits: int, *, minimum: int = 0, maximum: int | None = None) -> Form:
    """An unsigned integer of at most `bits` bits."""
    top = (1 << bits) - 1 if maximum is None else maximum
    expected = f"an integer from {minimum} to {top}" if bits <= 32 else f"an unsigned {bits}-bit integer"

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= top:
            raise _problem(value, expected)
        return value

    return Form(parse=parse, dump=int, schema={"type": "integer", "minimum": minimum, "maximum": top}, text=expected)


def mask(bits: int) -> Form:
    """A bit mask, written as an integer or as hex text such as "0x3"."""
    top = (1 << bits) - 1
    expected = f'a {bits}-bit mask, as an integer or as "0x..."'

    def parse(value: object) -> int:
        number = value
        if isinstance(value, str) and value[:2] in {"0x", "0X"} and len(value) > 2 and _HEX.fullmatch(value[2:]):
            number = int(value, 0)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= top:
            raise _problem(value, expected)
        return number

    return Form(
        parse=parse,
        dump=hex,
        schema={
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": top},
                {"type": "string", "pattern": f"^0[xX]0*[0-9a-fA-F]{{1,{bits // 4}}}$"},
            ]
        },
        text=expected,
    )


def flag() -> Form:
    """True or false."""

    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise _problem(value, "true or false")
        return value

    return Form(parse=parse, dump=bool, schema={"type": "boolean"}, text="true or false")


def text(*, expected: str = "a text") -> Form:
    """A text of 1 to 256 printable characters."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_TEXT or not value.isprintable():
            raise _problem(value, f"{expected} (1 to {_LONGEST_TEXT} printable characters)")
        return value

    schema: dict[str, Json] = {"type": "string", "minLength": 1, "maxLength": _LONGEST_TEXT}
    return Form(parse=parse, dump=str, schema=schema, text=expected)


def choice(options: type[Enum] | tuple[str, ...], *, excluded: Mapping[str, str] | None = None) -> Form:
    """One of several words; held as the enum's member when `options` is an enum. `excluded` maps words to reasons."""
    left_out = excluded or {}
    words = [str(option.value) for option in options] if isinstance(options, type) else list(options)
    words = [word for word in words if word not in left_out]
    expected = "one of " + ", ".join(repr(word) for word in words)

    def parse(value: object) -> object:
        word = value.value if isinstance(value, Enum) else value
        if isinstance(word, str) and word in left_out:
            raise ValueProblem(f"got {word!r}: {left_out[word]}")
        if word not in words:
            raise _problem(value, expected)
        return options(word) if isinstance(options, type) else word

    def dump(value: Anything) -> str:
        return str(value.value) if isinstance(value, Enum) else str(value)

    return Form(parse=parse, dump=dump, schema={"enum": list(words)}, text=expected)


def several(form: Form, *, empty: bool = False) -> Form:
    """A list of values, or one of them alone. Held as a tuple in that order, each value once."""
    expected = form.text if form.text.startswith("one of") else f"a list of: {form.text}"

    def parse(value: object) -> tuple[Anything, ...]:
        items = list(value) if isinstance(value, list | tuple) else [value]
        if not items and not empty:
            raise ValueProblem("got an empty list, expected at least one value")
        return tuple(dict.fromkeys(_parse_all(partial(form.parse, item) for item in items)))

    schema: dict[str, Json] = {"type": "array", "items": dict(form.schema)}
    if not empty:
        schema["minItems"] = 1
    return Form(
        parse=parse,
        dump=lambda value: [form.dump(item) for item in value],
        schema={"anyOf": [dict(form.schema), schema]},
        text=expected,
    )


def numbers(count: int, bits: int) -> Form:
    """Exactly `count` integers. Held as a tuple."""
    item = integer(bits)

    def parse(value: object) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or len(value) != count:
            raise _problem(value, f"{count} integers")
        return tuple(_parse_all(partial(item.parse, number) for number in value))

    return Form(
        parse=parse,
        dump=list,
        schema={"type": "array", "items": dict(item.schema), "minItems": count, "maxItems": count},
        text=f"{count} integers, each {item.text.removeprefix('an integer ')}",
    )


def table(fields: Mapping[str, Form], make: Callable[..., Anything], *, required: tuple[str, ...] = ()) -> Form:
    """A table with the given keys. Held as what `make` makes of those that are written."""
    expected = "a table with " + ", ".join(fields)

    def parse(value: object) -> Anything:
        if isinstance(value, Mapping):
            given = dict(value)
        else:
            given = {name: getattr(value, name) for name in fields if getattr(value, name, None) is not None}
            if not given:
                raise _problem(value, expected)
        unknown = [str(name) for name in given if name not in fields]
        missing = [name for name in required if name not in given]
        if unknown or missing or not given:
            what = f"unknown keys {unknown}" if unknown else f"without {missing}" if missing else "an empty table"
            raise ValueProblem(f"got {what}, expected {expected}")
        values = _parse_all(partial(_parse_key, fields[name], name, item) for name, item in given.items())
        return make(**dict(zip(given, values, strict=True)))

    def dump(value: Anything) -> Json:
        return {
            name: form.dump(getattr(value, name)) for name, form in fields.items() if getattr(value, name) is not None
        }

    return Form(
        parse=parse,
        dump=dump,
        schema={
            "type": "object",
            "properties": {name: dict(form.schema) for name, form in fields.items()},
            "required": list(required),
            "additionalProperties": False,
            "minProperties": 1,
        },
        text=expected,
    )


def _parse_key(form: Form, name: str, value: object) -> Anything:
    try:
        return form.parse(value)
    except ValueProblem as problem:
        raise ValueProblem(f"{name}: {problem}") from problem


def octets_or_text() -> Form:
    """Bytes, written as hex or as `{ text = "..." }`. Held as bytes."""
    hex_form, text_form = octets(None), text()
    expected = 'bytes as hex digits or { text = "..." }'

    def parse(value: object) -> bytes:
        if isinstance(value, Mapping) and set(value) == {"text"}:
            return bytes(text_form.parse(value["text"]).encode())
        try:
            return bytes(hex_form.parse(value))
        except ValueProblem as problem:
            raise ValueProblem(f'{problem}, or {{ text = "..." }}') from problem

    return Form(
        parse=parse,
        dump=bytes.hex,
        schema={
            "anyOf": [
                dict(hex_form.schema),
                {
                    "type": "object",
                    "properties": {"text": dict(text_form.schema)},
                    "required": ["text"],
                    "additionalProperties": False,
                },
            ]
        },
        text=expected,
    )


def claims_table() -> Form:
    """A table of names and exact values, each hex or `{ text = "..." }`. Held as sorted pairs."""
    name_form = text(expected="the name of a claim")
    value_form = octets_or_text()

    def parse(value: object) -> tuple[tuple[str, bytes], ...]:
        pairs = list(value.items()) if isinstance(value, Mapping) else value
        if (
            isinstance(value, list)
            or not isinstance(pairs, list | tuple)
            or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs)
        ):
            raise _problem(value, "a table of names and values")
        parsed = _parse_all(partial(parse_claim, name, item) for name, item in pairs)
        return tuple(sorted(dict(parsed).items()))

    def parse_claim(name: object, item: object) -> tuple[str, bytes]:
        claim_name = name_form.parse(name)
        return claim_name, _parse_key(value_form, claim_name, item)

    return Form(
        parse=parse,
        dump=lambda value: {name: item.hex() for name, item in value},
        schema={"type": "object", "additionalProperties": dict(value_form.schema)},
        text='a table of claim names, each with hex digits or { text = "..." }',
    )
