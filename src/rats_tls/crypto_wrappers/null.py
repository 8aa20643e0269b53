"""The `null` crypto wrapper: hashes, and nothing else. It has no verification, so nothing passes through it."""

from __future__ import annotations

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.interfaces import CertificateRequest, CryptoCapabilities, PrivateKey, PublicKey, Sm2Key
from rats_tls.crypto_wrappers.digests import digest

_NAME = "crypto wrapper null"


class NullCryptoWrapper:
    """Makes no keys, signs nothing, and refuses to verify."""

    name = "null"
    version = "none"
    capabilities = CryptoCapabilities(
        generates=frozenset(),
        verifies=frozenset(),
        certificates=frozenset(),
        caution="it makes no keys and verifies nothing",
    )

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`. Raises UnsupportedError for SM3 where `cryptography` was built without it."""
        return digest(algorithm, data)

    def generate_key(self, algorithm: KeyAlgorithm) -> PrivateKey:
        """Raise UnsupportedError: it makes no keys."""
        raise UnsupportedError(f"{_NAME}: makes no {algorithm.value} keys")

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Raise UnsupportedError: a key is loaded to verify with it."""
        raise UnsupportedError(f"{_NAME}: cannot verify; a key of {len(spki)} bytes was to be loaded")

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> PublicKey:
        """Raise UnsupportedError: a key is loaded to verify with it."""
        raise UnsupportedError(f"{_NAME}: cannot verify; an {algorithm.value} point of {len(point)} bytes was given")

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2Key:
        """Raise UnsupportedError: a key is loaded to verify with it."""
        raise UnsupportedError(f"{_NAME}: cannot verify; an SM2 point of {len(point)} bytes of {user_id!r} was given")

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Raise UnsupportedError: it signs nothing."""
        raise UnsupportedError(f"{_NAME}: signs no certificate for {request.common_name} ({key.algorithm.value})")
