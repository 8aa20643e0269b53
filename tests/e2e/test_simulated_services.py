"""Simulated vendors' services over real sockets, in order and with every fault."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import Refusal
from rats_tls.simulation.services.faults import NO_FAULTS, Faults, Throttle
from rats_tls.simulation.services.publication import IntelPublication
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.states import FMSPCS
from rats_tls.simulation.vendor_state import INTEL_HEALTHY
from support.services import (
    FMSPC,
    MILAN_TCB,
    TURIN_TCB,
    Get,
    client_of,
    from_kds,
    from_pcs,
    judge,
    refusals,
    vcek_target,
)
from support.simulated import REPORT_DATA, world

CHAIN = "/vcek/v1/Milan/cert_chain"
IDENTITY = "/sgx/certification/v4/qe/identity"


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan", "Turin")) as services:
        yield services


@pytest.fixture
def services(running: SimulatedServices) -> Iterator[SimulatedServices]:
    """The services, in order again after each test."""
    yield running
    for service in running.all:
        service.faults = NO_FAULTS
        service.forget_requests()


@pytest.fixture
def kds(services: SimulatedServices) -> Get:
    return client_of(services, services.amd_kds)


@pytest.fixture
def pcs(services: SimulatedServices) -> Get:
    return client_of(services, services.intel_pcs)


def evidence_of(name: str, machine: int = 0, **settings: object) -> Evidence:
    return world().attester(name, machine=machine, **settings).collect(REPORT_DATA).evidence


def hwid(machine: int = 0) -> bytes:
    return world().amd_chip("Milan", machine).hwid


# --- in order -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ["sgx", "tdx"])
@pytest.mark.parametrize("machine", [0, 3])
@pytest.mark.parametrize("cache", [False, True])
def test_intel_evidence_is_judged_by_the_answers(
    services: SimulatedServices, tee: str, machine: int, cache: bool
) -> None:
    get = client_of(services, services.intel_pccs if cache else services.intel_pcs)
    fmspc = FMSPCS[machine]
    verification = judge(
        evidence_of(f"simulated_{tee}_ecdsa", machine, fmspc=fmspc), from_pcs(get, tee, fmspc=fmspc.hex())
    )
    assert verification.problems == ()
    assert verification.claims.tcb.status is TcbStatus.UP_TO_DATE


@pytest.mark.parametrize("machine", [0, 3])
def test_amd_evidence_is_judged_by_the_answers(kds: Get, machine: int) -> None:
    milan = from_kds(kds, "Milan", hwid(machine), MILAN_TCB)
    assert judge(evidence_of("simulated_sev_snp", machine), milan).problems == ()
    turin = from_kds(kds, "Turin", world().amd_chip("Turin", machine).hwid, TURIN_TCB)
    assert judge(evidence_of("simulated_sev_snp", machine, product="Turin"), turin).problems == ()


def test_requests_are_counted_by_path(services: SimulatedServices, kds: Get) -> None:
    for _ in range(3):
        kds(CHAIN)
    kds(vcek_target("Milan", hwid(), MILAN_TCB))
    assert kds("/nowhere").status == 404
    assert services.amd_kds.requests == {CHAIN: 3, f"/vcek/v1/Milan/{hwid().hex()}": 1, "/nowhere": 1}
    assert services.intel_pcs.requests == {}
    services.amd_kds.forget_requests()
    assert services.amd_kds.requests == {}


def test_a_connection_carries_several_requests(services: SimulatedServices) -> None:
    context = ssl.create_default_context(cadata=services.certificate_authority.decode())
    connection = http.client.HTTPSConnection("localhost", services.intel_pcs.port, context=context, timeout=20)
    bodies = set()
    for _ in range(3):
        connection.request("GET", IDENTITY)
        with connection.getresponse() as response:
            assert response.status == 200
            bodies.add(response.read())
    connection.close()
    assert len(bodies) == 1


def test_many_ask_at_once(services: SimulatedServices, pcs: Get) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: pcs(IDENTITY), range(64)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert services.intel_pcs.requests == {IDENTITY: 64}


def test_only_who_has_the_authority_connects(services: SimulatedServices, kds: Get) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", services.amd_kds.port, timeout=20)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", CHAIN)
    connection.close()
    assert kds(CHAIN).status == 200


def test_plain_http() -> None:
    with SimulatedServices(world(), tls=False) as services:
        assert services.certificate_authority == b""
        assert services.amd_kds.url == f"http://127.0.0.1:{services.amd_kds.port}"
        connection = http.client.HTTPConnection("127.0.0.1", services.amd_kds.port, timeout=20)
        connection.request("GET", CHAIN)
        with connection.getresponse() as response:
            assert response.read().startswith(b"-----BEGIN CERTIFICATE-----")
        connection.close()


# --- faults ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(expired=True), Refusal.ENDORSEMENTS_EXPIRED),
        (Faults(revoked=True), Refusal.REVOKED),
    ],
    ids=repr,
)
def test_faults_of_documents_come_and_go(
    services: SimulatedServices, pcs: Get, kds: Get, faults: Faults, expected: Refusal
) -> None:
    evidence, report = evidence_of("simulated_tdx_ecdsa"), evidence_of("simulated_sev_snp")
    for wrong in (faults, NO_FAULTS):
        services.intel_pcs.faults = services.amd_kds.faults = wrong
        found = (
            refusals(evidence, from_pcs(pcs, "tdx")),
            refusals(report, from_kds(kds, "Milan", hwid(), MILAN_TCB)),
        )
        assert found == (({expected}, {expected}) if wrong is faults else (set(), set()))


def test_what_is_published_can_be_changed(services: SimulatedServices, pcs: Get) -> None:
    services.intel_pcs.publication = IntelPublication(standard=replace(INTEL_HEALTHY, tcb_evaluation_data_number=21))
    try:
        verification = judge(evidence_of("simulated_sgx_ecdsa"), from_pcs(pcs, "sgx"))
        assert verification.claims.tcb.tcb_evaluation_data_number == 21
    finally:
        services.intel_pcs.publication = IntelPublication()


def test_throttle(services: SimulatedServices, kds: Get) -> None:
    services.amd_kds.faults = Faults(throttle=Throttle(requests=1, seconds=2.0))
    first, second = kds(CHAIN), kds(CHAIN)
    assert (first.status, second.status, second.body) == (200, 429, b"")
    wait = int(second.headers["Retry-After"])
    assert wait in {1, 2}
    time.sleep(wait)
    assert kds(CHAIN).status == 200


def test_throttle_of_a_long_window(services: SimulatedServices, kds: Get) -> None:
    services.amd_kds.faults = Faults(throttle=Throttle())
    answers = [kds(CHAIN) for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 429, 429]
    assert 590 <= int(answers[-1].headers["Retry-After"]) <= 600
    assert services.amd_kds.requests == {CHAIN: 6}


def test_stall(services: SimulatedServices, kds: Get) -> None:
    services.amd_kds.faults = Faults(stall=0.5)
    begun = time.monotonic()
    assert kds(CHAIN).status == 200
    assert time.monotonic() - begun >= 0.5


def test_cut_off(services: SimulatedServices, kds: Get) -> None:
    services.amd_kds.faults = Faults(cut_off=True)
    with pytest.raises(http.client.IncompleteRead) as cut:
        kds(CHAIN)
    assert len(cut.value.partial) > 1000
    assert cut.value.expected in {len(cut.value.partial), len(cut.value.partial) + 1}


def test_garbage(services: SimulatedServices, kds: Get, pcs: Get) -> None:
    good = kds(CHAIN).body
    services.amd_kds.faults = services.intel_pcs.faults = Faults(garbage=True)
    answer = kds(CHAIN)
    assert (answer.status, len(answer.body)) == (200, len(good))
    assert b"BEGIN" not in answer.body
    assert len(pcs(IDENTITY).chain("SGX-Enclave-Identity-Issuer-Chain")) == 2


def test_an_error_for_some_requests(services: SimulatedServices, kds: Get) -> None:
    services.amd_kds.faults = Faults(status=503, only="/crl", times=2)
    assert [kds(path).status for path in (CHAIN, *["/vcek/v1/Milan/crl"] * 3)] == [200, 503, 503, 200]
    services.amd_kds.faults = replace(services.amd_kds.faults, status=500)
    assert kds("/vcek/v1/Milan/crl").status == 500


def test_down_and_up_on_the_same_port(services: SimulatedServices, kds: Get, pcs: Get) -> None:
    context = ssl.create_default_context(cadata=services.certificate_authority.decode())
    open_before = http.client.HTTPSConnection("127.0.0.1", services.amd_kds.port, context=context, timeout=20)
    open_before.request("GET", CHAIN)
    with open_before.getresponse() as response:
        response.read()
    url = services.amd_kds.url
    for _ in range(2):
        services.amd_kds.faults = Faults(down=True)
        with pytest.raises(ConnectionRefusedError):
            kds(CHAIN)
        assert pcs(IDENTITY).status == 200
        services.amd_kds.faults = NO_FAULTS
        assert services.amd_kds.url == url
        assert kds(CHAIN).status == 200
    assert open_before.sock is not None
    assert open_before.sock.recv(1) == b""  # ended when it went down
    open_before.close()


# --- the end --------------------------------------------------------------------------------------------------------
def test_closing_ends_connections_and_threads() -> None:
    before = set(threading.enumerate())
    services = SimulatedServices(world())
    services.amd_kds.faults = Faults(stall=600)
    services.start()
    stalled = http.client.HTTPSConnection(
        "127.0.0.1",
        services.amd_kds.port,
        context=ssl.create_default_context(cadata=services.certificate_authority.decode()),
        timeout=20,
    )
    stalled.request("GET", CHAIN)
    with socket.create_connection(("127.0.0.1", services.intel_pcs.port), timeout=20) as mute:
        deadline = time.monotonic() + 20
        while not services.amd_kds.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        begun = time.monotonic()
        services.close()
        services.close()
        assert time.monotonic() - begun < 5
        assert mute.recv(1) == b""
    with pytest.raises((http.client.RemoteDisconnected, OSError)):
        stalled.getresponse()
    stalled.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", services.amd_kds.port), 20):
        pass


def test_more_connections_than_are_served_are_closed(services: SimulatedServices, pcs: Get) -> None:
    mute = [socket.create_connection(("127.0.0.1", services.intel_pcs.port), timeout=20) for _ in range(80)]
    try:
        for extra in mute[-8:]:
            assert extra.recv(1) == b""
    finally:
        for each in mute:
            each.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert pcs(IDENTITY).status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"\xff" * 65_537,  # what is read of a line, so that no unread byte resets the connection
    ],
)
def test_requests_that_are_none(request_bytes: bytes) -> None:
    with SimulatedServices(world(), tls=False) as services:
        with socket.create_connection(("127.0.0.1", services.amd_kds.port), timeout=20) as connection:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        assert any(status in answer for status in (b" 400 ", b" 414 ", b" 501 ")), answer[:100]


def test_a_port_of_ones_own() -> None:
    with SimulatedServices(world(), tls=False) as services:
        taken = services.amd_kds.port
        with pytest.raises(ConfigurationError, match=f"intel-pcs: port {taken}: Address already in use"):
            SimulatedServices(world(), port=taken)
    services = on_four_ports(taken)
    with services:
        first = services.intel_pcs.port
        assert [service.port for service in services.all] == [first + number for number in range(4)]


def on_four_ports(first: int) -> SimulatedServices:
    """Make services on ports in a row; others on this machine may have some."""
    for port in range(first, first + 600, 4):
        try:
            return SimulatedServices(world(), tls=False, port=port)
        except ConfigurationError as error:
            assert "Address already in use" in error.message  # noqa: PT017  # any other error fails the test
    raise AssertionError(f"no four free ports from {first} on")


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigurationError, match="machines: got 0"):
        SimulatedServices(world(), machines=0)
    with pytest.raises(ConfigurationError, match="port"):
        SimulatedServices(world(), port=65_535)


def test_only_the_machines_that_are_known() -> None:
    with SimulatedServices(world(), machines=1, fmspcs=(FMSPCS[1],)) as services:
        kds, pcs = client_of(services, services.amd_kds), client_of(services, services.intel_pcs)
        assert kds(vcek_target("Milan", hwid(0), MILAN_TCB)).status == 200
        assert kds(vcek_target("Milan", hwid(1), MILAN_TCB)).status == 404
        assert pcs(f"/sgx/certification/v4/tcb?fmspc={FMSPC}").status == 404
        assert pcs(f"/sgx/certification/v4/tcb?fmspc={FMSPCS[1].hex()}").status == 200
