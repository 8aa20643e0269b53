"""What crypto wrappers share whose library has no SM2 and builds no certificates."""

from __future__ import annotations

from typing import ClassVar

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.interfaces import CertificateRequest, PrivateKey
from rats_tls.crypto_wrappers.certificate_building import build_certificate
from rats_tls.crypto_wrappers.digests import digest
from rats_tls.crypto_wrappers.sm2.choosing import chosen
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey, load_key


class PartialCryptoWrapper:
    """A wrapper that leaves SM2 to another library and the making of certificates to `asn1crypto`.

    Attributes:
        name: instance name.
        own_keys: classes of the private keys that it makes.
    """

    name: str
    own_keys: ClassVar[tuple[type, ...]]

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`. Raises UnsupportedError for SM3 where `cryptography` was built without it."""
        return digest(algorithm, data)

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2PublicKey:
        """Load an SM2 key from x‖y. The library has no SM2: it is another one's, found on first use.

        Raises DecodeError, UnsupportedError.
        """
        return load_key(point, user_id, chosen())

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Make a self-signed certificate. Returns DER.

        Raises:
            ConfigurationError: the key was made by another wrapper.
            UnsupportedError: `asn1crypto` is not installed.
        """
        if not isinstance(key, self.own_keys):
            raise ConfigurationError(f"crypto wrapper {self.name}: the key was made by another crypto wrapper")
        return build_certificate(request, key.public_key.spki, key.algorithm, key.sign, wrapper=self.name)
