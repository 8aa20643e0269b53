"""What a Verifier's problems leave to the policy: lists that it may not ask for, and Endorsements in their grace.

A grace is for documents and revocation lists of this side alone. Whatever a Verifier says, no certificate and no copy
that a peer sent counts after its end, and nothing that is forged or revoked is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rats_tls.core.checks import GRACE_CHECK, Check, Stage, Verdict, time_text
from rats_tls.core.endorsements import Origin
from rats_tls.core.errors import AuthenticityError, ExpiredError
from rats_tls.core.evidence import TeeType
from rats_tls.core.floors import Floors
from rats_tls.core.verification import EndorsementUse, Problem, Verification
from rats_tls.policy import Entry, Facts, Policy

_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """A Verifier's problems.

    Attributes:
        hard: what refuses whatever the policy says, the earliest stage first.
        missing: Endorsements that are missing and without which no entry can accept.
        lacking: what some entry may pass over and others may not.
    """

    hard: tuple[Problem, ...]
    missing: tuple[Problem, ...]
    lacking: tuple[Problem, ...]


def sort_problems(policy: Policy, tee_type: TeeType, problems: Sequence[Problem], now: datetime) -> Sorted:
    """Sort problems by what the entries for `tee_type` may pass over."""
    entries = policy.entries_for(tee_type)
    passed = [problem for problem in problems if any(_passes(entry, problem, now) for entry in entries)]
    hard = [
        _with_grace_told(problem, entries, now)
        for problem in problems
        if problem.missing is None and problem not in passed
    ]
    return Sorted(
        hard=tuple(sorted(hard, key=lambda problem: problem.stage)),
        missing=tuple(problem for problem in problems if problem.missing is not None and problem not in passed),
        lacking=tuple(problem for problem in problems if problem.waived_by_revocation or problem in passed),
    )


def _passes(entry: Entry, problem: Problem, now: datetime) -> bool:
    if isinstance(problem.error, AuthenticityError):
        return False  # forged or revoked: whatever else a Verifier says of it
    if problem.waived_by_revocation and entry.revocation == "not-checked":
        return True
    expired = _expired(problem, now)
    return expired is not None and now < _later(expired.expires, entry.endorsement_grace)


def _with_grace_told(problem: Problem, entries: Iterable[Entry], now: datetime) -> Problem:
    """Add to what has expired the graces that have ended too, and when."""
    expired = _expired(problem, now)
    graces = [entry for entry in entries if entry.endorsement_grace]
    if expired is None or not graces or not isinstance(problem.error, ExpiredError):
        return problem
    told = "; ".join(
        f"the grace of entry {entry.name!r}, {entry.endorsement_grace} s, ended at "
        f"{time_text(_later(expired.expires, entry.endorsement_grace))}"
        for entry in graces
    )
    return replace(problem, error=ExpiredError(f"{problem.error.message}; {told}", refusal=problem.error.refusal))


def _expired(problem: Problem, now: datetime) -> EndorsementUse | None:
    """Give the expired Endorsement that a problem is about, if it is one that can have a grace."""
    use = problem.expired
    if use is None or not use.kind.is_reissued or use.origin != Origin.LOCAL.value:
        return None
    return use if use.issued <= now and use.expires <= now else None


def known_of_endorsements(facts: Facts, verification: Verification, now: datetime) -> Facts:
    """Add to `facts` how long Endorsements have expired, how old they are, and whether revocation was checked."""
    expired = [(problem, _expired(problem, now)) for problem in verification.problems]
    late = [use for _, use in expired if use is not None]
    used = [use for use in (*verification.endorsements_used, *late) if use.kind.is_reissued]

    def longest(times: Iterable[tuple[datetime, EndorsementUse]], *, lists: bool) -> tuple[float | None, str]:
        found = [((now - time).total_seconds(), use) for time, use in times if use.kind.is_revocation_list is lists]
        seconds, use = max(found, key=lambda one: one[0], default=(None, None))
        return seconds, use.description if use is not None else ""

    ends, starts = [(use.expires, use) for use in late], [(use.issued, use) for use in used]
    documents_expired_by, expired_document = longest(ends, lists=False)
    lists_expired_by, expired_list = longest(ends, lists=True)
    documents_age, oldest_document = longest(starts, lists=False)
    lists_age, oldest_list = longest(starts, lists=True)
    return replace(
        facts,
        revocation_checked=not any(problem.waived_by_revocation and use is None for problem, use in expired),
        documents_expired_by=documents_expired_by,
        expired_document=expired_document,
        lists_expired_by=lists_expired_by,
        expired_list=expired_list,
        documents_age=documents_age,
        oldest_document=oldest_document,
        lists_age=lists_age,
        oldest_list=oldest_list,
    )


def require_not_rolled_back(verification: Verification, floors: Floors) -> None:
    """Require that no verdict rests on what is below its floor, whatever a Verifier makes of it.

    Raises:
        RolledBackError: it does.
    """
    if verification.anchor is None:
        return
    in_grace = (problem.expired for problem in verification.problems if problem.expired is not None)
    for use in (*verification.endorsements_used, *in_grace):
        error = use.rolled_back(floors, verification.anchor)
        if error is not None:
            raise error


def with_all_endorsements(facts: Facts) -> Facts:
    """Give `facts` as if every Endorsement were there and in date; how old it would be is not known."""
    return replace(
        facts, revocation_checked=True, documents_expired_by=None, lists_expired_by=None, endorsements_known=False
    )


def in_grace(entry: Entry, verification: Verification, now: datetime) -> tuple[EndorsementUse, ...]:
    """Give the expired Endorsements on which the verdict of the entry that accepted rests, each with its end."""
    return tuple(
        replace(use, grace_until=_later(use.expires, entry.endorsement_grace))
        for problem in verification.problems
        if (use := _expired(problem, now)) is not None
        and not (problem.waived_by_revocation and entry.revocation == "not-checked")
    )


def grace_check(entry: Entry, used: Sequence[EndorsementUse], now: datetime) -> Check:
    """Give the check that tells which Endorsements count by the grace of `entry` alone."""
    told = "; ".join(
        f"{use.description} expired at {time_text(use.expires)}, {(now - use.expires).total_seconds():.0f} s ago, and "
        f"counts until {time_text(use.grace_until or use.expires)}"
        for use in used
    )
    return Check(
        id=GRACE_CHECK,
        stage=Stage.POLICY,
        source="Appraisal Policy, endorsement_grace",
        verdict=Verdict.NOT_CHECKED,
        expected="Endorsements in date",
        note=f"{told}, by the grace of entry {entry.name!r}; what was revoked or corrected meanwhile is not known",
    )


def ends_of_endorsements(
    entry: Entry, verification: Verification, graced: Sequence[EndorsementUse]
) -> tuple[datetime, ...]:
    """Give the times at which Endorsements end their grace, or are too old for the entry that accepted."""
    ends = [use.grace_until for use in graced if use.grace_until is not None]
    if isinstance(entry.max_endorsement_age, int):
        ends += [
            _later(use.issued, entry.max_endorsement_age)
            for use in (*verification.endorsements_used, *graced)
            if use.kind.is_reissued and not (use.kind.is_revocation_list and entry.revocation == "not-checked")
        ]
    return tuple(ends)


def _later(time: datetime, seconds: int) -> datetime:
    try:
        return time + timedelta(seconds=seconds)
    except OverflowError:
        return _FOR_EVER
