"""Connections whose Endorsements are looked up: at simulated vendor services, in a store, during outages."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.context import Context
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    RevokedError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.budget import SHARED_RATES, SOURCE_RATES
from rats_tls.endorsements.bundle import Bundle, write_bundle
from rats_tls.endorsements.bundle_source import BundleSource, described
from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.intel_pcs import Pccs
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.policy import Policy
from rats_tls.simulation.services.faults import NO_FAULTS, Faults
from rats_tls.simulation.services.publication import AmdPublication, IntelPublication
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.vendor_state import AMD_HEALTHY, INTEL_HEALTHY
from rats_tls.simulation.world import SimulatedWorld
from support.loops import LOOPS, run, serving
from support.sides import SGX, SNP, Clock, connected_pair, context, policy_for, served
from support.simulated import NOW, world

TEES = (SGX, SNP)


@pytest.fixture
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",)) as services:
        yield services


def service(
    vendors: SimulatedServices,
    store: EndorsementStore | None = None,
    *,
    before: tuple[EndorsementSource, ...] = (),
    **more: Any,
) -> EndorsementService:
    authority = vendors.certificate_authority
    more.setdefault("refresh_clock", Clock(NOW))
    return EndorsementService(
        (*before, Pccs(vendors.intel_pccs.url, ca=authority), AmdKds(base_url=vendors.amd_kds.url, ca=authority)),
        store=store,
        **more,
    )


def bundle_of(store: EndorsementStore, directory: Path) -> BundleSource:
    """Carry what is in a store."""
    items = {entry.endorsement.digest: described(entry.endorsement) for entry in store.entries()}
    path = directory / "bundle.zip"
    write_bundle(path, Bundle(made=NOW, channel="standard", items=tuple(items.values())))
    return BundleSource(path)


def server(tee: str) -> Context:
    return context(tee, provide_endorsements=False)


def client(tee: str, endorsements: EndorsementService, **more: Any) -> Context:
    return context(None, tee, endorsements=endorsements, **more)


def exchange(one: Context, other: Context) -> None:
    ends = connected_pair(one, other)
    ends[1].sendall(b"hello")
    assert ends[0].recv(5) == b"hello"
    for end in ends:
        end.close()


def refusal(one: Context, other: Context) -> RatsTlsError:
    """Give the error with which the client refuses."""
    with served(one, lambda _: None) as (address, _), pytest.raises(RatsTlsError) as caught:
        other.connect(address, timeout=30)
    return caught.value


def asked(vendors: SimulatedServices) -> int:
    return sum(sum(web.requests.values()) for web in vendors.all)


@pytest.mark.parametrize("tee", TEES)
def test_what_is_missing_is_fetched_once(vendors: SimulatedServices, tee: str) -> None:
    judging = client(tee, service(vendors))
    exchange(server(tee), judging)
    first = asked(vendors)
    assert 0 < first < 8
    for _ in range(3):
        exchange(server(tee), judging)
    assert asked(vendors) == first


@pytest.mark.parametrize("tee", TEES)
def test_without_sources_the_refusal_names_what_is_missing(tee: str) -> None:
    error = refusal(server(tee), client(tee, EndorsementService()))
    assert isinstance(error, EndorsementMissingError)
    assert error.missing


@pytest.mark.parametrize("tee", TEES)
def test_a_source_that_is_down_is_named_in_the_refusal(vendors: SimulatedServices, tee: str) -> None:
    for web in vendors.all:
        web.faults = Faults(down=True)
    error = refusal(server(tee), client(tee, service(vendors)))
    assert isinstance(error, EndorsementMissingError)
    assert "pccs 127.0.0.1" in str(error) or "amd-kds" in str(error)


@pytest.mark.parametrize("tee", TEES)
def test_what_was_kept_outlives_an_outage_and_the_process(vendors: SimulatedServices, tee: str, tmp_path: Path) -> None:
    exchange(server(tee), client(tee, service(vendors, EndorsementStore(tmp_path))))
    for web in vendors.all:
        web.faults = Faults(down=True)
    store = EndorsementStore(tmp_path)
    assert store.entries()
    exchange(server(tee), client(tee, service(vendors, store)))


@pytest.mark.parametrize("tee", TEES)
def test_after_expiry_without_a_source_every_connection_fails_and_the_item_is_named(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    store = EndorsementStore(tmp_path)
    clock = Clock()
    judging = client(tee, service(vendors, store), clock=clock)
    exchange(server(tee), judging)
    for web in vendors.all:
        web.faults = Faults(down=True)
    first = min(stored.expires for stored in store.entries())
    clock.now = first + timedelta(minutes=1)
    policy = policy_for(tee, max_evidence_age="any")
    late = context(None, policy, endorsements=service(vendors, store), clock=clock)
    serving = context(tee, provide_endorsements=False, clock=clock)
    for _ in range(2):
        error = refusal(serving, late)
        assert isinstance(error, ExpiredError)
        assert re.search(r"(crl|info|identity|revocation list).* has expired: got .* expected .* to before", str(error))


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize("new", [True, False])
def test_what_is_old_in_a_bundle_does_not_hide_what_a_service_has(
    vendors: SimulatedServices, tee: str, new: bool, tmp_path: Path
) -> None:
    """Whatever the order of the sources: of several valid copies the newest counts."""
    store = EndorsementStore(tmp_path)
    exchange(server(tee), client(tee, service(vendors, store)))
    clock = Clock(min(entry.expires for entry in store.entries()))
    if new:
        issued = clock.now - timedelta(hours=1)
        vendors.intel_pccs.publication = IntelPublication(standard=replace(INTEL_HEALTHY, issue_date=issued))
        vendors.amd_kds.publication = AmdPublication(state=replace(AMD_HEALTHY, issue_date=issued))
    else:
        for web in vendors.all:
            web.faults = Faults(down=True)
    policy = policy_for(tee, max_evidence_age="any")
    endorsements = service(vendors, before=(bundle_of(store, tmp_path),))
    judging = context(None, policy, endorsements=endorsements, clock=clock)
    serving = context(tee, provide_endorsements=False, clock=clock)
    if new:
        exchange(serving, judging)
    else:
        error = refusal(serving, judging)
        assert isinstance(error, ExpiredError)
        assert "has expired" in str(error)


def test_a_refused_policy_asks_for_nothing(vendors: SimulatedServices) -> None:
    """Attacks 4.2: whoever connects could else spend the quota."""
    policy = policy_for(SGX, mr_enclave=bytes(32))
    error = refusal(server(SGX), context(None, policy, endorsements=service(vendors)))
    assert isinstance(error, AppraisalError)
    assert asked(vendors) == 0


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize("same_certificate", [True, False])
def test_what_is_in_date_and_too_old_for_the_policy_is_looked_up_again(
    vendors: SimulatedServices, tmp_path: Path, tee: str, same_certificate: bool
) -> None:
    clock = Clock()
    policy = policy_for(tee, max_evidence_age="any", max_endorsement_age=3 * 86_400)

    def judge_anew() -> Context:
        found = service(vendors, EndorsementStore(tmp_path), refresh=False)
        return context(None, policy, endorsements=found, clock=clock)

    judging = judge_anew()
    lasting: dict[str, Any] = {"provide_endorsements": False, "max_evidence_age": 30 * 86_400.0, "clock": clock}
    serving = context(tee, **lasting)
    exchange(serving, judging)
    first = asked(vendors)
    clock.now += timedelta(days=4)
    if not same_certificate:
        serving = context(tee, **lasting)
    # The vendors have nothing newer yet: they are not asked for it by everyone who connects.
    for _ in range(3):
        error = refusal(serving, judging)
        assert isinstance(error, AppraisalError)
        assert {mismatch.field for mismatch in error.mismatches} == {"max_endorsement_age"}
    lists = 1 if tee == SNP else 4
    assert asked(vendors) == first + lists
    issued = clock.now - timedelta(hours=1)
    vendors.intel_pccs.publication = IntelPublication(standard=replace(INTEL_HEALTHY, issue_date=issued))
    vendors.amd_kds.publication = AmdPublication(state=replace(AMD_HEALTHY, issue_date=issued))
    judging = judge_anew()
    for _ in range(2):
        exchange(serving, judging)
    assert asked(vendors) == first + 2 * lists


class Forger:
    """Signs its reports with a key of its own, and sends the certificate that it made for that as its chip's."""

    name = "forger"
    tee_type = TeeType.SEV_SNP

    def __init__(self) -> None:
        self._attester = SimulatedWorld(clock=lambda: NOW).attester(SNP)

    def collect(self, report_data: bytes) -> Collected:
        made = self._attester.collect(report_data)
        vek = tuple(item for item in made.endorsements if item.kind is EndorsementKind.AMD_VEK)
        return Collected(evidence=made.evidence, endorsements=vek)


def test_a_forged_chip_certificate_spends_the_budget(vendors: SimulatedServices) -> None:
    """Attacks 4.4: as long as nobody knows who signed it, it proves nothing about who asks."""
    vendors.amd_kds.faults = Faults(garbage=True)
    forgetful = RecentFailures(outage_seconds=0.0)  # so that the budget alone bounds the requests
    fetcher = Fetcher(service(vendors)._fetcher.sources, failures=forgetful)
    judging = client(SNP, EndorsementService(fetcher=fetcher, refresh=False))
    forging = context(Forger(), provide_endorsements=True)
    for _ in range(4):
        assert isinstance(refusal(forging, judging), EndorsementMissingError)
    assert asked(vendors) == SOURCE_RATES["amd-kds"].burst + SHARED_RATES["amd-kds"].burst
    vendors.amd_kds.faults = NO_FAULTS
    # It is refused as soon as its signer is there.
    assert isinstance(refusal(forging, client(SNP, service(vendors))), CertificateChainError)


class StallingOnChips:
    """Has everything of a healthy SGX platform at once, and no answer about chips until it is let go."""

    name = "a source"
    channel = None

    def __init__(self) -> None:
        self.go = threading.Event()
        self.chips = 0

    def serves(self, _: MissingEndorsement) -> bool:
        return True

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        if item.kind is EndorsementKind.AMD_VEK:
            self.chips += 1
            self.go.wait(20)
        return tuple(found for found in world().endorsements(SGX) if found.kind is item.kind)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_service_that_stalls_on_strangers_keeps_no_known_peer_waiting(loop: str) -> None:
    """Attacks 4.5: one request is enough to hold everyone who says to be of the same chip."""
    source = StallingOnChips()
    policy = Policy.of(*policy_for(SGX).entries, *(replace(e, name="of a chip") for e in policy_for(SNP).entries))
    judging = context(None, policy, endorsements=EndorsementService((source,), refresh=False))

    async def main() -> None:
        async with serving(server(SNP)) as strange, serving(server(SGX)) as known:
            strangers = [
                asyncio.create_task(aio.open_connection("127.0.0.1", strange, context=judging)) for _ in range(50)
            ]
            while not source.chips:
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            _, writer = await asyncio.wait_for(aio.open_connection("127.0.0.1", known, context=judging), 10)
            writer.close()
            assert source.chips == 1
            source.go.set()
            refused = await asyncio.gather(*strangers, return_exceptions=True)
            assert all(isinstance(error, EndorsementMissingError) for error in refused)

    try:
        run(loop, main())
    finally:
        source.go.set()


def test_garbage_is_not_kept(vendors: SimulatedServices, tmp_path: Path) -> None:
    vendors.amd_kds.faults = Faults(garbage=True)
    store = EndorsementStore(tmp_path)
    assert isinstance(refusal(server(SNP), client(SNP, service(vendors, store))), EndorsementMissingError)
    assert store.entries() == ()
    vendors.amd_kds.faults = NO_FAULTS


def test_many_connections_at_once_fetch_an_item_once(vendors: SimulatedServices) -> None:
    judging = client(SNP, service(vendors))
    serving = server(SNP)
    failed: list[BaseException] = []

    def connect() -> None:
        try:
            exchange(serving, judging)
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failed.append(error)

    threads = [threading.Thread(target=connect) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert sorted(vendors.amd_kds.requests.values()) == [1, 1, 1]  # certificate, chain, list


def test_stored_items_are_found_by_kind_and_anchor(vendors: SimulatedServices, tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    exchange(server(SNP), client(SNP, service(vendors, store)))
    kinds = {stored.endorsement.kind for stored in store.entries()}
    assert EndorsementKind.AMD_VEK in kinds
    assert len({stored.anchor for stored in store.entries()}) == 1


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize("carried", [True, False])
def test_what_a_vendor_has_revoked_is_refused_after_the_next_refresh(
    vendors: SimulatedServices, tee: str, carried: bool, tmp_path: Path
) -> None:
    """Also who was accepted before and is remembered, though what that rested on is in date for weeks.

    A bundle before the services, which gives the same as before, does not hide it.
    """
    clock = Clock()
    store = EndorsementStore(tmp_path)
    exchange(server(tee), client(tee, service(vendors, store)))
    endorsements = service(
        vendors, before=(bundle_of(store, tmp_path),) if carried else (), refresh=False, refresh_clock=clock
    )
    judging = context(None, policy_for(tee, max_evidence_age="any"), endorsements=endorsements, clock=clock)
    serving = context(tee, provide_endorsements=False, clock=clock, max_evidence_age=1_000_000)
    exchange(serving, judging)
    for web in vendors.all:
        web.faults = Faults(revoked=True)
    exchange(serving, judging)
    clock.now += timedelta(hours=25)
    endorsements.refresh()
    assert isinstance(refusal(serving, judging), RevokedError)
