"""Judges the peers of one Context: appraisal, look-up of what it misses, the application's say, report-only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from rats_tls._version import RELEASED
from rats_tls.appraisal import Appraiser
from rats_tls.channel import AppraisalNeeded
from rats_tls.core.binding import Binding
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import AppraisalError, ClockError, RatsTlsError
from rats_tls.core.floors import NO_FLOORS
from rats_tls.core.results import AttestationResult, ConnectionFacts
from rats_tls.lookups import Lookups
from rats_tls.verdicts import Confirm, open_refused, require_confirmed

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_RELEASED = datetime.fromisoformat(RELEASED).replace(tzinfo=UTC)


def _milliseconds_since(begun: float) -> float:
    return (time.monotonic() - begun) * 1000


def system_time() -> datetime:
    """Give the time of the system's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJudge:
    """Judges the peers of connections. Thread-safe.

    Attributes:
        appraiser: applies the policy.
        lookups: finds what an appraisal misses; None where nothing is looked up.
        confirm: the application's own say, or None.
        opens_refused: whether what a report-only policy refuses is opened.
        tls_wrapper: name and version, for results.
        clock: gives the time, aware.
    """

    appraiser: Appraiser
    lookups: Lookups | None
    confirm: Confirm | None
    opens_refused: bool
    tls_wrapper: str
    clock: Callable[[], datetime]

    def recall(self, needed: AppraisalNeeded) -> AttestationResult | None:
        """Give the result of an appraisal of the same certificate that still holds, or None.

        None too where `confirm` has a say: that may take its time, and is asked by `appraise`. A clock that was put
        back recalls nothing: no result holds before it was made, nor under floors that rose since.
        """
        if self.confirm is not None:
            return None
        more = self.lookups.remembered(needed.certificate) if self.lookups is not None else ()
        result = self._ask(self.appraiser.recall_certificate, needed, self.clock(), more)
        if result is not None:
            _log.debug("peer accepted: its certificate was judged before, at %s", time_text(result.judged_at))
        return result

    def appraise(self, needed: AppraisalNeeded, *, may_wait: bool = True) -> AttestationResult:
        """Judge the peer of a connection, and have the application confirm.

        The result may refuse the peer where `opens_refused` is set and the policy is report-only.

        Args:
            needed: what is to be judged.
            may_wait: whether Endorsements that are not at hand may be fetched.

        Raises:
            RatsTlsError: to refuse it.
            FetchNeededError: Endorsements would have to be fetched, and may not.
        """
        now = self.clock()
        self._require_released(now)
        facts = needed.facts
        given = ", ".join(item.kind.value for item in needed.endorsements) or "none"
        _log.debug("peer is judged: %s %s, Endorsements from it: %s", facts.version, facts.cipher, given)
        appraise = partial(self._ask, self.appraiser.appraise_certificate, needed, now)
        begun = time.monotonic()
        try:
            if self.lookups is None:
                result = appraise(())
            else:
                result = self.lookups.judge(needed.certificate, appraise, now, may_wait=may_wait)
        except RatsTlsError as error:
            _log.debug("peer refused after %.0f ms: %s", _milliseconds_since(begun), error.refusal.label)
            if not isinstance(error, AppraisalError) or not self.opens_refused:
                raise
            result = open_refused(error)
        else:
            _log.debug("peer accepted after %.0f ms: entry %r", _milliseconds_since(begun), result.policy_entry)
        if self.confirm is not None:
            require_confirmed(self.confirm, result, needed)
        return result

    def _require_released(self, now: datetime) -> None:
        """Require that the clock is not behind the release of this version. Raises ClockError.

        A clock that the caller gives is not held to the day of the release: it may tell another time on purpose.
        """
        if self.clock is system_time and now < _RELEASED:
            raise ClockError(
                f"clock is behind: got {time_text(now)}, expected at least {time_text(_RELEASED)}, when this version "
                "of rats-tls was released"
            )

    def _ask(
        self, judgement: Callable[..., _T], needed: AppraisalNeeded, now: datetime, more: tuple[Endorsement, ...]
    ) -> _T:
        return judgement(
            needed.certificate,
            now=now,
            possession_proved=needed.binding is not Binding.NONE,
            preamble=needed.preamble,
            peer_endorsements=(*needed.endorsements, *more),
            floors=self.lookups.floors if self.lookups is not None else NO_FLOORS,
            connection=ConnectionFacts(tls=needed.facts, tls_wrapper=self.tls_wrapper),
        )
