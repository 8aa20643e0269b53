"""Calls of the attestation evidence broker over ttrpc, and every way in which they go wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rats_tls.attesters.dialing import parse_address
from rats_tls.attesters.evidence_broker import retrieve_evidence
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.amd.sev_report import evidence_from_json
from rats_tls.formats.devices.protobuf import integer_field, octets_field
from rats_tls.formats.devices.ttrpc import Response
from rats_tls.simulation.devices.evidence_broker import SimulatedEvidenceBroker
from rats_tls.simulation.devices.unix_service import StreamFaults
from support.host_services import silent_socket
from support.simulated import world

SIZE, EVIDENCE = "RetrieveAttestationEvidenceSize", "RetrieveAttestationEvidence"
GUEST: Any = world().attester("simulated_sev")
DATA: bytes = GUEST.collect(bytes(64)).evidence.data


def broker(tmp_path: Path, **settings: Any) -> SimulatedEvidenceBroker:
    return SimulatedEvidenceBroker(tmp_path / "b", {7: GUEST, 0xFFFF_FFFF: GUEST}, **settings)


def refused(tmp_path: Path, *, guest_handle: int = 7, seconds: float = 10, **settings: Any) -> str:
    with broker(tmp_path, **settings) as service, pytest.raises(CollectionError) as caught:
        retrieve_evidence(parse_address(service.address), guest_handle, seconds=seconds)
    assert caught.value.message.startswith(f"{service.address}: ")
    return caught.value.message.removeprefix(f"{service.address}: ")


def second(changes: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the second answer of a connection alone."""
    return lambda frame: changes(frame) if frame[4:8] == bytes((0, 0, 0, 3)) else frame


@pytest.mark.parametrize("guest_handle", [7, 0xFFFF_FFFF])
def test_two_calls_over_one_connection_give_the_evidence(guest_handle: int, tmp_path: Path) -> None:
    with broker(tmp_path) as service:
        document = retrieve_evidence(parse_address(service.address), guest_handle, seconds=10)
    evidence = evidence_from_json(document)
    assert (len(evidence), evidence[:64]) == (6464, DATA[:64])
    assert service.connections == 1
    (first, first_timeout), (last, last_timeout) = service.calls
    assert (first, last) == (SIZE, EVIDENCE)
    assert 10_000_000_000 >= first_timeout >= last_timeout > 0


def test_a_guest_that_the_broker_does_not_know(tmp_path: Path) -> None:
    assert refused(tmp_path, guest_handle=8) == f"{SIZE}: the broker gives no Evidence of guest 8: error 1"


def test_an_error_code_of_the_brokers(tmp_path: Path) -> None:
    said = refused(tmp_path, error_code=0xFFFF_FFFF)
    assert said == f"{SIZE}: the broker gives no Evidence of guest 7: error 4294967295"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ((5, "no such guest"), "status 5 (NOT_FOUND): no such guest"),
        ((12, ""), "status 12 (UNIMPLEMENTED)"),
        ((99, "x" * 1000), "status 99 (not known): " + "x" * 256),
        ((13, "a\x1b[31m\nb"), "status 13 (INTERNAL): a\\x1b[31m\\nb"),
    ],
)
def test_a_status_that_is_no_success(status: tuple[int, str], said: str, tmp_path: Path) -> None:
    assert refused(tmp_path, status=status) == f"{SIZE}: the call failed: {said}"


def test_what_a_broker_says_is_one_line_wherever_it_is_written() -> None:
    status = Response(code=13, message="a\x1b[31m\nWARNING: forged\u202e", payload=b"").status
    assert status == "13 (INTERNAL): a\\x1b[31m\\nWARNING: forged\\u202e"


def test_a_status_may_have_several_details() -> None:
    detail = octets_field(3, b"a message of any type")
    status = integer_field(1, 5) + octets_field(2, b"no such guest") + detail + detail
    response = Response.from_bytes(octets_field(1, status))
    assert response.status == "5 (NOT_FOUND): no such guest"
    for twice in (octets_field(2, b"x") * 2, integer_field(1, 5) * 2):
        with pytest.raises(DecodeError, match=r"field [12] twice"):
            Response.from_bytes(octets_field(1, twice))
    with pytest.raises(DecodeError, match="field 3 twice"):
        Response.from_bytes(octets_field(1, status) + octets_field(3, b"x") * 2)


def test_the_second_call_may_fail_too(tmp_path: Path) -> None:
    payload = b"\x12\x02\x08\x09"
    frame = len(payload).to_bytes(4, "big") + bytes((0, 0, 0, 3, 2, 0)) + payload
    said = refused(tmp_path, faults=StreamFaults(changes=second(lambda _: frame)))
    assert said == f"{EVIDENCE}: the broker gives no Evidence of guest 7: error 9"


@pytest.mark.parametrize(
    ("announced", "said"),
    [
        (0, f"{SIZE}: malformed answer: EvidenceSizeResponse.evidence_size: got 0"),
        (262_145, f"{SIZE}: malformed answer: EvidenceSizeResponse.evidence_size: got 262145, at most 262144 is read"),
        (1 << 40, f"{SIZE}: malformed answer: EvidenceSizeResponse.evidence_size: got"),
    ],
)
def test_a_size_that_no_evidence_has(announced: int, said: str, tmp_path: Path) -> None:
    assert refused(tmp_path, announced=announced).startswith(said)


@pytest.mark.parametrize("size", [0, 262_145])
def test_a_document_of_no_size_that_evidence_has(size: int, tmp_path: Path) -> None:
    said = refused(tmp_path, document=lambda _: b" " * size)
    assert said == f"{EVIDENCE}: malformed answer: EvidenceResponse.evidence: got {size} bytes, expected 1 to 262144"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda frame: frame[:8] + b"\x01" + frame[9:], "got type 1 of stream 1, expected 2 of 1"),
        (lambda frame: frame[:8] + b"\x03" + frame[9:], "got type 3 of stream 1, expected 2 of 1"),
        (lambda frame: frame[:9] + b"\x01" + frame[10:], "FrameHeader.flags at 0x9: got 0x01, expected none"),
        (lambda frame: frame[:4] + b"\0\0\0\x05" + frame[8:], "got type 2 of stream 5, expected 2 of 1"),
        (lambda frame: b"\xff\xff\xff\xff" + frame[4:], "FrameHeader.length at 0x0: got 4294967295, at most 266240"),
        (lambda frame: frame[:4] + b"\0\0\0\x01\x02\0" + b"\xff" * 20, "TtrpcResponse"),
        (lambda _: b"\0\0\0\0\0\0\0\x01\x02\0", "EvidenceSizeResponse.evidence_size: got 0"),
    ],
    ids=["request", "data", "flags", "stream", "length", "no message", "empty"],
)
def test_a_malformed_answer_is_refused(changes: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, faults=StreamFaults(changes=changes))
    assert message.startswith(f"{SIZE}: malformed answer: ")
    assert said in message


def test_the_answer_to_the_first_call_is_none_to_the_second(tmp_path: Path) -> None:
    changes = second(lambda frame: frame[:4] + b"\0\0\0\x01" + frame[8:])
    said = refused(tmp_path, faults=StreamFaults(changes=changes))
    assert said == f"{EVIDENCE}: malformed answer: got type 2 of stream 1, expected 2 of 3"


@pytest.mark.parametrize(("cut_after", "said"), [(0, "got 0 bytes, expected 10"), (12, "got 2 bytes, expected")])
def test_a_connection_that_is_cut_off(cut_after: int, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, faults=StreamFaults(cut_after=cut_after))
    assert message.startswith(f"{SIZE}: the connection was cut off: {said}")


@pytest.mark.parametrize("faults", [StreamFaults(stalls=True), StreamFaults(pause=0.1)], ids=["stalls", "byte by byte"])
def test_a_broker_that_is_too_slow(faults: StreamFaults, tmp_path: Path) -> None:
    start = time.monotonic()
    assert refused(tmp_path, seconds=0.3, faults=faults).endswith("no answer within 0.3 seconds")
    assert time.monotonic() - start < 4


def test_a_broker_that_takes_nothing_or_is_not_there(tmp_path: Path) -> None:
    with silent_socket(tmp_path / "s"), pytest.raises(CollectionError, match=r"no answer within 0\.2 seconds"):
        retrieve_evidence(parse_address(f"unix:{tmp_path / 's'}"), 7, seconds=0.2)
    with pytest.raises(CollectionError, match="connect: ENOENT"):
        retrieve_evidence(parse_address(f"unix:{tmp_path / 'none'}"), 7, seconds=5)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before, threads = len(list(descriptors.iterdir())), threading.active_count()
    with broker(tmp_path, error_code=1) as service:
        for _ in range(10):
            with pytest.raises(CollectionError):
                retrieve_evidence(parse_address(service.address), 7, seconds=5)
    assert (len(list(descriptors.iterdir())), threading.active_count()) == (before, threads)
