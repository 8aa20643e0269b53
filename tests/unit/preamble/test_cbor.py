from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.preamble.cbor import decode_message, encode_message

TEXT = st.text("aé∀", max_size=30)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-99, 99) | TEXT, inner),
    max_leaves=10,
)
messages = st.dictionaries(st.integers(-(2**32), 2**32), values, max_size=5)


def decode(data: bytes) -> dict[int, object]:
    return decode_message(data, "message", DEFAULT_LIMITS)


@given(messages)
def test_what_is_encoded_is_decoded(message: dict[int, object]) -> None:
    try:
        assert decode(encode_message(message)) == message
    except DecodeError as error:
        assert "nested deeper" in str(error)  # noqa: PT017  # the only reason there may be


@given(messages, st.data())
def test_every_truncation_is_refused(message: dict[int, object], data: st.DataObject) -> None:
    encoded = encode_message(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode(encoded[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_map_or_our_error(data: bytes) -> None:
    try:
        message = decode(data)
    except DecodeError:
        return
    # What is accepted means the same to a general decoder.
    assert cbor2.loads(data) == message


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", "need 1 bytes"),
        ("a0 00", "1 bytes behind"),
        ("01", "got int, expected a map"),
        ("80", "got list, expected a map"),
        ("a1 6161 01", "expected an integer"),
        ("a2 00 01 00 02", "twice"),
        ("a2 01 00 f5 00", "neither integer nor text"),
        ("a1 41 61 00", "neither integer nor text"),
        ("a1 80 00", "neither integer nor text"),
        ("bf 00 01 ff", "indefinite"),
        ("a1 00 9f 01 ff", "indefinite"),
        ("a1 00 5f 41 61 ff", "indefinite"),
        ("a1 00 1c", "indefinite"),
        ("a1 00 18 17", "shortest"),
        ("a1 00 19 00 ff", "shortest"),
        ("a1 00 1a 00 00 ff ff", "shortest"),
        ("a1 00 1b 00 00 00 00 ff ff ff ff", "shortest"),
        ("a1 00 58 05 01 02 03 04 05", "shortest"),
        ("a1 18 00 00", "shortest"),
        ("a1 00 c0 61 61", "not in the subset"),
        ("a1 00 f9 3c 00", "not in the subset"),
        ("a1 00 f7", "not in the subset"),
        ("a1 00 f8 ff", "not in the subset"),
        ("a1 00 61 ff", "not UTF-8"),
        ("a1 00 45 01", "need 5 bytes, 1 left"),
        ("a1 00 9a ff ff ff ff", "4294967295 items announced"),
        ("a1 00 bb ff ff ff ff ff ff ff ff", "items announced"),
        ("a1 00 5b ff ff ff ff ff ff ff ff", "need 18446744073709551615 bytes"),
        ("a1 00 81 81 81 81 81 81 81 81 00", "nested deeper than 8"),
    ],
)
def test_what_is_refused(data: str, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode(bytes.fromhex(data))


def test_depth_is_bounded_by_limits() -> None:
    nested = encode_message({0: [[1]]})
    assert decode_message(nested, "message", Limits(cbor_depth=3)) == {0: [[1]]}
    with pytest.raises(DecodeError, match="nested deeper than 2"):
        decode_message(nested, "message", Limits(cbor_depth=2))
