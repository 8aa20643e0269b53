"""The Attester of AMD SEV: what it must be told, what a broker may give, and what peers say of its Evidence."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rats_tls.attesters.device_attester import Availability
from rats_tls.attesters.sev import SevAttester
from rats_tls.core.errors import BindingError, ConfigurationError
from rats_tls.core.interfaces import Attester
from rats_tls.simulation.devices.evidence_broker import SimulatedEvidenceBroker
from rats_tls.simulation.devices.unix_service import StreamFaults
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.sev_states import SEV_PRODUCTS, SevProduct
from support.host_services import refusal
from support.judged import appraise
from support.simulated import REPORT_DATA, world


def guest(**state: Any) -> Any:
    return world().attester("simulated_sev", **state)


def broker(tmp_path: Path, **settings: Any) -> SimulatedEvidenceBroker:
    return SimulatedEvidenceBroker(tmp_path / "b", {7: guest()}, **settings)


@pytest.mark.parametrize("product", SEV_PRODUCTS)
def test_peers_accept_what_it_collects(product: SevProduct, tmp_path: Path) -> None:
    made = guest(product=product)
    with SimulatedEvidenceBroker(tmp_path / "b", {7: made}) as service:
        attester = SevAttester(broker=service.address, guest_handle=7)
        assert isinstance(attester, Attester)
        evidence = attester.collect(REPORT_DATA).evidence
    # Its signatures are new ones each time.
    assert evidence.media_type == "application/vnd.rats-tls.sev"
    assert (len(evidence.data), evidence.data[:64]) == (6464, made.collect(REPORT_DATA).evidence.data[:64])
    policy = policy_for(world(), "simulated_sev", product=product)
    assert appraise(evidence, made.endorsements, policy, report_data=None).verdict == "accepted"
    with pytest.raises(BindingError, match="got none"):
        appraise(evidence, made.endorsements, policy, report_data=REPORT_DATA)


def test_each_of_100_callers_gets_the_evidence_of_its_own_guest_one_after_the_other(tmp_path: Path) -> None:
    guests = {number: guest(launch_digest=number.to_bytes(32, "big")) for number in range(1, 101)}
    right: set[int] = set()
    with SimulatedEvidenceBroker(tmp_path / "b", guests) as service:

        def call(number: int) -> None:
            data = SevAttester(broker=service.address, guest_handle=number).collect(REPORT_DATA).evidence.data
            if data[16:48] == number.to_bytes(32, "big"):
                right.add(number)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(1, 101)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert right == set(range(1, 101))
    assert service.connections == 100


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "attester sev: broker: missing"),
        ({"guest_handle": 7}, "attester sev: broker: missing"),
        ({"broker": "vsock:2:5577"}, "attester sev: guest_handle: missing"),
        ({"broker": "vsock:2:5577", "guest_handle": -1}, "guest_handle: got -1, expected 1 to 4294967295"),
        ({"broker": "vsock:2:5577", "guest_handle": 0}, "guest_handle: got 0, expected 1 to 4294967295"),
        ({"broker": "vsock:2:5577", "guest_handle": 1 << 32}, "guest_handle: got 4294967296"),
        ({"broker": "vsock:2:5577", "guest_handle": True}, "guest_handle: got True"),
        ({"broker": "vsock:///run/aeb.sock:5577", "guest_handle": 7}, "expected unix:PATH .* or vsock:CID:PORT"),
    ],
)
def test_what_it_must_be_told(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SevAttester(**settings)


def test_whether_it_can_be_used_is_told_without_dialing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    path = tmp_path / "b"
    attester = SevAttester(broker=f"unix:{path}", guest_handle=7)
    assert attester.availability() == Availability(usable=False, told=f"unix:{path} is not there")
    path.touch()
    told = f"unix:{path} is there, but is no socket"
    assert attester.availability() == Availability(usable=False, told=told)
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o600)
    assert attester.availability() == Availability(usable=True, told=f"broker at unix:{path}, guest 7")
    far = SevAttester(broker="vsock:2:5577", guest_handle=7)
    assert far.availability() == Availability(usable=True, told="broker at vsock:2:5577, guest 7")


def without(name: str) -> Callable[[bytes], bytes]:
    def change(document: bytes) -> bytes:
        return json.dumps({key: value for key, value in json.loads(document).items() if key != name}).encode()

    return change


def with_zeros(name: str) -> Callable[[bytes], bytes]:
    return lambda document: json.dumps({**json.loads(document), name: [0] * 2084}).encode()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (without("cek"), "gave malformed Evidence: SevEvidence.cek: missing"),
        (without("report"), "gave malformed Evidence: SevEvidence.report: missing"),
        (lambda document: document[:-1], "gave malformed Evidence: SevEvidence: not strict JSON"),
        (lambda document: document + b"{}", "gave malformed Evidence: SevEvidence: not strict JSON"),
        (with_zeros("pek"), "gave malformed Evidence: SevEvidence.pek"),
    ],
)
def test_what_is_no_evidence_is_refused(document: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    with broker(tmp_path, document=document) as service:
        message = refusal(SevAttester(broker=service.address, guest_handle=7))
    assert message.startswith(f"attester sev: {service.address} {said}")


def test_a_broker_that_fails_or_stalls_is_named(tmp_path: Path) -> None:
    with broker(tmp_path, status=(5, "no such guest")) as service:
        message = refusal(SevAttester(broker=service.address, guest_handle=7))
    call = f"attester sev: {service.address}: RetrieveAttestationEvidenceSize"
    assert message == f"{call}: the call failed: status 5 (NOT_FOUND): no such guest"
    with broker(tmp_path, faults=StreamFaults(stalls=True)) as service:
        message = refusal(SevAttester(broker=service.address, guest_handle=7, seconds=0.5))
    found = re.fullmatch(f"{call}: no answer within ([0-9.]+) seconds", message)
    assert found is not None
    assert 0.3 < float(found[1]) <= 0.4  # of what is left
