"""A judgement in the order in which people ask about it; how it looks is for those who show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Check, Mismatch, Stage, Verdict, time_text
from rats_tls.core.claims import TeeClaims
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, RatsTlsError
from rats_tls.core.evidence import NAMES_BY_TEE
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import ACCEPTED, AttestationResult
from rats_tls.explanation.tcb import TcbTable, tcb_tables
from rats_tls.policy import Entry, Policy

_ENDED = "not reached: the judgement had ended before it"
_NOTHING_TO_CHECK = "nothing to check at this stage for this TEE"
_NOT_AUTHENTICATED = ("note", "not authenticated: what the Evidence says of itself")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChecks:
    """The checks of one stage, or why there are none.

    Attributes:
        title: the stage's name, for people.
        checks: in the order in which they were done.
        why_none: why nothing was checked; None where something was.
    """

    title: str
    checks: tuple[Check, ...]
    why_none: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was judged, how it came out, and why.

    Attributes:
        subject: what was judged, such as a file's name.
        verdict: "accepted", "refused", or "refused (report-only)".
        label: label of the refusal; "" when accepted.
        reason: one sentence.
        facts: what a reader wants to know besides, as (name, value) pairs.
        mismatches: every policy condition that did not hold.
        missing: Endorsements that were missing, for people.
        not_done: what could not be checked because of them.
        stages: every stage with its checks.
        tcb: the TCB, part by part.
        judged_at: the time of the judgement.
    """

    subject: str
    verdict: str
    label: str
    reason: str
    facts: tuple[tuple[str, str], ...]
    mismatches: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    not_done: tuple[str, ...]
    stages: tuple[StageChecks, ...]
    tcb: tuple[TcbTable, ...]
    judged_at: datetime

    @property
    def accepted(self) -> bool:
        """Whether it was accepted."""
        return self.verdict == ACCEPTED

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks."""
        return tuple(check for stage in self.stages for check in stage.checks)

    @property
    def counts(self) -> str:
        """How many checks came out how."""
        return ", ".join(f"{self.count(verdict)} {verdict.value}" for verdict in Verdict)

    def count(self, verdict: Verdict) -> int:
        """How many checks came out as `verdict`."""
        return sum(check.verdict is verdict for check in self.checks)


def explain_result(result: AttestationResult, *, subject: str, policy: Policy | None = None) -> Explanation:
    """Explain a result, accepted or report-only.

    Args:
        result: the result.
        subject: what was judged, such as a file's name.
        policy: the policy that judged, for the floor of the entry that the result names.
    """
    entries = [entry for entry in policy.entries if entry.name == result.policy_entry] if policy is not None else []
    facts = [("bound by", f"{result.binding.value}: {result.binding_note}")]
    if result.anchor is not None:
        worth = "simulated: proves nothing" if result.anchor.kind is AnchorKind.SIMULATED else result.anchor.kind.value
        facts.append(("anchor", f"{result.anchor.name} ({worth})"))
    if result.issued_at is not None:
        facts.append(("evidence of", f"{time_text(result.issued_at)} (the attester's own claim)"))
    if result.valid_until is not None:
        facts.append(("valid until", time_text(result.valid_until)))
    facts.append(("policy digest", result.policy_digest.hex()))
    facts.append(("crypto", result.crypto))
    return Explanation(
        subject=subject,
        verdict=result.verdict,
        label=Refusal.POLICY.label if result.mismatches else "",
        reason=(
            _not_accepted(result.mismatches)
            if result.mismatches
            else f"accepted by the policy entry {result.policy_entry!r}"
        ),
        facts=(*_tee_facts(result.claims), *facts),
        mismatches=result.mismatches,
        missing=(),
        not_done=(),
        stages=_stages(result.checks, ended=Stage.POLICY),
        tcb=tcb_tables(result.claims, entries),
        judged_at=result.judged_at,
    )


def explain_refusal(
    error: RatsTlsError, *, subject: str, judged_at: datetime, policy: Policy | None = None
) -> Explanation:
    """Explain a refusal.

    Args:
        error: the error that an appraisal raised, or the reading of what it was given.
        subject: what was judged, such as a file's name.
        judged_at: the time of the judgement.
        policy: the policy that judged, for the floors of its entries.
    """
    authentic = isinstance(error, AppraisalError) and error.authenticated
    entries: Sequence[Entry] = ()
    if policy is not None and error.claims is not None:
        entries = policy.entries_for(error.claims.tee_type)
    facts = list(_tee_facts(error.claims))
    if error.claims is not None:
        facts.append(("claims are", "authentic" if authentic else "not authenticated"))
    facts.append(("exit code", str(int(error.refusal.exit_code))))
    if policy is not None:
        facts.append(("policy digest", policy.digest.hex()))
    tables = tcb_tables(error.claims, entries)
    return Explanation(
        subject=subject,
        verdict=error.verdict,
        label=error.refusal.label,
        reason=_reason(error),
        facts=tuple(facts),
        mismatches=error.mismatches if isinstance(error, AppraisalError) else (),
        missing=_missing(error),
        not_done=error.not_done if isinstance(error, AppraisalError) else (),
        stages=_stages(_without_mismatches(error), ended=_end(error)),
        tcb=tables if authentic else tuple(map(_not_authenticated, tables)),
        judged_at=judged_at,
    )


def _reason(error: RatsTlsError) -> str:
    return _not_accepted(error.mismatches) if isinstance(error, AppraisalError) else error.message


def _not_accepted(mismatches: Sequence[Mismatch]) -> str:
    count = len(mismatches)
    return f"the policy does not accept it: {count} mismatch{'es' if count != 1 else ''}"


def _without_mismatches(error: RatsTlsError) -> Sequence[Check]:
    """Give the checks; what the one of the policy says again of every mismatch stands among the mismatches."""
    if not isinstance(error, AppraisalError) or not error.mismatches:
        return error.checks
    return [
        replace(check, got="the mismatches listed above") if check.got == error.message else check
        for check in error.checks
    ]


def _missing(error: RatsTlsError) -> tuple[str, ...]:
    if isinstance(error, AppraisalError | EndorsementMissingError):
        return tuple(map(str, error.missing))
    return ()


def _tee_facts(claims: TeeClaims | None) -> tuple[tuple[str, str], ...]:
    if claims is None:
        return ()
    names = NAMES_BY_TEE.get(claims.tee_type)
    facts = [("TEE", names.title if names is not None else "none: nothing is proved")]
    if getattr(claims, "debug", False):
        facts.append(("debug", "yes: its memory can be read from outside"))
    tcb = getattr(claims, "tcb", None)
    if tcb is not None:
        facts.append(("TCB status", tcb.status.value))
        if tcb.advisories:
            facts.append(("advisories", ", ".join(tcb.advisories)))
    return tuple(facts)


def _not_authenticated(table: TcbTable) -> TcbTable:
    return replace(table, facts=(*table.facts, _NOT_AUTHENTICATED))


def _end(error: RatsTlsError) -> Stage:
    """Give the stage at which a judgement ended: that of the failure, or the last at which something was checked."""
    failed = [check.stage for check in error.checks if check.got == error.message]
    return failed[0] if failed else max((check.stage for check in error.checks), default=Stage.DECODE)


def _stages(checks: Sequence[Check], *, ended: Stage) -> tuple[StageChecks, ...]:
    stages = []
    for stage in Stage:
        found = tuple(check for check in checks if check.stage is stage)
        title = "TCB" if stage is Stage.TCB else stage.name.lower().replace("_", " ")
        why_none = _ENDED if stage > ended or not checks else _NOTHING_TO_CHECK
        stages.append(StageChecks(title=title, checks=found, why_none=None if found else why_none))
    return tuple(stages)
