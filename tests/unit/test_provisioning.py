"""Provisioning: what is kept under which keys, what raises floors, and that all is kept or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    CertificateChainError,
    ClockError,
    ConfigurationError,
    DecodeError,
    ExpiredError,
    RevokedError,
    RolledBackError,
)
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.endorsements import store as stores
from rats_tls.endorsements.bundle_source import Carried, described
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.provisioning import (
    ItemToVerify,
    VerifiedItem,
    by_content,
    exit_code,
    exported,
    floors_in,
    items_of,
    keep_items,
    require_clock,
    verify_items,
    verify_store,
)
from support.bundles import SGX, SNP, TDX, anchors
from support.pcs import one, simulated
from support.simulated import NOW

K = EndorsementKind
STANDARD = "standard"


def to_verify(*names: str) -> tuple[ItemToVerify, ...]:
    return tuple(ItemToVerify(where="a file", endorsement=item) for name in names for item in simulated(name))


def verified(*names: str, **settings: Any) -> tuple[VerifiedItem, ...]:
    settings = {"anchors": anchors(), "now": NOW, **settings}
    outcomes = verify_items(to_verify(*names), **settings)
    assert all(outcome.error is None for outcome in outcomes)
    return outcomes


def of_a_vendor(item: VerifiedItem) -> VerifiedItem:
    """The same, as if its anchor were a vendor's."""
    assert item.verified is not None
    anchor = replace(item.verified.anchor, kind=AnchorKind.VENDOR)
    return replace(item, verified=replace(item.verified, anchor=anchor))


def test_what_a_manifest_says_counts_of_pck_chains_alone() -> None:
    """In the list of what a bundle holds too: it is what an import would keep."""
    claimed = MissingEndorsement(kind=K.INTEL_TCB_INFO, key=(("id", "SGX"), ("fmspc", "00" * 6), ("pceid", "0000")))
    info = replace(described(one(TDX, K.INTEL_TCB_INFO)), keys=(claimed,), expires=NOW + timedelta(days=9999))
    assert by_content(info) == described(info.endorsement)
    named = MissingEndorsement(kind=K.INTEL_PCK_CHAIN, key=(("encrypted_ppid", "00"),))
    chain = replace(described(one(SGX, K.INTEL_PCK_CHAIN)), keys=(named,))
    assert by_content(chain).keys == (*described(chain.endorsement).keys, named)


def test_only_vendors_raise_floors(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    of_bundle = verify_items([replace(item, channel=STANDARD) for item in to_verify(TDX)], anchors=anchors(), now=NOW)
    simulated_ones, genuine = verified(SNP), tuple(map(of_a_vendor, of_bundle))
    keep_items(store, (*simulated_ones, *genuine), channel=STANDARD, now=NOW)
    vendors = {item.verified.anchor.fingerprint for item in genuine if item.verified is not None}
    raised = [series for floors in store.floors().values() for series, _ in floors.items()]
    assert {anchor for anchor, _ in raised} == vendors
    assert len(raised) == 4


def test_all_is_kept_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EndorsementStore(tmp_path)
    keep = stores._keep
    left = [2]

    def fail_at_the_third(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise stores.sqlite3.OperationalError("disk I/O error")
        keep(*arguments)

    monkeypatch.setattr(stores, "_keep", fail_at_the_third)
    items = tuple(map(of_a_vendor, verified(TDX)))
    with pytest.raises(ConfigurationError, match="disk I/O error"):
        keep_items(store, items, channel=STANDARD, now=NOW)
    again = EndorsementStore(tmp_path)
    assert (again.entries(), again.floors()) == ((), {})


def test_pck_chains_are_kept_by_their_names_too_and_nothing_else_is(tmp_path: Path) -> None:
    asked = MissingEndorsement(kind=K.INTEL_PCK_CHAIN, key=(("encrypted_ppid", "ab" * 384),))
    lie = MissingEndorsement(kind=K.AMD_CRL, key=(("product", "Genoa"), ("type", "VCEK")))
    chain, crl = one(SGX, K.INTEL_PCK_CHAIN), one(SNP, K.AMD_CRL)
    outcomes = verify_items(
        [
            ItemToVerify(where="", endorsement=chain, named=(asked,)),
            ItemToVerify(where="", endorsement=crl, named=(lie,)),
        ],
        anchors=anchors(),
        now=NOW,
    )
    store = EndorsementStore(tmp_path)
    assert keep_items(store, outcomes, channel=STANDARD, now=NOW) == outcomes
    assert {entry.item for entry in store.entries()} == {asked, *keys_of(chain), *keys_of(crl)}


def test_a_chain_under_the_name_of_another_takes_nobodys_place(tmp_path: Path) -> None:
    """What an encrypted PPID stands for is seen in an appraisal only: all that was given for it is tried there."""
    asked = MissingEndorsement(kind=K.INTEL_PCK_CHAIN, key=(("encrypted_ppid", "ab" * 384),))
    store = EndorsementStore(tmp_path)
    right = one(SGX, K.INTEL_PCK_CHAIN)
    wrong = replace(right, issuer_chain=())  # as another's
    for days, chain in enumerate((right, wrong, right)):
        issued = NOW + timedelta(days=days % 2)
        entry = StoredEndorsement(
            anchor=b"a" * 32, item=asked, endorsement=chain, issued=issued, expires=NOW + timedelta(days=9), kept=NOW
        )
        assert store.keep([entry]) == (entry,)
    assert {entry.endorsement for entry in store.find(asked, (b"a" * 32,))} == {right, wrong}


def test_documents_are_kept_under_their_update_channel(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    keep_items(store, verified(TDX), channel="early", now=NOW)
    assert {entry.endorsement.kind: entry.channel for entry in store.entries()} == {
        K.INTEL_TCB_INFO: "early",
        K.INTEL_QE_IDENTITY: "early",
        K.INTEL_ROOT_CRL: "",
        K.INTEL_PCK_CRL: "",
    }


def test_what_is_rolled_back_is_not_good(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    keep_items(store, verified(TDX), channel=STANDARD, now=NOW)
    newer = [replace(entry, issued=entry.issued + timedelta(hours=1)) for entry in store.entries()]
    store.keep(newer, raises_floors=True)
    floors = floors_in(store, STANDARD)
    outcomes = verify_items(to_verify(TDX), anchors=anchors(), now=NOW, floors=floors)
    assert {type(outcome.error) for outcome in outcomes} == {RolledBackError}
    assert keep_items(store, outcomes, channel=STANDARD, now=NOW) == outcomes
    # Where no floor is, what is kept is newer all the same.
    unfloored = verify_items(to_verify(TDX), anchors=anchors(), now=NOW)
    kept = keep_items(store, unfloored, channel=STANDARD, now=NOW)
    assert {type(outcome.error) for outcome in kept} == {RolledBackError}
    assert "a newer one is kept already" in str(kept[0].error)
    assert {entry.issued for entry in store.entries()} == {entry.issued for entry in newer}
    lists = verify_items(to_verify(TDX), anchors=anchors(), now=NOW, floors=floors_in(store, "early"))
    assert {outcome.source.endorsement.kind for outcome in lists if outcome.error is None} == {
        *(K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY),
    }


@pytest.mark.parametrize("says", [None, STANDARD])
def test_documents_of_loose_files_raise_no_floors(tmp_path: Path, says: str | None) -> None:
    """They do not say their update channel: those of the early one, imported as the other's, would hide that one's."""
    store = EndorsementStore(tmp_path)
    items = [replace(item, channel=says) for item in to_verify(TDX)]
    outcomes = verify_items(items, anchors=anchors(), now=NOW)
    keep_items(store, map(of_a_vendor, outcomes), channel=STANDARD, now=NOW)
    kinds = {series.partition(" ")[0] for floors in store.floors().values() for (_, series), _ in floors.items()}
    lists = {K.INTEL_ROOT_CRL.value, K.INTEL_PCK_CRL.value}
    documents = {K.INTEL_TCB_INFO.value, K.INTEL_QE_IDENTITY.value}
    assert kinds == (lists if says is None else lists | documents)
    assert {entry.endorsement.kind.value for entry in store.entries()} == lists | documents


def test_files_say_their_update_channel_if_they_are_bundles() -> None:
    item = described(one(TDX, K.INTEL_TCB_INFO))
    carried = {"a": Carried(items=(item,), channel="early"), "b": Carried(items=(described(one(SNP, K.AMD_CRL)),))}
    assert [item.channel for item in items_of(carried)] == ["early", None]


def test_a_clock_that_is_behind(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    require_clock(store, STANDARD, NOW - timedelta(days=300))
    keep_items(store, map(of_a_vendor, verified(TDX)), channel=STANDARD, now=NOW)
    require_clock(store, STANDARD, NOW)
    with pytest.raises(ClockError):
        require_clock(store, STANDARD, NOW - timedelta(days=1))


def test_a_store_is_verified_at_any_time_without_floors(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    keep_items(store, verified(TDX, SNP), channel=STANDARD, now=NOW)
    keep_items(store, verified(SGX), channel="early", now=NOW)
    store.keep(store.entries(), raises_floors=True)
    settings: dict[str, Any] = {"anchors": anchors()}
    outcomes = verify_store(store, "a store", now=NOW, with_floors=True, **settings)
    assert {outcome.error for outcome in outcomes} == {None}
    assert len(outcomes) == len({entry.endorsement.digest for entry in store.entries()})
    past = NOW - timedelta(days=1)
    with pytest.raises(ClockError):
        verify_store(store, "a store", now=past, with_floors=True, **settings)
    assert any(outcome.error for outcome in verify_store(store, "a store", now=past, with_floors=False, **settings))


def test_export_merges_keys_and_leaves_out_what_is_expired_or_of_another_channel(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    keep_items(store, verified(SNP), channel=STANDARD, now=NOW)
    keep_items(store, verified(TDX), channel="early", now=NOW)
    settings: dict[str, Any] = {"anchors": anchors(), "channel": STANDARD}
    items = {item.endorsement.kind: item for item in exported(store.entries(), now=NOW, **settings)}
    assert items.keys() == {K.AMD_VEK, K.AMD_SIGNER, K.AMD_CRL, K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL}
    assert set(items[K.AMD_CRL].keys) == set(keys_of(one(SNP, K.AMD_CRL)))
    later = exported(store.entries(), now=NOW + timedelta(days=60), **settings)
    assert {item.endorsement.kind for item in later} == {K.AMD_VEK, K.AMD_SIGNER}


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((), ExitCode.OK),
        ((ExpiredError("x"),), ExitCode.ENDORSEMENTS),
        ((RolledBackError("x"), DecodeError("x", "", None, "y")), ExitCode.MALFORMED),
        ((RolledBackError("x"), CertificateChainError("x"), ExpiredError("x")), ExitCode.NOT_AUTHENTIC),
        ((RevokedError("x"),), ExitCode.NOT_AUTHENTIC),
        ((ConfigurationError("x", refusal=Refusal.UNSUPPORTED_EVIDENCE),), ExitCode.NO_INSTANCE),
    ],
)
def test_exit_codes(errors: tuple[Any, ...], code: ExitCode) -> None:
    assert exit_code(errors) is code
