"""The `awslc` crypto wrapper: AWS-LC, through `awscrt` (an extra), with what that has of it.

`awscrt` does P-256 and P-384, and RSA verification with SHA-256. It makes no RSA keys, and has neither
other hashes for RSA nor signatures of Ed25519: those are the `openssl` wrapper's.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import replace
from typing import Any, Protocol

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, DecodeError, NoInstanceError, SignatureError, UnsupportedError
from rats_tls.core.extras import pip_install
from rats_tls.core.interfaces import CryptoCapabilities, PublicKey
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.certificate_building import why_none_are_built
from rats_tls.crypto_wrappers.ecdsa_signatures import encode_signature
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper, OpensslPrivateKey
from rats_tls.crypto_wrappers.partial import PartialCryptoWrapper
from rats_tls.crypto_wrappers.public_keys import ec_spki, split_ec

_INSTALL = pip_install("crypto_wrappers", "awslc")
_EC = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384)
_RSA = (KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA)
_MADE = frozenset({*_EC, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519})
_ECDSA_HASHES = {
    SignatureAlgorithm.ECDSA_SHA256: hashlib.sha256,
    SignatureAlgorithm.ECDSA_SHA384: hashlib.sha384,
    SignatureAlgorithm.ECDSA_SHA512: hashlib.sha512,
}
_LARGEST_RSA_BYTES = 512
"""AWS_CAL_RSA_MAX_SUPPORTED_KEY_SIZE_IN_BITS is 4096; multiples of 64 work everywhere. Source: aws-c-cal, rsa.h."""
_RSA_MODULUS = 30
"""Where SubjectPublicKeyInfo has the modulus' two bytes of length, from 2048 bits on; its bytes follow."""
_RSA_PKCS1 = 24
"""Where its RSAPublicKey (RFC 8017 A.1.1) begins."""


class _Library(Protocol):
    """What is used of `awscrt.crypto`."""

    EC: Any
    ECType: Any
    ECExportFormat: Any
    RSA: Any
    RSASignatureAlgorithm: Any


class AwslcPublicKey:
    """A P-256 or P-384 key of AWS-LC."""

    __slots__ = ("_algorithm", "_spki", "_verify")

    def __init__(self, key: Any, algorithm: KeyAlgorithm, spki: bytes) -> None:  # noqa: ANN401  # awscrt has no types
        self._algorithm = algorithm
        self._spki = spki
        self._verify = key.verify

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
        hashing = _ECDSA_HASHES.get(algorithm)
        if hashing is None:
            raise SignatureError(f"signature algorithm {algorithm.value} does not fit a {self._algorithm.value} key")
        _accept(self._verify, algorithm, hashing(data).digest(), as_bytes(signature))

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify an ECDSA signature given as two integers. Raises SignatureError."""
        self.verify(algorithm, encode_signature(self._algorithm, r, s), data)


class AwslcRsaPublicKey:
    """An RSA key: PKCS #1 and PSS with SHA-256 by AWS-LC, other hashes by the `openssl` wrapper."""

    __slots__ = ("_key", "_other", "_schemes")

    def __init__(self, library: _Library, other: PublicKey) -> None:
        try:
            self._key = library.RSA.new_public_key_from_der_data(other.spki[_RSA_PKCS1:])
        except (RuntimeError, ValueError) as error:
            raise UnsupportedError(f"RSA key is not supported by AWS-LC: {error}") from error
        self._other = other
        self._schemes = {
            SignatureAlgorithm.RSA_PKCS1_SHA256: library.RSASignatureAlgorithm.PKCS1_5_SHA256,
            SignatureAlgorithm.RSA_PSS_SHA256: library.RSASignatureAlgorithm.PSS_SHA256,
        }

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._other.algorithm

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self._other.spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature. Raises SignatureError."""
        scheme = self._schemes.get(algorithm)
        if scheme is None:
            self._other.verify(algorithm, signature, data)
            return
        _accept(self._key.verify, algorithm, scheme, hashlib.sha256(data).digest(), as_bytes(signature))

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Raise SignatureError: it is an RSA key."""
        self._other.verify_ecdsa(algorithm, r, s, data)


class AwslcPrivateKey:
    """A P-256 or P-384 key that AWS-LC made."""

    __slots__ = ("_algorithm", "_key", "_pkcs8", "_public_key")

    def __init__(self, library: _Library, algorithm: KeyAlgorithm) -> None:
        curve = library.ECType.P_256 if algorithm is KeyAlgorithm.EC_P256 else library.ECType.P_384
        self._algorithm = algorithm
        self._key = library.EC.new_generate(curve)
        self._pkcs8 = library.ECExportFormat.PKCS8
        spki = self._key.export_key(library.ECExportFormat.SPKI)
        self._public_key = AwslcPublicKey(library.EC.new_key_from_der_data(spki), algorithm, spki)

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def public_key(self) -> AwslcPublicKey:
        """Its public half."""
        return self._public_key

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`. Raises ConfigurationError when the algorithm does not fit the key."""
        hashing = _ECDSA_HASHES.get(algorithm)
        if hashing is None:
            raise ConfigurationError(
                f"signature algorithm {algorithm.value} does not fit a {self._algorithm.value} key"
            )
        return bytes(self._key.sign(hashing(data).digest()))

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        return bytes(self._key.export_key(self._pkcs8))


class AwslcOtherPrivateKey:
    """An RSA-3072 or Ed25519 key of this wrapper, which the `openssl` wrapper made and signs with."""

    __slots__ = ("_key", "_public_key")

    def __init__(self, key: OpensslPrivateKey, public_key: PublicKey) -> None:
        self._key = key
        self._public_key = public_key

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._key.algorithm

    @property
    def public_key(self) -> PublicKey:
        """Its public half."""
        return self._public_key

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`. Raises ConfigurationError when the algorithm does not fit the key."""
        return self._key.sign(algorithm, data)

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        return self._key.pkcs8()


class AwslcCryptoWrapper(PartialCryptoWrapper):
    """Keys P-256, P-384, RSA-3072, Ed25519; verifies those, other RSA sizes and SM2.

    Raises:
        NoInstanceError: `awscrt` is not installed.
    """

    name = "awslc"
    own_keys = (AwslcPrivateKey, AwslcOtherPrivateKey)
    capabilities = CryptoCapabilities(generates=_MADE, verifies=_MADE | {KeyAlgorithm.RSA}, certificates=_MADE)

    def __init__(self) -> None:
        try:
            self._library: _Library = importlib.import_module("awscrt.crypto")
            version = importlib.import_module("awscrt").__version__
        except ImportError as error:
            raise NoInstanceError(f"crypto wrapper awslc: awscrt does not load: {error}; {_INSTALL}") from error
        advice = why_none_are_built(self.name)
        self.capabilities = replace(
            type(self).capabilities, certificates=frozenset() if advice else _MADE, more_certificates=advice
        )
        self._other = OpensslCryptoWrapper()
        self._version = f"awscrt {version}; Ed25519 and what it lacks of RSA: {self._other.version}"

    @property
    def version(self) -> str:
        """Versions of `awscrt`, and of what does Ed25519 and parts of RSA."""
        return self._version

    def generate_key(self, algorithm: KeyAlgorithm) -> AwslcPrivateKey | AwslcOtherPrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        if algorithm in _EC:
            return AwslcPrivateKey(self._library, algorithm)
        if algorithm not in _MADE:
            raise UnsupportedError(f"crypto wrapper awslc makes no {algorithm.value} keys")
        key = self._other.generate_key(algorithm)
        return AwslcOtherPrivateKey(key, self.load_public_key(key.public_key.spki))

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo. Raises DecodeError, UnsupportedError."""
        spki = as_bytes(spki)
        found = split_ec(spki)
        if found is not None:
            return self._load_ec(found[0], spki)
        key = self._other.load_public_key(spki)
        if key.algorithm in _RSA and _has_supported_modulus(spki):
            return AwslcRsaPublicKey(self._library, key)
        return key

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> AwslcPublicKey:
        """Load an EC key from x‖y. Raises DecodeError, UnsupportedError."""
        return self._load_ec(algorithm, ec_spki(algorithm, point))

    def _load_ec(self, algorithm: KeyAlgorithm, spki: bytes) -> AwslcPublicKey:
        try:
            key = self._library.EC.new_key_from_der_data(spki)
        except (RuntimeError, ValueError) as error:
            raise DecodeError("EcPoint", "", None, f"not a point of {algorithm.value}") from error
        return AwslcPublicKey(key, algorithm, spki)


def _has_supported_modulus(spki: bytes) -> bool:
    """Whether the modulus of an RSA key has a size that AWS-LC takes on every platform."""
    size = int.from_bytes(spki[_RSA_MODULUS : _RSA_MODULUS + 2], "big")
    has_zero_in_front = spki[_RSA_MODULUS + 2] == 0  # as the number is positive and its first byte has its high bit set
    return has_zero_in_front and size - 1 <= _LARGEST_RSA_BYTES and (size - 1) % 8 == 0


def _accept(verify: Any, algorithm: SignatureAlgorithm, *arguments: object) -> None:  # noqa: ANN401  # awscrt has no types
    """Call a verification of `awscrt`, which answers True for what it accepts. Raises SignatureError."""
    try:
        accepted = verify(*arguments)
    except (RuntimeError, ValueError) as error:
        raise SignatureError(f"{algorithm.value} signature does not verify: {error}") from error
    if accepted is not True:
        raise SignatureError(f"{algorithm.value} signature does not verify")
