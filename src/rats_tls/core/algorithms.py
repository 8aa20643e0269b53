"""Names of algorithms, shared by formats, verifiers and the crypto wrappers."""

from __future__ import annotations

from enum import Enum


class HashAlgorithm(str, Enum):
    """Hash algorithms, by hashlib's names."""

    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    SM3 = "sm3"

    @property
    def size(self) -> int:
        """Digest size in bytes."""
        return {"sha256": 32, "sha384": 48, "sha512": 64, "sm3": 32}[self.value]


class KeyAlgorithm(str, Enum):
    """Key algorithms that can be made or met."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_3072 = "rsa-3072"
    RSA = "rsa"  # met in certificates with another modulus size; not made here
    ED25519 = "ed25519"
    SM2 = "sm2"  # GB/T 32918; its verification depends on the signer's user id


SM2_DEFAULT_USER_ID = b"1234567812345678"
"""The user id of SM2 signers that have no other (GB/T 35276 10; RFC 8998 3.2.1: that of certificates)."""


class SignatureAlgorithm(str, Enum):
    """Signature algorithms with their hash; an ECDSA curve is its key's."""

    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    SM2_SM3 = "sm2-sm3"
    ED25519 = "ed25519"
