"""What sources did not give lately, so that they are not asked for it again and again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.source import FetchError, FetchProblem


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    problem: FetchProblem
    until: float


class RecentFailures:
    """Remembers that a source has no such item, and that it asked to be left alone. Thread-safe; bounded.

    An item that a source does not have is not asked for again for a time. A source that throttles is asked for nothing
    until its Retry-After is over, or for a time where it gave none. Other failures are not remembered.

    Args:
        not_found_seconds: how long an item that does not exist is remembered.
        throttled_seconds: how long a source is left alone that does not say.
        longest_seconds: longest Retry-After that is kept to.
        limit: most items remembered; the oldest go first.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        *,
        not_found_seconds: float = 300.0,
        throttled_seconds: float = 60.0,
        longest_seconds: float = 3600.0,
        limit: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._not_found_seconds = not_found_seconds
        self._throttled_seconds = throttled_seconds
        self._longest_seconds = longest_seconds
        self._limit = limit
        self._clock = clock
        self._items: OrderedDict[tuple[str, MissingEndorsement], _Failure] = OrderedDict()
        self._sources: dict[str, _Failure] = {}
        self.renew_in_child()
        renew_in_children(self)

    def __len__(self) -> int:
        return len(self._items)

    def renew_in_child(self) -> None:
        """Make a new lock: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()

    def note(self, source: str, item: MissingEndorsement, error: FetchError) -> None:
        """Remember `error`, if it is of a kind that is remembered."""
        if error.problem is FetchProblem.NOT_FOUND:
            seconds = self._not_found_seconds
        elif error.problem is FetchProblem.THROTTLED:
            seconds = self._throttled_seconds if error.retry_after is None else error.retry_after
            seconds = min(seconds, self._longest_seconds)
        else:
            return
        failure = _Failure(error.message, error.problem, self._clock() + seconds)
        with self._lock:
            if error.problem is FetchProblem.THROTTLED:
                known = self._sources.get(source)
                if known is None or known.until < failure.until:
                    self._sources[source] = failure
                return
            self._items[source, item] = failure
            self._items.move_to_end((source, item))
            while len(self._items) > self._limit:
                self._items.popitem(last=False)

    def require_worth_asking(self, source: str, item: MissingEndorsement) -> None:
        """Require that nothing remembered speaks against asking `source` for `item`.

        Raises:
            FetchError: NOT_FOUND or THROTTLED, as remembered; the latter with the seconds that are left.
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
            if failure.until <= now:
                del self._items[source, item]
                return
        left = failure.until - now
        raise FetchError(
            f"{failure.message} (remembered for {left:.0f} more seconds)",
            problem=failure.problem,
            retry_after=left if failure.problem is FetchProblem.THROTTLED else None,
        )
