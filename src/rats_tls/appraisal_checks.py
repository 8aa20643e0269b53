"""Parts of the one judgement that ask no Verifier: age of the Evidence, what is missing, how a refusal reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from rats_tls.appraisal_expiry import with_all_endorsements
from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.core.binding import Binding
from rats_tls.core.checks import UNPROVED_CHECK, Check, Mismatch, Stage, Verdict, time_text
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, FreshnessError, RatsTlsError
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import Problem, Verification
from rats_tls.policy import ANY, Entry, Evaluation, Facts, Policy

BINDING_NOTES = {
    Binding.CERTIFICATE: "bound to the TLS key, not to this connection: whoever holds a stolen TLS key can relay it",
    Binding.SESSION: "bound to this TLS connection",
    Binding.REPORT_DATA: "bound to the report_data that the caller expected",
    Binding.NONE: "key binding: not checked",
}


PROFILES = {True: "rats-tls/1", False: "interoperable-ra-tls", None: None}
"""What a peer speaks, by whether it spoke the preamble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is judged: Evidence with all that is known about how it is bound."""

    evidence: Evidence | None
    binding: Binding
    attested: AttestedCertificate | None = None
    expected_report_data: bytes | None = None
    preamble: bool | None = None
    possession_proved: bool = False


def require_fresh(
    policy: Policy, subject: Subject, verification: Verification, facts: Facts, *, now: datetime, skew_seconds: float
) -> Check:
    """Hold the Evidence's age against the policy; give the check. Raises FreshnessError."""
    source = "Appraisal Policy, max_evidence_age"
    entries = policy.entries_for(verification.claims.tee_type)
    limits = ", ".join(
        f"{entry.name}: {'any' if entry.max_evidence_age is ANY else f'{entry.max_evidence_age} s'}"
        for entry in entries
    )
    if subject.attested is None or subject.evidence is None:
        return Check(
            id="freshness.evidence_age",
            stage=Stage.FRESHNESS,
            source=source,
            verdict=Verdict.NOT_CHECKED,
            expected=f"at most {limits}",
            note="bare Evidence carries no time; a fresh expected report_data is the caller's",
        )
    issued_at = subject.attested.issued_at
    skew = timedelta(seconds=skew_seconds)
    if issued_at is not None and issued_at > now + skew:
        raise FreshnessError(
            f"issued-at: got {time_text(issued_at)}, later than now ({time_text(now)}) and the allowed skew"
        )
    if not policy.fresh_entries(verification.claims.tee_type, facts):
        age = f"{facts.evidence_age:.0f} s" if isinstance(facts.evidence_age, float) else "unknown (no issued-at)"
        raise FreshnessError(f"Evidence age: got {age}, expected at most {limits}")
    got = f"{facts.evidence_age:.0f} s" if isinstance(facts.evidence_age, float) else "unknown"
    return Check(
        id="freshness.evidence_age",
        stage=Stage.FRESHNESS,
        source=source,
        expected=f"at most {limits}",
        got=got,
        note="issued-at is the attester's own claim" if issued_at is not None else "age accepted as any",
    )


def missing_error(
    policy: Policy, problems: Sequence[Problem], verification: Verification, facts: Facts
) -> RatsTlsError:
    """Give the refusal of an appraisal whose Endorsements are missing.

    It is `policy` when the claims, not authenticated yet, already contradict the policy: nothing needs to be fetched.
    """
    missing = tuple(p.missing for p in problems if p.missing is not None)
    listed = "; ".join(f"{p.missing} ({p.why})" if p.why else str(p.missing) for p in problems if p.missing is not None)
    not_done = tuple(check.id for check in verification.checks if check.verdict is Verdict.NOT_CHECKED)
    # What is missing is listed as missing, not as a mismatch besides; what has expired can be fetched with it.
    known = with_all_endorsements(facts)
    evaluation: Evaluation = policy.evaluate(verification.claims, known, verified=False)
    if evaluation.accepted is None and evaluation.mismatches:
        return policy_error(
            evaluation.mismatches,
            missing_text=listed,
            missing=problems,
            not_done=(*not_done, *evaluation.not_done),
            authenticated=False,
        )
    passed = ", ".join(check.id for check in verification.checks if check.verdict is Verdict.PASSED)
    return EndorsementMissingError(
        f"Endorsements missing: {listed}; checks passed: {passed or 'none'}", missing=missing
    )


def evidence_age(subject: Subject, now: datetime) -> float | Literal["unknown", "not-applicable"]:
    """Give the Evidence's age in seconds, by its issued-at claim."""
    if subject.attested is None or subject.evidence is None:
        return "not-applicable"
    if subject.attested.issued_at is None:
        return "unknown"
    return (now - subject.attested.issued_at).total_seconds()


def oldest_use(entry: Entry, issued_at: datetime | None) -> datetime | None:
    """Give the time at which the Evidence is too old for the entry that accepted it, or None."""
    if issued_at is None or not isinstance(entry.max_evidence_age, int | float):
        return None
    return issued_at + timedelta(seconds=entry.max_evidence_age)


def _not_checked(name: str, stage: Stage, *, source: str, expected: str, note: str) -> Check:
    return Check(id=name, stage=stage, source=source, verdict=Verdict.NOT_CHECKED, expected=expected, note=note)


def uncovered(size: int) -> Check:
    """Give the check that tells of bytes behind the Evidence."""
    return _not_checked(
        "evidence.trailing_bytes",
        Stage.DECODE,
        source="Intel QVL Quote.cpp: bytes behind the signature data are ignored",
        expected="nothing behind the Evidence",
        note=f"{size} bytes behind the Evidence are not covered by its signature, and no part of it",
    )


def unread(sizes: tuple[int, int, int]) -> Check:
    """Give the check that tells of bytes in a certificate that no reader of the format reads."""
    places = ("the Evidence extension's item", "the claims map", "the pubkey-hash item")
    found = ", ".join(f"{size} behind {place}" for size, place in zip(sizes, places, strict=True) if size)
    return _not_checked(
        "certificate.trailing_bytes",
        Stage.DECODE,
        source="C rats-tls writes them; docs/certificate-format.md",
        expected="nothing behind the items",
        note=f"bytes that mean nothing and were not read: {found}",
    )


def unproved(why: str) -> Check:
    """Give the check that says that claims may not be what was signed."""
    return _not_checked(
        UNPROVED_CHECK, Stage.POLICY, source="docs/tees.md", expected="claims that are what was signed", note=why
    )


def not_bound(reason: str) -> Check:
    """Give the check that tells why no key is bound."""
    return _not_checked(
        "binding.key",
        Stage.KEY_BINDING,
        source="RFC 9334 section 10; Interoperable RA-TLS",
        expected="Evidence bound to the peer's key or to expected report_data",
        note=f"key binding: not checked: {reason}",
    )


def policy_error(
    mismatches: tuple[Mismatch, ...],
    *,
    missing_text: str = "",
    missing: Sequence[Problem] = (),
    not_done: tuple[str, ...] = (),
    authenticated: bool = True,
) -> AppraisalError:
    """Give the refusal that names all mismatches at once."""
    text = "; ".join(str(mismatch) for mismatch in mismatches)
    if not authenticated:
        text += "; the Evidence is not authenticated"
    if missing_text:
        text += f"; Endorsements missing: {missing_text}; not done: {', '.join(not_done)}"
    return AppraisalError(
        f"policy: {text}",
        mismatches=mismatches,
        missing=tuple(p.missing for p in missing if p.missing is not None),
        not_done=not_done,
        authenticated=authenticated,
    )


_STAGE_OF_REFUSAL = {
    Refusal.KEY_BINDING: (Stage.KEY_BINDING, "binding", "Evidence bound to this key"),
    Refusal.CERTIFICATE_CHAIN: (Stage.KEY_BINDING, "certificate", "a sound certificate of the peer's own"),
    Refusal.FRESHNESS: (Stage.FRESHNESS, "freshness", "in date, and young enough"),
    Refusal.POLICY: (Stage.POLICY, "policy", "one whole entry that accepts"),
    Refusal.NO_EVIDENCE: (Stage.DECODE, "decode", "Evidence"),
    Refusal.UNSUPPORTED_EVIDENCE: (Stage.DECODE, "decode", "Evidence that is judged here"),
    Refusal.MALFORMED_EVIDENCE: (Stage.DECODE, "decode", "Evidence in its vendor's form"),
}


def failed_check(error: RatsTlsError, checks: Sequence[Check]) -> tuple[Check, ...]:
    """Give the failed check of an error, unless a Verifier has brought it among `checks`."""
    reported = any(check.verdict is Verdict.FAILED and check.got == error.message for check in checks)
    if reported or error.refusal not in _STAGE_OF_REFUSAL:
        return ()
    stage, name, expected = _STAGE_OF_REFUSAL[error.refusal]
    return (
        Check(
            id=name,
            stage=stage,
            source="rats-tls appraisal, docs/architecture.md",
            verdict=Verdict.FAILED,
            expected=expected,
            got=error.message,
        ),
    )
