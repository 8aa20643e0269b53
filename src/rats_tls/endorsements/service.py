"""Gives what an appraisal misses: out of memory, out of a store, from sources; and keeps what was proved authentic."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError, EndorsementMissingError
from rats_tls.core.verification import EndorsementUse
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement

_log = logging.getLogger(__name__)

_UNPROVED = frozenset({EndorsementKind.AMD_VEK, EndorsementKind.INTEL_PCK_CHAIN})
"""While one of these is missing, nothing in the Evidence is proved: its keys are whatever a peer writes."""
_LARGEST_MEMORY = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up gave.

    Attributes:
        items: each with what it was asked by.
        why: what sources said of items that are still missing; "" where nothing was asked.
    """

    items: tuple[tuple[MissingEndorsement, Endorsement], ...]
    why: str


class EndorsementService:
    """Looks up Endorsements for appraisals. Thread-safe.

    Args:
        sources: asked in order for what neither memory nor store has.
        store: kept on disk; None keeps what was proved in memory only.
        fetcher: in place of one made of `sources`, with budgets of its own.
    """

    def __init__(
        self,
        sources: Sequence[EndorsementSource] = (),
        *,
        store: EndorsementStore | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._store = store
        self._fetcher = fetcher if fetcher is not None else (Fetcher(sources) if sources else None)
        self._known: OrderedDict[tuple[bytes, str], StoredEndorsement] = OrderedDict()
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew_in_child(self) -> None:
        """Take a new lock: the parent's may be held for ever."""
        self._lock = threading.Lock()

    def find(
        self,
        missing: Iterable[MissingEndorsement],
        *,
        anchors: Collection[bytes],
        now: datetime,
        tried: Collection[Endorsement] = (),
    ) -> Found:
        """Look up what an appraisal misses.

        What has expired is given only where sources give nothing in its place: the refusal then names it.

        Args:
            missing: the items. What is asked for Evidence that nobody has authenticated spends the budget.
            anchors: fingerprints of the trust anchors in use.
            now: time of the appraisal.
            tried: what the appraisal has had already, and misses the item all the same: it does not do.
        """
        wanted = tuple(dict.fromkeys(missing))
        here = {item: self._at_hand(item, anchors, now, tried) for item in wanted}
        items = [(item, stored.endorsement) for item in wanted for stored in here[item] if now < stored.expires]
        unknown = [item for item in wanted if not any(now < stored.expires for stored in here[item])]
        why = ""
        if unknown and self._fetcher is not None:
            authenticated = not any(item.kind in _UNPROVED for item in wanted)
            outcome = self._fetcher.fetch(unknown, authenticated=authenticated)
            why = str(outcome)
            by_kind = {item.kind: item for item in unknown}
            items += [(by_kind.get(found.kind, MissingEndorsement(kind=found.kind)), found) for found in outcome.found]
            unknown = list(outcome.missing)
        items += [(item, stored.endorsement) for item in unknown for stored in here[item]]
        return Found(tuple(items), why)

    def _at_hand(
        self, item: MissingEndorsement, anchors: Collection[bytes], now: datetime, tried: Collection[Endorsement]
    ) -> tuple[StoredEndorsement, ...]:
        """Give what memory has in date, else also what the store has: another process may have kept a newer one."""
        lookup = str(item)
        with self._lock:
            known = tuple(self._known[anchor, lookup] for anchor in anchors if (anchor, lookup) in self._known)
        usable = tuple(stored for stored in known if stored.endorsement not in tried)
        if self._store is None or any(now < stored.expires for stored in usable):
            return usable
        try:
            found = self._store.find(item, anchors)
        except ConfigurationError as error:
            _log.warning("endorsements not read: %s", error.message)
            return usable
        return tuple(stored for stored in found if stored.endorsement not in tried)

    def keep(
        self,
        looked_up: Iterable[tuple[MissingEndorsement, Endorsement]],
        uses: Iterable[EndorsementUse],
        anchor: TrustAnchor,
    ) -> None:
        """Keep those of the items that a verdict rests on, under the anchor that it reached.

        Args:
            looked_up: what `find` gave.
            uses: the Endorsements that the verdict rests on.
            anchor: the anchor of the verdict.
        """
        by_digest = {use.sha256: use for use in uses}
        now = datetime.now(UTC)
        kept = []
        for item, endorsement in looked_up:
            use = by_digest.get(sha256(endorsement.data))
            if use is not None and item.key:
                kept.append(
                    StoredEndorsement(
                        anchor=anchor.fingerprint,
                        lookup=str(item),
                        endorsement=endorsement,
                        issued=use.issued,
                        expires=use.expires,
                        kept=now,
                    )
                )
        with self._lock:
            for stored in kept:
                self._known[stored.anchor, stored.lookup] = stored
                self._known.move_to_end((stored.anchor, stored.lookup))
            while len(self._known) > _LARGEST_MEMORY:
                self._known.popitem(last=False)
        if self._store is not None and kept:
            try:
                self._store.keep(kept)
            except ConfigurationError as error:
                _log.warning("endorsements not kept: %s", error.message)


def explained(error: EndorsementMissingError, why: str) -> EndorsementMissingError:
    """Give the refusal with what the sources said."""
    if not why:
        return error
    told = EndorsementMissingError(f"{error.message}; {why}", missing=error.missing)
    told.checks = error.checks
    return told


def sha256(data: bytes) -> bytes:
    """Give the digest by which results name an Endorsement."""
    return hashlib.sha256(data).digest()
