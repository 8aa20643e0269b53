"""Many connections at once while AMD's service throttles, stalls, or is asked for on behalf of an attacker."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import EndorsementMissingError, RatsTlsError
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.simulation.services.faults import NO_FAULTS, Faults, Throttle
from rats_tls.simulation.services.vendors import SimulatedServices
from support.sides import SNP, connected_pair, context, policy_for
from support.simulated import world

PLATFORMS, CONNECTIONS = 10, 50
REQUESTS, WINDOW = 5, 2.0
"""What the simulated service takes: about AMD's five in ten minutes, at 300 times the speed."""

STALL = 4.0
VCEK_PATH = re.compile("/vcek/v1/Milan/[0-9a-f]{128}")
CHIP_ID = slice(0x1A0, 0x1E0)


@pytest.fixture(scope="module")
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",), machines=PLATFORMS) as services:
        yield services


@pytest.fixture(autouse=True)
def well(vendors: SimulatedServices) -> Iterator[None]:
    yield
    vendors.amd_kds.faults = NO_FAULTS


def service(vendors: SimulatedServices, per_source: Rate, total: Rate | None = None) -> EndorsementService:
    kds = AmdKds(base_url=vendors.amd_kds.url, ca=vendors.certificate_authority)
    budget = FetchBudget(per_source={"amd-kds": per_source}, total=total or Rate(burst=1000, seconds_each=0.01))
    return EndorsementService(fetcher=Fetcher((kds,), budget=budget, failures=RecentFailures()), refresh=False)


def veks_asked(vendors: SimulatedServices) -> int:
    return sum(count for path, count in vendors.amd_kds.requests.items() if VCEK_PATH.fullmatch(path))


def platform(number: int) -> Any:
    return context(world().attester(SNP, machine=number), provide_endorsements=False)


def serve(serving: Any, sock: socket.socket) -> None:
    """Be the server on a socket, until it is refused or the client goes."""
    with serving.wrap_socket(sock, server_side=True) as end:
        end.settimeout(30)
        try:
            end.handshake()
            end.recv()
        except RatsTlsError:
            pass


def test_a_throttled_service_is_asked_once_for_each_platform(vendors: SimulatedServices) -> None:
    """50 handshakes at once from 10 platforms; who is refused meanwhile comes again, as clients do."""
    before = veks_asked(vendors)
    vendors.amd_kds.faults = Faults(throttle=Throttle(requests=REQUESTS, seconds=WINDOW))
    endorsements = service(vendors, Rate(burst=2, seconds_each=0.6 * WINDOW))
    judging = context(None, policy_for(SNP), endorsements=endorsements)
    serving = [platform(number) for number in range(PLATFORMS)]
    failed: list[BaseException] = []
    end = time.monotonic() + 90

    def connect(number: int) -> None:
        while True:
            left, right = socket.socketpair()
            server = threading.Thread(target=serve, args=(serving[number % PLATFORMS], left), daemon=True)
            server.start()
            try:
                with judging.wrap_socket(right) as one:
                    one.settimeout(60)
                    one.handshake()
            except EndorsementMissingError as error:
                if time.monotonic() > end:
                    failed.append(error)
                    return
                time.sleep(0.2)
            except BaseException as error:  # noqa: BLE001  # shown by the test
                failed.append(error)
                return
            else:
                return

    def all_at_once() -> None:
        threads = [threading.Thread(target=connect, args=(number,), daemon=True) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)

    all_at_once()
    assert failed == []
    assert veks_asked(vendors) - before == PLATFORMS
    # Every VCEK is known: nothing is asked any more, and nobody waits.
    vendors.amd_kds.faults = Faults(throttle=Throttle(requests=0, seconds=600.0))
    end = 0.0
    all_at_once()
    assert failed == []
    assert veks_asked(vendors) - before == PLATFORMS


class Forger:
    """Collects reports of a chip that does not exist: genuine ones, with another chip id, which nobody signed."""

    def __init__(self, chip_id: bytes) -> None:
        self._genuine = world().attester(SNP)
        self._chip_id = chip_id
        self.tee_type = self._genuine.tee_type
        self.name = self._genuine.name

    def collect(self, report_data: bytes) -> Any:
        collected = self._genuine.collect(report_data)
        data = bytearray(collected.evidence.data)
        data[CHIP_ID] = self._chip_id
        return replace(collected, evidence=replace(collected.evidence, data=bytes(data)), endorsements=Endorsements())


def test_forged_reports_spend_their_budget_and_delay_no_known_platform(vendors: SimulatedServices) -> None:
    """1,000 of them, each of another chip, 20 at once, in an event loop, while AMD's service stalls on each request."""
    endorsements = service(vendors, Rate(burst=4, seconds_each=180.0))
    judging = context(None, policy_for(SNP), endorsements=endorsements)
    honest = platform(0)
    for one in connected_pair(honest, judging):
        one.close()
    before = sum(vendors.amd_kds.requests.values())
    assert before >= 3  # its certificate, signer and list; of what there is for strangers the certificate took one
    vendors.amd_kds.faults = Faults(stall=STALL)
    chance = random.Random(1)

    async def handshake(serving: Any) -> RatsTlsError | None:
        left, right = socket.socketpair()
        served = asyncio.get_running_loop().run_in_executor(pool, serve, serving, left)
        try:
            _, writer = await aio.open_connection(sock=right, context=judging)
        except RatsTlsError as error:
            return error
        else:
            writer.close()
            return None
        finally:
            await served

    async def attack() -> tuple[list[RatsTlsError | None], list[float]]:
        refused: list[RatsTlsError | None] = []
        waited: list[float] = []
        for _ in range(50):
            forged = [context(Forger(chance.randbytes(64)), provide_endorsements=False) for _ in range(20)]
            attackers = [asyncio.ensure_future(handshake(one)) for one in forged]
            await asyncio.sleep(0)
            begun = time.monotonic()
            assert await handshake(honest) is None
            waited.append(time.monotonic() - begun)
            refused += await asyncio.gather(*attackers)
        return refused, waited

    with ThreadPoolExecutor(32) as pool:
        refused, waited = asyncio.run(attack())
    assert len(refused) == 1000
    assert {type(error) for error in refused} == {EndorsementMissingError}
    assert 0 < sum(vendors.amd_kds.requests.values()) - before <= 3
    assert max(waited) < STALL  # nobody who is known waits for what is asked for others
