"""Any bytes as an event log give events or our error; a log that is read is read the same way again."""

from __future__ import annotations

import functools
import json

from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.claims import TdxClaims
from rats_tls.core.errors import DecodeError, RatsTlsError
from rats_tls.core.evidence import Evidence
from rats_tls.core.limits import Limits
from rats_tls.formats.event_log.device_path import read_device_path
from rats_tls.formats.event_log.dstack_quote import read_dstack_quote
from rats_tls.formats.event_log.event_data import event_content
from rats_tls.formats.event_log.reading import LoggedEvent, read_event_log, without_padding
from rats_tls.formats.event_log.replay import TDX_REGISTERS
from rats_tls.inspection.event_log import event_log_group
from rats_tls.verifiers.check_log import CheckLog, Stop
from rats_tls.verifiers.event_log import replay_event_log
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.event_logs import Logged, dstack_event, dstack_log, log, replay, specification
from support.intel import CRYPTO
from support.judged import collected
from support.sides import TDX

KINDS = st.sampled_from([1, 3, 4, 6, 8, 10, 13, 0x80000001, 0x80000002, 0x80000003, 0x80000007, 0x8000000A, 0x8000000B])
EVENTS = st.lists(
    st.builds(Logged, index=st.integers(1, 4), type=KINDS, data=st.binary(max_size=80)), min_size=1, max_size=8
)
LIMITS = Limits(event_log=4096, event_log_events=16)


@functools.cache
def simulated() -> Evidence:
    evidence, _ = collected(TDX, event_log=True)
    return evidence


def read(data: bytes) -> tuple[LoggedEvent, ...] | None:
    try:
        found = read_event_log(data, limits=LIMITS)
    except DecodeError:
        return None
    for event in found.events:
        assert len(event.content.name) <= 256
        assert event.digest(HashAlgorithm.SHA384) is None or len(event.digest(HashAlgorithm.SHA384) or b"") == 48
    assert 0 < found.size <= len(data)
    return found.events


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    read(data)
    read(specification() + data)
    read(b"[{" + data)
    event_log_group(data)


@given(st.binary(max_size=200), KINDS)
def test_any_data_of_an_event(data: bytes, kind: int) -> None:
    content = event_content(kind, data)
    assert content.readings
    assert all(reading.data in reading.measured for reading in content.readings)
    try:
        text = [node.text for node in read_device_path(data)]
    except DecodeError:
        return
    assert len(text) <= 64


@given(EVENTS, st.sampled_from([b"", b"\xff" * 9, bytes(9)]))
def test_a_log_is_read_as_it_was_written(events: list[Logged], padding: bytes) -> None:
    data = log(*events, padding=padding)
    found = read(data)
    assert found is not None
    assert [(event.mr_index, event.type, event.data) for event in found] == [(e.index, e.type, e.data) for e in events]
    assert without_padding(data) == log(*events)


@given(EVENTS, st.data())
def test_any_change_of_a_log_is_refused_or_leaves_the_digests(events: list[Logged], data: st.DataObject) -> None:
    whole = log(*events)
    registers = {f"rtmr{number - 1}": replay(events, number) for number in range(1, 5)}
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        found = replay_event_log(CheckLog(), read_event_log(changed), registers, TDX_REGISTERS, CRYPTO)
    except (DecodeError, Stop):
        return
    extended = [event for event in events if event.type != 3]
    by_register = {name: [e.digest for e in found if e.register == name] for name in registers}
    assert by_register == {
        f"rtmr{number - 1}": [event.digest for event in extended if event.index == number] for number in range(1, 5)
    } or _covers_less(by_register, extended)


def _covers_less(found: dict[str, list[bytes]], events: list[Logged]) -> bool:
    """Whether what is missing is the whole of a register, whose check then says that it was not done."""
    for number in range(1, 5):
        wanted = [event.digest for event in events if event.index == number]
        if found[f"rtmr{number - 1}"] not in ([], wanted):
            return False
    return True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(sorted(dstack_event())), JSON)
def test_any_member_of_an_event_of_dstack(name: str, value: object) -> None:
    read(dstack_log({**dstack_event(), name: value}))
    data = json.dumps({"quote": value, "event_log": value}).encode()
    try:
        read_dstack_quote(data)
    except RatsTlsError:
        return


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_log_beside_real_evidence_is_an_error_of_ours(at: int, change: int) -> None:
    evidence = simulated()
    changed = bytearray(evidence.event_log)
    changed[at % len(changed)] ^= change
    try:
        decoded = TdxEcdsaVerifier().decode(Evidence(evidence.media_type, evidence.data, bytes(changed)))
    except DecodeError:
        return
    assert isinstance(decoded.claims, TdxClaims)
    assert decoded.claims.events is None
