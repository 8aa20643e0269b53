"""What all keys of the `wolfcrypt` wrapper share.

wolfCrypt keeps the state of a running operation in the key, so that two threads in one key would read each other's: a
key has a lock.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, SignatureError
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.wolfcrypt_library import Library

EC = frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384})
_FAMILIES = {
    KeyAlgorithm.EC_P256: ("ecdsa",),
    KeyAlgorithm.EC_P384: ("ecdsa",),
    KeyAlgorithm.RSA_3072: ("rsa-pkcs1", "rsa-pss"),
    KeyAlgorithm.RSA: ("rsa-pkcs1", "rsa-pss"),
    KeyAlgorithm.ED25519: ("",),
}


class WolfcryptPublicKey(ABC):
    """A public key in wolfCrypt; used by several threads.

    Args:
        library: the library.
        key: wolfCrypt's key; frees itself.
        algorithm: of the key.
        spki: its DER SubjectPublicKeyInfo.
    """

    __slots__ = ("_algorithm", "_key", "_library", "_lock", "_spki")

    def __init__(self, library: Library, key: Any, algorithm: KeyAlgorithm, spki: bytes) -> None:  # noqa: ANN401  # cffi has no types
        self._library = library
        self._key = key
        self._algorithm = algorithm
        self._spki = spki
        self._lock = threading.Lock()

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self._spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature in X.509 form. Raises SignatureError."""
        self._require_fit(algorithm)
        self._verify(algorithm, as_bytes(signature), as_bytes(data))

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:  # noqa: ARG002  # EC keys' alone
        """Verify an ECDSA signature given as two integers. Raises SignatureError."""
        raise SignatureError(_misfit(algorithm, self._algorithm))

    def _require_fit(self, algorithm: SignatureAlgorithm) -> None:
        if algorithm.value.rpartition("-")[0] not in _FAMILIES[self._algorithm]:
            raise SignatureError(_misfit(algorithm, self._algorithm))

    @abstractmethod
    def _verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify by an algorithm that fits the key. Raises SignatureError."""


class WolfcryptPrivateKey(ABC):
    """A private key in wolfCrypt, made here; used by several threads.

    Args:
        library: the library.
        key: wolfCrypt's key; frees itself.
        public_key: its public half.
    """

    __slots__ = ("_key", "_library", "_lock", "_public_key")

    def __init__(self, library: Library, key: Any, public_key: WolfcryptPublicKey) -> None:  # noqa: ANN401  # cffi has no types
        self._library = library
        self._key = key
        self._public_key = public_key
        self._lock = threading.Lock()

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._public_key.algorithm

    @property
    def public_key(self) -> WolfcryptPublicKey:
        """Its public half."""
        return self._public_key

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`. Raises ConfigurationError when the algorithm does not fit the key."""
        if algorithm.value.rpartition("-")[0] not in _FAMILIES[self.algorithm]:
            raise ConfigurationError(_misfit(algorithm, self.algorithm))
        with self._lock:
            return self._sign(algorithm, as_bytes(data))

    @abstractmethod
    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""

    @abstractmethod
    def _sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign by an algorithm that fits the key, alone in it."""


def hash_of(algorithm: SignatureAlgorithm) -> str:
    """Give hashlib's name of an algorithm's hash."""
    return algorithm.value.rpartition("-")[2]


def _misfit(algorithm: SignatureAlgorithm, key: KeyAlgorithm) -> str:
    return f"signature algorithm {algorithm.value} does not fit a {key.value} key"
