"""What one verification has found so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.core.errors import EndorsementMissingError, RatsTlsError
from rats_tls.core.verification import EndorsementUse, Problem

VERIFIES = "it verifies"


class Stop(Exception):  # noqa: N818  # ends the steps; not an error of its own
    """Verification ends here: a problem that neither an Endorsement nor the policy can mend was noted."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One check that a Verifier does; equal only to itself.

    Attributes:
        id: stable id.
        stage: its place in the order of judgement.
        source: document and section that demand it.
        expected: what has to be, for people.
    """

    id: str
    stage: Stage
    source: str
    expected: str


class CheckLog:
    """Checks and problems in the order in which they come up."""

    __slots__ = ("checks", "problems")

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.problems: list[Problem] = []

    @property
    def failed_for_good(self) -> bool:
        """Whether a problem was noted that neither an Endorsement nor the policy can mend."""
        return any(
            problem.missing is None and not problem.waived_by_revocation and problem.expired is None
            for problem in self.problems
        )

    def passed(self, step: Step, got: str, *, expected: str | None = None, note: str | None = None) -> None:
        """Note a check that held: what was found, and what was expected where the step cannot say it."""
        self.checks.append(_passed(step, got, expected, note))

    def failed(
        self,
        step: Step,
        error: RatsTlsError,
        *,
        stage: Stage | None = None,
        waived_by_revocation: bool = False,
        note: str | None = None,
        expired: EndorsementUse | None = None,
    ) -> Stop:
        """Note a check that failed.

        The caller raises what is returned, or goes on: when the policy may waive it, or to see what else is wrong.

        Args:
            step: the check.
            error: what was wrong.
            stage: of the failure, where it is not the step's.
            waived_by_revocation: a policy that does not ask for revocation lists may pass over it.
            note: what else the reader should know.
            expired: what a policy may grant a grace, where that it has expired is all that is wrong.
        """
        at = stage or step.stage
        self.checks.append(
            Check(
                id=step.id,
                stage=at,
                source=step.source,
                verdict=Verdict.FAILED,
                expected=step.expected,
                got=error.message,
                note=note,
            )
        )
        self.problems.append(Problem(stage=at, error=error, waived_by_revocation=waived_by_revocation, expired=expired))
        return Stop()

    def not_checked(self, step: Step, note: str) -> None:
        """Note a check that could not be done."""
        self.checks.append(
            Check(
                id=step.id,
                stage=step.stage,
                source=step.source,
                verdict=Verdict.NOT_CHECKED,
                expected=step.expected,
                note=note,
            )
        )

    def missing(
        self, step: Step, item: MissingEndorsement, *, why: str = "", waived_by_revocation: bool = False
    ) -> None:
        """Note a check that could not be done because `item` is not there; `why` tells of unusable copies."""
        message = f"Endorsement missing: {item}" + (f"; {why}" if why else "")
        self.not_checked(step, message)
        self.problems.append(
            Problem(
                stage=step.stage,
                error=EndorsementMissingError(message, missing=(item,)),
                missing=item,
                why=why,
                waived_by_revocation=waived_by_revocation,
            )
        )


@lru_cache(maxsize=512)
def _passed(step: Step, got: str, expected: str | None, note: str | None) -> Check:
    """Make the check; what one connection finds, the next one mostly finds too."""
    return Check(
        id=step.id, stage=step.stage, source=step.source, expected=expected or step.expected, got=got, note=note
    )
