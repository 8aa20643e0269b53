"""Picks the format of a certificate that carries Evidence, by the exact OIDs of its extensions."""

from __future__ import annotations

from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.certificates.interoperable import ENDORSEMENTS_OID, EVENT_LOG_OID, EVIDENCE_OID, read_interoperable
from rats_tls.certificates.tolerant import read_tolerantly
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.x509 import Certificate

# Prefixes end in a dot; every other OID is compared whole.
UNSUPPORTED_FORMATS: tuple[tuple[str, str], ...] = (
    ("0.6.9.42.840.113741.1337.6", "Gramine's legacy RA-TLS"),
    ("1.2.840.113741.1337.", "rats-tls before Interoperable RA-TLS"),
    ("1.2.840.113556.10.1.", "Open Enclave"),
    ("1.3.6.1.4.1.311.105.", "Open Enclave"),
    ("1.3.6.1.5.5.7.1.35", "conceptual message wrapper (id-pe-cmw)"),
    ("1.3.6.1.4.1.62397.1.", "dstack"),
    ("1.3.9900.", "Constellation aTLS"),
)
"""OIDs of formats that are known by name and not read."""


def read_certificate(der: bytes) -> Certificate:
    """Read a peer's certificate, one that `cryptography` refuses though it is sound too. Raises DecodeError."""
    try:
        return Certificate.from_der(der)
    except DecodeError as refusal:
        return read_tolerantly(der, refusal)


def read_attested_certificate(der: bytes, *, limits: Limits = DEFAULT_LIMITS) -> AttestedCertificate:
    """Read a peer's certificate and the Evidence in it.

    Args:
        der: the certificate as received.
        limits: sizes and depths.

    Returns:
        The certificate; its `evidence` is None when no extension of a known format is there.

    Raises:
        DecodeError: not a certificate, too large, or its Evidence malformed.
        UnsupportedError: Evidence in a format that is known and not read; the message names it.
    """
    if len(der) > limits.certificate_read:
        raise DecodeError("Certificate", "", None, f"got {len(der)} bytes, at most {limits.certificate_read} are read")
    certificate = read_certificate(der)
    if EVIDENCE_OID in certificate.extensions:
        return read_interoperable(certificate, limits=limits)
    for oid in certificate.extensions:
        for known, name in UNSUPPORTED_FORMATS:
            if oid == known or (known.endswith(".") and oid.startswith(known)):
                raise UnsupportedError(f"Evidence in extension {oid} ({name}): this format is not read")
    for oid, what in ((ENDORSEMENTS_OID, "endorsements"), (EVENT_LOG_OID, "event log")):
        if oid in certificate.extensions:
            raise DecodeError("Certificate", oid, None, f"{what} extension without Evidence")
    return AttestedCertificate(certificate=certificate)
