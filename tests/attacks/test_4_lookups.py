"""Look-ups while services are down, while strangers spend what is for them, and out of a store that broke (4.4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest

from rats_tls.channel import AppraisalNeeded
from rats_tls.core.binding import Binding
from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import (
    BindingError,
    EndorsementMissingError,
    ExpiredError,
    FreshnessError,
    RatsTlsError,
    RevokedError,
    SignatureError,
)
from rats_tls.core.interfaces import Attester
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.bundle_source import BundleSource
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore
from rats_tls.simulation.services.faults import NO_FAULTS, Faults
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from support.fetching import ScriptedSource, SetClock
from support.judged import presented
from support.looked_up import TLS, asked, judge, sources_of
from support.sides import SGX, SNP, TDX, Clock, attester, context, policy_for
from support.simulated import NOW, world

EVERY_TEE = pytest.mark.parametrize("tee", [SGX, TDX, SNP])
NEWER = SnpTcb(fmc=None, bootloader=4, tee=0, snp=25, microcode=220)


@pytest.fixture
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",)) as services:
        yield services


def looking_up(
    vendors: SimulatedServices, store: EndorsementStore | None = None, ticks: SetClock | None = None
) -> EndorsementService:
    ticks = ticks or SetClock()
    fetcher = Fetcher(sources_of(vendors), clock=ticks)
    return EndorsementService(fetcher=fetcher, store=store, refresh=False, clock=ticks)


def all_down(vendors: SimulatedServices) -> None:
    for web in vendors.all:
        web.faults = Faults(status=503)


# --- outages ----------------------------------------------------------------------------------------------------------
@EVERY_TEE
def test_4_4_an_outage_delays_nobody_who_is_let_pass_by_a_grace(
    vendors: SimulatedServices, tmp_path: Path, tee: str
) -> None:
    ticks, store = SetClock(), EndorsementStore(tmp_path)
    service = looking_up(vendors, store, ticks)
    judge(tee, service)
    all_down(vendors)
    clock = Clock(max(entry.expires for entry in store.entries() if entry.endorsement.kind.is_reissued))
    policy = policy_for(tee, endorsement_grace=30 * 86_400, max_evidence_age="any")
    before = sum(asked(*vendors.all).values())
    for _ in range(5):
        assert judge(tee, service, policy, clock=clock).verdict == "accepted"
    first = sum(asked(*vendors.all).values()) - before
    items = 1 if tee == SNP else 4
    assert first == items  # each is asked for once, whoever comes
    with pytest.raises(ExpiredError) as caught:
        judge(tee, service, policy_for(tee, max_evidence_age="any"), clock=clock)
    # All that has to be renewed is named, and why it was not.
    assert caught.value.message.count("expired: got") == items
    assert "no newer copy: " in caught.value.message
    assert "503" in caught.value.message
    assert sum(asked(*vendors.all).values()) - before == first
    for web in vendors.all:
        web.faults = NO_FAULTS
    ticks.seconds += 60
    judge(tee, service, policy, clock=clock)
    assert sum(asked(*vendors.all).values()) - before == 2 * first  # a service that is back is asked again


# --- strangers --------------------------------------------------------------------------------------------------------
def chip(**state: Any) -> Attester:
    return attester(SNP, **state)


def spend_all_for_strangers(vendors: SimulatedServices, service: EndorsementService) -> str:
    """Show Evidence of chips that nobody knows until nothing more is asked for them; give the last refusal."""
    for number in range(8):
        with pytest.raises(EndorsementMissingError) as caught:
            judge(chip(chip_id=bytes([number + 1] * 64)), service, policy_for(SNP))
    return caught.value.message


@pytest.mark.parametrize("kept", ["in memory", "in the store", "before a restart"])
def test_4_4_strangers_do_not_keep_a_chip_that_was_proved_from_its_new_certificate(
    vendors: SimulatedServices, tmp_path: Path, kept: str
) -> None:
    """Its firmware was updated, so its VCEK is another one. Also after a restart, by what the store has of the chip."""
    ticks = SetClock()
    service = looking_up(vendors, EndorsementStore(tmp_path) if kept != "in memory" else None, ticks)
    judge(SNP, service)
    if kept == "before a restart":
        service = looking_up(vendors, EndorsementStore(tmp_path), ticks)
    assert "budget" in spend_all_for_strangers(vendors, service)
    policy = policy_for(SNP)
    assert judge(chip(current_tcb=NEWER), service, policy).verdict == "accepted"


def test_4_4_an_honest_chip_that_is_seen_first_during_an_attack_waits_and_nobody_else(
    vendors: SimulatedServices, tmp_path: Path
) -> None:
    ticks = SetClock()
    service = looking_up(vendors, EndorsementStore(tmp_path), ticks)
    judge(SGX, service)
    spend_all_for_strangers(vendors, service)
    with pytest.raises(EndorsementMissingError, match=r"not asked for amd-vek, the budget .* more in \d+ seconds"):
        judge(SNP, service)
    for tee in (SGX, TDX):
        assert judge(tee, service).verdict == "accepted"
    ticks.seconds += 180
    assert judge(SNP, service).verdict == "accepted"


def test_4_4_three_chips_that_are_new_are_judged_at_once(vendors: SimulatedServices) -> None:
    """Signer and list are no chip's, and spend nothing of what there is for chips that nobody knows."""
    service = looking_up(vendors)
    for machine in range(3):
        new = world().attester(SNP, machine=machine)
        assert judge(new, service, policy_for(SNP)).verdict == "accepted"


def test_4_4_who_comes_again_while_a_list_is_not_to_be_had_spends_nothing(vendors: SimulatedServices) -> None:
    """Its certificate is remembered though no verdict has rested on it."""
    ticks = SetClock()
    service = looking_up(vendors, ticks=ticks)
    vendors.amd_kds.faults = Faults(status=503, only="crl")
    for _ in range(12):
        with pytest.raises(EndorsementMissingError, match="amd-crl"):
            judge(SNP, service)
        ticks.seconds += 120
    requests = asked(vendors.amd_kds)
    assert max(count for path, count in requests.items() if path != "crl") == 1
    vendors.amd_kds.faults = NO_FAULTS
    ticks.seconds += 120
    assert judge(SNP, service).verdict == "accepted"
    for machine in (1, 2):
        assert judge(world().attester(SNP, machine=machine), service, policy_for(SNP)).verdict == "accepted"


def test_4_4_each_of_two_sources_of_one_service_has_its_own_budget(vendors: SimulatedServices) -> None:
    """A mirror that is asked first does not spend what there is for the vendor."""
    down, kds = sources_of(vendors)[1], sources_of(vendors)[1]
    budget = FetchBudget(per_source={"amd-kds": Rate(burst=2, seconds_each=999.0)})
    vendors.amd_kds.faults = Faults(status=503, times=2)
    service = EndorsementService(fetcher=Fetcher((down, kds), budget=budget), refresh=False)
    with pytest.raises(EndorsementMissingError):
        judge(SNP, service)
    assert sum(asked(vendors.amd_kds).values()) > 2


# --- a store that broke -----------------------------------------------------------------------------------------------
def break_items(directory: Path, kind: EndorsementKind) -> None:
    """Turn a bit of the signature of what is stored of a kind, and make the row's digest that of the result."""
    with sqlite3.connect(directory / FILE_NAME) as database:
        rows = database.execute("SELECT lookup, data, proof FROM items WHERE kind = ?", (kind.value,)).fetchall()
        for lookup, data, proof in rows:
            signature, chain = cbor2.loads(proof)
            turned = (data, signature[:-1] + bytes([signature[-1] ^ 1])) if signature else (data[:-1] + b"\0", b"")
            broken = Endorsement(kind=kind, data=turned[0], signature=turned[1], issuer_chain=tuple(chain))
            database.execute(
                "UPDATE items SET data = ?, proof = ?, digest = ? WHERE lookup = ?",
                (broken.data, cbor2.dumps([broken.signature, chain]), broken.digest, lookup),
            )
    database.close()
    assert rows


BROKEN = pytest.mark.parametrize(
    ("tee", "kind"),
    [
        *((TDX, kind) for kind in EndorsementKind if kind.value.startswith("intel") and kind.is_reissued),
        (SNP, EndorsementKind.AMD_VEK),
        (SNP, EndorsementKind.AMD_SIGNER),
        (SNP, EndorsementKind.AMD_CRL),
    ],
    ids=str,
)


@BROKEN
def test_4_4_what_a_disk_broke_is_looked_up_anew(
    vendors: SimulatedServices, tmp_path: Path, tee: str, kind: EndorsementKind
) -> None:
    judge(tee, looking_up(vendors, EndorsementStore(tmp_path)))
    break_items(tmp_path, kind)
    before = sum(asked(*vendors.all).values())
    assert judge(tee, looking_up(vendors, EndorsementStore(tmp_path))).verdict == "accepted"
    assert sum(asked(*vendors.all).values()) > before
    # And it is whole again.
    after = sum(asked(*vendors.all).values())
    assert judge(tee, looking_up(vendors, EndorsementStore(tmp_path))).verdict == "accepted"
    assert sum(asked(*vendors.all).values()) == after


@BROKEN
def test_4_4_what_a_disk_broke_is_missing_where_no_source_has_it(
    vendors: SimulatedServices, tmp_path: Path, tee: str, kind: EndorsementKind
) -> None:
    judge(tee, looking_up(vendors, EndorsementStore(tmp_path)))
    break_items(tmp_path, kind)
    with pytest.raises(EndorsementMissingError, match=kind.value):
        judge(tee, EndorsementService(store=EndorsementStore(tmp_path), refresh=False))
    assert kind not in {entry.endorsement.kind for entry in EndorsementStore(tmp_path).entries()}


def test_4_4_a_store_that_may_not_be_written_breaks_nothing(
    vendors: SimulatedServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(SNP, looking_up(vendors, EndorsementStore(tmp_path)))
    break_items(tmp_path, EndorsementKind.AMD_CRL)
    monkeypatch.setattr("rats_tls.endorsements.store.os.access", lambda *_: False)
    assert judge(SNP, looking_up(vendors, EndorsementStore(tmp_path))).verdict == "accepted"


@pytest.mark.parametrize("error", [SignatureError, RevokedError, FreshnessError, BindingError])
def test_4_4_evidence_that_is_refused_drops_nothing(
    vendors: SimulatedServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[RatsTlsError]
) -> None:
    """Whoever can connect can show a report of a known chip that this chip did not sign, or an old one."""
    store = EndorsementStore(tmp_path)
    judge(SNP, looking_up(vendors, store))
    kept = store.entries()
    verify, given = SevSnpVerifier.verify, []

    def refuse(self: SevSnpVerifier, decoded: Any, endorsements: Any, **settings: Any) -> Any:
        given.append(len(tuple(endorsements)))
        verification = verify(self, decoded, endorsements, **settings)
        if any(problem.missing is not None for problem in verification.problems):
            return verification
        raise error("refused")

    monkeypatch.setattr(SevSnpVerifier, "verify", refuse)
    with pytest.raises(error):
        judge(SNP, looking_up(vendors, store))
    assert given[-1] > given[0]  # it is refused with what was looked up
    assert store.entries() == kept


@pytest.mark.parametrize("age", [0, 2], ids=["in date", "too old"])
def test_4_4_a_list_that_came_without_its_chain_stays(vendors: SimulatedServices, tmp_path: Path, age: int) -> None:
    """A directory may hold a list alone; by itself it cannot be verified, and that is no reason to drop it."""
    first = EndorsementStore(tmp_path / "first")
    judge(TDX, looking_up(vendors, first))
    medium = tmp_path / "medium"
    medium.mkdir()
    for entry in first.entries():
        if entry.endorsement.kind is EndorsementKind.INTEL_PCK_CRL:
            (medium / "pck.crl").write_bytes(entry.endorsement.data)
    store = EndorsementStore(tmp_path / "store")
    sources = (BundleSource(medium), *sources_of(vendors))
    assert judge(TDX, EndorsementService(sources, store=store, refresh=False)).verdict == "accepted"
    kept = store.entries()
    (alone,) = [entry for entry in kept if entry.endorsement.kind is EndorsementKind.INTEL_PCK_CRL]
    assert alone.endorsement.issuer_chain == ()
    offline = EndorsementService(store=store, refresh=False)
    clock = Clock(NOW)
    certificate, _ = presented(attester(TDX), clock=clock)
    needed = AppraisalNeeded(
        certificate=certificate, binding=Binding.CERTIFICATE, endorsements=(), preamble=True, facts=TLS
    )
    judging = context(None, policy_for(TDX), endorsements=offline, clock=clock)
    clock.now += timedelta(hours=age)
    if age:
        with pytest.raises(FreshnessError):
            judging.appraise(needed)
    else:
        assert judging.appraise(needed).verdict == "accepted"
    assert store.entries() == kept


def test_4_4_a_chip_that_is_new_is_judged_though_it_comes_again_and_again_while_the_service_fails(
    vendors: SimulatedServices,
) -> None:
    """Every 30 seconds, of which each spends what there is: certificate and signer need not be got at once."""
    ticks = SetClock()
    service = looking_up(vendors, ticks=ticks)
    vendors.amd_kds.faults = Faults(status=500)
    for _ in range(4):
        with pytest.raises(EndorsementMissingError):
            judge(SNP, service)
        ticks.seconds += 30
    vendors.amd_kds.faults = NO_FAULTS
    for _ in range(20):
        ticks.seconds += 30
        try:
            result = judge(SNP, service)
        except EndorsementMissingError:
            continue
        assert result.verdict == "accepted"
        return
    pytest.fail("refused for ten minutes")


# --- a source that is wrong -------------------------------------------------------------------------------------------
def signature_changed(item: Endorsement) -> Endorsement:
    if item.kind is EndorsementKind.HYGON_CEK_CHAIN:
        hsk = bytearray(item.issuer_chain[0])
        hsk[576] ^= 1
        return replace(item, issuer_chain=(bytes(hsk),))
    return replace(item, data=item.data[:-1] + bytes((item.data[-1] ^ 1,)))


@pytest.mark.parametrize(
    ("tee", "kind", "wrong"),
    [
        ("simulated_csv", EndorsementKind.HYGON_CEK_CHAIN, signature_changed),
        ("simulated_csv", EndorsementKind.HYGON_CEK_CHAIN, lambda _: world().hygon_chip(1).chain()),
        ("simulated_sev", EndorsementKind.AMD_SEV_SIGNER, signature_changed),
        (SNP, EndorsementKind.AMD_SIGNER, signature_changed),
    ],
    ids=["HSK forged", "of another chip", "ASK forged", "SNP's ASK forged"],
)
def test_4_3_what_a_source_forged_is_asked_of_the_next_one(
    tee: str, kind: EndorsementKind, wrong: Callable[[Endorsement], Endorsement]
) -> None:
    made = attester(tee, **({"certificates": "beside"} if tee == "simulated_csv" else {}))
    endorsements = made.endorsements
    (good,) = endorsements.of_kind(kind)
    bad_source = ScriptedSource("a mirror", give=lambda _: wrong(good), kinds=(kind,))
    good_source = ScriptedSource("the vendor", give=lambda _: good, kinds=(kind,))
    local = Endorsements(tuple(item for item in endorsements if item.kind is not kind))
    service = EndorsementService((bad_source, good_source), local=local, refresh=False)
    for _ in range(2):
        assert judge(made, service, policy_for(tee)).verdict == "accepted"
    assert len(good_source.asked) == 1
