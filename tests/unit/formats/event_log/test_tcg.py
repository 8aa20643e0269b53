"""Logs in the TCG's crypto-agile form: what is read, and every way in which one can be wrong."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.formats.event_log.reading import is_event_log, read_event_log, without_padding
from rats_tls.formats.event_log.tcg import TcgEventLog
from support.event_logs import NO_ACTION, SHA1, SHA256, SHA384, SIZES, SM3, Logged, log, specification, u32

EVENT = Logged()
ALL = tuple(SIZES.items())


def refused(data: bytes, match: str, **limits: int) -> None:
    with pytest.raises(DecodeError, match=match):
        TcgEventLog.from_bytes(data, limits=Limits(**limits))


def test_events_are_read_as_they_stand() -> None:
    found = read_event_log(log(EVENT, Logged(index=3, type=0xD, data=b"\0\1")))
    assert isinstance(found, TcgEventLog)
    assert found.algorithms == ((SHA384, 48),)
    first, second = found.events
    assert (first.mr_index, first.type_name, first.data) == (2, "EV_EFI_ACTION", EVENT.data)
    assert first.digest(HashAlgorithm.SHA384) == EVENT.digest
    assert first.digest(HashAlgorithm.SM3) is None
    assert (second.mr_index, second.type_name, second.data) == (3, "EV_IPL", b"\0\1")


def test_digests_of_all_hashes() -> None:
    digests = tuple((number, bytes([number]) * size) for number, size in ALL)
    (event,) = TcgEventLog.from_bytes(log(Logged(digests=digests), head=specification(ALL))).events
    assert event.digests == digests
    assert event.digest(HashAlgorithm.SHA256) == bytes([SHA256]) * 32
    assert event.digest(HashAlgorithm.SM3) == bytes([SM3]) * 32
    assert event.digest(HashAlgorithm.SHA512) is None


def test_no_action_is_not_extended_and_types_without_a_name_are_numbers() -> None:
    first, second = TcgEventLog.from_bytes(log(Logged(type=NO_ACTION), Logged(type=0x1234))).events
    assert not first.is_extended
    assert second.is_extended
    assert second.type_name == "0x00001234"


@pytest.mark.parametrize("padding", [b"", b"\xff" * 5, b"\xff" * 300, bytes(5), bytes(300)])
def test_padding_is_no_part_of_the_log(padding: bytes) -> None:
    whole = log(EVENT, EVENT)
    found = TcgEventLog.from_bytes(whole + padding)
    assert len(found.events) == 2
    assert found.size == len(whole)
    assert without_padding(whole + padding) == whole


@pytest.mark.parametrize("data", [bytes(4), b"\xff" * 4, b"\xff\0\xff\0"])
@pytest.mark.parametrize("padding", [b"", b"\xff" * 40, bytes(40)])
def test_data_that_looks_like_padding_stays(data: bytes, padding: bytes) -> None:
    found = TcgEventLog.from_bytes(log(Logged(data=data), padding=padding))
    assert [event.data for event in found.events] == [data]


@pytest.mark.parametrize("padding", [b"\xff" * 40 + bytes(40), bytes(40) + b"\xff" * 40, b"\xff" * 40 + b"\1"])
def test_padding_of_two_kinds_is_refused(padding: bytes) -> None:
    refused(log(EVENT) + padding, "EventLog")


def test_an_event_behind_padding_is_refused() -> None:
    refused(log(EVENT) + bytes(60) + EVENT.to_bytes(), "digest_count")
    refused(log(EVENT) + b"\xff" * 60 + EVENT.to_bytes(), "digest_count")


def test_a_log_that_a_guest_began_itself() -> None:
    data = specification(((SHA384, 48), (SM3, 32)), signature=bytes(16)) + b"\xff" * 8
    assert is_event_log(data)
    found = TcgEventLog.from_bytes(data)
    assert found.events == ()
    assert found.algorithms == ((SHA384, 48), (SM3, 32))


def test_every_truncation_is_refused_or_has_fewer_events() -> None:
    whole = log(EVENT, EVENT)
    ends = {len(specification()) + count * len(EVENT.to_bytes()): count for count in range(3)}
    for end in range(len(whole) + 1):
        if end in ends:
            assert len(TcgEventLog.from_bytes(whole[:end]).events) == ends[end]
        else:
            refused(whole[:end], "EventLog")


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (specification(type=4), "expected EV_NO_ACTION"),
        (specification(digest=bytes(19) + b"\1"), "reserved byte"),
        (specification(signature=b"Spec ID Event02\0"), "signature"),
        (specification(()), "number_of_algorithms.*got 0"),
        (specification(ALL * 3), "number_of_algorithms.*got 12"),
        (specification(((SHA384, 48), (SHA384, 48))), "twice"),
        (specification(((SHA384, 32),)), "got 32 for 0x000c, expected 48"),
        (specification(((0x0027, 32),)), "0x0027"),
        (specification(count=0xFFFFFFFF), "number_of_algorithms"),
        (specification(vendor=b"vendor", size=200), "event_size"),
        (specification(size=32), "event_size.*got 32, expected 33"),
        (specification(size=0xFFFFFFFF), "event_size.*need 4294967295"),
    ],
)
def test_a_first_event_that_is_wrong(head: bytes, match: str) -> None:
    refused(log(EVENT, head=head), match)


def test_vendor_information_is_passed_over() -> None:
    assert len(TcgEventLog.from_bytes(log(EVENT, head=specification(vendor=b"td-shim"))).events) == 1


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (Logged(digests=()), "digest_count.*got 0, expected 1 to 1"),
        (Logged(count=2), "digest_count.*got 2"),
        (Logged(count=0xFFFFFFFF), "digest_count"),
        (Logged(digests=((SM3, bytes(32)),)), "0x0012, which the first event does not declare"),
        (Logged(digests=((SHA1, bytes(20)),)), "0x0004"),
        (Logged(size=1000), "need 1000 bytes"),
        (Logged(size=0xFFFFFFFF), "need 4294967295 bytes"),
    ],
)
def test_an_event_that_is_wrong(event: Logged, match: str) -> None:
    refused(log(EVENT, event), match)


def test_a_digest_twice_in_one_event() -> None:
    digests = ((SHA384, bytes(48)), (SHA384, b"\1" * 48))
    refused(log(Logged(digests=digests), head=specification(((SHA384, 48), (SM3, 32)))), "twice in one event")


def test_size_and_number_are_bounded() -> None:
    whole = log(EVENT, EVENT, EVENT)
    assert len(TcgEventLog.from_bytes(whole, limits=Limits(event_log=len(whole), event_log_events=3)).events) == 3
    refused(whole, f"got {len(whole)} bytes, at most {len(whole) - 1}", event_log=len(whole) - 1)
    refused(whole, "more than 2", event_log_events=2)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x30\x82\1\0", bytes(300), u32(1) + u32(3) + bytes(20) + b"\1" * 40])
def test_other_data_is_no_log(data: bytes) -> None:
    assert not is_event_log(data[:30])
    with pytest.raises(DecodeError):
        read_event_log(data)
