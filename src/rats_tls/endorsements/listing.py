"""What is at hand and until when: one line for each Endorsement and key, for people and for monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rats_tls.core.anchors import AnchorKind, TrustAnchor, shown_fingerprint
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.endorsements.bundle_form import BundleItem
from rats_tls.endorsements.refresh import WARNED_BEFORE, Freshness
from rats_tls.endorsements.store import StoredEndorsement


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line.

    Attributes:
        item: kind and key.
        issued: thisUpdate, issueDate or notBefore.
        expires: nextUpdate or notAfter.
        channel: update channel of Intel's documents; "" for what is the same in all.
        anchor: name of the trust anchor that it was verified under; its fingerprint as it is shown where it is none of
            those that are known here; "" where nothing was verified.
        anchor_kind: whose word that anchor rests on; None where it is not known.
        failures: how often refreshing it has failed in a row; None where it is not kept fresh.
        digest: SHA-256 of the Endorsement, which may have several lines: one for each key; b"" where it is not known.
    """

    item: MissingEndorsement
    issued: datetime
    expires: datetime
    channel: str = ""
    anchor: str = ""
    anchor_kind: AnchorKind | None = None
    failures: int | None = None
    digest: bytes = b""

    def is_ending(self, now: datetime) -> bool:
        """Whether it is in the last quarter of its validity, or behind its end."""
        return self.expires - now < (self.expires - self.issued) * WARNED_BEFORE


def listed(entries: Iterable[StoredEndorsement | Freshness], anchors: Iterable[TrustAnchor] = ()) -> tuple[Listed, ...]:
    """Give the lines of a store's entries, or of `EndorsementService.freshness`; what expires first first.

    Args:
        entries: out of one store or service.
        anchors: those that are known, to name them.
    """
    known = {anchor.fingerprint: anchor for anchor in anchors}
    return _sorted(_line(entry, known) for entry in entries)


def listed_items(items: Iterable[BundleItem], channel: str | None = None) -> tuple[Listed, ...]:
    """Give the lines of items that nobody has verified, one for each key; what expires first first."""
    return _sorted(
        Listed(
            item=key,
            issued=item.issued,
            expires=item.expires,
            channel=(channel or "") if key.kind.has_channel else "",
            digest=item.endorsement.digest,
        )
        for item in items
        for key in item.keys or (MissingEndorsement(kind=item.endorsement.kind),)
    )


def by_item(lines: Iterable[Listed]) -> tuple[tuple[Listed, ...], ...]:
    """Put the lines of each Endorsement together, in the order of their first ones.

    What is kept under several anchors or in several update channels is apart.
    """
    groups: dict[tuple[bytes, str, str], list[Listed]] = {}
    for line in lines:
        groups.setdefault((line.digest, line.anchor, line.channel), []).append(line)
    return tuple(map(tuple, groups.values()))


def _sorted(lines: Iterable[Listed]) -> tuple[Listed, ...]:
    return tuple(sorted(lines, key=lambda line: (line.expires, str(line.item), line.anchor)))


def _line(entry: StoredEndorsement | Freshness, known: Mapping[bytes, TrustAnchor]) -> Listed:
    stored, failures = (entry.stored, entry.failures) if isinstance(entry, Freshness) else (entry, None)
    anchor = known.get(stored.anchor)
    return Listed(
        item=stored.item,
        issued=stored.issued,
        expires=stored.expires,
        channel=stored.channel,
        anchor=anchor.name if anchor is not None else shown_fingerprint(stored.anchor),
        anchor_kind=anchor.kind if anchor is not None else None,
        failures=failures,
        digest=stored.endorsement.digest,
    )
