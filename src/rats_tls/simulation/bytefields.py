"""Fixed-size fields of the vendors' little-endian structures."""

from __future__ import annotations


def sized(name: str, value: bytes, size: int) -> bytes:
    """Give `value`.

    Raises:
        ValueError: it is not `size` bytes long.
    """
    if len(value) != size:
        raise ValueError(f"{name}: got {len(value)} bytes, expected {size}")
    return value


def word(value: int, size: int) -> bytes:
    """Encode an unsigned integer, little-endian. Raises OverflowError when it does not fit."""
    return value.to_bytes(size, "little")
