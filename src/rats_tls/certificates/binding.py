"""What ties a certificate to its key and to its Evidence: one half of the judgement, used by `rats_tls.appraisal`."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.certificates.interoperable import ENDORSEMENTS_OID, EVENT_LOG_OID, EVIDENCE_OID
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import certificate_report_data, equal_report_data
from rats_tls.core.checks import Check, Stage, shorten, time_text
from rats_tls.core.errors import BindingError, CertificateChainError, FreshnessError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.formats.der import OBJECT_IDENTIFIER, read_elements, read_sequence
from rats_tls.formats.rsa import rsa_modulus_bits
from rats_tls.formats.x509 import Certificate, require_signature_algorithm

# basicConstraints, keyUsage, extKeyUsage, subjectAltName and the two key identifiers: none of them widens what a
# self-signed leaf may do here.
_KNOWN_EXTENSIONS = frozenset(
    {
        EVIDENCE_OID,
        ENDORSEMENTS_OID,
        EVENT_LOG_OID,
        "2.5.29.14",
        "2.5.29.15",
        "2.5.29.17",
        "2.5.29.19",
        "2.5.29.35",
        "2.5.29.37",
    }
)
_SMALLEST_RSA = 2048
_EXTENDED_KEY_USAGE = "2.5.29.37"
# Content of the object identifiers id-kp-serverAuth, id-kp-clientAuth and anyExtendedKeyUsage.
_TLS_PURPOSES = frozenset(
    {bytes.fromhex("2b06010505070301"), bytes.fromhex("2b06010505070302"), bytes.fromhex("551d2500")}
)


def verify_peer_certificate(
    certificate: Certificate, crypto: CryptoWrapper, *, now: datetime, clock_skew_seconds: float
) -> tuple[Check, ...]:
    """Verify the certificate by itself: it is self-signed by its own key, in date, and says nothing unknown.

    Args:
        certificate: the peer's leaf.
        crypto: verifies its signature.
        now: time of judgement.
        clock_skew_seconds: by how much the two clocks may differ, at either end of its validity.

    Raises:
        CertificateChainError: issued by another, a wrong signature, an unknown critical extension, or a purpose
            that is not TLS.
        FreshnessError: not in date.
        UnsupportedError: a key or signature algorithm that is not accepted.
        DecodeError: a malformed key.
    """
    # (1) X.509 v3, issuer and subject equal: there is no chain, the Evidence is what vouches for the key.
    if certificate.version != 3:
        raise CertificateChainError(f"peer certificate version: got {certificate.version}, expected 3")
    if not certificate.self_issued:
        raise CertificateChainError(
            f"peer certificate issuer: got {certificate.issuer}, expected the subject {certificate.subject}"
        )
    # (2) Signed by its own key. TLS proves possession; this catches certificates that were put together.
    #     Its size is looked at here too, whatever a crypto wrapper of another package takes.
    key = crypto.load_public_key(certificate.spki)
    if key.algorithm is KeyAlgorithm.RSA:
        bits = rsa_modulus_bits(certificate.spki)
        if bits < _SMALLEST_RSA:
            raise UnsupportedError(f"peer certificate key: got {bits} RSA bits, expected at least {_SMALLEST_RSA}")
    try:
        key.verify(require_signature_algorithm(certificate), certificate.signature, certificate.tbs)
    except SignatureError as error:
        raise CertificateChainError(f"peer certificate self-signature: {error.message}") from error
    # (3) Extensions: a critical one must be known (RFC 5280 4.2); a purpose, when there is one, must be TLS.
    for oid, extension in certificate.extensions.items():
        if extension.critical and oid not in _KNOWN_EXTENSIONS:
            raise CertificateChainError(f"peer certificate extension {oid}: critical and unknown")
    purposes = certificate.extensions.get(_EXTENDED_KEY_USAGE)
    if purposes is not None and not _TLS_PURPOSES & _purposes(purposes.value):
        raise CertificateChainError("peer certificate extKeyUsage: neither serverAuth nor clientAuth")
    # (4) Validity, with bounded skew.
    skew = timedelta(seconds=clock_skew_seconds)
    validity = f"{time_text(certificate.not_before)} to {time_text(certificate.not_after)}"
    # The skew is applied to this side's time: the peer's dates may stand at the end of what a date can be.
    if now + skew < certificate.not_before or now - skew > certificate.not_after:
        raise FreshnessError(f"peer certificate validity: got now {time_text(now)}, expected {validity}")
    return (
        Check(
            id="certificate.self_signature",
            stage=Stage.KEY_BINDING,
            source="RFC 5280 4.1.1.3; key in use",
            expected="signature by the certificate's own key",
            got="it verifies",
        ),
        Check(
            id="certificate.extensions",
            stage=Stage.KEY_BINDING,
            source="RFC 5280 4.2",
            expected="nothing critical that is unknown, and a TLS purpose when there is any",
            got=f"{len(certificate.extensions)} extensions",
        ),
        Check(
            id="certificate.validity",
            stage=Stage.KEY_BINDING,
            source="RFC 5280 4.1.2.5",
            expected=validity,
            got=time_text(now),
        ),
    )


def verify_certificate_key_binding(
    attested: AttestedCertificate, report_data: bytes, crypto: CryptoWrapper
) -> tuple[Check, ...]:
    """Verify that Evidence with `report_data` is bound to the certificate's key.

    Args:
        attested: the certificate.
        report_data: 64 bytes out of the decoded Evidence itself.
        crypto: hashes.

    Raises:
        BindingError: pubkey-hash is not of this key, or report_data not of this claims-buffer.
    """
    # (1) pubkey-hash over the SubjectPublicKeyInfo as it stands in this certificate.
    if attested.pubkey_hash is None:
        raise BindingError("pubkey-hash: absent")
    algorithm, digest = attested.pubkey_hash
    expected = crypto.digest(algorithm, attested.certificate.spki)
    if not hmac.compare_digest(expected, digest):
        raise BindingError(f"pubkey-hash ({algorithm.value}): got {digest.hex()}, expected {expected.hex()}")
    # (2) report_data over the claims-buffer as received, all 64 bytes.
    wanted = certificate_report_data(attested.claims_buffer)
    if not equal_report_data(wanted, report_data):
        raise BindingError(f"report_data: got {shorten(report_data, 128)}, expected {shorten(wanted, 128)}")
    return (
        Check(
            id="binding.pubkey_hash",
            stage=Stage.KEY_BINDING,
            source="Interoperable RA-TLS, pubkey-hash",
            expected=expected.hex(),
            got=digest.hex(),
        ),
        Check(
            id="binding.report_data",
            stage=Stage.KEY_BINDING,
            source="Interoperable RA-TLS, report data",
            expected=shorten(wanted),
            got=shorten(report_data),
        ),
    )


def _purposes(value: bytes) -> frozenset[bytes]:
    """Give the object identifiers in extKeyUsage (RFC 5280 4.2.1.12). Raises DecodeError."""
    structure = "ExtKeyUsage"
    return frozenset(
        item.content
        for sequence in read_elements(value, structure, limit=1)
        for item in read_sequence(sequence, structure)
        if item.tag == OBJECT_IDENTIFIER
    )
