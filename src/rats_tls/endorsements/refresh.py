"""Refreshing in the background: what vendors issue anew is fetched again before its end.

So no handshake waits for the network while a valid copy is at hand, and a TCB recovery is seen within a day.
"""

from __future__ import annotations

import logging
import random
import threading
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import DecodeError
from rats_tls.core.verification import EndorsementsVerifier, VerifiedEndorsement
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.shelf import Shelf
from rats_tls.endorsements.store import StoredEndorsement
from rats_tls.formats.endorsement_keys import validity_of

_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
"""Gives the time, aware."""


def system_time() -> datetime:
    """Give the time of the system's clock."""
    return datetime.now(UTC)


LONGEST_AGE = timedelta(hours=24)
"""After which an item is asked for again, however long it is valid: vendors correct and revoke before their dates."""
WARNED_BEFORE = 0.25
"""Part of an item's validity before its end in which it is a warning that a refresh fails or brings nothing newer."""
_FIRST_RETRY, _LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
_LEAST_WAIT = timedelta(seconds=30)
"""Between two requests for one item, however near its end is."""
_LONGEST_SLEEP = 60.0
_LEAST_SLEEP = 0.05


@dataclass(slots=True)
class _Plan:
    """When an item is due, and how often its refresh has failed since it was got."""

    stored: StoredEndorsement
    due: datetime
    failures: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """One item that is kept fresh.

    Attributes:
        stored: the item.
        due: when it is fetched again.
        failures: how often that has failed in a row.
        why: the last failure.
    """

    stored: StoredEndorsement
    due: datetime
    failures: int
    why: str

    def is_late(self, now: datetime) -> bool:
        """Whether the item is in the last part of its validity, and could not be refreshed."""
        return self.failures > 0 and _ends_soon(self.stored, now)


class Refresher:
    """Fetches documents and revocation lists of a shelf anew, in a thread of its own that ends with it.

    An item is due when half of what is left of its validity is over, or a day, whichever comes first, and not within
    half a minute; a little earlier by chance, so that the processes of a fleet do not ask all at once. What another
    process has kept in the same store meanwhile is taken from there. What comes is verified before it is kept. A
    failure is tried again after a minute, and twice as long each further time, at most an hour.

    Args:
        shelf: where items are, and are kept.
        fetcher: asks the sources; not within the budget for unauthenticated Evidence.
        chance: gives numbers from 0 to 1.
        clock: gives the time; one for all, whatever clocks those have who use the shelf.
    """

    def __init__(
        self,
        shelf: Shelf,
        fetcher: Fetcher,
        *,
        chance: Callable[[], float] = random.random,
        clock: Clock = system_time,
    ) -> None:
        self._shelf = shelf
        self._fetcher = fetcher
        self._clock = clock
        self._chance = chance
        self._plans: dict[tuple[bytes, str, str], _Plan] = {}
        self._verifiers: dict[frozenset[bytes], EndorsementsVerifier] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        weakref.finalize(self, self._ended.set)
        renew_in_children(self)

    def renew_in_child(self) -> None:
        """Begin a thread anew when one is needed: the parent's is not in the child."""
        self._lock, self._thread = threading.Lock(), None
        ended, self._ended = self._ended.is_set(), threading.Event()
        weakref.finalize(self, self._ended.set)
        if ended:
            self._ended.set()

    def verify_with(self, verifier: EndorsementsVerifier, anchors: Collection[bytes]) -> None:
        """Refresh what is under `anchors` (fingerprints), verifying it with `verifier`."""
        with self._lock:
            self._verifiers[frozenset(anchors)] = verifier

    def begin(self) -> None:
        """Begin the thread unless it runs."""
        if self._thread is not None or self._ended.is_set():
            return
        with self._lock:
            if self._thread is None:
                name = "rats-tls endorsement refresh"
                self._thread = threading.Thread(
                    target=_run, args=(weakref.ref(self), self._ended), name=name, daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """End the thread, and begin none any more."""
        self._ended.set()

    # --- one round -----------------------------------------------------------------------------------------------
    def refresh_due(self) -> float:
        """Refresh what is due. Gives the seconds until something is, at most a minute."""
        now = self._clock()
        plans = self._updated_plans(now)
        for plan in plans:
            if plan.due <= now and not self._ended.is_set():
                self._refresh(plan)
        soonest = min((plan.due for plan in plans), default=now + timedelta(days=1))
        return min(max((soonest - self._clock()).total_seconds(), _LEAST_SLEEP), _LONGEST_SLEEP)

    @property
    def freshness(self) -> tuple[Freshness, ...]:
        """How it stands with each item."""
        plans = self._updated_plans(self._clock())
        return tuple(Freshness(stored=p.stored, due=p.due, failures=p.failures, why=p.why) for p in plans)

    def _updated_plans(self, now: datetime) -> list[_Plan]:
        with self._lock:
            entries = {
                (stored.anchor, stored.channel, str(stored.item)): stored
                for stored in self._shelf.entries
                if stored.endorsement.kind.is_reissued and self._verifier_for(stored.anchor) is not None
            }
            for key in self._plans.keys() - entries.keys():
                del self._plans[key]
            for key, stored in entries.items():
                plan = self._plans.get(key)
                if plan is None or plan.stored != stored:
                    self._plans[key] = _Plan(stored, self._due(stored, now))
            return list(self._plans.values())

    def _due(self, stored: StoredEndorsement, now: datetime) -> datetime:
        wait = min(LONGEST_AGE, (stored.expires - max(stored.kept, stored.issued)) / 2) * (0.8 + 0.2 * self._chance())
        return min(stored.kept, now) + max(wait, _LEAST_WAIT)

    def _verifier_for(self, anchor: bytes) -> EndorsementsVerifier | None:
        return next((verifier for anchors, verifier in self._verifiers.items() if anchor in anchors), None)

    def _refresh(self, plan: _Plan) -> None:
        stored = plan.stored
        newer = self._shelf.newest(stored)
        if newer is not stored and self._due(newer, self._clock()) > self._clock():
            return  # another process was faster
        why = self._fetch(stored)
        if why is None:
            return
        plan.failures += 1
        plan.why = why
        now = self._clock()
        wait = min(_FIRST_RETRY * 2 ** min(plan.failures - 1, 10), _LONGEST_RETRY) * (0.8 + 0.2 * self._chance())
        left = stored.expires - now
        plan.due = now + (min(wait, max(left / 4, _LEAST_WAIT)) if left > timedelta(0) else wait)
        late = Freshness(stored=stored, due=plan.due, failures=plan.failures, why=why).is_late(now)
        _log.log(
            logging.WARNING if late else logging.INFO,
            "endorsement not refreshed: %s expires at %s: %s",
            stored.item,
            time_text(stored.expires),
            why,
        )

    def _fetch(self, stored: StoredEndorsement) -> str | None:
        """Fetch an item anew, verify and keep it; gives why not, or None."""
        outcome = self._fetcher.fetch(
            (stored.item,),
            authenticated=True,
            suffices=lambda _, found: any(_is_newer(each, stored) for each in found),
            anew=True,
        )
        verifier = self._verifier_for(stored.anchor)
        if outcome.missing or verifier is None:
            return str(outcome)
        now = self._clock()
        why = f"the sources gave nothing about {stored.item} under its anchor"
        good: list[VerifiedEndorsement] = []
        for verified in verifier(outcome.found, now=now, floors=self._shelf.floors):
            if not isinstance(verified, VerifiedEndorsement):
                why = verified.error.message
            elif stored.item in verified.keys and verified.anchor.fingerprint == stored.anchor:
                good.append(verified)
        newest = max(good, key=lambda each: (each.use.issued, each.use.number), default=None)
        if newest is None:
            return why
        if newest.use.issued < stored.issued:
            return f"the sources gave an older one, issued at {time_text(newest.use.issued)}"
        if newest.use.issued == stored.issued and _ends_soon(stored, now):
            _log.warning("endorsement not issued anew yet: %s expires at %s", stored.item, time_text(stored.expires))
        self._shelf.keep([(stored.item, newest.item, newest.use)], newest.anchor, now)
        return None


def _ends_soon(stored: StoredEndorsement, now: datetime) -> bool:
    return stored.expires - now < (stored.expires - stored.issued) * WARNED_BEFORE


def _is_newer(found: Endorsement, stored: StoredEndorsement) -> bool:
    """Whether it says, verified or not, that it was issued later: a source that has the same may be behind others."""
    try:
        return found.kind is stored.item.kind and validity_of(found)[0] > stored.issued
    except DecodeError:
        return False


def _run(refresher: weakref.ref[Refresher], ended: threading.Event) -> None:
    seconds = _LEAST_SLEEP
    while not ended.wait(seconds):
        here = refresher()
        if here is None:
            return
        try:
            seconds = here.refresh_due()
        except Exception:  # noqa: BLE001  # a defect ends one round, not the refreshing
            _log.exception("refresh of endorsements failed")
            seconds = _LONGEST_SLEEP
        del here
