"""Gives what an appraisal misses: out of memory, out of a store, from sources; and keeps what was proved authentic."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement
from rats_tls.core.errors import (
    ClockError,
    ConfigurationError,
    DecodeError,
)
from rats_tls.core.floors import Floors
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.verification import EndorsementsVerifier, EndorsementUse
from rats_tls.endorsements.budget import platform_of
from rats_tls.endorsements.fetcher import Fetcher, FetchOutcome, Proved, Suffices
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.refresh import Clock, Freshness, Refresher, system_time
from rats_tls.endorsements.shelf import Shelf
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.formats.endorsement_keys import keys_of

_log = logging.getLogger(__name__)

STANDARD = "standard"
_UNPROVED = frozenset(
    {
        EndorsementKind.AMD_VEK,
        EndorsementKind.AMD_SIGNER,
        EndorsementKind.AMD_SEV_SIGNER,
        EndorsementKind.INTEL_PCK_CHAIN,
        EndorsementKind.HYGON_CEK_CHAIN,
    }
)
"""While one of these is missing, nothing in the Evidence is proved: its keys are whatever a peer writes, and so is a
VEK that the peer sends, as long as its signer is missing."""
_MOST_RECENT = 256
_RECENT_SECONDS = 60.0
_RECENT_CERTIFICATE_SECONDS = 3600.0
"""How long an answer that no verdict has rested on yet is given again before its source is asked again: documents and
lists may be issued anew, certificates are the same for ever."""
_CLOCK_TOLERANCE = timedelta(seconds=DEFAULT_LIMITS.clock_skew_seconds)


Pair = tuple[MissingEndorsement, Endorsement]
"""An Endorsement, and what it was looked up by."""


class FetchNeededError(Exception):
    """Sources have to be asked, where the caller cannot wait for them.

    Attributes:
        authenticated: whether they are asked for Evidence that is authenticated.
    """

    def __init__(self, *, authenticated: bool) -> None:
        super().__init__("Endorsements have to be fetched")
        self.authenticated = authenticated


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up gave.

    Attributes:
        items: each with what it was asked by.
        fetched: those that came from a source, and are to be kept when they prove authentic.
        failed: those that sources were asked for and did not give.
        why: what sources said of items that are still missing; "" where nothing was asked.
    """

    items: tuple[Pair, ...]
    fetched: tuple[Pair, ...] = ()
    failed: tuple[MissingEndorsement, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Asking:
    """How sources are asked; see `Fetcher.fetch`."""

    authenticated: bool
    since: int
    suffices: Suffices
    proved: Proved


class EndorsementService:
    """Looks up Endorsements for appraisals, and keeps them fresh. Thread-safe.

    Args:
        sources: asked in order for what neither memory nor store has; all of one update channel.
        store: kept on disk; None keeps what was proved in memory only.
        local: Endorsements that take part in every appraisal, before anything is looked up.
        fetcher: in place of one made of `sources`, with budgets of its own.
        channel: update channel of Intel's documents in the store, where no source says it.
        refresh: whether what vendors issue anew is fetched in the background before its end; else call `refresh`.
        clock: seconds of a monotonic clock.
        refresh_clock: gives the time by which items are due, aware; the system's. Several Contexts may share the
            service, and the clock of none of them has a say in what the others get refreshed.

    Raises:
        ConfigurationError: sources of two update channels, whose documents are not to be mixed; something else than
            a list of sources, or than a store.
    """

    def __init__(
        self,
        sources: Sequence[EndorsementSource] = (),
        *,
        store: EndorsementStore | None = None,
        local: Endorsements | None = None,
        fetcher: Fetcher | None = None,
        channel: str | None = None,
        refresh: bool = True,
        clock: Callable[[], float] = time.monotonic,
        refresh_clock: Clock = system_time,
    ) -> None:
        if not isinstance(sources, Sequence):
            raise ConfigurationError(f"sources: got {type(sources).__name__}, expected a list of sources")
        if store is not None and not isinstance(store, EndorsementStore):
            raise ConfigurationError(f"store: got {type(store).__name__}, expected an EndorsementStore")
        self.local = local or Endorsements()
        self._fetcher = fetcher if fetcher is not None else Fetcher(sources)
        self._shelf = Shelf(store, channel=_channel(self._fetcher.sources, channel), clock=clock)
        self._refresher = Refresher(self._shelf, self._fetcher, clock=refresh_clock)
        self._refreshes = refresh
        self._clock = clock
        self._recent: OrderedDict[MissingEndorsement, tuple[float, tuple[Endorsement, ...]]] = OrderedDict()
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew_in_child(self) -> None:
        """Take a new lock: the parent's may be held for ever."""
        self._lock = threading.Lock()

    def verify_with(self, verifier: EndorsementsVerifier, anchors: Collection[bytes]) -> None:
        """Keep fresh what is under `anchors` (fingerprints), verifying what comes with `verifier`."""
        self._refresher.verify_with(verifier, anchors)

    # --- what is at hand -----------------------------------------------------------------------------------------
    def find(
        self,
        missing: Iterable[MissingEndorsement],
        *,
        anchors: Collection[bytes],
        now: datetime,
        tried: Collection[Endorsement] = (),
        failed: Collection[MissingEndorsement] = (),
        may_wait: bool = True,
        authentic: Callable[[Endorsement], bool] = lambda _: True,
    ) -> Found:
        """Look up what an appraisal misses.

        What has expired or is below its floor is given only where sources give nothing in its place: the refusal then
        names it.

        Args:
            missing: the items. What is asked for Evidence that nobody has authenticated spends the budget.
            anchors: fingerprints of the trust anchors in use.
            now: time of the appraisal.
            tried: what the appraisal has had already, and misses the item all the same: it does not do.
            failed: what sources were asked for in this appraisal and did not give: they are not asked again.
            may_wait: whether sources may be asked.
            authentic: whether what a source gave is no forgery, as far as it can be told of it alone: of one that is,
                the next source is asked.

        Raises:
            FetchNeededError: they would have to be asked, and may not.
        """
        wanted = tuple(dict.fromkeys(missing))
        # In this order an answer that comes meanwhile is seen in one place or the other.
        since = self._fetcher.landings
        recent = {item: answer for item in wanted if (answer := self._given_recently(item, tried))}
        here = {item: self._shelf.find(item, anchors, now, tried) for item in wanted}
        current = {item: [stored for stored in here[item] if self._shelf.is_current(stored, now)] for item in wanted}
        items = [(item, stored.endorsement) for item in wanted for stored in current[item]]
        unproved = [item for item in wanted if item.kind in _UNPROVED]
        unknown = [item for item in wanted if not current[item]]
        for item in wanted:
            _log.debug("%s: %s", item, _standing(bool(current[item]), bool(here[item]), item in recent))
        if unproved:
            # The others wait for the next look-up, when the Evidence is proved: they then spend no budget. What is
            # about no platform comes first: without it no platform's certificate is worth anything.
            unknown = sorted(
                (item for item in unproved if item in unknown), key=lambda item: platform_of(item) is not None
            )
        to_ask = [item for item in unknown if item not in failed]
        fetched: list[Pair] = []
        outcome = FetchOutcome()
        if to_ask and self._fetcher.sources:
            if not may_wait:
                raise FetchNeededError(authenticated=not unproved)

            def suffices(item: MissingEndorsement, found: tuple[Endorsement, ...]) -> bool:
                return any(
                    self._shelf.would_do(each, item, anchors, now) and authentic(each)
                    for each in found
                    if each not in tried
                )

            asking = _Asking(not unproved, since, suffices, lambda item: self._shelf.has_proved(item, anchors))
            fetched, outcome = self._fetch(to_ask, recent, asking)
            items += fetched
            unknown = [item for item in unknown if item in failed or item in outcome.missing]
        if unproved and items:
            # What the budget for strangers did not allow is asked for in the next look-up, when they are none any more.
            unknown = [item for item in unknown if item in failed or item in outcome.not_given]
        items += [(item, stored.endorsement) for item in unknown for stored in here[item]]
        if self._refreshes:
            self._refresher.begin()
        return Found(tuple(items), tuple(fetched), outcome.not_given, str(outcome))

    def at_hand(
        self,
        wanted: Iterable[MissingEndorsement],
        *,
        anchors: Collection[bytes],
        now: datetime,
        tried: Collection[Endorsement] = (),
    ) -> tuple[Endorsement, ...]:
        """Give what memory or store have for what is `wanted`, and is current, beside what a peer has sent.

        Asks no source.

        Args:
            wanted: the items.
            anchors: fingerprints of the trust anchors in use.
            now: time of the appraisal.
            tried: not to be given: the appraisal has it already.
        """
        found = (stored for item in wanted for stored in self._shelf.find(item, anchors, now, tried))
        return tuple(stored.endorsement for stored in found if self._shelf.is_current(stored, now))

    def signers_at_hand(
        self, items: Iterable[Endorsement], *, anchors: Collection[bytes], now: datetime
    ) -> tuple[Endorsement, ...]:
        """Give, as `at_hand`, the signers of VEK certificates among `items`, without which these cannot be verified."""
        signers = [key for item in items for key in _signers_of(item)]
        return self.at_hand(signers, anchors=anchors, now=now)

    def _fetch(
        self,
        unknown: Sequence[MissingEndorsement],
        recent: Mapping[MissingEndorsement, tuple[Endorsement, ...]],
        asking: _Asking,
    ) -> tuple[list[Pair], FetchOutcome]:
        """Give what sources gave a short while ago or give now, and what came of asking."""
        items = [(item, found) for item in unknown for found in recent.get(item, ())]
        to_ask = [item for item in unknown if item not in recent]
        outcome = self._fetcher.fetch(
            to_ask,
            authenticated=asking.authenticated,
            since=asking.since,
            landed=self._landed,
            suffices=asking.suffices,
            proved=asking.proved,
        )
        by_kind = {item.kind: item for item in to_ask}
        items += [(by_kind.get(found.kind, MissingEndorsement(kind=found.kind)), found) for found in outcome.found]
        return items, outcome

    def _landed(self, item: MissingEndorsement, found: tuple[Endorsement, ...]) -> None:
        """Remember for a short while what a source gave."""
        answer = tuple(endorsement for endorsement in found if endorsement.kind is item.kind)
        with self._lock:
            self._recent[item] = (self._clock(), answer)
            while len(self._recent) > _MOST_RECENT:
                self._recent.popitem(last=False)

    def _given_recently(self, item: MissingEndorsement, tried: Collection[Endorsement]) -> tuple[Endorsement, ...]:
        """Give what a source gave for `item` a short while ago: it would give the same again.

        Where all of it was tried and is of no use to prove the Evidence, another source may have what is.
        """
        with self._lock:
            given, answer = self._recent.get(item, (0.0, ()))
        longest = _RECENT_SECONDS if item.kind.is_reissued else _RECENT_CERTIFICATE_SECONDS
        if item.kind in _UNPROVED and len(self._fetcher.sources) > 1 and all(each in tried for each in answer):
            return ()
        return answer if answer and self._clock() - given < longest else ()

    def keep(
        self,
        fetched: Iterable[Pair],
        uses: Iterable[EndorsementUse],
        anchor: TrustAnchor,
        *,
        now: datetime,
    ) -> None:
        """Keep those of the items that a verdict rests on, under the anchor that it reached.

        Args:
            fetched: what `find` got from sources.
            uses: the Endorsements that the verdict rests on.
            anchor: the anchor of the verdict.
            now: time of the appraisal.
        """
        by_digest = {use.sha256: use for use in uses}
        proved = [
            (item, endorsement, use)
            for item, endorsement in fetched
            if item.key and (use := by_digest.get(sha256(endorsement.data))) is not None
        ]
        self._shelf.keep(proved, anchor, now)
        self._fetcher.learn(item for item, _, _ in proved)
        with self._lock:
            for item, _, _ in proved:
                self._recent.pop(item, None)

    def drop(self, broken: Collection[Endorsement], *, anchors: Collection[bytes]) -> tuple[Endorsement, ...]:
        """Drop items out of memory and store that do not verify by themselves any more.

        Args:
            broken: the items.
            anchors: fingerprints of the trust anchors under which they were given.

        Returns:
            Those that were kept here; others are none of a store's.
        """
        return self._shelf.drop(broken, anchors)

    # --- floors and clock ----------------------------------------------------------------------------------------
    @property
    def floors(self) -> Floors:
        """What counts as rolled back."""
        return self._shelf.floors

    @property
    def generation(self) -> int:
        """Rises when something newer has come: what was judged with what was at hand before is to be judged again."""
        return self._shelf.generation

    def require_clock(self, now: datetime) -> None:
        """Require that `now` is not behind what vendors have signed already, but for five minutes.

        Raises:
            ClockError: it is; what has expired would seem to be in date.
        """
        latest = self._shelf.floors.latest
        if latest is not None and now + _CLOCK_TOLERANCE < latest:
            raise ClockError(
                f"clock is behind: got {time_text(now)}, expected at least {time_text(latest)}, "
                "when a vendor signed what was seen here"
            )

    def refresh(self) -> float:
        """Fetch what is due anew, where that is not done in the background.

        Returns:
            Seconds after which to call it again: until something is due, at most a minute.
        """
        return self._refresher.refresh_due()

    # --- how it stands -------------------------------------------------------------------------------------------
    @property
    def freshness(self) -> tuple[Freshness, ...]:
        """How it stands with each document and revocation list that is kept fresh."""
        return self._refresher.freshness

    def close(self) -> None:
        """End the refreshing."""
        self._refresher.end()


def _standing(is_current: bool, is_here: bool, is_recent: bool) -> str:
    if is_current:
        return "at hand"
    if is_recent:
        return "given a short while ago"
    return "at hand, but expired or older than what was seen" if is_here else "not at hand"


def _channel(sources: Sequence[EndorsementSource], channel: str | None) -> str:
    found = {source.channel for source in sources if source.channel is not None} | ({channel} if channel else set())
    if len(found) > 1:
        raise ConfigurationError(
            f"update channels of the sources: got {' and '.join(sorted(found))}, whose documents are not to be mixed"
        )
    return found.pop() if found else STANDARD


def _signers_of(item: Endorsement) -> list[MissingEndorsement]:
    try:
        keys = keys_of(item) if item.kind is EndorsementKind.AMD_VEK else ()
    except DecodeError:
        return []
    return [signer for key in keys if (signer := lookup_keys.signer_of(key)) is not None]


def sha256(data: bytes) -> bytes:
    """Give the digest by which results name an Endorsement."""
    return hashlib.sha256(data).digest()
