"""Real Endorsements, carried in a bundle and verified under the vendors' pinned roots."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import RolledBackError
from rats_tls.endorsements.bundle import read_bundle
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.provisioning import anchors_with, floors_in, items_of, keep_items, load_carried, verify_items
from support.bundles import bundle_of, write
from support.pcs import GO_TDX

K = EndorsementKind
AT = datetime(2023, 7, 1, 1, tzinfo=UTC)


def test_real_documents_come_out_as_they_went_in(tmp_path: Path) -> None:
    items = endorsements_from_json((GO_TDX / "collateral.json").read_bytes())
    path = write(tmp_path / "bundle.zip", bundle_of(*items))
    assert {item.endorsement for item in read_bundle(path).items} == set(items)
    outcomes = verify_items(items_of(load_carried(path)), anchors=anchors_with(()), now=AT)
    assert [str(outcome.error) for outcome in outcomes if outcome.error is not None] == []
    assert {outcome.verified.anchor.kind for outcome in outcomes if outcome.verified} == {AnchorKind.VENDOR}
    store = EndorsementStore(tmp_path)
    assert [item.error for item in keep_items(store, outcomes, channel="standard", now=AT)] == [None] * len(items)
    floors = floors_in(store, "standard")
    assert len(floors) == 4
    newest = max(floor.issued for _, floor in floors.items())
    assert newest <= AT
    assert RolledBackError not in {
        type(outcome.error)
        for outcome in verify_items(items_of(load_carried(path)), anchors=anchors_with(()), now=AT, floors=floors)
    }
