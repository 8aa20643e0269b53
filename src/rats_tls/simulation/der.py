"""DER of the few types that vendors use in their certificate extensions (ITU-T X.690)."""

from __future__ import annotations


def element(tag: int, content: bytes) -> bytes:
    """Encode one element with a single-byte `tag`."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def boolean(value: bool) -> bytes:  # the value is all there is
    """Encode a BOOLEAN."""
    return element(0x01, b"\xff" if value else b"\x00")


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER."""
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return element(0x04, value)


def object_identifier(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content.extend(reversed(groups))
    return element(0x06, bytes(content))


def enumerated(value: int) -> bytes:
    """Encode a non-negative ENUMERATED."""
    return element(0x0A, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def ia5_string(value: str) -> bytes:
    """Encode an IA5String."""
    return element(0x16, value.encode("ascii"))


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE of encoded elements."""
    return element(0x30, b"".join(parts))
