"""Which public keys every wrapper takes; what follows of it for each is in tests/contract/test_crypto_refusals.py."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.crypto_wrappers.public_keys import check_rsa, ec_spki, split_ec, split_ed25519
from support.curves import ED25519_BASE, edwards_add, edwards_encoded, edwards_times, small_order_points
from support.der import ED25519_SPKI

SIZES = {KeyAlgorithm.EC_P256: 64, KeyAlgorithm.EC_P384: 96}


@pytest.mark.parametrize(("algorithm", "size"), SIZES.items(), ids=[algorithm.value for algorithm in SIZES])
def test_points_there_and_back(algorithm: KeyAlgorithm, size: int) -> None:
    point = bytes(range(size))
    spki = ec_spki(algorithm, point)
    assert split_ec(spki) == (algorithm, point)
    compressed = spki[: -size - 1] + b"\x03" + point
    for wrong in (spki[:-1], spki + b"\0", b"", spki[:10], b"\x31" + spki[1:], compressed):
        assert split_ec(wrong) is None
    for other in (point[:-1], point + b"\0", b"", bytes(160 - size)):
        with pytest.raises(DecodeError, match=f"got {len(other)} bytes, expected {size}"):
            ec_spki(algorithm, other)


def test_keys_that_are_not_loaded_from_points() -> None:
    for algorithm in set(KeyAlgorithm) - set(SIZES):
        with pytest.raises(UnsupportedError):
            ec_spki(algorithm, bytes(64))


def test_eight_points_of_small_order_are_no_keys() -> None:
    points = small_order_points()
    assert len(set(points)) == 8
    for point in points:
        assert edwards_times(8, point) == (0, 1)
        with pytest.raises(DecodeError, match="small order"):
            split_ed25519(ED25519_SPKI + edwards_encoded(point))


def test_other_points_are_keys() -> None:
    torsion = small_order_points()[1]
    for factor in range(2, 20):
        raw = edwards_encoded(edwards_add(edwards_times(factor, ED25519_BASE), torsion))
        assert split_ed25519(ED25519_SPKI + raw) == raw
    assert split_ed25519(ED25519_SPKI + bytes(31)) is None


def test_rsa() -> None:
    check_rsa(1 << 2047 | 1, 65537)
    check_rsa(1 << 8191 | 1, 1 << 32 | 1)
    with pytest.raises(UnsupportedError, match="got 2047 bits, expected 2048 to 8192"):
        check_rsa(1 << 2046 | 1, 65537)
    with pytest.raises(UnsupportedError, match="exponent 0x3"):
        check_rsa(1 << 2047 | 1, 3)
