"""One signature, one form: DER of two integers in range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.crypto_wrappers.ecdsa_signatures import ORDERS, check_range, decode_signature, encode_signature

P256 = KeyAlgorithm.EC_P256
N = ORDERS[P256]

algorithms = pytest.mark.parametrize("algorithm", ORDERS, ids=lambda algorithm: algorithm.value)


def test_the_orders_have_the_size_of_their_curves() -> None:
    assert {algorithm: n.bit_length() for algorithm, n in ORDERS.items()} == {
        KeyAlgorithm.EC_P256: 256,
        KeyAlgorithm.EC_P384: 384,
        KeyAlgorithm.SM2: 256,
    }


@algorithms
@given(data=st.data())
def test_there_and_back(algorithm: KeyAlgorithm, data: st.DataObject) -> None:
    n = ORDERS[algorithm]
    number = st.one_of(st.integers(1, n - 1), st.sampled_from((1, 127, 128, 255, 256, n - 1)))
    r, s = data.draw(number), data.draw(number)
    assert decode_signature(algorithm, encode_signature(algorithm, r, s)) == (r, s)


@algorithms
def test_out_of_range(algorithm: KeyAlgorithm) -> None:
    n = ORDERS[algorithm]
    check_range(algorithm, 1, n - 1)
    for wrong in (0, -1, n, n + 1, 2 * n, 1 << 521, 1 << 100_000):
        for r, s in ((wrong, 1), (1, wrong)):
            with pytest.raises(SignatureError, match="below the group order"):
                check_range(algorithm, r, s)
            with pytest.raises(SignatureError, match="below the group order"):
                encode_signature(algorithm, r, s)


def der(*integers: bytes, head: bytes | None = None, tail: bytes = b"") -> bytes:
    body = b"".join(integers) + tail
    return (bytes([0x30, len(body)]) if head is None else head) + body


ONE = bytes.fromhex("020101")
FORMS = {
    "empty": b"",
    "empty sequence": der(),
    "s is missing": der(ONE),
    "three integers": der(ONE, ONE, ONE),
    "null behind s": der(ONE, ONE, tail=b"\x05\x00"),
    "byte behind": der(ONE, ONE) + b"\0",
    "cut": der(ONE, ONE)[:-1],
    "set": der(ONE, ONE, head=b"\x31\x06"),
    "primitive sequence": der(ONE, ONE, head=b"\x10\x06"),
    "octet string for s": der(ONE, b"\x04\x01\x01"),
    "constructed integer": der(ONE, b"\x22\x03\x02\x01\x01"),
    "empty integer": der(ONE, b"\x02\x00"),
    "zero": der(b"\x02\x01\x00", ONE),
    "padded one": der(b"\x02\x02\x00\x01", ONE),
    "negative": der(b"\x02\x01\xff", ONE),
    "padded negative": der(b"\x02\x02\xff\x80", ONE),
    "high bit without zero": der(b"\x02\x01\x80", ONE),
    "long-form length of the sequence": der(ONE, ONE, head=b"\x30\x81\x06"),
    "two-byte length of the sequence": der(ONE, ONE, head=b"\x30\x82\x00\x06"),
    "long-form length of r": der(b"\x02\x81\x01\x01", ONE),
    "indefinite length": der(ONE, ONE, head=b"\x30\x80", tail=b"\0\0"),
    "length beyond the end": der(ONE, ONE, head=b"\x30\x07"),
    "length before the end": der(ONE, ONE, head=b"\x30\x05"),
    "the order": der(ONE, b"\x02\x21\x00" + N.to_bytes(32, "big")),
    "the order and one": der(ONE, b"\x02\x21\x00" + (N + 1).to_bytes(32, "big")),
    "raw": bytes(31) + b"\x01" + bytes(31) + b"\x01",
}


@pytest.mark.parametrize("form", FORMS)
def test_other_forms(form: str) -> None:
    assert decode_signature(P256, der(ONE, ONE)) == (1, 1)
    with pytest.raises(SignatureError):
        decode_signature(P256, FORMS[form])


def test_what_is_too_long_is_not_parsed() -> None:
    big = b"\x02\x83\x01\x00\x00\x7f" + bytes(0xFFFF)
    with pytest.raises(SignatureError, match="got 65549 bytes, expected 72 at most"):
        decode_signature(P256, b"\x30\x83\x01\x00\x08" + ONE + big)
    with pytest.raises(SignatureError, match="expected 104 at most"):
        decode_signature(KeyAlgorithm.EC_P384, bytes(105))


@given(signature=st.binary(max_size=80))
def test_any_bytes_have_one_form_or_are_refused(signature: bytes) -> None:
    try:
        r, s = decode_signature(P256, signature)
    except SignatureError:
        return
    assert encode_signature(P256, r, s) == signature
