"""The bounded reader: every byte it gives is there, and every refusal names structure, field and offset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader


def test_integers_are_little_endian() -> None:
    reader = Reader(bytes(range(1, 16)), "Structure")
    assert reader.u8("a") == 0x01
    assert reader.u16("b") == 0x0302
    assert reader.u32("c") == 0x07060504
    assert reader.u64("d") == 0x0F0E0D0C0B0A0908
    reader.end()


def test_offset_and_remaining_follow_the_reading() -> None:
    reader = Reader(bytes(10), "Structure", base=100)
    assert (reader.offset, reader.remaining) == (100, 10)
    reader.take("a", 4)
    assert (reader.offset, reader.remaining) == (104, 6)
    assert reader.rest() == bytes(6)
    assert reader.remaining == 0


@pytest.mark.parametrize(
    ("read", "needed"),
    [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)],
)
def test_integer_beyond_the_end(read: str, needed: int) -> None:
    reader = Reader(bytes(3 + needed - 1), "Header", base=0x10)
    reader.take("before", 3)
    with pytest.raises(DecodeError) as caught:
        getattr(reader, read)("version")
    assert str(caught.value) == f"Header.version at 0x13: need {needed} bytes, {needed - 1} left"
    assert (caught.value.structure, caught.value.field, caught.value.offset) == ("Header", "version", 0x13)


def test_a_refused_read_takes_nothing() -> None:
    reader = Reader(b"\x01\x02", "Structure")
    with pytest.raises(DecodeError):
        reader.u32("a")
    assert reader.u16("b") == 0x0201


def test_reserved_bytes_must_be_zero() -> None:
    reader = Reader(b"\0\0\x07\0", "Structure", base=8)
    with pytest.raises(DecodeError, match=r"^Structure\.reserved at 0xa: reserved byte is 0x07, must be zero$"):
        reader.zeros("reserved", 4)
    reader = Reader(bytes(4), "Structure")
    reader.zeros("reserved", 4)
    assert reader.remaining == 0


def test_reserved_bytes_must_be_there() -> None:
    with pytest.raises(DecodeError, match="need 5 bytes, 4 left"):
        Reader(bytes(4), "Structure").zeros("reserved", 5)


def test_trailing_bytes_are_refused() -> None:
    reader = Reader(b"\x01\x02\x03", "Structure")
    reader.u8("a")
    with pytest.raises(DecodeError, match=r"^Structure\.end at 0x1: 2 bytes behind the structure$"):
        reader.end()


@given(st.binary(max_size=64), st.lists(st.integers(0, 40), max_size=8))
def test_pieces_are_the_bytes_in_order(data: bytes, sizes: list[int]) -> None:
    reader = Reader(data, "Structure")
    got = b""
    for size in sizes:
        if size > len(data) - len(got):
            with pytest.raises(DecodeError):
                reader.take("piece", size)
        else:
            got += reader.take("piece", size)
        assert reader.offset == len(got)
    assert got + reader.rest() == data
