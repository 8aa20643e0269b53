"""Keys, certificates and revocation lists of simulated vendors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from rats_tls.core.errors import ConfigurationError
from rats_tls.verifiers.bounded_cache import BoundedCache

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CertifiedKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_REMEMBERED = 64
_PSS_SHA384 = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """First and last moment of a certificate's or list's validity."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateProfile:
    """What stands in a simulated certificate besides names and keys.

    Attributes:
        validity: notBefore and notAfter.
        ca: basicConstraints CA flag; None leaves the extension out.
        path_length: basicConstraints path length.
        usage: names of the key usage bits that are set; empty leaves the extension out.
        crl_url: CRL distribution point, or None.
        extensions: vendor extensions as (dotted OID, extnValue bytes), non-critical.
        key_identifiers: whether subject and authority key identifiers are there.
    """

    validity: Validity
    ca: bool | None = None
    path_length: int | None = None
    usage: frozenset[str] = frozenset()
    crl_url: str | None = None
    extensions: tuple[tuple[str, bytes], ...] = ()
    key_identifiers: bool = True


class Authority:
    """A simulated certification authority. Asked twice for the same, it gives the same bytes again.

    Args:
        name: its subject name.
        key: its key; RSA signs with RSASSA-PSS SHA-384, EC with ECDSA SHA-256.
    """

    def __init__(self, name: x509.Name, key: CaKey) -> None:
        self.name = name
        self.key = key
        self._issued = BoundedCache(_REMEMBERED)

    def issue(self, subject: x509.Name, public_key: CertifiedKey, profile: CertificateProfile) -> bytes:
        """Issue a certificate. Returns DER."""
        key = (subject, serial_of(subject, public_key), profile)
        return self._issued.get(key, lambda: self._issue(subject, public_key, profile))

    def revoke(self, serials: Sequence[int], number: int, validity: Validity) -> bytes:
        """Issue a revocation list with crlNumber and authorityKeyIdentifier. Returns DER."""
        return self._issued.get((*serials, number, validity), lambda: self._revoke(serials, number, validity))

    def _issue(self, subject: x509.Name, public_key: CertifiedKey, profile: CertificateProfile) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(serial_of(subject, public_key))
            .not_valid_before(profile.validity.start)
            .not_valid_after(profile.validity.end)
        )
        if profile.key_identifiers:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            ).add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        if profile.crl_url is not None:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        if profile.usage:
            builder = builder.add_extension(_key_usage(profile.usage), critical=True)
        if profile.ca is not None:
            builder = builder.add_extension(
                x509.BasicConstraints(ca=profile.ca, path_length=profile.path_length), critical=True
            )
        for oid, value in profile.extensions:
            unrecognized = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(unrecognized, critical=False)
        if isinstance(self.key, rsa.RSAPrivateKey):
            certificate = builder.sign(self.key, hashes.SHA384(), rsa_padding=_PSS_SHA384)
        else:
            certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(Encoding.DER)

    def _revoke(self, serials: Sequence[int], number: int, validity: Validity) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(validity.start)
            .next_update(validity.end)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(validity.start).build()
            builder = builder.add_revoked_certificate(revoked)
        if isinstance(self.key, rsa.RSAPrivateKey):
            crl = builder.sign(self.key, hashes.SHA384(), rsa_padding=_PSS_SHA384)
        else:
            crl = builder.sign(self.key, hashes.SHA256())
        return crl.public_bytes(Encoding.DER)


def serial_of(subject: x509.Name, public_key: CertifiedKey) -> int:
    """Give a certificate's serial number: the same for the same name and key, so that any process can revoke it."""
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return int.from_bytes(b"\x01" + hashlib.sha256(subject.public_bytes() + spki).digest()[:16], "big")


def derive_ec_key(curve: ec.EllipticCurve, *parts: bytes) -> ec.EllipticCurvePrivateKey:
    """Derive a key from a secret and what it is for, as real hardware derives keys from its fuses."""
    h = hashlib.sha512()
    for part in parts:
        h.update(len(part).to_bytes(4, "big") + part)
    # One byte short of the curve's size is below the group order for every number but zero.
    return ec.derive_private_key(int.from_bytes(h.digest()[: curve.key_size // 8 - 1], "big") + 1, curve)


def sign_raw(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign with ECDSA P-256 SHA-256; r and s, each 32 bytes big-endian."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give x and y of the public key, big-endian."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def spki_of(key: CaKey) -> bytes:
    """Give the DER SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def forge(signed: bytes) -> bytes:
    """Change the last bit, which lies in the signature of a certificate, list or raw signature."""
    return signed[:-1] + bytes((signed[-1] ^ 1,))


def to_pem(certificates: Iterable[bytes]) -> bytes:
    """Encode DER certificates as PEM, in order."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def crl_to_pem(crl: bytes) -> bytes:
    """Encode a DER revocation list as PEM."""
    return x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM)


def key_to_pem(key: CaKey) -> bytes:
    """Encode a private key as unencrypted PKCS #8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_from_pem(pem: bytes, what: str) -> CaKey:
    """Load a key that `key_to_pem` wrote.

    Raises:
        ConfigurationError: it is not one.
    """
    try:
        # Whether an RSA-4096 key is consistent takes a quarter of a second to tell, each time; it was made here.
        key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{what}: not a PEM private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ConfigurationError(f"{what}: got a {type(key).__name__}, expected an EC or RSA key")
    return key


_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def _key_usage(set_bits: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in set_bits for usage in _USAGES})
