"""The subset of CBOR that Evidence and certificates use: what is in it, and what is refused (RFC 8949)."""

from __future__ import annotations

import pytest

from rats_tls.core.cbor import Tagged, decode_exact, decode_first
from rats_tls.core.errors import DecodeError


def decode(text: str, *, depth: int = 8, canonical: bool = False) -> object:
    return decode_exact(bytes.fromhex(text), "Item", max_depth=depth, canonical=canonical)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("00", 0),
        ("17", 23),
        ("18 18", 24),
        ("1b ffffffffffffffff", 2**64 - 1),
        ("20", -1),
        ("3b ffffffffffffffff", -(2**64)),
        ("40", b""),
        ("43 010203", b"\1\2\3"),
        ("60", ""),
        ("63 e28880", "∀"),
        ("80", []),
        ("82 01 82 02 03", [1, [2, 3]]),
        ("a0", {}),
        ("a2 01 61 61 61 31 02", {1: "a", "1": 2}),
        ("a2 00 f4 20 f5", {0: False, -1: True}),
        ("f6", None),
        ("d9 ea60 82 40 40", Tagged(60000, [b"", b""])),
        ("c1 00", Tagged(1, 0)),  # a date to other decoders
        ("c2 41 01", Tagged(2, b"\1")),  # a big number
        ("d8 1c 00", Tagged(28, 0)),  # a shared reference
    ],
)
def test_items(text: str, item: object) -> None:
    found = decode(text)
    assert (found, type(found)) == (item, type(item))
    if isinstance(item, Tagged):
        with pytest.raises(DecodeError, match="not in the subset"):
            decode(text, canonical=True)
    else:
        assert decode(text, canonical=True) == item
    assert decode_first(bytes.fromhex(text) + b"\xff" * 9, "Item", max_depth=8) == (item, len(bytes.fromhex(text)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "need 1 bytes, 0 left"),
        ("19 01", "need 2 bytes, 1 left"),
        ("43 0102", "need 3 bytes, 2 left"),
        ("00 00", "1 bytes behind the item"),
        ("5f 40 ff", "indefinite"),
        ("7f 60 ff", "indefinite"),
        ("9f ff", "indefinite"),
        ("bf ff", "indefinite"),
        ("1c", "reserved additional information"),
        ("5e", "reserved additional information"),
        ("f9 3c00", "not in the subset"),  # floats
        ("fa 3f800000", "not in the subset"),
        ("fb 3ff0000000000000", "not in the subset"),
        ("f7", "not in the subset"),  # undefined
        ("e0", "not in the subset"),
        ("f8 ff", "not in the subset"),
        ("f8 14", "not in the subset"),  # false in two bytes
        ("ff", "indefinite"),
        ("61 ff", "not UTF-8"),
        ("63 eda080", "not UTF-8"),  # a surrogate
        ("62 c080", "not UTF-8"),  # NUL in two bytes
        ("a2 01 00 01 01", "map key 1 twice"),
        ("a2 61 61 00 61 61 00", "map key 'a' twice"),
        ("a2 01 00 18 01 00", "map key 1 twice"),  # the same number written otherwise
        ("a1 f5 00", "neither integer nor text"),
        ("a1 f6 00", "neither integer nor text"),
        ("a1 40 00", "neither integer nor text"),
        ("a1 80 00", "neither integer nor text"),
        ("a1 c1 00 00", "neither integer nor text"),
        ("9b ffffffffffffffff", "items announced"),
        ("bb ffffffffffffffff", "items announced"),
        ("84 00 00 00", "4 items announced, 3 bytes left"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem) as caught:
        decode(text)
    assert (caught.value.structure, caught.value.field) == ("Item", "cbor")


@pytest.mark.parametrize(
    "text",
    [
        "18 00",
        "18 17",
        "19 00ff",
        "1a 0000ffff",
        "1b 00000000ffffffff",
        "38 00",
        "58 01 00",
        "98 00",
        "b8 00",
        "d8 01 00",
    ],
)
def test_longer_forms_are_read_except_where_the_shortest_is_demanded(text: str) -> None:
    """C peers write the id of a hash in two bytes; hashes cover the bytes as received."""
    decode(text)
    with pytest.raises(DecodeError, match="shortest form"):
        decode(text, canonical=True)


@pytest.mark.parametrize("text", ["18 18", "18 ff", "19 0100", "1a 00010000", "1b 0000000100000000"])
def test_shortest_forms(text: str) -> None:
    assert decode(text, canonical=True) == decode(text)


@pytest.mark.parametrize("nested", ["81", "a1 00", "c1"])
def test_depth(nested: str) -> None:
    assert decode(nested * 3 + "00", depth=3)
    with pytest.raises(DecodeError, match="nested deeper than 3"):
        decode(nested * 4 + "00", depth=3)
    with pytest.raises(DecodeError, match="nested deeper than 0"):
        decode(nested + "00", depth=0)


@pytest.mark.parametrize("text", ["c1 00", "81 d9 ea60 00"])
def test_canonical_form_has_no_tags(text: str) -> None:
    assert decode(text)
    with pytest.raises(DecodeError, match="not in the subset"):
        decode(text, canonical=True)
