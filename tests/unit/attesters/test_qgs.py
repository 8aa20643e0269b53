"""One request to a quote generation service, and every way in which it goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rats_tls.attesters.dialing import parse_address
from rats_tls.attesters.qgs import get_quote
from rats_tls.core.errors import CollectionError
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.qgs import SimulatedQgs
from rats_tls.simulation.devices.unix_service import StreamFaults
from support.host_services import silent_socket, trust_domain
from support.simulated import REPORT_DATA

Changes = Callable[[bytes], bytes]


def service(tmp_path: Path, **settings: Any) -> SimulatedQgs:
    return SimulatedQgs(tmp_path / "q", trust_domain(), **settings)


def quote(address: str, seconds: float = 10) -> bytes:
    return get_quote(parse_address(address), trust_domain().td_report(REPORT_DATA), seconds=seconds)


def refused(tmp_path: Path, seconds: float = 10, **settings: Any) -> str:
    with service(tmp_path, **settings) as qgs, pytest.raises(CollectionError) as caught:
        quote(qgs.address, seconds)
    assert caught.value.message.startswith(f"{qgs.address}: QGS GET_QUOTE: ")
    return caught.value.message


@pytest.mark.parametrize("minor_version", [0, 1])
@pytest.mark.parametrize("selected_id", [b"", bytes(range(16))])
def test_a_quote_carries_what_the_report_does(minor_version: int, selected_id: bytes, tmp_path: Path) -> None:
    with service(tmp_path, minor_version=minor_version, selected_id=selected_id) as qgs:
        assert Quote.from_bytes(quote(qgs.address)).body.report_data == REPORT_DATA


def test_no_quote_is_made_of_another_machines_report(tmp_path: Path) -> None:
    report = bytearray(trust_domain().td_report(REPORT_DATA))
    report[200] ^= 1
    with service(tmp_path) as qgs, pytest.raises(CollectionError, match=r"error 0x12001 \(unexpected error\)"):
        get_quote(parse_address(qgs.address), bytes(report), seconds=10)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (0x12001, "the service gives no quote: error 0x12001 (unexpected error)"),
        (0x12004, "the service gives no quote: error 0x12004 (invalid version)"),
        (0x11001, "the service gives no quote: error 0x11001 (not known)"),
    ],
)
def test_an_error_code_is_told(error: int, said: str, tmp_path: Path) -> None:
    assert refused(tmp_path, error=error).endswith(said)


def at(offset: int, value: int, size: int = 4) -> Changes:
    return lambda message: message[:offset] + value.to_bytes(size, "little") + message[offset + size :]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (at(0, 2, 2), "major_version at 0x4: got 2.1, expected 1"),
        (at(4, 3), "type at 0x8: got 3, expected 1"),
        (at(4, 0), "type at 0x8: got 0, expected 1"),
        (at(8, 25), "size at 0xc: got 25, the message has"),
        (at(16, 1), "selected_id_size at 0x18: got 1, expected 0 or 16"),
        (at(16, 16), "quote at"),
        (at(20, 0), "quote_size at 0x18: got 0, expected 1 to 65536"),
        (at(20, 65_537), "quote_size at 0x18: got 65537, expected 1 to 65536"),
        (at(20, 1), "end at 0x19"),
        (lambda message: message[:16], "size at 0xc: got"),
        (lambda _: b"", "length at 0x0: got 0 in 4 bytes, expected 16 to 65576"),
        (lambda message: message.ljust(65_577, b"x"), "length at 0x0: got 65577"),
    ],
)
def test_a_malformed_answer_is_refused(changes: Changes, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, changes=changes)
    assert "malformed answer" in message
    assert said in message


def test_an_answer_of_no_known_size_is_not_waited_for(tmp_path: Path) -> None:
    faults = StreamFaults(changes=lambda answer: b"\xff\xff\xff\xff" + answer)
    assert "got 4294967295 in 4 bytes" in refused(tmp_path, faults=faults)


@pytest.mark.parametrize(
    ("cut_after", "said"),
    [(0, "got 0 bytes, expected 4"), (3, "got 3 bytes, expected 4"), (4, "got 0 bytes"), (1000, "got 996 bytes")],
)
def test_a_connection_that_is_cut_off(cut_after: int, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, faults=StreamFaults(cut_after=cut_after))
    assert "the connection was cut off" in message
    assert said in message


@pytest.mark.parametrize(
    "faults", [StreamFaults(stalls=True), StreamFaults(pause=0.05)], ids=["stalls", "byte by byte"]
)
def test_a_service_that_is_too_slow(faults: StreamFaults, tmp_path: Path) -> None:
    start = time.monotonic()
    assert refused(tmp_path, 0.3, faults=faults).endswith("no answer within 0.3 seconds")
    assert time.monotonic() - start < 4


def test_a_service_that_takes_nothing(tmp_path: Path) -> None:
    with silent_socket(tmp_path / "s"), pytest.raises(CollectionError, match=r"no answer within 0\.2 seconds"):
        quote(f"unix:{tmp_path / 's'}", 0.2)


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="connect: ENOENT"):
        quote(f"unix:{tmp_path / 'none'}")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    threads = threading.active_count()
    with service(tmp_path, faults=StreamFaults(cut_after=10)) as qgs:
        for _ in range(10):
            with pytest.raises(CollectionError):
                quote(qgs.address)
        assert qgs.connections == 10
    assert len(list(descriptors.iterdir())) == before
    assert threading.active_count() == threads
