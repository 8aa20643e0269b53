"""Keys and signatures of vendors' certificates, each loaded or verified once by one Verifier.

One verification meets the same ones again and again: the root's own signature comes with each chain, and one TCB signer
signs several documents.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.interfaces import CryptoWrapper, PublicKey
from rats_tls.verifiers.bounded_cache import BoundedCache


class KeyLoader(Protocol):
    """What the checks of a chain need of a crypto wrapper."""

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo. Raises DecodeError, UnsupportedError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """A crypto wrapper's public keys, and the X.509 signatures by them that have been verified.

    Attributes:
        crypto: loads and verifies.
        trust: anchors and crypto wrapper, part of every cache key.
        keys: loaded keys, by their SubjectPublicKeyInfo.
        signatures: signatures that verified, by key, algorithm, signature and signed bytes. One that does not is
            never remembered.
    """

    crypto: CryptoWrapper
    trust: Hashable
    keys: BoundedCache
    signatures: BoundedCache

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo. Raises DecodeError, UnsupportedError."""
        key = ("spki", self.trust, spki)
        return self.keys.get(key, lambda: _KnownKey(self.crypto.load_public_key(spki), key, self.signatures))


class _KnownKey:
    """A public key that verifies the same signature over the same bytes once."""

    __slots__ = ("_identity", "_key", "_signatures")

    def __init__(self, key: PublicKey, identity: Hashable, signatures: BoundedCache) -> None:
        self._key = key
        self._identity = identity
        self._signatures = signatures

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self._key.algorithm

    @property
    def spki(self) -> bytes:
        return self._key.spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        key = (self._identity, algorithm, signature, data)
        self._signatures.get(key, lambda: self._key.verify(algorithm, signature, data))

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        self._key.verify_ecdsa(algorithm, r, s, data)
