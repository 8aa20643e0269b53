"""What a Context does with verdicts: the application's own say, and report-only, which opens what was refused."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable

from rats_tls.channel import AppraisalNeeded
from rats_tls.core.errors import AppraisalError, NotConfirmedError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Mode, Policy

Confirm = Callable[[AttestationResult, AppraisalNeeded], None]
"""The application's own say about a peer that the policy accepted: returns None, or raises to refuse."""

_log = logging.getLogger(__name__)


def require_confirmed(confirm: Confirm, result: AttestationResult, needed: AppraisalNeeded) -> None:
    """Ask the application. Raises NotConfirmedError unless it returns None."""
    try:
        answer: object = confirm(result, needed)  # type: ignore[func-returns-value]  # others may return anything
    except Exception as error:
        if interrupts(error):
            raise
        refusal = NotConfirmedError(f"confirm refused: {str(error) or type(error).__name__}")
        refusal.checks = result.checks
        raise refusal from error
    if answer is not None:
        # False, or an awaitable that nobody awaits: whoever meant "no" by it is not overheard.
        _discard(answer)
        refusal = NotConfirmedError(f"confirm: got {type(answer).__name__}, expected None or an exception")
        refusal.checks = result.checks
        raise refusal


def _discard(answer: object) -> None:
    if inspect.iscoroutine(answer):
        answer.close()


def opens_refused(policy: Policy | None, *, insecure_report_only: bool) -> bool:
    """Whether connections to peers that the policy refuses are opened: by its mode and by the switch; says so loudly.

    Args:
        policy: the policy, if any.
        insecure_report_only: the switch.
    """
    if policy is None or policy.mode is not Mode.REPORT_ONLY:
        return False
    if not insecure_report_only:
        _log.warning("the policy is report-only, and nothing here opens what it refuses: it refuses as any other")
        return False
    _log.warning(
        "INSECURE: report-only: connections are opened to peers that the policy REFUSES for their measurements or TCB "
        "status; do not use this with data that matters"
    )
    return True


def open_refused(error: AppraisalError) -> AttestationResult:
    """Give the result of a refusal that a report-only policy passes over; says so loudly. Raises the refusal if not."""
    result = error.reported
    if result is None:
        raise error
    _log.warning(
        "INSECURE: report-only: the connection is opened although the policy REFUSES the peer: %s",
        "; ".join(str(mismatch) for mismatch in result.mismatches),
    )
    return result
