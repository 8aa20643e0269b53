"""What ties Evidence to its peer: the certificate's key, or the report_data that a caller expected."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rats_tls.appraisal_checks import Subject, not_bound
from rats_tls.certificates.binding import verify_certificate_key_binding, verify_peer_certificate
from rats_tls.core.binding import Binding, equal_report_data
from rats_tls.core.checks import Check, Stage, shorten
from rats_tls.core.errors import BindingError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.verification import DecodedEvidence


def as_bound(subject: Subject, decoded: DecodedEvidence | None) -> Subject:
    """Give the subject as its Evidence can bind it: where that has no report_data, nothing is bound to it.

    What the certificate's claims-buffer says is then anybody's word: custom claims and issued-at do not count.
    """
    if decoded is None or decoded.report_data is not None or subject.attested is None:
        return subject
    return replace(subject, binding=Binding.NONE, attested=replace(subject.attested, custom_claims={}, issued_at=None))


def verify_binding(
    subject: Subject, decoded: DecodedEvidence | None, crypto: CryptoWrapper, *, now: datetime, skew_seconds: float
) -> tuple[Check, ...]:
    """Verify what ties Evidence to its peer, and the peer's own certificate; give the checks.

    Args:
        subject: Evidence with all that is known about how it is bound.
        decoded: what it decodes to; None without Evidence.
        crypto: crypto wrapper.
        now: time of judgement.
        skew_seconds: how far in the future the certificate's notBefore may lie.

    Raises:
        BindingError: not bound to this key, or to the report_data that the caller expected.
        CertificateChainError: the certificate is not sound.
        ExpiredError: it is not in date.
    """
    attested = subject.attested
    if attested is not None:
        checks = verify_peer_certificate(attested.certificate, crypto, now=now, clock_skew_seconds=skew_seconds)
        if decoded is not None and decoded.report_data is None:
            return (*checks, not_bound(f"Evidence of {decoded.claims.tee_type} has no report_data"))
        if decoded is not None and decoded.report_data is not None:
            checks += verify_certificate_key_binding(attested, decoded.report_data, crypto)
        if subject.binding is Binding.NONE:
            checks += (not_bound("the peer has not proved that it holds the certificate's key"),)
        return checks
    if subject.expected_report_data is None and decoded is not None and decoded.report_data is None:
        return (not_bound(f"Evidence of {decoded.claims.tee_type} has no report_data"),)
    if subject.expected_report_data is None:
        unproved = decoded.unproved_unbound if decoded is not None else ""
        return (not_bound("no expected report_data was given" + (f"; {unproved}" if unproved else "")),)
    report_data = decoded.report_data if decoded is not None else None
    if report_data is None or not equal_report_data(subject.expected_report_data, report_data):
        got = shorten(report_data, 128) if report_data is not None else "none"
        raise BindingError(f"report_data: got {got}, expected {shorten(subject.expected_report_data, 128)}")
    return (
        Check(
            id="binding.report_data",
            stage=Stage.KEY_BINDING,
            source="caller's expected report_data",
            expected=shorten(subject.expected_report_data),
            got=shorten(report_data),
        ),
    )
