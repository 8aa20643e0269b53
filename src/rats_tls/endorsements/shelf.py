"""What is at hand: in memory, before it in a store; and the floors that go with it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.floors import NO_FLOORS, Floor, Floors
from rats_tls.core.verification import EndorsementUse
from rats_tls.endorsements.budget import about_platform
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement
from rats_tls.formats.endorsement_keys import number_of, validity_of

_log = logging.getLogger(__name__)

_MOST = 4096
_SECONDS_BETWEEN_LOOKS = 60.0
"""How long floors that another process has raised in the store may go unseen."""

_SECONDS_BETWEEN_USES = 86_400.0
"""How exactly the store knows when a certificate of a platform was last used."""
_MOST_DROPPED = 1024

_Key = tuple[bytes, str, MissingEndorsement]


class Shelf:
    """Items that were verified when they were kept, the newest of each key and anchor. Thread-safe.

    Memory is bounded, and holds what was asked for last. A store that fails is a warning: what is in memory still
    counts.

    Args:
        store: kept on disk; None for memory only.
        channel: update channel of Intel's documents.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self, store: EndorsementStore | None, *, channel: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._items: OrderedDict[_Key, StoredEndorsement] = OrderedDict()
        self._uses: OrderedDict[_Key, float] = OrderedDict()
        self._dropped: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        self._floors = NO_FLOORS
        self._looked = clock()
        self._lock = threading.Lock()
        self.generation = 0
        """Counts how often an item was superseded or a floor raised: what was judged before is to be judged again."""
        renew_in_children(self)
        self._read_floors()

    def renew_in_child(self) -> None:
        """Take a new lock: the parent's may be held for ever."""
        self._lock = threading.Lock()

    def find(
        self, item: MissingEndorsement, anchors: Collection[bytes], now: datetime, tried: Collection[Endorsement]
    ) -> tuple[StoredEndorsement, ...]:
        """Give what memory has and is current, else also what the store has: another process may have kept a newer one.

        Args:
            item: what is looked for.
            anchors: fingerprints of the trust anchors in use.
            now: time of the appraisal.
            tried: not to be given: it does not do.
        """
        channel = self.channel_of(item.kind)
        with self._lock:
            known = tuple(
                stored for anchor in anchors if (stored := self._items.get((anchor, channel, item))) is not None
            )
            for stored in known:
                self._put(stored)
        usable = tuple(stored for stored in known if stored.endorsement not in tried)
        if self._store is None or any(self.is_current(stored, now) for stored in usable):
            self._note_use(usable, now)
            return usable
        self._read_floors()
        try:
            found = self._store.find(item, anchors, channel=channel)
        except ConfigurationError as error:
            _log.warning("endorsements not read: %s", error.message)
            return usable
        with self._lock:
            if self._dropped:
                found = tuple(stored for stored in found if _mark(stored) not in self._dropped)
            for stored in reversed(found):
                self._put(stored)
        given = tuple(stored for stored in found if stored.endorsement not in tried) or usable
        self._note_use(given, now)
        return given

    def _note_use(self, given: Iterable[StoredEndorsement], now: datetime) -> None:
        """Tell the store, now and then, that a certificate of a platform is in use: it keeps those that are."""
        if self._store is None:
            return
        for stored in given:
            if not stored.endorsement.kind.is_of_one_platform:
                continue
            key = (stored.anchor, stored.channel, stored.item)
            with self._lock:
                noted = self._uses.get(key)
                if noted is not None and self._clock() - noted < _SECONDS_BETWEEN_USES:
                    continue
                self._uses[key] = self._clock()
                self._uses.move_to_end(key)
                while len(self._uses) > _MOST:
                    self._uses.popitem(last=False)
            try:
                self._store.note_use(stored, now)
            except ConfigurationError as error:
                _log.debug("use of endorsements not noted: %s", error.message)

    def has_proved(self, item: MissingEndorsement, anchors: Collection[bytes]) -> bool:
        """Whether the store keeps something of the kind of `item` about the same platform, under any of `anchors`."""
        beginning = about_platform(item)
        if self._store is None or beginning is None:
            return False
        try:
            return self._store.has_about(beginning, anchors, channel=self.channel_of(item.kind))
        except ConfigurationError as error:
            _log.warning("endorsements not read: %s", error.message)
            return False

    def drop(self, broken: Collection[Endorsement], anchors: Collection[bytes]) -> tuple[Endorsement, ...]:
        """Drop items that were good when they were kept and are not what was kept: a disk has broken them.

        Args:
            broken: the items.
            anchors: fingerprints of the trust anchors under which they do not verify.

        Returns:
            Those that were here.
        """
        with self._lock:
            here = [stored for stored in self._items.values() if stored.endorsement in broken]
            here = [stored for stored in here if stored.anchor in anchors]
            for stored in here:
                del self._items[stored.anchor, stored.channel, stored.item]
                self._dropped[_mark(stored)] = None  # where the store cannot be written it is left alone
            while len(self._dropped) > _MOST_DROPPED:
                self._dropped.popitem(last=False)
        for stored in here:
            _log.warning("endorsement in the store is broken, and is looked up anew: %s", stored.item)
            try:
                if self._store is not None:
                    self._store.delete(stored)
            except ConfigurationError as error:
                _log.warning("broken endorsement not deleted: %s", error.message)
        return tuple(dict.fromkeys(stored.endorsement for stored in here))

    def is_current(self, stored: StoredEndorsement, now: datetime) -> bool:
        """Whether an item is in date, and nothing newer of its series was seen: another process may have."""
        return now < stored.expires and self._floors.problem(*stored.floor) is None

    def would_do(
        self, endorsement: Endorsement, item: MissingEndorsement, anchors: Collection[bytes], now: datetime
    ) -> bool:
        """Whether what a source gave for `item` is worth an appraisal, by what it says itself, which nobody verified.

        It is of the kind, can be read, is in date, and is not below the floor that any of `anchors` has for `item`.
        """
        if endorsement.kind is not item.kind:
            return False
        try:
            issued, expires = validity_of(endorsement)
            seen = Floor(number=number_of(endorsement), issued=issued)
        except DecodeError:
            return False
        floors = self._floors
        return issued <= now < expires and all(floors.problem((anchor, str(item)), seen) is None for anchor in anchors)

    def keep(
        self,
        verified: Iterable[tuple[MissingEndorsement, Endorsement, EndorsementUse]],
        anchor: TrustAnchor,
        now: datetime,
    ) -> None:
        """Keep items that were verified, in memory and in the store; an older one of the same key goes.

        What is older than they are is a rollback from now on, under anchors of vendors: nobody else's dates may be
        trusted to hide a document that is good.

        Args:
            verified: what each is found by, the item, and what was found out about it.
            anchor: to which they lead.
            now: the time.
        """
        kept = tuple(
            StoredEndorsement(
                anchor=anchor.fingerprint,
                channel=self.channel_of(endorsement.kind),
                item=item,
                endorsement=endorsement,
                issued=use.issued,
                expires=use.expires,
                kept=now,
                number=use.number,
            )
            for item, endorsement, use in verified
        )
        if not kept:
            return
        for stored in kept:
            _log.debug("kept %s, which expires at %s, under %s", stored.item, time_text(stored.expires), anchor.name)
        raises_floors = anchor.kind is AnchorKind.VENDOR
        with self._lock:
            for stored in kept:
                self._put(stored, supersedes=True)
        if raises_floors:
            self._raise(self._floors.raised(stored.floor for stored in kept if stored.endorsement.kind.is_reissued))
        if self._store is not None:
            try:
                self._store.keep(kept, raises_floors=raises_floors)
            except ConfigurationError as error:
                _log.warning("endorsements not kept: %s", error.message)

    def _put(self, stored: StoredEndorsement, *, supersedes: bool = False) -> None:
        key = (stored.anchor, stored.channel, stored.item)
        known = self._items.get(key)
        if known is not None and known.issued > stored.issued:
            stored = known
        elif supersedes and known is not None and known.endorsement != stored.endorsement:
            self.generation += 1
        self._items[key] = stored
        self._items.move_to_end(key)
        while len(self._items) > _MOST:
            self._items.popitem(last=False)

    # --- floors --------------------------------------------------------------------------------------------------
    @property
    def floors(self) -> Floors:
        """What counts as rolled back, for this update channel and for what is the same in all."""
        if self._store is not None and self._clock() - self._looked > _SECONDS_BETWEEN_LOOKS:
            self._read_floors()
        return self._floors

    def _read_floors(self) -> None:
        if self._store is None:
            return
        self._looked = self._clock()
        try:
            by_channel = self._store.floors()
        except ConfigurationError as error:
            _log.warning("floors of endorsements not read: %s", error.message)
            return
        raised = self._floors
        for channel in ("", self._channel):
            raised = raised.raised(by_channel.get(channel, NO_FLOORS).items())
        self._raise(raised)

    def _raise(self, floors: Floors) -> None:
        with self._lock:
            if floors is not self._floors:
                self._floors = floors.raised(self._floors.items())
                self.generation += 1

    # --- for the refresh -----------------------------------------------------------------------------------------
    @property
    def entries(self) -> tuple[StoredEndorsement, ...]:
        """What is in memory."""
        with self._lock:
            return tuple(self._items.values())

    def newest(self, stored: StoredEndorsement) -> StoredEndorsement:
        """Give what the store has in place of `stored`, where another process has kept it anew; else `stored`."""
        if self._store is None:
            return stored
        try:
            found = self._store.find(stored.item, (stored.anchor,), channel=stored.channel)
        except ConfigurationError as error:
            _log.warning("endorsements not read: %s", error.message)
            return stored
        newer = next((other for other in found if (other.issued, other.kept) > (stored.issued, stored.kept)), None)
        if newer is None:
            return stored
        with self._lock:
            self._put(newer, supersedes=True)
        return newer

    def channel_of(self, kind: EndorsementKind) -> str:
        """Give the update channel under which items of `kind` are kept."""
        return self._channel if kind.has_channel else ""


def _mark(stored: StoredEndorsement) -> tuple[bytes, bytes]:
    return stored.anchor, stored.endorsement.digest
