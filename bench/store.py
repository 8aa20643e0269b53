"""What a look-up takes that asks no source: in memory, and in a store on disk with the items of a thousand chips."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.measure import Candidate, Figure, interleaved
from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.verification import EndorsementUse
from rats_tls.endorsements.service import EndorsementService, sha256
from rats_tls.endorsements.store import EndorsementStore

CHIPS = 1000
LOOKUPS = 200
_VCEK_BYTES = 1360
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_ANCHOR = TrustAnchor(
    vendor=Vendor.AMD, subject=b"subject", spki=b"key", kind=AnchorKind.USER, name="ARK-Milan", source="bench"
)


def figures(rounds: int) -> list[Figure]:
    """Measure; values are microseconds for one item."""
    with tempfile.TemporaryDirectory(prefix="rats-tls-bench-") as directory:
        store = EndorsementStore(directory)
        service = EndorsementService(store=store, refresh=False)
        items = [_item(number) for number in range(CHIPS)]
        for item, endorsement in items:
            service.keep([(item, endorsement)], [_use(endorsement)], _ANCHOR, now=_NOW)
        wanted = [item for item, _ in items[:LOOKUPS]]
        return [
            Figure(name=f.name, rate=1e6 / f.rate, unit="us", wanted=f.wanted)
            for f in interleaved(
                Candidate("found in memory", partial(_find, service, wanted), LOOKUPS, "items/s"),
                Candidate("found in the store", partial(_find_stored, store, wanted), LOOKUPS, "items/s", "<= 200 us"),
                rounds=rounds,
            )
        ]


def _item(number: int) -> tuple[MissingEndorsement, Endorsement]:
    key = (("product", "Milan"), ("type", "VCEK"), ("hwid", f"{number:0128x}"))
    data = number.to_bytes(4, "big") + os.urandom(_VCEK_BYTES - 4)
    return MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=key), Endorsement(
        kind=EndorsementKind.AMD_VEK, data=data
    )


def _use(item: Endorsement) -> EndorsementUse:
    return EndorsementUse(
        kind=item.kind,
        sha256=sha256(item.data),
        origin="local",
        issued=_NOW,
        expires=_NOW + timedelta(days=2000),
        description="SEV-VCEK",
    )


def _find(service: EndorsementService, wanted: list[MissingEndorsement]) -> None:
    for item in wanted:
        if not service.find([item], anchors=[_ANCHOR.fingerprint], now=_NOW).items:
            raise AssertionError("not found")


def _find_stored(store: EndorsementStore, wanted: list[MissingEndorsement]) -> None:
    for item in wanted:
        if not store.find(item, [_ANCHOR.fingerprint]):
            raise AssertionError("not found")
