"""What the verification of one quote has found so far."""

from __future__ import annotations

from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.core.errors import EndorsementMissingError, RatsTlsError
from rats_tls.core.verification import Problem


class Stop(Exception):  # noqa: N818  # ends the steps; not an error of its own
    """Verification ends here: a problem that is neither a missing Endorsement nor a revocation list was noted."""


class CheckLog:
    """Checks and problems in the order in which they come up."""

    __slots__ = ("checks", "problems")

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.problems: list[Problem] = []

    def passed(
        self, check_id: str, stage: Stage, source: str, *, expected: str | None = None, got: str | None = None
    ) -> None:
        """Note a check that held."""
        self.checks.append(Check(id=check_id, stage=stage, source=source, expected=expected, got=got))

    def failed(
        self, check_id: str, stage: Stage, source: str, error: RatsTlsError, *, waived_by_revocation: bool = False
    ) -> Stop:
        """Note a check that failed; the caller raises what is returned, or goes on when the policy may waive it."""
        self.checks.append(Check(id=check_id, stage=stage, source=source, verdict=Verdict.FAILED, note=error.message))
        self.problems.append(Problem(stage=stage, error=error, waived_by_revocation=waived_by_revocation))
        return Stop()

    def not_checked(self, check_id: str, stage: Stage, source: str, note: str) -> None:
        """Note a check that could not be done."""
        self.checks.append(Check(id=check_id, stage=stage, source=source, verdict=Verdict.NOT_CHECKED, note=note))

    def missing(
        self,
        check_id: str,
        stage: Stage,
        source: str,
        item: MissingEndorsement,
        *,
        why: str = "",
        waived_by_revocation: bool = False,
    ) -> None:
        """Note a check that could not be done because `item` is not there; `why` tells of unusable copies."""
        message = f"Endorsement missing: {item}" + (f"; {why}" if why else "")
        self.not_checked(check_id, stage, source, message)
        self.problems.append(
            Problem(
                stage=stage,
                error=EndorsementMissingError(message, missing=(item,)),
                missing=item,
                waived_by_revocation=waived_by_revocation,
            )
        )
