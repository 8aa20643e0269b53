"""A bounded reader of DER, for the one vendor extension that `cryptography` leaves as bytes (ITU-T X.690)."""

from __future__ import annotations

from typing import NamedTuple

from rats_tls.core.errors import DecodeError

INTEGER = 0x02
BOOLEAN = 0x01
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
SEQUENCE = 0x30


class Element(NamedTuple):
    """One element: its single-byte tag and its content, whose first byte is at `offset` of the outermost bytes."""

    tag: int
    content: bytes
    offset: int


def read_elements(data: bytes, structure: str, *, base: int = 0, limit: int = 64) -> tuple[Element, ...]:
    """Split `data` into the elements that fill it exactly, at most `limit` of them.

    Raises:
        DecodeError: a length that is not minimal, indefinite or too long, a multi-byte tag, or too many elements.
    """
    elements: list[Element] = []
    position, size = 0, len(data)
    while position < size:
        if len(elements) == limit:
            raise DecodeError(structure, "", base + position, f"more than {limit} elements")
        start = position + 2
        if start > size:
            raise DecodeError(structure, "", base + position, "need 2 bytes for tag and length")
        tag, length = data[position], data[position + 1]
        if tag & 0x1F == 0x1F:
            raise DecodeError(structure, "", base + position, "multi-byte tag")
        if length & 0x80:
            length, start = _long_length(data, position, structure, base)
        end = start + length
        if end > size:
            raise DecodeError(structure, "", base + position, f"need {length} bytes of content, {size - start} left")
        elements.append(Element(tag, data[start:end], base + start))
        position = end
    return tuple(elements)


def _long_length(data: bytes, position: int, structure: str, base: int) -> tuple[int, int]:
    """Read a length of more than one byte; give it and where the content starts."""
    start = position + 2
    size = data[position + 1] & 0x7F
    if not 1 <= size <= 3:
        raise DecodeError(structure, "", base + position, f"length of {size} bytes, expected 1 to 3")
    if len(data) - start < size:
        raise DecodeError(structure, "", base + position, "length is cut short")
    length = int.from_bytes(data[start : start + size], "big")
    if length < 0x80 or data[start] == 0:
        raise DecodeError(structure, "", base + position, "length is not minimal")
    return length, start + size


def read_sequence(element: Element, structure: str, *, limit: int = 64) -> tuple[Element, ...]:
    """Split a SEQUENCE. Raises DecodeError when it is none or does not consist of whole elements."""
    require_tag(element, SEQUENCE, structure)
    return read_elements(element.content, structure, base=element.offset, limit=limit)


def require_tag(element: Element, tag: int, structure: str) -> None:
    """Require a tag. Raises DecodeError."""
    if element.tag != tag:
        raise DecodeError(structure, "", element.offset, f"tag is {element.tag:#04x}, expected {tag:#04x}")


def read_unsigned(element: Element, structure: str, *, maximum: int, tag: int = INTEGER) -> int:
    """Read a non-negative INTEGER or ENUMERATED up to `maximum`. Raises DecodeError."""
    require_tag(element, tag, structure)
    content = element.content
    if not content or len(content) > 9:
        raise DecodeError(structure, "", element.offset, f"integer of {len(content)} bytes")
    if content[0] & 0x80:
        raise DecodeError(structure, "", element.offset, "integer is negative")
    if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
        raise DecodeError(structure, "", element.offset, "integer is not minimal")
    value = int.from_bytes(content, "big")
    if value > maximum:
        raise DecodeError(structure, "", element.offset, f"got {value}, at most {maximum} is possible")
    return value


def read_boolean(element: Element, structure: str) -> bool:
    """Read a BOOLEAN in DER form. Raises DecodeError."""
    require_tag(element, BOOLEAN, structure)
    if element.content not in (b"\x00", b"\xff"):
        raise DecodeError(structure, "", element.offset, f"boolean is {element.content.hex()}, expected 00 or ff")
    return element.content == b"\xff"


def read_octets(element: Element, structure: str, *, size: int) -> bytes:
    """Read an OCTET STRING of exactly `size` bytes. Raises DecodeError."""
    require_tag(element, OCTET_STRING, structure)
    if len(element.content) != size:
        raise DecodeError(structure, "", element.offset, f"got {len(element.content)} bytes, expected {size}")
    return element.content
