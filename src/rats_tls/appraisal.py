"""The one judgement: Evidence, binding, Endorsements, policy and time give an AttestationResult or an error.

Order of judgement, for every TEE: decode, evidence signature, key binding, vendor chain, revocation, TCB, freshness,
policy. A failure of an earlier stage is reported before one of a later stage; missing Endorsements are reported after
every check that needs none; mismatches of the policy are reported all at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rats_tls.appraisal_binding import as_bound, verify_binding
from rats_tls.appraisal_checks import (
    BINDING_NOTES,
    PROFILES,
    Subject,
    evidence_age,
    failed_check,
    missing_error,
    oldest_use,
    policy_error,
    require_fresh,
    uncovered,
    unproved,
    unread,
)
from rats_tls.appraisal_expiry import (
    ends_of_endorsements,
    grace_check,
    in_grace,
    known_of_endorsements,
    require_not_rolled_back,
    sort_problems,
    with_all_endorsements,
)
from rats_tls.appraisal_memory import AppraisalMemory
from rats_tls.appraisal_verifiers import choose_verifier, tee_type_of, verify_with
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.anchors import TrustAnchor, anchors_digest
from rats_tls.core.binding import REPORT_DATA_SIZE, Binding
from rats_tls.core.checks import Check, Mismatch, Stage, shorten
from rats_tls.core.claims import TeeClaims
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    ConfigurationError,
    ExpiredError,
    InternalError,
    RatsTlsError,
    TcbLevelError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.floors import NO_FLOORS, Floors
from rats_tls.core.interfaces import CryptoWrapper, Verifier
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import _APPRAISAL_SEAL, AttestationResult, ConnectionFacts
from rats_tls.core.verification import Problem, Verification
from rats_tls.policy import Entry, Evaluation, Facts, Policy


@dataclass(slots=True)
class _Found:
    """What one judgement has found so far: an error takes it along."""

    checks: list[Check] = field(default_factory=list)
    claims: TeeClaims | None = None
    verification: Verification | None = None


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
        self._memory = AppraisalMemory(limits.cached_appraisals)

    @property
    def policy(self) -> Policy:
        """The policy that judges."""
        return self._policy

    @property
    def anchors(self) -> tuple[TrustAnchor, ...]:
        """The trust anchors."""
        return self._anchors

    def appraise_certificate(
        self,
        certificate: bytes,
        *,
        now: datetime,
        possession_proved: bool,
        preamble: bool | None = None,
        peer_endorsements: Iterable[Endorsement] = (),
        floors: Floors = NO_FLOORS,
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
            floors: what counts as rolled back.
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
            AppraisalError: every mismatch of the policy; `reported` holds what a report-only policy passes over.
            InternalError: a Verifier failed in a way of its own.
        """
        endorsements = self._endorsements.with_floors(floors).with_items(peer_endorsements)
        key = self._key(certificate, endorsements, possession_proved=possession_proved, preamble=preamble)
        remembered = self._memory.recall(key, now, connection)
        if remembered is not None:
            return remembered
        try:
            attested = read_attested_certificate(certificate, limits=self._limits)
        except RatsTlsError as error:
            error.checks = failed_check(error, ())
            raise
        subject = Subject(
            evidence=attested.evidence,
            binding=Binding.CERTIFICATE if possession_proved else Binding.NONE,
            attested=attested,
            possession_proved=possession_proved,
            preamble=preamble,
        )
        result = self._judge(subject, endorsements.with_items(attested.endorsements), now, connection)
        self._memory.keep(key, result)
        return result

    def recall_certificate(
        self,
        certificate: bytes,
        *,
        now: datetime,
        possession_proved: bool,
        preamble: bool | None = None,
        peer_endorsements: Iterable[Endorsement] = (),
        floors: Floors = NO_FLOORS,
        connection: ConnectionFacts | None = None,
    ) -> AttestationResult | None:
        """Give what `appraise_certificate` would give without judging again, or None. Takes no time to speak of."""
        endorsements = self._endorsements.with_floors(floors).with_items(peer_endorsements)
        key = self._key(certificate, endorsements, possession_proved=possession_proved, preamble=preamble)
        return self._memory.recall(key, now, connection)

    def _key(
        self, certificate: bytes, endorsements: Endorsements, *, possession_proved: bool, preamble: bool | None
    ) -> tuple[object, ...]:
        """Give everything that the verdict depends on but the time, which is compared on every use.

        Source: docs/rules-of-trust.md, 12.
        """
        return (
            hashlib.sha256(certificate).digest(),
            self._policy.digest,
            endorsements.digest,
            self._anchors_digest,
            self._crypto_text,
            possession_proved,
            preamble,
        )

    def appraise_evidence(
        self,
        evidence: Evidence,
        *,
        now: datetime,
        expected_report_data: bytes | None = None,
        peer_endorsements: Iterable[Endorsement] = (),
        floors: Floors = NO_FLOORS,
    ) -> AttestationResult:
        """Appraise Evidence outside a channel.

        Args:
            evidence: the Evidence.
            now: time of judgement, aware.
            expected_report_data: the 64 bytes that it must carry; None judges it with `binding: none`, which the
                policy must list.
            peer_endorsements: Endorsements that came with it.
            floors: what counts as rolled back.

        Raises:
            ConfigurationError: `expected_report_data` is not 64 bytes long.
            RatsTlsError: as `appraise_certificate`.
        """
        if expected_report_data is not None and len(expected_report_data) != REPORT_DATA_SIZE:
            raise ConfigurationError(
                f"expected report_data: got {len(expected_report_data)} bytes, expected {REPORT_DATA_SIZE}"
            )
        subject = Subject(
            evidence=evidence,
            binding=Binding.NONE if expected_report_data is None else Binding.REPORT_DATA,
            expected_report_data=expected_report_data,
        )
        endorsements = self._endorsements.with_floors(floors).with_items(peer_endorsements)
        return self._judge(subject, endorsements, now, None)

    # --- the judgement -------------------------------------------------------------------------------------------
    def _judge(
        self, subject: Subject, endorsements: Endorsements, now: datetime, connection: ConnectionFacts | None
    ) -> AttestationResult:
        found = _Found()
        try:
            return self._judge_in_order(subject, endorsements, now, connection, found)
        except RatsTlsError as error:
            if not error.checks:
                checks = sorted(found.checks, key=lambda check: check.stage)
                error.checks = (*checks, *failed_check(error, checks))
            error.claims = found.claims
            if found.verification is not None and isinstance(error, AppraisalError | TcbLevelError):
                error.anchor, error.endorsements = found.verification.anchor, found.verification.endorsements_used
            raise
        except Exception as error:  # of a plug-in: crypto wrapper, or a Verifier that gives something else
            if interrupts(error):
                raise
            raise InternalError(
                f"appraisal failed: {type(error).__name__}: {error}", refusal=Refusal.VERIFIER_FAILED
            ) from error

    def _judge_in_order(
        self,
        subject: Subject,
        endorsements: Endorsements,
        now: datetime,
        connection: ConnectionFacts | None,
        found: _Found,
    ) -> AttestationResult:
        checks = found.checks
        # (1) Decode.
        tee_type = tee_type_of(subject.evidence)
        verifier = choose_verifier(self._policy, self._verifiers, tee_type, subject.evidence)
        decoded, verification = verify_with(
            verifier,
            subject.evidence,
            endorsements,
            anchors=self._anchors,
            crypto=self._crypto,
            now=now,
            limits=self._limits,
        )
        if verification.claims.tee_type is not tee_type:
            raise InternalError(
                f"Verifier {verifier.name}: got claims of {verification.claims.tee_type}, expected {tee_type}",
                refusal=Refusal.VERIFIER_FAILED,
            )
        found.claims, found.verification = verification.claims, verification
        subject = as_bound(subject, decoded)
        checks.extend(verification.checks)
        if decoded is not None and decoded.not_covered:
            checks.append(uncovered(decoded.not_covered))
        if subject.attested is not None and any(subject.attested.trailing_bytes):
            checks.append(unread(subject.attested.trailing_bytes))
        require_not_rolled_back(verification, endorsements.floors)
        problems = sort_problems(self._policy, tee_type, verification.problems, now)
        # (2) Evidence signature.
        _raise_first(problems.hard, Stage.EVIDENCE_SIGNATURE)
        # (3) Key binding.
        skew = self._limits.clock_skew_seconds
        checks.extend(verify_binding(subject, decoded, self._crypto, now=now, skew_seconds=skew))
        # (4) Vendor chain, (5) revocation, (6) TCB: what is there and wrong.
        _raise_first(problems.hard, Stage.POLICY)
        # (7) Freshness.
        facts = Facts(
            binding=subject.binding,
            preamble=subject.preamble,
            custom_claims=subject.attested.custom_claims if subject.attested else {},
            evidence_age=evidence_age(subject, now),
            spki_sha256=hashlib.sha256(subject.attested.certificate.spki).digest()
            if subject.attested and subject.possession_proved
            else None,
        )
        facts = known_of_endorsements(facts, verification, now)
        checks.append(require_fresh(self._policy, subject, verification, facts, now=now, skew_seconds=skew))
        # (8) Policy; before it, what is missing.
        if problems.missing:
            raise missing_error(self._policy, problems.missing, verification, facts)
        evaluation = self._policy.evaluate(verification.claims, facts, verified=True)
        if evaluation.accepted is None:
            error = self._refusal(evaluation, problems.lacking, verification, facts)
            if evaluation.reported is not None and isinstance(error, AppraisalError):
                mismatches = tuple(m for m in evaluation.mismatches if m.entry == evaluation.reported.name)
                all_checks = [*checks, *failed_check(error, checks)]
                error.reported = self._result(
                    subject, verification, evaluation.reported, all_checks, mismatches, now=now, connection=connection
                )
            raise error
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
        return self._result(subject, verification, entry, checks, now=now, connection=connection)

    def _refusal(
        self, evaluation: Evaluation, lacking: Sequence[Problem], verification: Verification, facts: Facts
    ) -> RatsTlsError:
        """Give the refusal of claims that no entry accepts: `policy`, unless only Endorsements in date lack."""
        known = replace(with_all_endorsements(facts), endorsements_known=True)
        if not lacking or self._policy.evaluate(verification.claims, known, verified=True).accepted is None:
            return policy_error(evaluation.mismatches, missing=lacking)
        stale = next((problem.error for problem in lacking if problem.missing is None), None)
        return stale or missing_error(self._policy, lacking, verification, facts)

    def _result(
        self,
        subject: Subject,
        verification: Verification,
        entry: Entry,
        checks: list[Check],
        mismatches: tuple[Mismatch, ...] = (),
        *,
        now: datetime,
        connection: ConnectionFacts | None,
    ) -> AttestationResult:
        attested = subject.attested
        graced = in_grace(entry, verification, now)
        if graced:
            checks.append(grace_check(entry, graced, now))
        if why := entry.unproved(verification.claims, subject.binding):
            checks.append(unproved(why))
        return AttestationResult(
            submodules={str(verification.claims.tee_type): verification.claims},
            binding=subject.binding,
            binding_note=BINDING_NOTES[subject.binding],
            custom_claims=dict(attested.custom_claims) if attested else {},
            issued_at=attested.issued_at if attested else None,
            judged_at=now,
            certificate_sha256=attested.certificate.sha256 if attested else None,
            spki_sha256=hashlib.sha256(attested.certificate.spki).digest() if attested else None,
            endorsements=(*verification.endorsements_used, *graced),
            valid_from=verification.valid_from,
            valid_until=_earliest(
                verification.valid_until,
                attested.certificate.not_after if attested else None,
                oldest_use(entry, attested.issued_at if attested else None),
                *ends_of_endorsements(entry, verification, graced),
            ),
            anchor=verification.anchor,
            policy_digest=self._policy.digest,
            policy_entry=entry.name,
            crypto=self._crypto_text,
            checks=tuple(sorted(checks, key=lambda check: check.stage)),
            connection=connection,
            profile=PROFILES[subject.preamble],
            mismatches=mismatches,
            seal=_APPRAISAL_SEAL,
        )


def _raise_first(hard: Sequence[Problem], last: Stage) -> None:
    """Raise the first error up to a stage; all that have expired are named together, to be renewed together."""
    errors = [problem.error for problem in hard if problem.stage <= last]
    if not errors:
        return
    messages = dict.fromkeys(error.message for error in errors if isinstance(error, ExpiredError))
    if isinstance(errors[0], ExpiredError) and len(messages) > 1:
        raise ExpiredError("; ".join(messages), refusal=errors[0].refusal)
    raise errors[0]


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
