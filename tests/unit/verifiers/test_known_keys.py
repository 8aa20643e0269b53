"""Keys loaded once and signatures verified once, each by everything that the outcome depended on."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import DecodeError, SignatureError
from rats_tls.core.interfaces import PublicKey
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.known_keys import KnownKeys

ALGORITHM = SignatureAlgorithm.ECDSA_SHA256
DATA = b"signed"
KEYS = [OpensslCryptoWrapper().generate_key(KeyAlgorithm.EC_P256) for _ in range(2)]
SIGNATURE = KEYS[0].sign(ALGORITHM, DATA)


class CountedKey:
    """A public key that counts what it verifies."""

    def __init__(self, key: PublicKey, counts: dict[str, int]) -> None:
        self._key = key
        self._counts = counts

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self._key.algorithm

    @property
    def spki(self) -> bytes:
        return self._key.spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        self._counts["verified"] += 1
        self._key.verify(algorithm, signature, data)

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        self._counts["verified"] += 1
        self._key.verify_ecdsa(algorithm, r, s, data)


class CountedCrypto(OpensslCryptoWrapper):
    """A crypto wrapper that counts loaded keys and verifications."""

    def __init__(self) -> None:
        self.counts = {"loaded": 0, "verified": 0}

    def load_public_key(self, spki: bytes) -> CountedKey:  # type: ignore[override]  # another implementation
        self.counts["loaded"] += 1
        return CountedKey(super().load_public_key(spki), self.counts)


def known_keys(crypto: CountedCrypto, *, trust: bytes = b"anchors", share: KnownKeys | None = None) -> KnownKeys:
    if share is not None:
        return KnownKeys(crypto=crypto, trust=trust, keys=share.keys, signatures=share.signatures)
    limit = DEFAULT_LIMITS.cached_vendor_items
    return KnownKeys(crypto=crypto, trust=trust, keys=BoundedCache(limit), signatures=BoundedCache(limit))


def test_each_key_and_each_signature_once() -> None:
    crypto = CountedCrypto()
    known = known_keys(crypto)
    for _ in range(3):
        key = known.load_public_key(KEYS[0].public_key.spki)
        key.verify(ALGORITHM, SIGNATURE, DATA)
    assert crypto.counts == {"loaded": 1, "verified": 1}
    assert (key.algorithm, key.spki) == (KeyAlgorithm.EC_P256, KEYS[0].public_key.spki)


@pytest.mark.parametrize(
    ("algorithm", "signature", "data", "signer"),
    [
        (SignatureAlgorithm.ECDSA_SHA384, SIGNATURE, DATA, 0),
        (ALGORITHM, SIGNATURE[:-1] + bytes((SIGNATURE[-1] ^ 1,)), DATA, 0),
        (ALGORITHM, SIGNATURE + b"\0", DATA, 0),
        (ALGORITHM, SIGNATURE, DATA + b"\0", 0),
        (ALGORITHM, SIGNATURE, DATA, 1),
    ],
    ids=("algorithm", "signature", "longer signature", "data", "key"),
)
def test_each_part_of_a_signature_counts(
    algorithm: SignatureAlgorithm, signature: bytes, data: bytes, signer: int
) -> None:
    crypto = CountedCrypto()
    known = known_keys(crypto)
    known.load_public_key(KEYS[0].public_key.spki).verify(ALGORITHM, SIGNATURE, DATA)
    for _ in range(2):
        with pytest.raises(SignatureError):
            known.load_public_key(KEYS[signer].public_key.spki).verify(algorithm, signature, data)
    assert crypto.counts["verified"] == 3


def test_what_other_anchors_or_another_wrapper_vouch_for_is_not_taken() -> None:
    crypto = CountedCrypto()
    known = known_keys(crypto)
    other = known_keys(crypto, trust=b"others", share=known)
    for keys in (known, other):
        keys.load_public_key(KEYS[0].public_key.spki).verify(ALGORITHM, SIGNATURE, DATA)
    assert crypto.counts == {"loaded": 2, "verified": 2}


def test_raw_signatures_are_verified_each_time() -> None:
    crypto = CountedCrypto()
    key = known_keys(crypto).load_public_key(KEYS[0].public_key.spki)
    for _ in range(2):
        with pytest.raises(SignatureError):
            key.verify_ecdsa(ALGORITHM, 1, 1, DATA)
    assert crypto.counts["verified"] == 2


def test_what_is_no_key_is_an_error_each_time() -> None:
    crypto = CountedCrypto()
    for _ in range(2):
        with pytest.raises(DecodeError):
            known_keys(crypto).load_public_key(b"\x30\x00")
    assert crypto.counts == {"loaded": 2, "verified": 0}
