"""The certificate and key that one side presents, checked before a library gets them."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.tls import TlsCapabilities, TlsConfig

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A certificate and its key.

    Attributes:
        der: the certificate's DER.
        pkcs8: the key's unencrypted PKCS #8 DER.
        certificate: the certificate, loaded.
        key: the key, loaded.
        algorithm: the key's algorithm.
    """

    der: bytes
    pkcs8: bytes
    certificate: x509.Certificate
    key: Key
    algorithm: KeyAlgorithm


def require_pair(name: str, able: TlsCapabilities, config: TlsConfig) -> tuple[bytes, bytes] | None:
    """Give the DER of the certificate and of its key as `config` has them, or None for a client with neither.

    Args:
        name: of the TLS wrapper, for messages.
        able: its capabilities.
        config: one side's settings.

    Raises:
        ConfigurationError: one is missing, or the certificate is too large.
    """
    if config.certificate is None or config.private_key is None:
        if config.role == "server" or config.certificate is not None or config.private_key is not None:
            raise ConfigurationError(f"TLS wrapper {name}: certificate and private key go together")
        return None
    if len(config.certificate) > able.largest_certificate:
        advice = f"; {able.larger_certificates}" if able.larger_certificates else ""
        raise ConfigurationError(
            f"TLS certificate: got {len(config.certificate)} bytes, expected at most {able.largest_certificate}{advice}"
        )
    return config.certificate, config.private_key


def own_certificate(name: str, able: TlsCapabilities, config: TlsConfig) -> OwnCertificate | None:
    """Give what `config` presents, or None for a client that presents nothing.

    Args:
        name: of the TLS wrapper, for messages.
        able: its capabilities.
        config: one side's settings.

    Raises:
        ConfigurationError: key or certificate is missing, malformed or too large; one does not fit the other; the
            wrapper presents no such keys.
    """
    pair = require_pair(name, able, config)
    if pair is None:
        return None
    der, pkcs8 = pair
    try:
        certificate = x509.load_der_x509_certificate(der)
        # This side's own key, perhaps made just now: its primes are not tested, which takes a quarter of a second.
        key = serialization.load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=True)
        spki, own_spki = (
            each.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            for each in (certificate.public_key(), key.public_key())
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"TLS wrapper {name} refuses certificate or key: {error}") from error
    if spki != own_spki:
        raise ConfigurationError(f"TLS wrapper {name}: the certificate is not of the private key that comes with it")
    algorithm = _algorithm_of(key)
    if algorithm not in able.key_algorithms or not isinstance(key, Key):
        shown = algorithm.value if algorithm is not None else type(key).__name__
        raise ConfigurationError(f"TLS wrapper {name} presents no {shown} keys")
    return OwnCertificate(der, pkcs8, certificate, key, algorithm)


def _algorithm_of(key: object) -> KeyAlgorithm | None:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"secp256r1": KeyAlgorithm.EC_P256, "secp384r1": KeyAlgorithm.EC_P384}.get(key.curve.name)
    if isinstance(key, rsa.RSAPrivateKey):
        return KeyAlgorithm.RSA_3072 if key.key_size == 3072 else KeyAlgorithm.RSA
    return KeyAlgorithm.ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else None
