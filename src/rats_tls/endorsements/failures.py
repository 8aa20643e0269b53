"""What sources did not give lately, so that they are not asked for it again and again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.source import FetchError, FetchProblem

OUTAGES = frozenset({FetchProblem.UNAVAILABLE, FetchProblem.MALFORMED})
"""Failures of a service, whatever it is asked for: they pass, and nobody says when."""


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    problem: FetchProblem
    until: float
    times: int = 1


class RecentFailures:
    """Remembers that a source has no such item, is down, or asked to be left alone. Thread-safe; bounded.

    An item that a source does not have is not asked for again for a time. One that it could not give because it is down
    or answers nonsense is not for a short time, twice as long after each further failure, until it gives it. A source
    that throttles is asked for nothing until its Retry-After is over, or for a time where it gave none.

    Sources are told apart by whatever names them to the caller: two of one name are two.

    Args:
        not_found_seconds: how long an item that does not exist is remembered.
        outage_seconds: how long an item is at first that a source failed to give.
        longest_outage_seconds: and at most; a service that is back is asked again within that time.
        throttled_seconds: how long a source is left alone that does not say.
        longest_seconds: longest Retry-After that is kept to.
        limit: most items remembered; the oldest go first.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        *,
        not_found_seconds: float = 300.0,
        outage_seconds: float = 5.0,
        longest_outage_seconds: float = 60.0,
        throttled_seconds: float = 60.0,
        longest_seconds: float = 3600.0,
        limit: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._not_found_seconds = not_found_seconds
        self._outage_seconds = outage_seconds
        self._longest_outage_seconds = longest_outage_seconds
        self._throttled_seconds = throttled_seconds
        self._longest_seconds = longest_seconds
        self._limit = limit
        self._clock = clock
        self._items: OrderedDict[tuple[Hashable, MissingEndorsement], _Failure] = OrderedDict()
        self._sources: dict[Hashable, _Failure] = {}
        self.renew_in_child()
        renew_in_children(self)

    def __len__(self) -> int:
        return len(self._items)

    def renew_in_child(self) -> None:
        """Make a new lock: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()

    def note(self, source: Hashable, item: MissingEndorsement, error: FetchError) -> None:
        """Remember `error`, if it is of a kind that is remembered."""
        now = self._clock()
        if error.problem is FetchProblem.THROTTLED:
            seconds = self._throttled_seconds if error.retry_after is None else error.retry_after
            failure = _Failure(error.message, error.problem, now + min(seconds, self._longest_seconds))
            with self._lock:
                known = self._sources.get(source)
                if known is None or known.until < failure.until:
                    self._sources[source] = failure
            return
        if error.problem is not FetchProblem.NOT_FOUND and error.problem not in OUTAGES:
            return
        with self._lock:
            times = self._times(self._items.get((source, item)), now) if error.problem in OUTAGES else 1
            # Of an outage that lasts for days the exponent would overflow.
            outage = min(self._outage_seconds * 2 ** min(times - 1, 20), self._longest_outage_seconds)
            seconds = outage if error.problem in OUTAGES else self._not_found_seconds
            self._items[source, item] = _Failure(error.message, error.problem, now + seconds, times)
            self._items.move_to_end((source, item))
            while len(self._items) > self._limit:
                self._items.popitem(last=False)

    def _times(self, known: _Failure | None, now: float) -> int:
        """How often in a row an item was not given, this time included."""
        if known is None or known.problem not in OUTAGES or now - known.until > self._longest_outage_seconds:
            return 1
        return known.times + 1

    def forget(self, source: Hashable, item: MissingEndorsement) -> None:
        """Forget the failures of `item`: `source` has just given it."""
        with self._lock:
            self._items.pop((source, item), None)

    def require_worth_asking(self, source: Hashable, item: MissingEndorsement, *, anew: bool = False) -> None:
        """Require that nothing remembered speaks against asking `source` for `item`.

        Args:
            source: the source.
            item: what it would be asked for.
            anew: whether an outage is passed over, by who has a schedule of its own.

        Raises:
            FetchError: as remembered; of a source that throttles with the seconds that are left.
        """
        now = self._clock()
        with self._lock:
            failure = self._sources.get(source)
            if failure is not None and failure.until <= now:
                del self._sources[source]
                failure = None
            if failure is None:
                failure = self._items.get((source, item))
            if failure is None:
                return
            if failure.problem in OUTAGES and (anew or failure.until <= now):
                return  # it is kept: another failure is one more in a row
            if failure.until <= now:
                del self._items[source, item]
                return
        left = failure.until - now
        raise FetchError(
            f"{failure.message} (remembered for {left:.0f} more seconds)",
            problem=failure.problem,
            retry_after=left if failure.problem is FetchProblem.THROTTLED else None,
            remembered=True,
        )
