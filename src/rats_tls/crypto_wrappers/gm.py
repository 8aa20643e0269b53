"""The `gm` crypto wrapper: SM2 keys, signatures and certificates, and SM3; everything else is left to `openssl`."""

from __future__ import annotations

from dataclasses import replace

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.core.interfaces import CertificateRequest, CryptoCapabilities, PrivateKey, PublicKey
from rats_tls.crypto_wrappers.certificate_building import build_certificate, why_none_are_built
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper, OpensslPrivateKey
from rats_tls.crypto_wrappers.sm2.choosing import choose, key_maker
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey
from rats_tls.crypto_wrappers.sm2.private_keys import Sm2PrivateKey, generate_key

_SM2 = frozenset({KeyAlgorithm.SM2})


class GmCryptoWrapper:
    """SM2 keys by a library that takes them in constant time: the system's libcrypto, or that of `tongsuopy`.

    Owners of keys have the default user id (GB/T 35276 10), in certificates too (RFC 8998 3.2.1).
    """

    name = "gm"

    def __init__(self) -> None:
        self._other = OpensslCryptoWrapper()

    @property
    def version(self) -> str:
        """The library for SM2, and that of everything else."""
        back_end = choose().back_end
        sm2 = f"{back_end.name} ({back_end.version})" if back_end is not None else "no library"
        return f"SM2: {sm2}; else {self._other.version}"

    @property
    def capabilities(self) -> CryptoCapabilities:
        """What it can do here; the library for SM2 is looked for."""
        able = self._other.capabilities
        try:
            key_maker()
        except UnsupportedError:
            made: frozenset[KeyAlgorithm] = frozenset()
        else:
            made = _SM2
        advice = why_none_are_built(self.name)
        return replace(
            able,
            generates=able.generates | made,
            verifies=able.verifies | (_SM2 if choose().back_end is not None else frozenset()),
            certificates=able.certificates | (frozenset() if advice else made),
            more_certificates=advice if made else "",
        )

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`. Raises UnsupportedError for SM3 where `cryptography` was built without it."""
        return self._other.digest(algorithm, data)

    def generate_key(self, algorithm: KeyAlgorithm) -> PrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make; for SM2 it says what to install."""
        if algorithm is KeyAlgorithm.SM2:
            return generate_key()
        if algorithm not in self._other.capabilities.generates:
            raise UnsupportedError(f"crypto wrapper gm makes no {algorithm.value} keys")
        return self._other.generate_key(algorithm)

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo; one of SM2 has the default user id. Raises DecodeError, UnsupportedError."""
        return self._other.load_public_key(spki)

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> PublicKey:
        """Load an EC key from x‖y. Raises DecodeError."""
        return self._other.load_ec_point(algorithm, point)

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2PublicKey:
        """Load an SM2 key from x‖y. Raises DecodeError, UnsupportedError."""
        return self._other.load_sm2_point(point, user_id)

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Make a self-signed certificate. Returns DER.

        Raises:
            ConfigurationError: the key was made by another wrapper.
            UnsupportedError: for SM2, `asn1crypto` is not installed.
        """
        if isinstance(key, Sm2PrivateKey):
            return build_certificate(request, key.public_key.spki, KeyAlgorithm.SM2, key.sign, wrapper=self.name)
        if not isinstance(key, OpensslPrivateKey):
            raise ConfigurationError("crypto wrapper gm: the key was made by another crypto wrapper")
        return self._other.self_signed_certificate(key, request)
