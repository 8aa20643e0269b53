"""What the look-up gives, out of which place, and what it does with items that do not do."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rats_tls import lookups
from rats_tls.core.anchors import Vendor
from rats_tls.core.checks import Check, Stage
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import EndorsementMissingError, RolledBackError, SignatureError
from rats_tls.core.results import AttestationResult
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.endorsements import service as service_module
from rats_tls.endorsements import shelf
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService, Found
from rats_tls.endorsements.source import FetchError, FetchProblem
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.lookups import Lookups, explained
from support.bundles import anchors
from support.claims import SNP
from support.endorsed import ANCHOR, ANCHORS, CRL, START, Source, crl, use
from support.explained import case, under_vendor_root
from support.fetching import ScriptedSource
from support.pcs import one
from support.sides import SGX
from support.sides import SNP as SNP_TEE
from support.simulated import NOW


class Ticks:
    """A monotonic clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def down() -> Endorsement:
    raise FetchError("a source: is down", problem=FetchProblem.UNAVAILABLE)


def given(found: Found) -> list[bytes]:
    return [item.data for _, item in found.items]


def test_what_was_kept_is_given_without_asking() -> None:
    source = Source(lambda: crl(1))
    service = EndorsementService((source,))
    found = service.find([CRL], anchors=ANCHORS, now=START)
    assert given(found) == [b"\1"]
    service.keep(found.items, [use(crl(1), 0)], ANCHOR, now=START)
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    assert source.asked == 1


def test_what_no_verdict_rested_on_is_not_kept(tmp_path: Path) -> None:
    source = Source(lambda: crl(1))
    time = Ticks()
    service = EndorsementService((source,), store=EndorsementStore(tmp_path), clock=time)
    service.keep(service.find([CRL], anchors=ANCHORS, now=START).items, [use(crl(2), 0)], ANCHOR, now=START)
    assert EndorsementStore(tmp_path).entries() == ()
    # A source is not asked on behalf of everyone for what it has just given and does not do.
    time.seconds += 59
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    assert source.asked == 1
    time.seconds += 2
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    assert source.asked == 2


def test_what_was_kept_under_another_anchor_is_not_given() -> None:
    service = EndorsementService()
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    assert service.find([CRL], anchors=(bytes(32),), now=START).items == ()


def test_what_does_not_do_is_looked_for_at_the_sources() -> None:
    """An item that is at hand and misses its purpose must not stand in the way of a better one."""
    source = Source(lambda: crl(2))
    service = EndorsementService((source,))
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    assert given(service.find([CRL], anchors=ANCHORS, now=START, tried=(crl(1),))) == [b"\2"]
    assert source.asked == 1


def test_a_source_whose_answer_was_tried_does_not_end_the_asking() -> None:
    first, second = (Source(lambda: one(SGX, EndorsementKind.INTEL_ROOT_CRL)) for _ in range(2))
    service = EndorsementService((first, second), refresh=False)
    item = MissingEndorsement(kind=EndorsementKind.INTEL_ROOT_CRL, key=(("issuer", "Intel SGX Root CA"),))
    found = service.find([item], anchors=ANCHORS, now=NOW)
    assert (first.asked, second.asked) == (1, 0)
    other = EndorsementService((first, second), refresh=False)
    other.find([item], anchors=ANCHORS, now=NOW, tried=[endorsement for _, endorsement in found.items])
    assert (first.asked, second.asked) == (2, 1)


def test_what_has_expired_is_given_only_where_no_source_has_another() -> None:
    source, time = Source(down), Ticks()
    service = EndorsementService(fetcher=Fetcher((source,), clock=time), clock=time)
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    late = START + timedelta(days=31)
    found = service.find([CRL], anchors=ANCHORS, now=late)
    assert given(found) == [b"\1"]
    assert "is down" in found.why
    source.give = lambda: crl(2)
    assert given(service.find([CRL], anchors=ANCHORS, now=late)) == [b"\1"]  # it was down a moment ago
    assert source.asked == 1
    time.seconds += 60
    assert given(service.find([CRL], anchors=ANCHORS, now=late)) == [b"\2"]


def test_what_another_process_kept_takes_the_place_of_what_has_expired_here(tmp_path: Path) -> None:
    here = EndorsementService(store=EndorsementStore(tmp_path))
    here.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    EndorsementService(store=EndorsementStore(tmp_path)).keep([(CRL, crl(2))], [use(crl(2), 20)], ANCHOR, now=START)
    assert given(here.find([CRL], anchors=ANCHORS, now=START + timedelta(days=10))) == [b"\1"]
    assert given(here.find([CRL], anchors=ANCHORS, now=START + timedelta(days=35))) == [b"\2"]


def test_a_store_that_fails_later_is_a_warning(tmp_path: Path, caplog) -> None:
    store = EndorsementStore(tmp_path)
    service = EndorsementService((Source(lambda: crl(1)),), store=store)
    store._local.database.close()
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    assert "endorsements not read" in caplog.text
    assert "endorsements not kept" in caplog.text


def test_what_sources_said_takes_nothing_from_the_refusal() -> None:
    error = EndorsementMissingError("missing", missing=(CRL,))
    error.checks = (Check(id="amd.crl", stage=Stage.REVOCATION, source="a test"),)
    error.claims, error.anchor, error.endorsements = SNP, ANCHOR, (use(crl(1), 0),)
    told = explained(error, "a source: is down")
    assert (told.message, told.missing) == ("missing; a source: is down", error.missing)
    for name in ("checks", "claims", "anchor", "endorsements"):
        assert getattr(told, name) == getattr(error, name)
    assert explained(error, "") is error


def test_what_came_along_and_is_never_asked_for_is_not_kept(tmp_path: Path) -> None:
    """Of KDS's chains the root: it would take the place of what is asked for."""
    service = EndorsementService(store=EndorsementStore(tmp_path))
    no_key = MissingEndorsement(kind=EndorsementKind.AMD_CRL)
    service.keep([(no_key, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    assert service.find([no_key], anchors=ANCHORS, now=START).items == ()
    assert EndorsementStore(tmp_path).entries() == ()


def numbered(count: int) -> list[MissingEndorsement]:
    return [
        MissingEndorsement(kind=EndorsementKind.AMD_CRL, key=(("product", f"product {number}"),))
        for number in range(count)
    ]


def test_memory_of_what_was_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_MOST", 3)
    service = EndorsementService()
    items = numbered(5)
    for item in items:
        service.keep([(item, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    found = [bool(service.find([item], anchors=ANCHORS, now=START).items) for item in items]
    assert found == [False, False, True, True, True]


def test_memory_of_what_sources_gave_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects may have any item looked up."""
    monkeypatch.setattr(service_module, "_MOST_RECENT", 3)
    source = Source(lambda: crl(1))
    service = EndorsementService((source,), clock=Ticks())
    items = numbered(5)
    for item in items:
        service.find([item], anchors=ANCHORS, now=START)
    service.find(items[2:], anchors=ANCHORS, now=START)
    assert source.asked == 5
    service.find(items[:1], anchors=ANCHORS, now=START)
    assert source.asked == 6


def test_memory_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_REMEMBERED", 3)
    service = EndorsementService(refresh=False)
    judging = Lookups(service, (ANCHOR,), OpensslCryptoWrapper())
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    accepted = under_vendor_root(case("good sgx_ecdsa")).result

    def judge(more: tuple[Endorsement, ...]) -> AttestationResult:
        if not more:
            raise EndorsementMissingError("missing", missing=(CRL,))
        return accepted

    certificates = [bytes([number]) for number in range(5)]
    for certificate in certificates:
        assert judging.judge(certificate, judge, START) is accepted
    remembered = [bool(judging.remembered(certificate)) for certificate in certificates]
    assert remembered == [False, False, True, True, True]


def test_what_is_superseded_while_it_is_judged_is_looked_for_again() -> None:
    """A peer that connects while something newer comes is not refused for what was found a moment before."""
    service = EndorsementService(refresh=False)
    judging = Lookups(service, (ANCHOR,), OpensslCryptoWrapper())
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    accepted = under_vendor_root(case("good sgx_ecdsa")).result
    newer = [crl(2)]

    def judge(more: tuple[Endorsement, ...]) -> AttestationResult:
        if not more:
            raise EndorsementMissingError("missing", missing=(CRL,))
        while newer:
            item = newer.pop()
            service.keep([(CRL, item)], [use(item, 1)], ANCHOR, now=START)
        if more == (crl(1),):
            raise RolledBackError("rolled back")
        return accepted

    assert judging.judge(b"certificate", judge, START) is accepted
    assert newer == []


def test_what_is_below_its_floor_is_given_only_where_no_source_has_another(tmp_path: Path) -> None:
    source, time = Source(down), Ticks()
    store = EndorsementStore(tmp_path)
    service = EndorsementService(fetcher=Fetcher((source,), clock=time), store=store, refresh=False)
    service.keep([(CRL, crl(1))], [use(crl(1), 0)], ANCHOR, now=START)
    EndorsementService(store=store).keep([(CRL, crl(2))], [use(crl(2), 1)], ANCHOR, now=START)
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("DELETE FROM items")
    database.close()
    service.find([MissingEndorsement(kind=CRL.kind)], anchors=ANCHORS, now=START)  # floors are read anew
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\1"]
    assert service.at_hand([CRL], anchors=ANCHORS, now=START) == ()
    source.give = lambda: crl(3)
    time.seconds += 60
    assert given(service.find([CRL], anchors=ANCHORS, now=START)) == [b"\3"]


def test_uses_of_a_platforms_certificate_are_noted_about_once_a_day(tmp_path: Path) -> None:
    """Also those out of memory: by it, the store knows what to lose first."""
    store, time = EndorsementStore(tmp_path), Ticks()
    service = EndorsementService(store=store, refresh=False, clock=time)
    key = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", "ab")))
    certificate = Endorsement(kind=key.kind, data=b"certificate")
    service.keep([(key, certificate)], [use(certificate, 0)], ANCHOR, now=START)

    def noted_after(days: float) -> list[int]:
        service.find([key], anchors=ANCHORS, now=START + timedelta(days=days))
        with sqlite3.connect(tmp_path / FILE_NAME) as database:
            rows = database.execute("SELECT used FROM uses").fetchall()
        database.close()
        return [used - int(START.timestamp()) for (used,) in rows]

    assert noted_after(0.5) == []  # it was kept a short while ago
    time.seconds += 90_000
    assert noted_after(3) == [3 * 86_400]
    assert noted_after(4) == [3 * 86_400]
    time.seconds += 90_000
    assert noted_after(4.5) == [int(4.5 * 86_400)]


def test_a_store_that_cannot_note_uses_gives_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", "ab")))
    certificate = Endorsement(kind=key.kind, data=b"certificate")
    EndorsementService(store=EndorsementStore(tmp_path)).keep(
        [(key, certificate)], [use(certificate, 0)], ANCHOR, now=START
    )
    monkeypatch.setattr("rats_tls.endorsements.store.os.access", lambda *_: False)
    service = EndorsementService(store=EndorsementStore(tmp_path))
    found = service.find([key], anchors=ANCHORS, now=START + timedelta(days=3))
    assert given(found) == [b"certificate"]


# --- what proves the Evidence comes first -----------------------------------------------------------------------------
VEK = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", "ab")))
VEK_ITEM = Endorsement(kind=VEK.kind, data=b"certificate")
NEXT_VEK = MissingEndorsement(kind=VEK.kind, key=(*VEK.key, ("blSPL", "9")))


def test_lists_wait_until_the_evidence_is_proved_by_what_is_at_hand() -> None:
    """They would else spend what there is for strangers."""
    source = Source(lambda: crl(2))
    service = EndorsementService((source,), refresh=False)
    service.keep([(VEK, VEK_ITEM), (CRL, crl(1))], [use(VEK_ITEM, 0), use(crl(1), 0)], ANCHOR, now=START)
    late = START + timedelta(days=29)
    assert len(service.find([VEK, CRL], anchors=ANCHORS, now=late).items) == 2
    expired = START + timedelta(days=31)
    service.keep([(VEK, VEK_ITEM)], [use(VEK_ITEM, 20)], ANCHOR, now=START)
    assert given(service.find([VEK, CRL], anchors=ANCHORS, now=expired)) == [b"certificate"]
    assert source.asked == 0
    assert given(service.find([CRL], anchors=ANCHORS, now=expired)) == [b"\2"]


def test_a_list_that_strangers_may_not_ask_for_is_asked_for_later_and_no_old_one_given() -> None:
    source = ScriptedSource("amd-kds")
    rates = {"amd-kds": Rate(burst=1, seconds_each=9999.0)}
    fetcher = Fetcher((source,), budget=FetchBudget(per_source=rates))
    service = EndorsementService(fetcher=fetcher, refresh=False)
    service.keep([(VEK, VEK_ITEM), (CRL, crl(1))], [use(VEK_ITEM, 0), use(crl(1), 0)], ANCHOR, now=START)
    fetcher.fetch([CRL], authenticated=False)  # a stranger's
    expired = START + timedelta(days=31)
    found = service.find([NEXT_VEK, CRL], anchors=ANCHORS, now=expired)
    assert [item for item, _ in found.items] == [NEXT_VEK]
    assert found.failed == ()
    service.find([CRL], anchors=ANCHORS, now=expired)
    assert source.asked == [CRL, NEXT_VEK, CRL]


# --- what a disk broke ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("signer_at_hand", [True, False])
def test_a_certificate_is_dropped_only_when_its_own_signature_is_wrong(*, broken: bool, signer_at_hand: bool) -> None:
    """The peer brings the signer: here it is looked for in the store, and without it nothing is known."""
    vek, signer = one(SNP_TEE, EndorsementKind.AMD_VEK), one(SNP_TEE, EndorsementKind.AMD_SIGNER)
    key = keys_of(vek)[0]
    if broken:
        vek = replace(vek, data=vek.data[:-1] + bytes([vek.data[-1] ^ 1]))
    anchor = next(each for each in anchors() if each.vendor is Vendor.AMD and "Milan" in each.name)
    service = EndorsementService(refresh=False)
    items = [(key, vek), *([(keys_of(signer)[0], signer)] if signer_at_hand else [])]
    service.keep(items, [use(item, 60) for _, item in items], anchor, now=NOW)
    judging = Lookups(service, (anchor,), OpensslCryptoWrapper())

    def judge(more: tuple[Endorsement, ...]) -> AttestationResult:
        if vek not in more:
            raise EndorsementMissingError("missing", missing=(key,))
        raise SignatureError("the report is not signed by it")

    error = EndorsementMissingError if broken and signer_at_hand else SignatureError
    with pytest.raises(error):
        judging.judge(b"certificate", judge, NOW)
