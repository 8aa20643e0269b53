"""Fetching what is missing: sources in order, one request in flight for an item, failures remembered."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import DEFAULT_FETCH_LIMITS, FetchLimits
from rats_tls.endorsements.budget import FetchBudget
from rats_tls.endorsements.failures import OUTAGES, RecentFailures
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.source import EndorsementSource, FetchError, FetchProblem, LocalSource

_log = logging.getLogger(__name__)

_MOST_LANDED = 64
_MOST_OUTAGES = 1024
_OUTAGE_SECONDS = 80.0
"""How long after an item was asked for and not given nobody waits for the thread that asks for it again: a source that
is down is asked at least once a minute."""
Suffices = Callable[[MissingEndorsement, tuple[Endorsement, ...]], bool]
"""Whether what a source gave for an item is worth having, or the next source is to be asked too."""
Landed = Callable[[MissingEndorsement, tuple[Endorsement, ...]], None]
"""Takes an answer: what was asked for, and all that came."""
Proved = Callable[[MissingEndorsement], bool]
"""Whether something about the platform of an item was proved before, and is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailure:
    """Why a source did not give an item.

    Attributes:
        item: what was wanted.
        source: the source's name; "" where no source was asked.
        error: why.
    """

    item: MissingEndorsement
    source: str
    error: FetchError


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOutcome:
    """What a look-up gave.

    Attributes:
        found: Endorsements, each once, untrusted.
        missing: items that no source gave.
        failures: in order of asking; also those of an item that another source then gave.
    """

    found: tuple[Endorsement, ...] = ()
    missing: tuple[MissingEndorsement, ...] = ()
    failures: tuple[FetchFailure, ...] = ()

    @property
    def not_given(self) -> tuple[MissingEndorsement, ...]:
        """Missing items that this side's budget did not keep it from asking for: asking again now is of no use."""
        unasked = {failure.item for failure in self.failures if failure.error.problem is FetchProblem.BUDGET}
        return tuple(item for item in self.missing if item not in unasked)

    def __str__(self) -> str:
        return "; ".join(failure.error.message for failure in self.failures if failure.item in self.missing)


@dataclass(frozen=True, slots=True)
class _Answer:
    found: tuple[Endorsement, ...]
    failures: tuple[FetchFailure, ...]
    out_of_time: bool = False
    suffices: bool = False

    def holds_for_another(self, *, authenticated: bool) -> bool:
        """Whether a thread that waited would have got the same: its time is its own, and so may be its budget."""
        refused = not self.found and any(failure.error.problem is FetchProblem.BUDGET for failure in self.failures)
        return not self.out_of_time and not (authenticated and refused)

    @property
    def is_outage(self) -> bool:
        """Whether nothing that will do came because a source is down that was asked just now."""
        down = any(failure.error.problem in OUTAGES and not failure.error.remembered for failure in self.failures)
        return down and not self.suffices and not self.out_of_time


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one call of `Fetcher.fetch` wants; `end` by the fetcher's clock."""

    authenticated: bool
    end: float
    since: int | None
    landed: Landed | None
    suffices: Suffices | None
    proved: Proved | None
    anew: bool


class _Flight:
    """What one thread is fetching and others may wait for."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: _Answer | None = None


class Fetcher:
    """Asks sources for missing items. Blocks; thread-safe; safe to use in a forked child.

    Args:
        sources: asked in this order, until one gives the item.
        budget: what may be fetched for Evidence that nobody has authenticated; made with defaults when left out.
        failures: what is remembered of sources' failures; made with defaults when left out.
        limits: how long a thread waits for another, and how long requests are started for one look-up.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        sources: Iterable[EndorsementSource],
        *,
        budget: FetchBudget | None = None,
        failures: RecentFailures | None = None,
        limits: FetchLimits = DEFAULT_FETCH_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = tuple(sources)
        names = [source.name for source in self._sources]
        self._numbers = tuple(names[:index].count(name) for index, name in enumerate(names))
        self._budget = budget if budget is not None else FetchBudget(clock=clock)
        self._failures = failures if failures is not None else RecentFailures(clock=clock)
        self._seconds = limits.shared_wait_seconds
        self._clock = clock
        self.renew_in_child()
        renew_in_children(self)

    @property
    def sources(self) -> tuple[EndorsementSource, ...]:
        """The sources, in the order of asking."""
        return self._sources

    def renew_in_child(self) -> None:
        """Forget requests in flight: those who make them are not in the child."""
        self._lock = threading.Lock()
        self._flights: dict[MissingEndorsement, _Flight] = {}
        self._landed: OrderedDict[MissingEndorsement, tuple[int, _Answer]] = OrderedDict()
        self._landings = 0
        self._outages: OrderedDict[MissingEndorsement, tuple[float, _Answer]] = OrderedDict()

    @property
    def landings(self) -> int:
        """How many answers have come: taken before it is looked what is at hand, it tells `fetch` what came since."""
        return self._landings

    def fetch(
        self,
        items: Iterable[MissingEndorsement],
        *,
        authenticated: bool,
        since: int | None = None,
        landed: Landed | None = None,
        suffices: Suffices | None = None,
        proved: Proved | None = None,
        anew: bool = False,
    ) -> FetchOutcome:
        """Fetch `items`, one after the other.

        Who comes while an item is asked for again that a source was down for does not wait: it is not given.

        Args:
            items: what is missing; one that is there twice is fetched once.
            authenticated: whether the Evidence that they are for, or the user, stands behind them. If not, the budget
                decides how many requests are made.
            since: `landings` before it was looked what is at hand: what has come since is not asked for again.
            landed: takes each answer before anyone else can ask for the item again.
            suffices: whether an answer will do; any where left out. Where no source's does, all of them are given.
            proved: whether something about the platform of an item was proved before: the budget has a part for these.
            anew: whether sources are asked that were down a moment ago: the refresh has a schedule of its own.

        Returns:
            What was found, and what was not and why. A source's failure is never raised.
        """
        asking = _Asking(authenticated, self._clock() + self._seconds, since, landed, suffices, proved, anew)
        found: dict[Endorsement, None] = {}
        missing: list[MissingEndorsement] = []
        failures: list[FetchFailure] = []
        for item in dict.fromkeys(items):
            answer = self._shared(item, asking)
            found.update(dict.fromkeys(answer.found))
            failures.extend(answer.failures)
            if not answer.found:
                missing.append(item)
            elif authenticated:
                self._budget.learn(item)
        return FetchOutcome(found=tuple(found), missing=tuple(missing), failures=tuple(failures))

    def learn(self, items: Iterable[MissingEndorsement]) -> None:
        """Take the platforms that `items` are about for known: what was given for them was proved."""
        for item in items:
            self._budget.learn(item)

    def _shared(self, item: MissingEndorsement, asking: _Asking) -> _Answer:
        """Fetch `item`, or wait for the thread that is fetching it."""
        while (left := asking.end - self._clock()) > 0:
            with self._lock:
                number, known = self._landed.get(item, (0, None))
                if known is not None and asking.since is not None and number > asking.since:
                    return known
                flight = self._flights.get(item)
                leads = flight is None
                if flight is None:
                    flight = self._flights[item] = _Flight()
                elif (outage := self._outage(item)) is not None:
                    return outage
            if leads:
                return self._lead(item, flight, asking)
            if not flight.done.wait(left):
                break
            answer = flight.answer
            if answer is not None and answer.holds_for_another(authenticated=asking.authenticated):
                return answer
        text = f"{item}: not at hand after {self._seconds:.0f} seconds"
        return _failed(item, "", FetchError(text, problem=FetchProblem.UNAVAILABLE))

    def _outage(self, item: MissingEndorsement) -> _Answer | None:
        """Give what came of the last asking, a short while ago, where a source was down."""
        at, answer = self._outages.get(item, (0.0, None))
        return answer if answer is not None and self._clock() - at < _OUTAGE_SECONDS else None

    def _lead(self, item: MissingEndorsement, flight: _Flight, asking: _Asking) -> _Answer:
        try:
            flight.answer = self._ask(item, asking)
            if asking.landed is not None and flight.answer.found:
                asking.landed(item, flight.answer.found)
            return flight.answer
        finally:  # also when this thread is interrupted: one of those who wait takes over
            with self._lock:
                if self._flights.get(item) is flight:
                    del self._flights[item]
                if flight.answer is not None and flight.answer.found:
                    self._landings += 1
                    self._landed[item] = (self._landings, flight.answer)
                    self._landed.move_to_end(item)
                    while len(self._landed) > _MOST_LANDED:
                        self._landed.popitem(last=False)
                self._note_outage(item, flight.answer)
            flight.done.set()

    def _note_outage(self, item: MissingEndorsement, answer: _Answer | None) -> None:
        if answer is not None and answer.suffices:
            self._outages.pop(item, None)
        elif answer is not None and answer.is_outage:
            self._outages[item] = (self._clock(), answer)
            self._outages.move_to_end(item)
            while len(self._outages) > _MOST_OUTAGES:
                self._outages.popitem(last=False)

    def _ask(self, item: MissingEndorsement, asking: _Asking) -> _Answer:
        failures: list[FetchFailure] = []
        poor: tuple[Endorsement, ...] = ()
        for source, number in zip(self._sources, self._numbers, strict=True):
            if self._clock() >= asking.end:
                text = f"{source.name}: not asked for {item}, the time for fetching is over"
                error = FetchError(text, problem=FetchProblem.UNAVAILABLE)
                return _Answer(
                    poor, (*failures, FetchFailure(item=item, source=source.name, error=error)), out_of_time=True
                )
            try:
                if not source.serves(item):
                    continue
                if isinstance(source, LocalSource):
                    found = _fetch(source, item)
                else:
                    found = self._request(source, number, item, asking)
            except FetchError as error:
                failures.append(FetchFailure(item=item, source=source.name, error=error))
            except Exception as error:  # a source's defect is its failure, not this side's
                if interrupts(error):
                    raise
                failures.append(FetchFailure(item=item, source=source.name, error=_defect(source, error)))
            else:
                if asking.suffices is None or asking.suffices(item, found):
                    return _Answer(found, tuple(failures), suffices=True)
                poor += found
        if not failures and not poor:
            text = f"{item}: no source serves it"
            return _failed(item, "", FetchError(text, problem=FetchProblem.NOT_FOUND))
        return _Answer(poor, tuple(failures))

    def _request(
        self, source: EndorsementSource, number: int, item: MissingEndorsement, asking: _Asking
    ) -> tuple[Endorsement, ...]:
        """Ask a source that is not at hand, unless what is remembered or the budget speaks against it."""
        key = (source.name, number)
        self._failures.require_worth_asking(key, item, anew=asking.anew)
        if not asking.authenticated:
            proved = asking.proved is not None and asking.proved(item)
            self._budget.spend(source.name, item, number=number, proved=proved)
        begun = self._clock()
        try:
            found = _fetch(source, item)
        except FetchError as error:
            taken = (self._clock() - begun) * 1000
            _log.debug("%s did not give %s after %.0f ms: %s", source.name, item, taken, error.problem.value)
            self._failures.note(key, item, error)
            raise
        except Exception as error:
            if interrupts(error):
                raise
            failed = _defect(source, error)
            self._failures.note(key, item, failed)
            raise failed from error
        _log.debug("%s gave %s after %.0f ms", source.name, item, (self._clock() - begun) * 1000)
        self._failures.forget(key, item)
        return found


def _fetch(source: EndorsementSource, item: MissingEndorsement) -> tuple[Endorsement, ...]:
    found = tuple(source.fetch(item))
    if not any(endorsement.kind is item.kind for endorsement in found):
        raise FetchError(f"{source.name}: gave nothing of the kind of {item}", problem=FetchProblem.MALFORMED)
    return found


def _failed(item: MissingEndorsement, source: str, error: FetchError) -> _Answer:
    return _Answer((), (FetchFailure(item=item, source=source, error=error),))


def _defect(source: EndorsementSource, error: Exception) -> FetchError:
    failed = FetchError(f"{source.name}: failed: {type(error).__name__}: {error}", problem=FetchProblem.UNAVAILABLE)
    failed.__cause__ = error
    return failed
