"""The default crypto wrapper: OpenSSL, through `cryptography`."""

from __future__ import annotations

from cryptography import __version__ as library_version
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from rats_tls.core.algorithms import SM2_DEFAULT_USER_ID, HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, DecodeError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import CertificateRequest, CryptoCapabilities, PrivateKey
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.digests import digest
from rats_tls.crypto_wrappers.public_keys import check_rsa, ec_spki, split_ec, split_ed25519
from rats_tls.crypto_wrappers.sm2.choosing import chosen
from rats_tls.crypto_wrappers.sm2.curve import point_of
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey, load_key

_Public = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
_Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_MADE = frozenset({*_CURVES, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519})
_ECDSA = {hash_name: ec.ECDSA(hash_algorithm) for hash_name, hash_algorithm in _HASHES.items()}


class OpensslPublicKey:
    """A public key of `cryptography`."""

    __slots__ = ("_algorithm", "_key", "_spki")

    def __init__(self, key: _Public) -> None:
        self._key = key
        self._algorithm = _algorithm_of(key)
        self._spki: bytes | None = None

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        if self._spki is None:
            self._spki = self._key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        return self._spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature in X.509 form. Raises SignatureError."""
        family, _, hash_name = algorithm.value.rpartition("-")
        key = self._key
        if isinstance(key, rsa.RSAPublicKey) and len(signature) != (key.key_size + 7) // 8:
            # OpenSSL takes one whose leading zero is left out with PSS; RFC 8017 8.1.2 step 1 does not.
            raise SignatureError(f"{algorithm.value} signature: got {len(signature)} bytes for {key.key_size} bits")
        try:
            if family == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, _ECDSA[hash_name])
            elif family == "rsa-pkcs1" and isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, padding.PKCS1v15(), _HASHES[hash_name])
            elif family == "rsa-pss" and isinstance(key, rsa.RSAPublicKey):
                digest = _HASHES[hash_name]
                key.verify(signature, data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
            elif algorithm is SignatureAlgorithm.ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            else:
                raise SignatureError(
                    f"signature algorithm {algorithm.value} does not fit a {self._algorithm.value} key"
                )
        except InvalidSignature:
            raise SignatureError(f"{algorithm.value} signature does not verify") from None
        except ValueError as error:
            raise SignatureError(f"{algorithm.value} signature is malformed: {error}") from error

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify an ECDSA signature given as two integers. Raises SignatureError."""
        if r <= 0 or s <= 0:
            raise SignatureError(f"{algorithm.value} signature: r and s must be positive")
        self.verify(algorithm, encode_dss_signature(r, s), data)


class OpensslPrivateKey:
    """A private key of `cryptography`, made here."""

    __slots__ = ("_algorithm", "_key")

    def __init__(self, key: _Private, algorithm: KeyAlgorithm) -> None:
        self._key = key
        self._algorithm = algorithm

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def public_key(self) -> OpensslPublicKey:
        """Its public half."""
        return OpensslPublicKey(self._key.public_key())

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`. Raises ConfigurationError when the algorithm does not fit the key."""
        family, _, hash_name = algorithm.value.rpartition("-")
        key = self._key
        if family == "ecdsa" and isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, _ECDSA[hash_name])
        if family == "rsa-pkcs1" and isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PKCS1v15(), _HASHES[hash_name])
        if family == "rsa-pss" and isinstance(key, rsa.RSAPrivateKey):
            digest = _HASHES[hash_name]
            return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        if algorithm is SignatureAlgorithm.ED25519 and isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        raise ConfigurationError(f"signature algorithm {algorithm.value} does not fit a {self._algorithm.value} key")

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign_certificate(self, builder: x509.CertificateBuilder) -> bytes:
        """Sign a certificate with the key's usual hash: SHA-384 for P-384, none for Ed25519, else SHA-256."""
        digest: hashes.SHA384 | hashes.SHA256 | None = hashes.SHA256()
        if self._algorithm is KeyAlgorithm.ED25519:
            digest = None
        elif self._algorithm is KeyAlgorithm.EC_P384:
            digest = hashes.SHA384()
        return builder.sign(self._key, digest).public_bytes(serialization.Encoding.DER)


class OpensslCryptoWrapper:
    """Keys P-256, P-384, RSA-3072, Ed25519; verifies those, other RSA sizes and SM2."""

    name = "openssl"
    capabilities = CryptoCapabilities(generates=_MADE, verifies=_MADE | {KeyAlgorithm.RSA}, certificates=_MADE)

    @property
    def version(self) -> str:
        """Versions of `cryptography` and of the OpenSSL in it."""
        return f"cryptography {library_version}, {backend.openssl_version_text()}"

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`. Raises UnsupportedError for SM3 where `cryptography` was built without it."""
        return digest(algorithm, data)

    def generate_key(self, algorithm: KeyAlgorithm) -> OpensslPrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        if algorithm in _CURVES:
            return OpensslPrivateKey(ec.generate_private_key(_CURVES[algorithm]), algorithm)
        if algorithm is KeyAlgorithm.RSA_3072:
            return OpensslPrivateKey(rsa.generate_private_key(65537, 3072), algorithm)
        if algorithm is KeyAlgorithm.ED25519:
            return OpensslPrivateKey(ed25519.Ed25519PrivateKey.generate(), algorithm)
        raise UnsupportedError(f"crypto wrapper openssl makes no {algorithm.value} keys")

    def load_public_key(self, spki: bytes) -> OpensslPublicKey | Sm2PublicKey:
        """Load a DER SubjectPublicKeyInfo; one of SM2 as `load_sm2_point` does, with the default user id.

        Raises DecodeError, UnsupportedError.
        """
        spki = as_bytes(spki)
        point = point_of(spki)
        if point is not None:
            return load_key(point, SM2_DEFAULT_USER_ID, chosen())
        try:
            key = serialization.load_der_public_key(spki)
        except ValueError as error:
            raise DecodeError("SubjectPublicKeyInfo", "", None, f"not a public key: {error}") from error
        except UnsupportedAlgorithm as error:
            raise UnsupportedError(f"public key is not supported: {error}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise UnsupportedError(f"public key of type {type(key).__name__} is not supported")
        loaded = OpensslPublicKey(key)
        if isinstance(key, rsa.RSAPublicKey):
            numbers = key.public_numbers()
            check_rsa(numbers.n, numbers.e)
            usual = loaded.spki == spki
        else:
            split = split_ed25519 if isinstance(key, ed25519.Ed25519PublicKey) else split_ec
            usual = split(spki) is not None
        if not usual:  # it would stand for another SubjectPublicKeyInfo than the one that came
            raise DecodeError("SubjectPublicKeyInfo", "", None, "parameters or point are not in the usual form")
        return loaded

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> OpensslPublicKey:
        """Load an EC key from x‖y. Raises DecodeError, UnsupportedError."""
        ec_spki(algorithm, point)
        try:
            return OpensslPublicKey(ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[algorithm], b"\x04" + point))
        except ValueError as error:
            raise DecodeError("EcPoint", "", None, f"not a point of {algorithm.value}") from error

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2PublicKey:
        """Load an SM2 key from x‖y. `cryptography` has no SM2: it is another library's, found on first use.

        Raises DecodeError, UnsupportedError.
        """
        return load_key(point, user_id, chosen())

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Make a self-signed certificate. Returns DER.

        Raises:
            ConfigurationError: the key was made by another wrapper.
        """
        if not isinstance(key, OpensslPrivateKey):
            raise ConfigurationError("crypto wrapper openssl: the key was made by another crypto wrapper")
        public = serialization.load_der_public_key(key.public_key.spki)
        if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise ConfigurationError("crypto wrapper openssl: key type cannot sign certificates")
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.organization),
                x509.NameAttribute(NameOID.COMMON_NAME, request.common_name),
            ]
        )
        ski = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(request.serial)
            .not_valid_before(request.not_before)
            .not_valid_after(request.not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
            .add_extension(ski, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        )
        for oid, value in request.extensions:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=False
            )
        return key.sign_certificate(builder)


def _algorithm_of(key: _Public) -> KeyAlgorithm:
    if isinstance(key, ec.EllipticCurvePublicKey):
        for algorithm, curve in _CURVES.items():
            if key.curve.name == curve.name:
                return algorithm
        raise UnsupportedError(f"elliptic curve {key.curve.name} is not supported")
    if isinstance(key, rsa.RSAPublicKey):
        return KeyAlgorithm.RSA_3072 if key.key_size == 3072 else KeyAlgorithm.RSA
    return KeyAlgorithm.ED25519
