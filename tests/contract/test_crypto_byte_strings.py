"""Every crypto wrapper takes the same byte strings, whatever its library takes: bytes, bytearray and memoryview."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from support.crypto import DATA, SCHEMES, key_of, with_keys, wrappers
from support.instances import CRYPTO_WRAPPERS

EC_KEYS = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384)
KINDS = (bytearray, lambda data: memoryview(bytearray(data)), lambda data: memoryview(data + data)[: len(data)])
given_as = pytest.mark.parametrize("kind", KINDS, ids=["bytearray", "memoryview", "part"])
Kind = Callable[[bytes], bytes]


@given_as
@with_keys("generates")
def test_signatures_and_data(crypto: CryptoWrapper, algorithm: KeyAlgorithm, kind: Kind) -> None:
    key = key_of(crypto, algorithm)
    for scheme in SCHEMES[algorithm]:
        signature = key.sign(scheme, kind(DATA))
        key.public_key.verify(scheme, kind(signature), kind(DATA))
        with pytest.raises(SignatureError):
            key.public_key.verify(scheme, kind(signature), kind(DATA + b"!"))
        with pytest.raises(SignatureError):
            key.public_key.verify(scheme, kind(signature[:-1]), kind(DATA))
        if algorithm in (*EC_KEYS, KeyAlgorithm.SM2):
            key.public_key.verify_ecdsa(scheme, *decode_dss_signature(signature), kind(DATA))


@given_as
@with_keys("generates")
def test_public_keys(crypto: CryptoWrapper, algorithm: KeyAlgorithm, kind: Kind) -> None:
    spki = key_of(crypto, algorithm).public_key.spki
    loaded = crypto.load_public_key(given := kind(spki))
    if not isinstance(given, memoryview) or not given.readonly:
        given[-1] ^= 1  # a key is not what somebody writes later
    assert type(loaded.spki) is bytes
    assert loaded.spki == spki
    for scheme in SCHEMES[algorithm]:
        loaded.verify(scheme, key_of(crypto, algorithm).sign(scheme, DATA), DATA)


@given_as
@with_keys("generates", *EC_KEYS)
def test_points(crypto: CryptoWrapper, algorithm: KeyAlgorithm, kind: Kind) -> None:
    spki = key_of(crypto, algorithm).public_key.spki
    loaded = crypto.load_ec_point(algorithm, kind(spki[-2 * {KeyAlgorithm.EC_P256: 32}.get(algorithm, 48) :]))
    assert type(loaded.spki) is bytes
    assert loaded.spki == spki


@given_as
@wrappers
def test_sm2_points(crypto: CryptoWrapper, kind: Kind) -> None:
    key = crypto.load_sm2_point(kind(choosing.KNOWN_POINT), kind(choosing.KNOWN_USER_ID))
    assert type(key.spki) is bytes
    key.verify_ecdsa(SCHEMES[KeyAlgorithm.SM2][0], *choosing.KNOWN_SIGNATURE, kind(choosing.KNOWN_DATA))


@given_as
@pytest.mark.parametrize("crypto", [*CRYPTO_WRAPPERS, NullCryptoWrapper()], ids=lambda crypto: crypto.name)
def test_digests(crypto: CryptoWrapper, kind: Kind) -> None:
    for algorithm in HashAlgorithm:
        assert crypto.digest(algorithm, kind(DATA)) == crypto.digest(algorithm, DATA)
