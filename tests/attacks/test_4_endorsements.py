"""Attacks on what looks Endorsements up: on network, cache, quota and time. Numbers are those of docs/attacks.md.

Vendors' services are the simulated ones, over HTTPS on loopback.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest

from rats_tls.context import Context
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    AppraisalError,
    EndorsementMissingError,
    HandshakeTimeoutError,
    PeerRefusedError,
    RatsTlsError,
    RevokedError,
)
from rats_tls.core.limits import FetchLimits, Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource, FetchError, FetchProblem
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore
from rats_tls.policy import ANY
from rats_tls.simulation.services.faults import NO_FAULTS, Faults, Throttle
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.world import SimulatedWorld
from support.fetching import ScriptedSource, SetClock
from support.judged import collected
from support.looked_up import asked, judge, service_of, sources_of, unbounded_fetcher
from support.sides import SGX, SNP, TDX, Clock, attester, context, policy_for, served
from support.simulated import NOW, world

K = EndorsementKind
EVERY_TEE = pytest.mark.parametrize("tee", [SGX, TDX, SNP])
NEEDED = [
    *((tee, kind) for tee in (SGX, TDX) for kind in (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY)),
    *((tee, kind) for tee in (SGX, TDX) for kind in (K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL)),
    *((SNP, kind) for kind in (K.AMD_VEK, K.AMD_SIGNER, K.AMD_CRL)),
]
EVERY_ITEM = pytest.mark.parametrize(("tee", "kind"), NEEDED)
ANY_AGE = {"max_evidence_age": ANY}
PATHS = {
    K.INTEL_TCB_INFO: "/tcb",
    K.INTEL_QE_IDENTITY: "/qe/identity",
    K.INTEL_ROOT_CRL: "/rootcacrl",
    K.INTEL_PCK_CRL: "/pckcrl",
    K.AMD_VEK: "blSPL",
    K.AMD_SIGNER: "/cert_chain",
    K.AMD_CRL: "/crl",
}


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",)) as services:
        yield services


@pytest.fixture
def vendors(running: SimulatedServices) -> SimulatedServices:
    """Give services in order that nobody has asked anything."""
    ail(running, NO_FAULTS)
    for web in running.all:
        web.forget_requests()
    return running


def ail(vendors: SimulatedServices, faults: Faults) -> None:
    for web in vendors.all:
        web.faults = faults


# --- 4.2 nothing at hand, and nothing to be had ----------------------------------------------------------------------
@EVERY_TEE
@pytest.mark.parametrize(
    "faults",
    [Faults(down=True), Faults(status=404), Faults(garbage=True)],
    ids=["down", "404", "garbage"],
)
def test_4_2_with_the_network_down_and_nothing_at_hand_nobody_is_accepted(
    vendors: SimulatedServices, tee: str, faults: Faults, tmp_path: Path
) -> None:
    ail(vendors, faults)
    store = EndorsementStore(tmp_path)
    with pytest.raises(EndorsementMissingError, match=r"pccs|amd-kds") as caught:
        judge(tee, service_of(vendors, store))
    assert caught.value.missing
    assert store.entries() == ()


def wanting_without(kind: EndorsementKind) -> list[EndorsementKind]:
    """Give what is missing where `kind` is: a list is asked for only for Evidence that is proved."""
    return [kind, K.AMD_CRL] if kind in (K.AMD_VEK, K.AMD_SIGNER) else [kind]


@EVERY_ITEM
def test_4_2_each_item_that_is_not_to_be_had_is_a_refusal(
    vendors: SimulatedServices, tee: str, kind: EndorsementKind
) -> None:
    ail(vendors, Faults(status=503, only=PATHS[kind]))
    with pytest.raises(EndorsementMissingError) as caught:
        judge(tee, service_of(vendors))
    assert [item.kind for item in caught.value.missing] == wanting_without(kind)


# --- 4.3 what was kept ------------------------------------------------------------------------------------------------
def filled(vendors: SimulatedServices, tee: str, directory: Path) -> EndorsementStore:
    """Give a store that has all that judges `tee`, with the services then out of reach."""
    store = EndorsementStore(directory)
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"
    ail(vendors, Faults(down=True))
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"
    return store


def poison(directory: Path, kind: EndorsementKind, **columns: bytes) -> None:
    """Write something else into the store, as whoever can write its file does."""
    with sqlite3.connect(directory / FILE_NAME) as database:
        for name, value in columns.items():
            changed = database.execute(f"UPDATE items SET {name} = ? WHERE kind = ?", (value, kind.value))
            assert changed.rowcount == 1
        # Who can write the file can write the digest that tells what a disk has changed, too.
        ((data, proof),) = database.execute("SELECT data, proof FROM items WHERE kind = ?", (kind.value,)).fetchall()
        signature, chain = cbor2.loads(proof)
        poisoned = Endorsement(kind=kind, data=data, signature=signature, issuer_chain=tuple(chain))
        database.execute("UPDATE items SET digest = ? WHERE kind = ?", (poisoned.digest, kind.value))
    database.close()


@EVERY_ITEM
def test_4_3_what_comes_out_of_the_store_is_verified_on_each_load(
    vendors: SimulatedServices, tee: str, kind: EndorsementKind, tmp_path: Path
) -> None:
    store = filled(vendors, tee, tmp_path)
    (kept,) = (stored.endorsement for stored in store.entries() if stored.endorsement.kind is kind)
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"
    # The last byte is one of a signature, or of a document that is signed.
    poison(tmp_path, kind, data=kept.data[:-1] + bytes([kept.data[-1] ^ 1]))
    with pytest.raises(EndorsementMissingError, match=kind.value):
        judge(tee, service_of(vendors, store))
    ail(vendors, NO_FAULTS)
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
def test_4_3_a_document_of_the_store_is_verified_by_its_own_signature(
    vendors: SimulatedServices, kind: EndorsementKind, tmp_path: Path
) -> None:
    """Changed in a way that leaves it sound: the TCB that it knows is an older one."""
    store = filled(vendors, SGX, tmp_path)
    (kept,) = (stored.endorsement for stored in store.entries() if stored.endorsement.kind is kind)
    changed = kept.data.replace(b'"tcbEvaluationDataNumber":18', b'"tcbEvaluationDataNumber":99')
    assert changed != kept.data
    poison(tmp_path, kind, data=changed)
    with pytest.raises(EndorsementMissingError, match=kind.value):
        judge(SGX, service_of(vendors, store))


FOREIGN: list[tuple[str, EndorsementKind, dict[str, Any]]] = [
    (SGX, K.INTEL_TCB_INFO, {"fmspc": b"SIM\0\0\1"}),
    (TDX, K.INTEL_TCB_INFO, {"fmspc": b"SIM\0\0\1"}),
    (SGX, K.INTEL_PCK_CRL, {"certificate_authority": "processor"}),
    (SNP, K.AMD_VEK, {"machine": 1}),
    (SNP, K.AMD_SIGNER, {"key_type": "VLEK"}),
    (SNP, K.AMD_CRL, {"product": "Genoa"}),
]


@pytest.mark.parametrize(("tee", "kind", "other"), FOREIGN)
def test_4_3_an_authentic_item_of_another_platform_under_the_right_name_does_not_count(
    vendors: SimulatedServices, tee: str, kind: EndorsementKind, other: dict[str, Any], tmp_path: Path
) -> None:
    store = filled(vendors, tee, tmp_path)
    (foreign,) = collected(tee, **other)[1].of_kind(kind)
    poison(tmp_path, kind, data=foreign.data)
    if foreign.signature:
        with sqlite3.connect(tmp_path / FILE_NAME) as database:
            rows = database.execute("SELECT kind, proof FROM items").fetchall()
        database.close()
        (proof,) = (proof for name, proof in rows if name == kind.value)
        (kept,) = (stored.endorsement for stored in store.entries() if stored.endorsement.kind is kind)
        poison(tmp_path, kind, proof=proof.replace(kept.signature, foreign.signature))
    with pytest.raises(EndorsementMissingError) as caught:
        judge(tee, service_of(vendors, store))
    assert [item.kind for item in caught.value.missing] == [kind]
    # Nor does it stand in the way of the right one.
    ail(vendors, NO_FAULTS)
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"
    ail(vendors, Faults(down=True))
    assert judge(tee, service_of(vendors, store)).verdict == "accepted"


@pytest.mark.parametrize(("tee", "kind"), [pair for pair in NEEDED if pair[1] not in (K.INTEL_ROOT_CRL, K.AMD_CRL)])
def test_4_3_an_answer_about_another_platform_is_told_from_the_right_one(
    vendors: SimulatedServices, tee: str, kind: EndorsementKind, tmp_path: Path
) -> None:
    ail(vendors, Faults(for_another=True, only=PATHS[kind]))
    store = EndorsementStore(tmp_path)
    with pytest.raises(EndorsementMissingError, match=r"asked for|expected \.\.\.") as caught:
        judge(tee, service_of(vendors, store))
    assert [item.kind for item in caught.value.missing] == wanting_without(kind)
    assert store.entries() == ()


def test_4_3_what_was_verified_under_another_root_is_not_at_hand(tmp_path: Path, vendors: SimulatedServices) -> None:
    """A simulated vendor's items never serve a context that trusts the genuine ones, nor those of another world."""
    store = filled(vendors, SGX, tmp_path)
    keys = {stored.item for stored in store.entries()}
    assert len(keys) == 4
    wanted = sorted(keys, key=str)
    other = SimulatedWorld(clock=lambda: NOW)
    for anchors in (world().trust_anchors, other.trust_anchors):
        prints = [anchor.fingerprint for anchor in anchors]
        found = EndorsementService(store=store, refresh=False).find(wanted, anchors=prints, now=NOW)
        assert len(found.items) == (len(wanted) if anchors == world().trust_anchors else 0)


@EVERY_TEE
def test_4_3_what_was_fetched_for_a_peer_that_is_then_refused_is_not_kept(
    vendors: SimulatedServices, tee: str, tmp_path: Path
) -> None:
    store = EndorsementStore(tmp_path)
    ail(vendors, Faults(revoked=True))
    with pytest.raises(RevokedError):
        judge(tee, service_of(vendors, store))
    assert store.entries() == ()


class Generous:
    """A source that gives one item more than it was asked for."""

    channel = "standard"

    def __init__(self, inner: EndorsementSource, more: Endorsement) -> None:
        self._inner, self._more = inner, more
        self.name, self.serves = inner.name, inner.serves

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        found = self._inner.fetch(item)
        return (*found, self._more) if item.kind is self._more.kind else found


def test_4_3_what_no_verdict_rests_on_is_not_kept(vendors: SimulatedServices, tmp_path: Path) -> None:
    (foreign,) = collected(SGX, fmspc=b"SIM\0\0\1")[1].of_kind(K.INTEL_TCB_INFO)
    pccs, *_ = sources_of(vendors)
    store = EndorsementStore(tmp_path)
    assert judge(SGX, EndorsementService((Generous(pccs, foreign),), store=store, refresh=False)).verdict == "accepted"
    kept = [stored.endorsement for stored in store.entries()]
    assert len(kept) == 4
    assert foreign not in kept


# --- 4.4 vendors' quotas ----------------------------------------------------------------------------------------------
def test_4_4_a_vcek_is_asked_for_once_for_ever_and_the_list_apart_from_it(
    vendors: SimulatedServices, tmp_path: Path
) -> None:
    chip = world().amd_chip("Milan").hwid.hex()
    healthy = vendors.amd_kds.publication
    for days in (0, 20, 31, 62, 400):
        clock = Clock(NOW + timedelta(days=days))
        state = replace(healthy.state, issue_date=clock.now - timedelta(hours=1))
        vendors.amd_kds.publication = replace(healthy, state=state)
        store = EndorsementStore(tmp_path)  # as after a restart
        assert judge(SNP, service_of(vendors, store), policy_for(SNP, **ANY_AGE), clock=clock).verdict == "accepted"
    vendors.amd_kds.publication = healthy
    # A list lasts 30 days.
    assert asked(vendors.amd_kds) == {chip: 1, "cert_chain": 1, "crl": 4}


@EVERY_ITEM
def test_4_4_what_is_not_to_be_had_is_asked_for_once_in_an_appraisal(
    vendors: SimulatedServices, tee: str, kind: EndorsementKind
) -> None:
    """The others are found and the appraisal is done again with them: no reason to ask for this one again."""
    ail(vendors, Faults(garbage=True, only=PATHS[kind]))
    with pytest.raises(EndorsementMissingError):
        judge(tee, EndorsementService(fetcher=unbounded_fetcher(vendors), refresh=False))
    assert set(asked(*vendors.all).values()) == {1}


def test_4_4_a_service_that_throttles_is_left_alone(vendors: SimulatedServices) -> None:
    vendors.amd_kds.faults = Faults(throttle=Throttle(requests=0))
    service = service_of(vendors)
    for _ in range(4):
        with pytest.raises(EndorsementMissingError, match="429"):
            judge(SNP, service)
    assert sum(asked(vendors.amd_kds).values()) == 1


def test_4_4_evidence_of_chips_that_nobody_knows_does_not_spend_the_quota(vendors: SimulatedServices) -> None:
    """Whoever can connect can name any chip; AMD throttles at the fifth request."""
    service = service_of(vendors)
    for number in range(8):
        with pytest.raises(EndorsementMissingError):
            judge(attester(SNP, chip_id=bytes([number + 1] * 64)), service, policy_for(SNP))
    assert 0 < sum(asked(vendors.amd_kds).values()) <= 4


def test_4_4_what_strangers_may_not_spend_is_spent_for_evidence_once_it_is_authenticated(
    vendors: SimulatedServices,
) -> None:
    """VCEK and signer spend all that there is for strangers; the list is asked for in the next round."""
    budget = FetchBudget(per_source={"amd-kds": Rate(burst=2, seconds_each=999.0)})
    service = EndorsementService(fetcher=Fetcher(sources_of(vendors), budget=budget), refresh=False)
    assert judge(SNP, service).verdict == "accepted"


@EVERY_TEE
def test_4_4_what_the_policy_refuses_anyway_asks_for_nothing(vendors: SimulatedServices, tee: str) -> None:
    field, size = {SGX: ("mr_enclave", 32), TDX: ("mr_td", 48), SNP: ("measurement", 48)}[tee]
    with pytest.raises(AppraisalError):
        judge(tee, service_of(vendors), policy_for(tee, **{field: bytes(size)}))
    assert asked(*vendors.all) == {}


# --- 4.5 size and time ------------------------------------------------------------------------------------------------
@EVERY_ITEM
def test_4_5_answers_are_bounded_in_size(vendors: SimulatedServices, tee: str, kind: EndorsementKind) -> None:
    size = len(collected(tee)[1].of_kind(kind)[0].data)
    bound = {"json_document" if kind in (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY) else "revocation_list": size - 1}
    if kind in (K.AMD_VEK, K.AMD_SIGNER):
        bound = {"certificate": size - 1}
    with pytest.raises(EndorsementMissingError, match=f"got more than {size - 1} bytes") as caught:
        judge(tee, service_of(vendors, limits=FetchLimits(attempts=1, **bound)))
    assert kind in {item.kind for item in caught.value.missing}


def test_4_5_answers_are_bounded_in_time(vendors: SimulatedServices) -> None:
    ail(vendors, Faults(stall=60))
    service = service_of(vendors, limits=FetchLimits(total_seconds=0.3))
    started = time.monotonic()
    with pytest.raises(EndorsementMissingError, match="timed out"):
        judge(SNP, service)
    assert time.monotonic() - started < 20


def test_4_5_an_appraisal_that_takes_longer_than_a_handshake_may_is_a_refusal(vendors: SimulatedServices) -> None:
    vendors.amd_kds.faults = Faults(stall=0.4)
    client = context(None, SNP, endorsements=service_of(vendors), limits=Limits(handshake_seconds=0.8))
    serving = context(SNP, provide_endorsements=False)
    with served(serving, lambda _: None) as (address, _), pytest.raises(HandshakeTimeoutError, match=r"after 0\.8 s"):
        client.connect(address)


@pytest.mark.parametrize(("seconds", "most"), [(0, 1), (61, 7)])
def test_4_5_a_source_that_always_gives_something_else_is_asked_a_bounded_number_of_times(
    seconds: int, most: int
) -> None:
    """Each answer is new, sound and of another chip, so that the appraisal could ask for ever."""
    times = itertools.count(step=seconds)
    others = [collected(SNP, machine=number)[1].of_kind(K.AMD_VEK)[0] for number in range(1, 9)]

    def another(_: MissingEndorsement) -> Endorsement:
        return others[len(source.asked) - 1]

    source = ScriptedSource(give=another, kinds=(K.AMD_VEK,))
    with pytest.raises(EndorsementMissingError):
        judge(SNP, EndorsementService((source,), refresh=False, clock=lambda: float(next(times))))
    assert 0 < len(source.asked) <= most


def test_4_5_no_request_is_begun_when_the_time_for_looking_up_is_over() -> None:
    clock = SetClock()

    def slow(item: MissingEndorsement) -> Endorsement:
        clock.seconds += 9
        raise FetchError(str(item), problem=FetchProblem.UNAVAILABLE)

    sources = (ScriptedSource(give=slow), ScriptedSource(give=slow))
    items = [MissingEndorsement(kind=K.INTEL_TCB_INFO, key=(("id", str(number)),)) for number in range(50)]
    outcome = Fetcher(sources, clock=clock).fetch(items, authenticated=True)
    assert len(outcome.missing) == 50
    assert [len(source.asked) for source in sources] == [2, 1]  # at 0, 9 and 18 seconds of 20


# --- 4.8 what a peer is told ------------------------------------------------------------------------------------------
def test_4_8_a_peer_is_not_told_whether_a_look_up_or_the_policy_refused_it(vendors: SimulatedServices) -> None:
    serving = context(SNP, provide_endorsements=False)
    told: set[tuple[str, WireCode | None]] = set()

    def refuse(error: type[RatsTlsError], client: Context) -> None:
        with served(serving, lambda _: None) as (address, outcome), pytest.raises(error):
            client.connect(address, timeout=20)
        assert isinstance(outcome.error, PeerRefusedError)
        assert outcome.error.refusal is Refusal.REFUSED_BY_PEER
        told.add((str(outcome.error), getattr(outcome.error, "code", None)))

    refuse(AppraisalError, context(None, policy_for(SNP, measurement=bytes(48)), endorsements=service_of(vendors)))
    refuse(EndorsementMissingError, context(None, SNP, endorsements=EndorsementService()))
    for faults, error in ((Faults(revoked=True), RevokedError), (Faults(down=True), EndorsementMissingError)):
        ail(vendors, faults)
        refuse(error, context(None, SNP, endorsements=service_of(vendors)))
    assert len(told) == 1, told
