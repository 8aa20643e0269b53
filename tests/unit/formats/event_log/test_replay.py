"""What logs replay to, and what contradicts a register."""

from __future__ import annotations

import hashlib

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import EventLogError
from rats_tls.formats.event_log.reading import read_event_log
from rats_tls.formats.event_log.replay import TDX_REGISTERS, Replay, replay
from support.event_logs import NO_ACTION, SHA256, Logged, log, specification
from support.event_logs import replay as expected

NAMES = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")
EVENTS = (Logged(index=1), Logged(index=1, data=b"b"), Logged(index=3, data=b"c"), Logged(index=2, type=NO_ACTION))


def digest(algorithm: HashAlgorithm, data: bytes) -> bytes:
    return hashlib.new(algorithm.value, data).digest()


def replayed(*events: Logged) -> Replay:
    return replay(read_event_log(log(*events)), NAMES, TDX_REGISTERS, digest)


def test_registers_have_the_values_that_their_events_give() -> None:
    found = replayed(*EVENTS)
    assert found.values == {f"rtmr{number - 1}": expected(EVENTS, number) for number in range(1, 5)}
    assert [(item.register, item.digest) for item in found.events] == [
        ("rtmr0", EVENTS[0].digest),
        ("rtmr0", EVENTS[1].digest),
        ("rtmr2", EVENTS[2].digest),
    ]
    assert [found.count(name) for name in NAMES] == ["2 events", "0 events", "1 event", "0 events"]


def test_a_register_is_contradicted_by_its_own_events_alone() -> None:
    found = replayed(*EVENTS)
    assert found.contradiction("rtmr0", expected(EVENTS, 1)) is None
    assert found.contradiction("rtmr1", b"\1" * 48) is None
    error = found.contradiction("rtmr2", bytes(48))
    assert error is not None
    assert error.message.startswith("event log: 1 event of rtmr2 replay to ")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Logged(index=0), "event 1 .*: got register 0, expected one of 1, 2, 3, 4"),
        (Logged(index=5), "event 1 .*: got register 5"),
    ],
)
def test_an_event_of_no_register_is_refused(event: Logged, said: str) -> None:
    with pytest.raises(EventLogError, match=said):
        replayed(event)


def test_an_event_without_the_registers_hash_is_refused() -> None:
    event = Logged(digests=((SHA256, bytes(32)),))
    data = log(event, head=specification(((SHA256, 32),)))
    with pytest.raises(EventLogError, match="got no sha384 digest, which is what rtmr1 is extended by"):
        replay(read_event_log(data), NAMES, TDX_REGISTERS, digest)
