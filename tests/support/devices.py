"""Fakes of devices in the tests' world, and callers of an Attester."""

from __future__ import annotations

import os
import threading
import time

import pytest

from rats_tls.attesters.device_attester import DeviceAttester
from rats_tls.core.errors import CollectionError
from rats_tls.simulation.devices.csv_guest import FakeCsvGuest
from rats_tls.simulation.devices.enclave import SimulatedEnclave
from rats_tls.simulation.devices.gramine import FakeGramine
from rats_tls.simulation.devices.occlum import FakeOcclum
from support.simulated import REPORT_DATA, world


def enclave(**settings: object) -> SimulatedEnclave:
    """Make a simulated enclave."""
    return SimulatedEnclave(world(), **settings)  # type: ignore[arg-type]  # settings of the enclave


def gramine(**settings: object) -> FakeGramine:
    """Make Gramine's files around an enclave."""
    return FakeGramine(enclave(), **settings)  # type: ignore[arg-type]  # settings of the fake


def unhurried(files: FakeGramine) -> FakeGramine:
    """Have each read wait for a moment: what threads without turns write in between then shows."""
    files.before = lambda: time.sleep(0.0005)
    return files


def occlum(**settings: object) -> FakeOcclum:
    """Make Occlum's device in an enclave."""
    return FakeOcclum(enclave(), **settings)  # type: ignore[arg-type]  # settings of the fake


def csv_guest(**settings: object) -> FakeCsvGuest:
    """Make Hygon's guest device."""
    return FakeCsvGuest(world().hygon_chip(), **settings)  # type: ignore[arg-type]  # settings of the fake


def refusal(attester: DeviceAttester) -> str:
    """Have Evidence collected, which must fail; gives the one error's text."""
    with pytest.raises(CollectionError) as caught:
        attester.collect(REPORT_DATA)
    return caught.value.message


def answers(attester: DeviceAttester, callers: int = 100) -> dict[bytes, bytes]:
    """Have as many callers ask at once; gives the Evidence of each by its report_data."""
    asked = [os.urandom(64) for _ in range(callers)]
    given: dict[bytes, bytes] = {}

    def ask(report_data: bytes) -> None:
        given[report_data] = attester.collect(report_data).evidence.data

    threads = [threading.Thread(target=ask, args=(report_data,)) for report_data in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(given) == set(asked)
    return given
