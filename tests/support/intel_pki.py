"""Certificates and revocation lists in Intel's form, each detail of which a test can change."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.formats.intel.pck import SGX_EXTENSION_OID
from rats_tls.formats.x509 import Certificate

START = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2040, 1, 1, tzinfo=UTC)
ROOT, PLATFORM_CA, PCK, TCB_SIGNING = (
    "Test SGX Root CA",
    "Test SGX PCK Platform CA",
    "Test SGX PCK Certificate",
    "Test SGX TCB Signing",
)
Extension = tuple[x509.ExtensionType, bool]


@functools.cache
def key(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """Give the key of that name; made on first use."""
    return ec.generate_private_key(curve())


def name_of(common_name: str) -> x509.Name:
    """Make a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(
    subject: str,
    issuer: str,
    *,
    subject_key: ec.EllipticCurvePrivateKey | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    ca: bool = False,
    path_length: int | None = None,
    digest: hashes.HashAlgorithm | None = None,
    extensions: tuple[Extension, ...] = (),
    serial: int | None = None,
) -> bytes:
    """Issue a certificate; keys are those of the names when left out. Returns DER."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of(issuer))
        .public_key((subject_key or key(subject)).public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(issuer_key or key(issuer), digest or hashes.SHA256()).public_bytes(Encoding.DER)


def sgx_extension(value: bytes) -> Extension:
    """Make the SGX extension."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION_OID), value), False


def revocation_list(
    issuer: str = PLATFORM_CA,
    *,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    revoked: tuple[int, ...] = (),
    number: int | None = 1,
    authority_key_id: bool = True,
    digest: hashes.HashAlgorithm | None = None,
    extensions: tuple[Extension, ...] = (),
) -> bytes:
    """Issue a revocation list. Returns DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(name_of(issuer)).last_update(START).next_update(END)
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START).build()
        builder = builder.add_revoked_certificate(entry)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if authority_key_id:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key())
        builder = builder.add_extension(identifier, critical=False)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(issuer_key or key(issuer), digest or hashes.SHA256()).public_bytes(Encoding.DER)


def anchor_of(root: bytes) -> TrustAnchor:
    """Make the anchor of a root certificate."""
    decoded = Certificate.from_der(root)
    return TrustAnchor(
        vendor=Vendor.INTEL,
        subject=decoded.subject.der,
        spki=decoded.spki,
        kind=AnchorKind.USER,
        name=decoded.subject.common_name,
        source="test",
    )
