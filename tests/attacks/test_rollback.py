"""Older Endorsements than were seen before, and clocks that are put back (3.4, 3.5, 4.1). Numbers: docs/attacks.md.

The simulated vendors' anchors stand for pinned ones here: only vendors' anchors raise floors.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.context import Context
from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import (
    AppraisalError,
    ClockError,
    ConfigurationError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    RolledBackError,
)
from rats_tls.core.results import AttestationResult
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.intel_pcs import Pccs
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore
from rats_tls.judging import system_time
from rats_tls.lookups import Lookups
from rats_tls.simulation.services.faults import NO_FAULTS, Faults
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.vendor_state import INTEL_HEALTHY
from support.appraisals import make_appraiser
from support.endorsed import ANCHOR, CRL, crl, use
from support.sides import SGX, SNP, TDX, Clock, connected_pair, context, policy_for, served
from support.simulated import NOW, REPORT_DATA, world

TEES = (SGX, TDX, SNP)
world().amd("Milan")  # its anchor is there from now on
ANCHORS = tuple(replace(anchor, kind=AnchorKind.VENDOR) for anchor in world().trust_anchors)

NUMBER = INTEL_HEALTHY.tcb_evaluation_data_number


@pytest.fixture
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",)) as services:
        yield services


def all_have(vendors: SimulatedServices, faults: Faults) -> None:
    for web in vendors.all:
        web.faults = faults


def service(
    vendors: SimulatedServices, store: EndorsementStore | None = None, channel: str = "standard"
) -> EndorsementService:
    ca = vendors.certificate_authority
    sources = (Pccs(vendors.intel_pccs.url, ca=ca, channel=channel), AmdKds(base_url=vendors.amd_kds.url, ca=ca))
    return EndorsementService(sources, store=store, refresh=False)


def client(
    tee: str, endorsements: EndorsementService, anchors: tuple[TrustAnchor, ...] = ANCHORS, **more: Any
) -> Context:
    return context(None, tee, endorsements=endorsements, trust_anchors=anchors, **more)


def accept(tee: str, judging: Context, serving: Context | None = None) -> Any:
    """Connect, move a byte; give what the client says of the server."""
    ends = connected_pair(serving or context(tee, provide_endorsements=False), judging)
    ends[1].sendall(b"x")
    assert ends[0].recv(1) == b"x"
    peer = ends[1].peer
    for end in ends:
        end.close()
    return peer


def refusal(tee: str, judging: Context, serving: Context | None = None) -> RatsTlsError:
    serving = serving or context(tee, provide_endorsements=False)
    with served(serving, lambda _: None) as (address, _), pytest.raises(RatsTlsError) as caught:
        judging.connect(address, timeout=30)
    return caught.value


def forget_items(directory: Path) -> None:
    """Lose what is kept, but not what was seen: as when a store is pruned or bounded."""
    with sqlite3.connect(directory / FILE_NAME) as database:
        database.execute("DELETE FROM items")
    database.close()


def origins(peer: Any) -> set[str]:
    return {use.origin for use in peer.endorsements if use.kind.is_reissued}


# --- 3.4 -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", TEES)
def test_3_4_what_is_older_than_what_was_seen_before_is_refused(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    """Also though it is in date, after a restart, and by any number of tries."""
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path))))
    forget_items(tmp_path)
    all_have(vendors, Faults(rolled_back=True))
    judging = client(tee, service(vendors, EndorsementStore(tmp_path)))
    for _ in range(2):
        error = refusal(tee, judging)
        assert isinstance(error, RolledBackError)
        assert "rolled back: number: got" in str(error)
    assert EndorsementStore(tmp_path).entries() == () or tee == SNP  # AMD's certificates are not reissued
    all_have(vendors, NO_FAULTS)
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path))))


@pytest.mark.parametrize("tee", TEES)
def test_3_4_a_mirror_that_is_behind_does_not_hide_what_the_next_source_has(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path))))
    forget_items(tmp_path)
    with SimulatedServices(world(), products=("Milan",)) as mirrors:
        all_have(mirrors, Faults(rolled_back=True))
        sources = tuple(
            source
            for one in (mirrors, vendors)
            for source in (
                Pccs(one.intel_pccs.url, ca=one.certificate_authority),
                AmdKds(base_url=one.amd_kds.url, ca=one.certificate_authority),
            )
        )
        fetcher = Fetcher(sources, budget=FetchBudget(per_source={"amd-kds": Rate(burst=9, seconds_each=1.0)}))
        both = EndorsementService(fetcher=fetcher, store=EndorsementStore(tmp_path), refresh=False)
        accept(tee, client(tee, both))
        assert sum(sum(web.requests.values()) for web in mirrors.all) > 0


@pytest.mark.parametrize("tee", TEES)
def test_3_4_without_having_seen_newer_ones_older_ones_in_date_are_good(vendors: SimulatedServices, tee: str) -> None:
    """The test before this one is about what was seen, and nothing else."""
    all_have(vendors, Faults(rolled_back=True))
    accept(tee, client(tee, service(vendors)))


@pytest.mark.parametrize("tee", TEES)
def test_3_4_simulated_vendors_raise_no_floors(vendors: SimulatedServices, tee: str, tmp_path: Path) -> None:
    anchors = world().trust_anchors
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path)), anchors))
    assert EndorsementStore(tmp_path).entries()
    assert EndorsementStore(tmp_path).floors() == {}
    forget_items(tmp_path)
    all_have(vendors, Faults(rolled_back=True))
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path)), anchors))


@pytest.mark.parametrize("tee", TEES)
def test_3_4_a_peers_older_copy_counts_as_absent(vendors: SimulatedServices, tee: str, tmp_path: Path) -> None:
    """It is in date, and is what a platform sends on that has been corrected or revoked since."""
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path))))
    forget_items(tmp_path)
    old = sending(tee, issue_date=NOW - timedelta(days=10), list_number=0)
    judging = client(tee, service(vendors, EndorsementStore(tmp_path)))
    assert origins(accept(tee, judging, old)) == {"local"}
    # Where nothing can be fetched, it is missing all the same.
    forget_items(tmp_path)
    all_have(vendors, Faults(down=True))
    error = refusal(tee, client(tee, service(vendors, EndorsementStore(tmp_path))), old)
    assert isinstance(error, EndorsementMissingError)
    assert "rolled back" in str(error)


@pytest.mark.parametrize("tee", TEES)
def test_3_4_who_is_remembered_is_judged_anew_when_something_newer_was_seen(
    vendors: SimulatedServices, tee: str
) -> None:
    old = sending(tee, issue_date=NOW - timedelta(days=10), list_number=0)
    endorsements = service(vendors)
    judging = client(tee, endorsements)
    for _ in range(2):
        assert origins(accept(tee, judging, old)) == {"peer"}
    accept(tee, client(tee, endorsements))
    assert origins(accept(tee, judging, old)) == {"local"}


@pytest.mark.parametrize("tee", TEES)
@pytest.mark.parametrize("remembers", [True, False])
def test_3_4_what_another_process_has_seen_refuses_nobody_here(
    vendors: SimulatedServices, tee: str, remembers: bool, tmp_path: Path
) -> None:
    """Its floors count here as its items do: what lies older in memory gives way, and no peer is refused for it."""
    all_have(vendors, Faults(rolled_back=True))
    ticks = [0.0]
    ca = vendors.certificate_authority
    sources = (Pccs(vendors.intel_pccs.url, ca=ca), AmdKds(base_url=vendors.amd_kds.url, ca=ca))
    here = EndorsementService(sources, store=EndorsementStore(tmp_path), refresh=False, clock=lambda: ticks[0])
    judging, serving = client(tee, here), context(tee, provide_endorsements=False)
    accept(tee, judging, serving)
    forget_items(tmp_path)
    all_have(vendors, NO_FAULTS)
    accept(tee, client(tee, service(vendors, EndorsementStore(tmp_path))))
    all_have(vendors, Faults(down=True))
    ticks[0] += 61
    peer = accept(tee, judging, serving if remembers else None)
    numbers = {use.number for use in peer.endorsements if use.kind.is_reissued}
    assert numbers == {
        floor.number for floors in EndorsementStore(tmp_path).floors().values() for _, floor in floors.items()
    }


def sending(tee: str, **vendor: Any) -> Context:
    """Make a server that sends Endorsements that its vendor had published in another state."""
    return context(world().attester(tee, **vendor))


@pytest.mark.parametrize("tee", TEES)
def test_3_4_what_a_peer_sends_raises_no_floor(vendors: SimulatedServices, tee: str, tmp_path: Path) -> None:
    """Newer than all that the operator's sources have: else one peer could have all others refused."""
    store = EndorsementStore(tmp_path)
    newer = sending(tee, issue_date=NOW - timedelta(minutes=5), list_number=99)
    judging = client(tee, service(vendors, store))
    assert origins(accept(tee, judging, newer)) == {"peer"}
    assert store.floors() == {}
    accept(tee, client(tee, service(vendors, store)))


@pytest.mark.parametrize("tee", [SGX, TDX])
def test_3_4_a_peers_copy_of_another_recovery_does_not_beat_a_local_one(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    """The early channel's documents have a higher number, whenever they were issued."""
    store = EndorsementStore(tmp_path)
    accept(tee, client(tee, service(vendors, store)))
    seen = store.floors()
    early = sending(tee, tcb_evaluation_data_number=NUMBER + 1, issue_date=NOW - timedelta(minutes=1))
    peer = accept(tee, client(tee, service(vendors, store)), early)
    uses = {use.kind.value: use for use in peer.endorsements}
    assert uses["intel-tcb-info"].origin == uses["intel-qe-identity"].origin == "local"
    assert uses["intel-tcb-info"].number == NUMBER
    assert {name: dict(floors.items()) for name, floors in store.floors().items()} == {
        name: dict(floors.items()) for name, floors in seen.items()
    }


def test_3_4_each_update_channel_has_floors_of_its_own(vendors: SimulatedServices, tmp_path: Path) -> None:
    """An operator who goes back from the early channel to the standard one is not locked out."""
    all_have(vendors, Faults(tcb_recovery=True))
    store = EndorsementStore(tmp_path)
    early = client(SGX, service(vendors, store, "early"))
    assert isinstance(refusal(SGX, early), AppraisalError)  # out of date, by the early channel
    assert {floor.number for _, floor in store.floors()["early"].items()} == {NUMBER + 1}
    accept(SGX, client(SGX, service(vendors, store)))
    assert {floor.number for _, floor in store.floors()["standard"].items()} == {NUMBER}


def test_3_4_sources_of_two_update_channels_are_not_mixed(vendors: SimulatedServices) -> None:
    sources = [
        Pccs(vendors.intel_pccs.url, ca=vendors.certificate_authority, channel=name) for name in ("early", "standard")
    ]
    with pytest.raises(ConfigurationError, match="early and standard"):
        EndorsementService(sources)
    with pytest.raises(ConfigurationError, match="early and standard"):
        EndorsementService(sources[:1], channel="standard")


@pytest.mark.parametrize("tee", TEES)
def test_3_4_as_of_a_time_that_the_user_says_floors_neither_count_nor_rise(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    store = EndorsementStore(tmp_path)
    accept(tee, client(tee, service(vendors, store)))
    seen = {name: dict(floors.items()) for name, floors in store.floors().items()}
    entries = store.entries()
    all_have(vendors, Faults(rolled_back=True))
    forget_items(tmp_path)
    appraiser = make_appraiser(policy_for(tee), anchors=ANCHORS)
    evidence = world().attester(tee).collect(REPORT_DATA).evidence
    then = NOW - timedelta(days=2)
    lookups = Lookups(service(vendors, store), ANCHORS, OpensslCryptoWrapper(), explicit_time=True)

    def judge(more: tuple[Endorsement, ...]) -> AttestationResult:
        return appraiser.appraise_evidence(
            evidence, now=then, expected_report_data=REPORT_DATA, peer_endorsements=more, floors=lookups.floors
        )

    assert lookups.judge(evidence.data, judge, then).verdict == "accepted"
    assert store.entries() == ()
    assert entries
    assert {name: dict(floors.items()) for name, floors in store.floors().items()} == seen


# --- 3.5 -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", TEES)
def test_3_5_what_is_from_the_future_raises_no_floor(vendors: SimulatedServices, tee: str, tmp_path: Path) -> None:
    """From a source or a peer: it is refused, and good ones are not refused for it afterwards."""
    store = EndorsementStore(tmp_path)
    early = Clock(NOW - timedelta(days=1))
    policy = policy_for(tee, max_evidence_age="any")
    behind = context(None, policy, endorsements=service(vendors, store), trust_anchors=ANCHORS, clock=early)
    serving = context(tee, provide_endorsements=False, clock=early)
    assert isinstance(refusal(tee, behind, serving), ExpiredError)
    assert store.floors() == {}
    future = sending(tee, issue_date=NOW + timedelta(days=1), list_number=99)
    assert origins(accept(tee, client(tee, service(vendors, store)), future)) == {"local"}
    assert all(floor.issued <= NOW for floors in store.floors().values() for _, floor in floors.items())


# --- 4.1 -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", TEES)
def test_4_1_a_clock_behind_what_vendors_have_signed_is_refused(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    """Else what has expired would be in date; also after a restart, and for a peer that is remembered."""
    clock = Clock()
    policy = policy_for(tee, max_evidence_age="any")
    serving = context(tee, provide_endorsements=False, clock=clock)

    def judging() -> Context:
        return context(
            None,
            policy,
            endorsements=service(vendors, EndorsementStore(tmp_path)),
            trust_anchors=ANCHORS,
            clock=clock,
        )

    first = judging()
    accept(tee, first, serving)
    accept(tee, first, serving)
    clock.now = NOW - timedelta(days=30)
    for one in (first, judging()):
        error = refusal(tee, one, serving)
        assert isinstance(error, ClockError)
        assert "clock is behind: got 2026-01-30" in str(error)
    clock.now = NOW
    accept(tee, first, serving)


def test_4_1_a_peer_that_is_remembered_is_not_let_in_by_a_clock_that_was_put_back(vendors: SimulatedServices) -> None:
    """Its own Endorsements would be in date: it is what was seen about others that tells."""
    endorsements = service(vendors)
    clock = Clock(NOW + timedelta(hours=1))
    judging = client(SGX, endorsements, clock=clock)
    serving = context(SGX, provide_endorsements=False, clock=Clock())
    seen = replace(use(crl(1), 0), issued=clock.now, expires=NOW + timedelta(days=30))
    endorsements.keep([(CRL, crl(1))], [seen], ANCHOR, now=clock.now)
    accept(SGX, judging, serving)
    accept(SGX, judging, serving)
    clock.now = NOW
    assert isinstance(refusal(SGX, judging, serving), ClockError)


def test_4_1_a_clock_that_is_a_little_behind_is_none_that_was_put_back(vendors: SimulatedServices) -> None:
    endorsements = service(vendors)
    accept(SGX, client(SGX, endorsements))
    latest = endorsements.floors.latest
    assert latest is not None
    endorsements.require_clock(latest - timedelta(minutes=4))
    with pytest.raises(ClockError):
        endorsements.require_clock(latest - timedelta(minutes=6))


def test_4_1_simulated_vendors_say_nothing_about_the_time(vendors: SimulatedServices) -> None:
    endorsements = service(vendors)
    accept(SGX, client(SGX, endorsements, world().trust_anchors))
    assert endorsements.floors.latest is None
    endorsements.require_clock(NOW - timedelta(days=1000))


def test_4_1_in_an_event_loop_too(vendors: SimulatedServices) -> None:
    clock = Clock()
    serving = context(SGX, provide_endorsements=False, clock=clock)
    judging = client(SGX, service(vendors), clock=clock)

    async def talk() -> None:

        server = await aio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, context=serving)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for now, refused in ((NOW, False), (NOW - timedelta(days=1), True), (NOW, False)):
                clock.now = now
                try:
                    _, writer = await aio.open_connection("127.0.0.1", port, context=judging)
                except ClockError:
                    assert refused
                else:
                    assert not refused
                    writer.close()

    asyncio.run(talk())


def test_4_1_a_clock_behind_this_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own, without any store; one that the caller gives may tell another time on purpose."""
    serving = Context(attester=world().attester(SGX), provide_endorsements=True)
    monkeypatch.setattr("rats_tls.judging._RELEASED", system_time() + timedelta(days=1))
    judging = Context(policy=policy_for(SGX), trust_anchors=ANCHORS)
    with served(serving, lambda _: None) as (address, _), pytest.raises(ClockError, match="was released"):
        judging.connect(address, timeout=30)
