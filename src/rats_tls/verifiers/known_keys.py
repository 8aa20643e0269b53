"""Keys and signatures of vendors' certificates, each loaded or verified once by one Verifier.

One verification meets the same ones again and again: the root's own signature comes with each chain, and one TCB signer
signs several documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor, anchors_digest
from rats_tls.core.interfaces import CryptoWrapper, PublicKey
from rats_tls.verifiers.bounded_cache import BoundedCache


def trust_in(anchors: Iterable[TrustAnchor], crypto: CryptoWrapper) -> bytes:
    """Give what stands in every cache key for the anchors and the crypto wrapper: a digest, and name and version."""
    return anchors_digest(anchors) + f"{len(crypto.name)} {crypto.name} {crypto.version}".encode()


class LastTrust:
    """Gives `trust_in`, made anew where it is not the very anchors and wrapper of the last time."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[tuple[TrustAnchor, ...], CryptoWrapper, bytes] | None = None

    def __call__(self, anchors: tuple[TrustAnchor, ...], crypto: CryptoWrapper) -> bytes:
        """Give `trust_in`."""
        last = self._last
        if last is None or last[0] is not anchors or last[1] is not crypto:
            last = self._last = (anchors, crypto, trust_in(anchors, crypto))
        return last[2]


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
    trust: bytes
    keys: BoundedCache
    signatures: BoundedCache

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo. Raises DecodeError, UnsupportedError."""
        return self.keys.get(("spki", self.trust, spki), lambda: _KnownKey(self, spki))


class _KnownKey:
    """A public key that verifies the same signature over the same bytes once."""

    __slots__ = ("_key", "_known", "_spki")

    def __init__(self, known: KnownKeys, spki: bytes) -> None:
        self._key = known.crypto.load_public_key(spki)
        self._known = known
        self._spki = spki

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self._key.algorithm

    @property
    def spki(self) -> bytes:
        return self._spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        key = (self._known.trust, self._spki, algorithm, signature, data)
        self._known.signatures.get(key, lambda: self._key.verify(algorithm, signature, data))

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        self._key.verify_ecdsa(algorithm, r, s, data)
