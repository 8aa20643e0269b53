"""CBOR of Evidence and certificates: any bytes give an item or our error, and what is written is what is read."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.cbor import Tagged, decode_exact, decode_first
from rats_tls.core.errors import DecodeError
from support.mutations import mutated

DEPTH = 8
TEXT = st.text("aé∀\U0001f512", max_size=30)
KEYS = st.integers(-(2**64), 2**64 - 1) | TEXT
# Tags whose content a general decoder takes as it is; other numbers would be dates, numbers, references to it.
TAGS = st.sampled_from((60000, 0x1A7504, 1 << 63))

leaves = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | TEXT
items = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.builds(Tagged, TAGS, inner)
    ),
    max_leaves=12,
)


def to_cbor2(item: object) -> object:
    """Give an item as `cbor2` has it."""
    if isinstance(item, Tagged):
        return cbor2.CBORTag(item.tag, to_cbor2(item.value))
    if isinstance(item, list):
        return [to_cbor2(value) for value in item]
    if isinstance(item, dict):
        return {key: to_cbor2(value) for key, value in item.items()}
    return item


def depth_of(item: object) -> int:
    inner: list[object] = []
    if isinstance(item, Tagged):
        inner = [item.value]
    elif isinstance(item, list):
        inner = item
    elif isinstance(item, dict):
        inner = list(item.values())
    return 1 + max((depth_of(value) for value in inner), default=-1) if inner else 0


def decode(data: bytes, *, canonical: bool = False) -> object:
    return decode_exact(data, "Item", max_depth=DEPTH, canonical=canonical)


@given(items)
def test_what_another_encoder_writes_is_read(item: object) -> None:
    data = cbor2.dumps(to_cbor2(item))
    if depth_of(item) > DEPTH:
        with pytest.raises(DecodeError, match="nested deeper"):
            decode(data)
        return
    found = decode(data)
    assert (found, repr(found)) == (item, repr(item))  # repr tells True from 1
    if "Tagged(" in repr(item):
        with pytest.raises(DecodeError, match="not in the subset"):
            decode(data, canonical=True)
    else:
        assert decode(data, canonical=True) == item


@given(items, st.binary(max_size=20))
def test_first_item_ends_where_it_ends(item: object, behind: bytes) -> None:
    data = cbor2.dumps(to_cbor2(item))
    if depth_of(item) > DEPTH:
        return
    assert decode_first(data + behind, "Item", max_depth=DEPTH) == (item, len(data))
    if behind:
        with pytest.raises(DecodeError, match=f"{len(behind)} bytes behind the item"):
            decode(data + behind)


@given(items, st.data())
def test_every_truncation_is_refused(item: object, data: st.DataObject) -> None:
    encoded = cbor2.dumps(to_cbor2(item))
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode_first(encoded[:cut], "Item", max_depth=DEPTH)


EXAMPLES = [
    cbor2.dumps(cbor2.CBORTag(60000, [b"evidence", cbor2.dumps({"pubkey-hash": b"x" * 36, "role": b"server"})])),
    cbor2.dumps({"a": [1, -1, None, True, "text", b"bytes"], 7: {"b": {}}}),
]


@given(st.binary(max_size=300) | mutated(lambda: EXAMPLES), st.booleans())
def test_any_bytes_give_an_item_or_our_error(data: bytes, canonical: bool) -> None:
    try:
        item, end = decode_first(data, "Item", max_depth=DEPTH, canonical=canonical)
    except DecodeError as error:
        assert (error.structure, error.field) == ("Item", "cbor")  # noqa: PT017  # an item would do as well
        return
    assert depth_of(item) <= DEPTH
    # What is accepted in canonical form has one writing only: written again, it is the bytes that came.
    if canonical:
        assert cbor2.dumps(to_cbor2(item)) == data[:end]


@given(st.integers(0, 40), st.sampled_from((b"\x81", b"\xa1\x00", b"\xd8\x20")))
def test_depth_is_bounded(depth: int, nested: bytes) -> None:
    data = nested * depth + b"\x00"
    if depth <= DEPTH:
        assert depth_of(decode(data)) == depth
        return
    with pytest.raises(DecodeError, match="nested deeper than 8"):
        decode(data)


@given(st.sampled_from((0x5A, 0x7A, 0x9A, 0xBA)), st.integers(1 << 16, (1 << 32) - 1))
def test_announced_sizes_are_not_believed(initial: int, size: int) -> None:
    """Nothing is made for what is not there: a count beyond the bytes left is refused at once."""
    with pytest.raises(DecodeError):
        decode(bytes((initial,)) + size.to_bytes(4, "big") + bytes(100))
