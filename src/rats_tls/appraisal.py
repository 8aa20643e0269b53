"""The one judgement: Evidence, binding, Endorsements, policy and time give an AttestationResult or an error.

Order of judgement, for every TEE: decode, evidence signature, key binding, vendor chain, revocation, TCB, freshness,
policy. A failure of an earlier stage is reported before one of a later stage; missing Endorsements are reported after
every check that needs none; mismatches of the policy are reported all at once.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.certificates.binding import verify_certificate_key_binding, verify_peer_certificate
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.anchors import TrustAnchor, anchors_digest
from rats_tls.core.binding import REPORT_DATA_SIZE, Binding, equal_report_data
from rats_tls.core.checks import Check, Mismatch, Stage, Verdict, shorten
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    ConfigurationError,
    EndorsementMissingError,
    FreshnessError,
    InternalError,
    NoEvidenceError,
    RatsTlsError,
    UnsupportedError,
)
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, Verifier
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import _APPRAISAL_SEAL, AttestationResult, ConnectionFacts
from rats_tls.core.verification import DecodedEvidence, Problem, Verification
from rats_tls.policy import JUDGED_TEE_TYPES, Entry, Evaluation, Facts, Policy

_BINDING_NOTES = {
    Binding.CERTIFICATE: "bound to the TLS key, not to this connection: whoever holds a stolen TLS key can relay it",
    Binding.SESSION: "bound to this TLS connection",
    Binding.REPORT_DATA: "bound to the report_data that the caller expected",
    Binding.NONE: "key binding: not checked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is judged: Evidence with all that is known about how it is bound."""

    evidence: Evidence | None
    binding: Binding
    attested: AttestedCertificate | None = None
    expected_report_data: bytes | None = None
    preamble: bool | None = None


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An accepted appraisal and the time within which it may be given again."""

    result: AttestationResult
    not_before: datetime | None
    not_after: datetime | None


class Appraiser:
    """Judges Evidence against one policy. Thread-safe; remembers accepted certificates (bounded).

    Args:
        policy: the Appraisal Policy; required.
        verifiers: by TEE type. Only those whose type the policy names are used.
        anchors: trust anchors; the vendors' pinned roots unless the caller says otherwise.
        crypto: crypto wrapper that verifies all signatures.
        endorsements: local Endorsements.
        limits: sizes and counts.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        verifiers: Mapping[TeeType, Verifier],
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        endorsements: Endorsements | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        unknown = sorted(str(tee) for tee in policy.tee_types if tee not in verifiers)
        if unknown:
            raise ConfigurationError(f"policy names TEE types without a Verifier here: {', '.join(unknown)}")
        self._policy = policy
        self._verifiers = dict(verifiers)
        self._anchors = tuple(anchors)
        self._anchors_digest = anchors_digest(anchors)
        self._crypto = crypto
        self._crypto_text = f"{crypto.name} ({crypto.version})"
        self._endorsements = endorsements or Endorsements()
        self._limits = limits
        self._remembered: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def policy(self) -> Policy:
        """The policy that judges."""
        return self._policy

    def appraise_certificate(
        self,
        certificate: bytes,
        *,
        now: datetime,
        possession_proved: bool,
        preamble: bool | None = None,
        peer_endorsements: Iterable[Endorsement] = (),
        connection: ConnectionFacts | None = None,
    ) -> AttestationResult:
        """Appraise a certificate that carries Evidence.

        Args:
            certificate: DER as received.
            now: time of judgement, aware.
            possession_proved: whether the peer proved in a TLS handshake that it holds the certificate's key; without
                it the binding is `none`.
            preamble: whether the peer spoke the preamble; None outside a channel.
            peer_endorsements: Endorsements that the peer sent beside the certificate.
            connection: facts of the TLS connection, for the result.

        Returns:
            The AttestationResult; only this class makes one.

        Raises:
            DecodeError: certificate or Evidence malformed.
            UnsupportedError: a format or TEE that nothing here judges.
            NoEvidenceError: no Evidence, and the policy names no `null` entry.
            AuthenticityError: signature, chain, revocation, binding or freshness.
            ExpiredError: certificates or Endorsements outside their validity.
            EndorsementMissingError: Endorsements missing.
            TcbLevelError: no TCB level matches.
            AppraisalError: every mismatch of the policy.
            InternalError: a Verifier failed in a way of its own.
        """
        endorsements = self._endorsements.with_items(peer_endorsements)
        # Rule 12: everything that the verdict depends on; the clock is compared on every use.
        key = (
            hashlib.sha256(certificate).digest(),
            self._policy.digest,
            endorsements.digest,
            self._anchors_digest,
            self._crypto_text,
            possession_proved,
            preamble,
        )
        remembered = self._recall(key, now)
        if remembered is not None:
            return replace(remembered, judged_at=now, connection=connection)
        attested = read_attested_certificate(certificate, limits=self._limits)
        subject = _Subject(
            evidence=attested.evidence,
            binding=Binding.CERTIFICATE if possession_proved else Binding.NONE,
            attested=attested,
            preamble=preamble,
        )
        result, entry = self._judge(subject, endorsements.with_items(attested.endorsements), now, connection)
        self._remember(key, result, entry)
        return result

    def appraise_evidence(
        self,
        evidence: Evidence,
        *,
        now: datetime,
        expected_report_data: bytes | None = None,
        peer_endorsements: Iterable[Endorsement] = (),
    ) -> AttestationResult:
        """Appraise Evidence outside a channel.

        Args:
            evidence: the Evidence.
            now: time of judgement, aware.
            expected_report_data: the 64 bytes that it must carry; None judges it with `binding: none`, which the
                policy must list.
            peer_endorsements: Endorsements that came with it.

        Raises:
            ConfigurationError: `expected_report_data` is not 64 bytes long.
            RatsTlsError: as `appraise_certificate`.
        """
        if expected_report_data is not None and len(expected_report_data) != REPORT_DATA_SIZE:
            raise ConfigurationError(
                f"expected report_data: got {len(expected_report_data)} bytes, expected {REPORT_DATA_SIZE}"
            )
        subject = _Subject(
            evidence=evidence,
            binding=Binding.NONE if expected_report_data is None else Binding.REPORT_DATA,
            expected_report_data=expected_report_data,
        )
        result, _ = self._judge(subject, self._endorsements.with_items(peer_endorsements), now, None)
        return result

    # --- the judgement -------------------------------------------------------------------------------------------
    def _judge(
        self, subject: _Subject, endorsements: Endorsements, now: datetime, connection: ConnectionFacts | None
    ) -> tuple[AttestationResult, Entry]:
        checks: list[Check] = []
        try:
            return self._judge_in_order(subject, endorsements, now, connection, checks)
        except RatsTlsError as error:
            if not error.checks:
                error.checks = (*sorted(checks, key=lambda check: check.stage), *_failed_check(error))
            raise

    def _judge_in_order(
        self,
        subject: _Subject,
        endorsements: Endorsements,
        now: datetime,
        connection: ConnectionFacts | None,
        checks: list[Check],
    ) -> tuple[AttestationResult, Entry]:
        # (1) Decode.
        tee_type = _tee_type(subject.evidence)
        verifier = self._verifier_for(tee_type, subject.evidence)
        decoded, verification = self._verify(verifier, subject.evidence, endorsements, now)
        checks.extend(verification.checks)
        if decoded is not None and decoded.not_covered:
            checks.append(_uncovered(decoded.not_covered))
        hard = sorted(
            (p for p in verification.problems if p.missing is None and not p.waived_by_revocation),
            key=lambda problem: problem.stage,
        )
        # (2) Evidence signature.
        _raise_first(hard, Stage.EVIDENCE_SIGNATURE)
        # (3) Key binding.
        checks.extend(self._verify_binding(subject, decoded, now))
        # (4) Vendor chain, (5) revocation, (6) TCB: what is there and wrong.
        revocation = [p for p in verification.problems if p.waived_by_revocation]
        waived = any(entry.revocation == "not-checked" for entry in self._policy.entries_for(tee_type))
        if not waived:
            hard.extend(p for p in revocation if p.missing is None)
            hard.sort(key=lambda problem: problem.stage)
        _raise_first(hard, Stage.POLICY)
        # (7) Freshness.
        facts = Facts(
            binding=subject.binding,
            preamble=subject.preamble,
            custom_claims=subject.attested.custom_claims if subject.attested else {},
            evidence_age=_evidence_age(subject, now),
            spki_sha256=hashlib.sha256(subject.attested.certificate.spki).digest() if subject.attested else None,
            revocation_checked=not revocation,
        )
        checks.append(self._require_fresh(subject, verification, facts, now))
        # (8) Policy; before it, what is missing.
        missing = [
            p for p in verification.problems if p.missing is not None and not (waived and p.waived_by_revocation)
        ]
        if missing:
            self._refuse_missing(missing, verification, facts)
        evaluation = self._policy.evaluate(verification.claims, facts, verified=True)
        if evaluation.accepted is None:
            raise _policy_error(evaluation.mismatches)
        entry = evaluation.accepted
        checks.append(
            Check(
                id="policy.entry",
                stage=Stage.POLICY,
                source="Appraisal Policy",
                expected=f"one whole entry of policy {shorten(self._policy.digest)}",
                got=f"entry {entry.name!r}",
            )
        )
        result = self._result(subject, verification, entry, checks, now=now)
        return replace(result, connection=connection), entry

    def _verifier_for(self, tee_type: TeeType, evidence: Evidence | None) -> Verifier:
        """Choose the Verifier by the type of the Evidence, among those that the policy names. Never replaced."""
        if evidence is None and TeeType.NULL not in self._policy.tee_types:
            raise NoEvidenceError("peer certificate carries no Evidence: got none, expected an Evidence extension")
        if tee_type not in self._policy.tee_types:
            if tee_type not in JUDGED_TEE_TYPES:
                raise UnsupportedError(f"no Verifier for Evidence of type {tee_type}")
            named = " or ".join(sorted(str(tee) for tee in self._policy.tee_types))
            mismatch = Mismatch(entry="policy", field="tee", got=str(tee_type), expected=named)
            raise _policy_error((mismatch,), authenticated=False)
        return self._verifiers[tee_type]

    def _verify(
        self, verifier: Verifier, evidence: Evidence | None, endorsements: Endorsements, now: datetime
    ) -> tuple[DecodedEvidence | None, Verification]:
        if evidence is None:
            check = Check(
                id="null.evidence",
                stage=Stage.DECODE,
                source="Appraisal Policy, entry for `null`",
                verdict=Verdict.NOT_CHECKED,
                note="the peer sent no Evidence; nothing about it is proved",
            )
            return None, Verification(claims=NullClaims(), checks=(check,))
        if len(evidence.data) > self._limits.evidence:
            raise UnsupportedError(
                f"Evidence: got {len(evidence.data)} bytes, at most {self._limits.evidence} are read",
                refusal=Refusal.MALFORMED_EVIDENCE,
            )
        decoded = _decode(verifier, evidence)
        try:
            verification = verifier.verify(decoded, endorsements, anchors=self._anchors, crypto=self._crypto, now=now)
        except RatsTlsError:
            raise
        except Exception as error:
            raise InternalError(
                f"Verifier {verifier.name} failed: {type(error).__name__}: {error}", refusal=Refusal.VERIFIER_FAILED
            ) from error
        return decoded, verification

    def _verify_binding(self, subject: _Subject, decoded: DecodedEvidence | None, now: datetime) -> tuple[Check, ...]:
        attested = subject.attested
        if attested is not None:
            checks = verify_peer_certificate(
                attested.certificate, self._crypto, now=now, clock_skew_seconds=self._limits.clock_skew_seconds
            )
            if decoded is not None:
                checks += verify_certificate_key_binding(attested, decoded.report_data, self._crypto)
            if subject.binding is Binding.NONE:
                checks += (_not_bound("the peer has not proved that it holds the certificate's key"),)
            return checks
        if subject.expected_report_data is None:
            return (_not_bound("no expected report_data was given"),)
        if decoded is None or not equal_report_data(subject.expected_report_data, decoded.report_data):
            got = shorten(decoded.report_data, 128) if decoded is not None else "none"
            raise BindingError(f"report_data: got {got}, expected {shorten(subject.expected_report_data, 128)}")
        return (
            Check(
                id="binding.report_data",
                stage=Stage.KEY_BINDING,
                source="caller's expected report_data",
                expected=shorten(subject.expected_report_data),
                got=shorten(decoded.report_data),
            ),
        )

    def _require_fresh(self, subject: _Subject, verification: Verification, facts: Facts, now: datetime) -> Check:
        source = "Appraisal Policy, max_evidence_age"
        if subject.attested is None or subject.evidence is None:
            return Check(
                id="freshness.evidence_age",
                stage=Stage.FRESHNESS,
                source=source,
                verdict=Verdict.NOT_CHECKED,
                note="bare Evidence carries no time; a fresh expected report_data is the caller's",
            )
        issued_at = subject.attested.issued_at
        skew = timedelta(seconds=self._limits.clock_skew_seconds)
        if issued_at is not None and issued_at > now + skew:
            raise FreshnessError(
                f"issued-at: got {_text(issued_at)}, later than now ({_text(now)}) and the allowed skew"
            )
        if not self._policy.fresh_entries(verification.claims.tee_type, facts):
            limits = ", ".join(
                f"{entry.name}: {entry.max_evidence_age} s"
                for entry in self._policy.entries_for(verification.claims.tee_type)
            )
            age = f"{facts.evidence_age:.0f} s" if isinstance(facts.evidence_age, float) else "unknown (no issued-at)"
            raise FreshnessError(f"Evidence age: got {age}, expected at most {limits}")
        got = f"{facts.evidence_age:.0f} s" if isinstance(facts.evidence_age, float) else "unknown"
        return Check(
            id="freshness.evidence_age",
            stage=Stage.FRESHNESS,
            source=source,
            got=got,
            note="issued-at is the attester's own claim" if issued_at is not None else "age accepted as any",
        )

    def _refuse_missing(self, problems: list[Problem], verification: Verification, facts: Facts) -> None:
        missing = tuple(p.missing for p in problems if p.missing is not None)
        listed = "; ".join(str(item) for item in missing)
        not_done = tuple(check.id for check in verification.checks if check.verdict is Verdict.NOT_CHECKED)
        # A revocation list that is missing is listed as missing, not as a mismatch besides.
        known = replace(facts, revocation_checked=True)
        evaluation: Evaluation = self._policy.evaluate(verification.claims, known, verified=False)
        if evaluation.accepted is None and evaluation.mismatches:
            raise _policy_error(
                evaluation.mismatches,
                missing_text=listed,
                missing=problems,
                not_done=(*not_done, *evaluation.not_done),
                authenticated=False,
            )
        passed = ", ".join(check.id for check in verification.checks if check.verdict is Verdict.PASSED)
        raise EndorsementMissingError(
            f"Endorsements missing: {listed}; checks passed: {passed or 'none'}", missing=missing
        )

    def _result(
        self,
        subject: _Subject,
        verification: Verification,
        entry: Entry,
        checks: list[Check],
        *,
        now: datetime,
    ) -> AttestationResult:
        attested = subject.attested
        return AttestationResult(
            submodules={str(verification.claims.tee_type): verification.claims},
            binding=subject.binding,
            binding_note=_BINDING_NOTES[subject.binding],
            custom_claims=dict(attested.custom_claims) if attested else {},
            issued_at=attested.issued_at if attested else None,
            judged_at=now,
            certificate_sha256=attested.certificate.sha256 if attested else None,
            spki_sha256=hashlib.sha256(attested.certificate.spki).digest() if attested else None,
            endorsements=verification.endorsements_used,
            valid_from=verification.valid_from,
            valid_until=_earliest(verification.valid_until, attested.certificate.not_after if attested else None),
            anchor=verification.anchor,
            policy_digest=self._policy.digest,
            policy_entry=entry.name,
            crypto=self._crypto_text,
            checks=tuple(sorted(checks, key=lambda check: check.stage)),
            seal=_APPRAISAL_SEAL,
        )

    # --- what is remembered --------------------------------------------------------------------------------------
    def _recall(self, key: tuple[object, ...], now: datetime) -> AttestationResult | None:
        with self._lock:
            remembered = self._remembered.get(key)
            if remembered is None:
                return None
            early = remembered.not_before is not None and now < remembered.not_before
            late = remembered.not_after is not None and now >= remembered.not_after
            if early or late:
                del self._remembered[key]
                return None
            self._remembered.move_to_end(key)
            return remembered.result

    def _remember(self, key: tuple[object, ...], result: AttestationResult, entry: Entry) -> None:
        """Keep an accepted certificate until the earliest expiry of anything that the verdict rests on.

        A result whose Endorsements have no expiry, or whose issued-at lies ahead, is not kept.
        """
        if result.valid_until is None or not result.endorsements:
            return
        not_after = result.valid_until
        if isinstance(entry.max_evidence_age, int | float):
            if result.issued_at is None:
                return
            not_after = min(not_after, result.issued_at + timedelta(seconds=entry.max_evidence_age))
        with self._lock:
            self._remembered[key] = _Remembered(replace(result, connection=None), result.judged_at, not_after)
            while len(self._remembered) > self._limits.cached_appraisals:
                self._remembered.popitem(last=False)


def _tee_type(evidence: Evidence | None) -> TeeType:
    if evidence is None:
        return TeeType.NULL
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
    if names is None:
        raise UnsupportedError(f"Evidence media type {evidence.media_type!r} is not known")
    return names.tee_type


def _decode(verifier: Verifier, evidence: Evidence | None) -> DecodedEvidence:
    if evidence is None:
        return DecodedEvidence(claims=NullClaims(), report_data=b"", structure=None)
    try:
        return verifier.decode(evidence)
    except RatsTlsError:
        raise
    except Exception as error:
        raise InternalError(
            f"Verifier {verifier.name} failed to decode: {type(error).__name__}: {error}",
            refusal=Refusal.VERIFIER_FAILED,
        ) from error


def _raise_first(hard: Sequence[Problem], last: Stage) -> None:
    if hard and hard[0].stage <= last:
        raise hard[0].error


def _evidence_age(subject: _Subject, now: datetime) -> float | Literal["unknown", "not-applicable"]:
    if subject.attested is None or subject.evidence is None:
        return "not-applicable"
    if subject.attested.issued_at is None:
        return "unknown"
    return (now - subject.attested.issued_at).total_seconds()


def _uncovered(size: int) -> Check:
    return Check(
        id="evidence.trailing_bytes",
        stage=Stage.DECODE,
        source="Intel QVL Quote.cpp: bytes behind the signature data are ignored",
        verdict=Verdict.NOT_CHECKED,
        note=f"{size} bytes behind the Evidence are not covered by its signature, and no part of it",
    )


def _not_bound(reason: str) -> Check:
    return Check(
        id="binding.key",
        stage=Stage.KEY_BINDING,
        source="RFC 9334 section 10; Interoperable RA-TLS",
        verdict=Verdict.NOT_CHECKED,
        note=f"key binding: not checked: {reason}",
    )


def _policy_error(
    mismatches: tuple[Mismatch, ...],
    *,
    missing_text: str = "",
    missing: Sequence[Problem] = (),
    not_done: tuple[str, ...] = (),
    authenticated: bool = True,
) -> AppraisalError:
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
    Refusal.KEY_BINDING: (Stage.KEY_BINDING, "binding"),
    Refusal.CERTIFICATE_CHAIN: (Stage.KEY_BINDING, "certificate"),
    Refusal.FRESHNESS: (Stage.FRESHNESS, "freshness"),
    Refusal.POLICY: (Stage.POLICY, "policy"),
    Refusal.NO_EVIDENCE: (Stage.DECODE, "decode"),
    Refusal.UNSUPPORTED_EVIDENCE: (Stage.DECODE, "decode"),
    Refusal.MALFORMED_EVIDENCE: (Stage.DECODE, "decode"),
}


def _failed_check(error: RatsTlsError) -> tuple[Check, ...]:
    """Give the failed check of an error that no Verifier reported (those bring their own)."""
    if error.refusal not in _STAGE_OF_REFUSAL:
        return ()
    stage, name = _STAGE_OF_REFUSAL[error.refusal]
    return (Check(id=name, stage=stage, source="rats-tls appraisal", verdict=Verdict.FAILED, got=error.message),)


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
