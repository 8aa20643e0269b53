"""Attacks 3.40: event logs that say other things than were measured, and logs that are made to hurt their reader."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import MeasuredEvent, TdxClaims, TeeClaims
from rats_tls.core.errors import AppraisalError, DecodeError, EventLogError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import Evidence
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.refusals import ExitCode
from rats_tls.core.results import AttestationResult
from rats_tls.formats.event_log.dstack import DstackEventLog
from rats_tls.formats.event_log.reading import without_padding
from rats_tls.formats.event_log.tcg import TcgEvent, TcgEventLog
from rats_tls.policy import Policy
from support.appraisals import claims_of
from support.event_logs import SM3, Logged, changed, dstack_event, dstack_log, log, sha384, specification
from support.intel import CRYPTO
from support.judged import appraise, collected
from support.policies import default_policy
from support.sides import SGX, SNP, TDX, policy_for

COMMAND = {"register": "rtmr2", "type": "EV_IPL", "name": "kernel_cmdline"}
LINE = "root=LABEL=root ro console=ttyS0"


@functools.cache
def measured() -> tuple[Evidence, Any, tuple[Logged, ...], TdxClaims]:
    """Give Evidence of a trust domain with its log, what judges it, the log's events, and its claims."""
    evidence, endorsements = collected(TDX, event_log=True)
    found = TcgEventLog.from_bytes(evidence.event_log)
    result = appraise(evidence, endorsements, any_registers())
    assert isinstance(result.claims, TdxClaims)
    return evidence, endorsements, tuple(map(_logged, found.events)), result.claims


def _logged(event: TcgEvent) -> Logged:
    return Logged(index=event.mr_index, type=event.type, data=event.data, digests=event.digests)


@functools.cache
def bare_claims() -> TeeClaims:
    evidence, _ = collected(TDX, event_log=True)
    return claims_of(evidence.data)


def any_registers(**changes: Any) -> Policy:
    """Give the policy of the trust domain, with registers left to its log."""
    registers = dict.fromkeys(("rtmr0", "rtmr1", "rtmr2", "rtmr3"), "any")
    return default_policy(bare_claims(), **{**registers, **changes})


def judge(event_log: bytes, **changes: Any) -> AttestationResult:
    """Judge the quote with another log."""
    evidence, endorsements, _, _ = measured()
    return appraise(Evidence(evidence.media_type, evidence.data, event_log), endorsements, any_registers(**changes))


def events_of(result: AttestationResult) -> tuple[MeasuredEvent, ...]:
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.events is not None
    return result.claims.events


def test_3_40_a_log_that_replays_is_believed_event_by_event() -> None:
    evidence, _, events, _ = measured()
    found = events_of(judge(evidence.event_log))
    assert len(found) == len(events)
    (command,) = (event for event in found if event.name == "kernel_cmdline")
    assert (command.register, command.data) == ("rtmr2", LINE.encode())
    assert judge(log(*events), required_events=[{**COMMAND, "data": {"text": LINE}}])


CHANGES: dict[str, Callable[[tuple[Logged, ...]], tuple[Logged, ...]]] = {
    "reordered": lambda events: (*events[:3], events[4], events[3], *events[5:]),
    "without an event": lambda events: (*events[:8], *events[9:]),
    "without its first event": lambda events: events[1:],
    "an event twice": lambda events: (*events[:4], *events[3:]),
    "one more event": lambda events: (*events, Logged(index=4)),
    "an event of another register": lambda events: (
        changed(events[0], index=4),
        *events[1:],
    ),
    "none of one register": lambda events: (*events, Logged(index=1)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_3_40_a_log_of_other_events_is_refused(name: str) -> None:
    _, _, events, _ = measured()
    with pytest.raises(EventLogError, match="replay to") as raised:
        judge(log(*CHANGES[name](events)))
    assert raised.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
    (failed,) = (check for check in raised.value.checks if check.verdict is Verdict.FAILED)
    assert failed.id.startswith("event_log.rtmr")


@pytest.mark.parametrize("index", [0, 5, 0xFFFFFFF0])
def test_3_40_an_event_of_a_register_that_is_none_is_refused(index: int) -> None:
    _, _, events, _ = measured()
    with pytest.raises(EventLogError, match=f"event 11 .*: got register {index}, expected one of 1, 2, 3, 4"):
        judge(log(*events, Logged(index=index)))


def test_3_40_an_event_that_is_not_extended_changes_nothing() -> None:
    """EV_NO_ACTION may stand anywhere, with any register, and is no event that was measured."""
    _, _, events, _ = measured()
    quiet = Logged(type=3, index=0, data=b"root=LABEL=evil")
    found = events_of(judge(log(quiet, *events, quiet)))
    assert len(found) == len(events)
    assert all(event.type != "EV_NO_ACTION" for event in found)


def test_3_40_digests_of_another_hash_do_not_count() -> None:
    _, _, events, _ = measured()
    head = specification(((0x000C, 48), (SM3, 32)))
    both = [
        Logged(index=e.index, type=e.type, data=e.data, digests=(*(e.digests or ()), (SM3, bytes(32)))) for e in events
    ]
    assert judge(log(*both, head=head))
    alone = Logged(index=2, digests=((SM3, bytes(32)),))
    with pytest.raises(EventLogError, match="got no sha384 digest"):
        judge(log(*both, alone, head=head))


@pytest.mark.parametrize("name", ["data", "type", "name"])
def test_3_40_what_a_log_writes_beside_a_digest_is_not_proved(name: str) -> None:
    """The digest still replays; data counts no more once it is not what was hashed, and words never do."""
    _, _, events, _ = measured()
    at = next(number for number, event in enumerate(events) if event.data.startswith(b"kernel_cmdline"))
    changes: dict[str, dict[str, Any]] = {
        "data": {"data": b"kernel_cmdline: root=LABEL=evil\0"},
        "type": {"type": 0x80000007},
        "name": {"data": b"grub_cmd: " + LINE.encode() + b"\0"},
    }
    told = log(*events[:at], changed(events[at], **changes[name]), *events[at + 1 :])
    with pytest.raises(AppraisalError) as raised:
        judge(told, required_events=[{**COMMAND, "data": {"text": LINE}}])
    (mismatch,) = raised.value.mismatches
    assert mismatch.field == "required_events"
    if name == "data":
        (event,) = (found for found in events_of(judge(told)) if found.name == "kernel_cmdline")
        assert event.data is None
        with pytest.raises(AppraisalError):
            judge(told, required_events=[{**COMMAND, "data": {"text": "root=LABEL=evil"}}])


def test_3_40_a_register_without_events_is_said_to_be_not_checked() -> None:
    _, _, events, claims = measured()
    of_guest = log(*(event for event in events if event.index == 4))
    result = judge(of_guest)
    verdicts = {check.id: check.verdict for check in result.checks if check.id.startswith("event_log.")}
    assert verdicts == {
        "event_log.rtmr0": Verdict.NOT_CHECKED,
        "event_log.rtmr1": Verdict.NOT_CHECKED,
        "event_log.rtmr2": Verdict.NOT_CHECKED,
        "event_log.rtmr3": Verdict.PASSED,
    }
    assert {check.id for check in result.not_checked} >= {"event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2"}
    assert claims.rtmr2 != bytes(48)
    with pytest.raises(AppraisalError, match="required_events"):
        judge(of_guest, required_events=[COMMAND])


def test_3_40_a_log_left_out_meets_no_requirement() -> None:
    with pytest.raises(AppraisalError) as raised:
        judge(b"", required_events=[COMMAND])
    (mismatch,) = raised.value.mismatches
    assert (mismatch.got, mismatch.expected) == ("no event log", "an event log with 1 required event")
    result = judge(b"")
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.events is None
    assert not [check for check in result.checks if check.id.startswith("event_log.")]


def test_3_40_nothing_is_measured_by_a_quote_that_is_not_signed() -> None:
    evidence, endorsements, _, _ = measured()
    flipped = bytearray(evidence.data)
    flipped[48 + 60] ^= 1
    with pytest.raises(RatsTlsError) as raised:
        appraise(Evidence(evidence.media_type, bytes(flipped), evidence.event_log), endorsements, any_registers())
    assert raised.value.refusal.label == "evidence_signature"
    assert isinstance(raised.value.claims, TdxClaims)
    assert raised.value.claims.events is None


@pytest.mark.parametrize("name", [SGX, SNP])
def test_3_40_a_log_beside_evidence_without_registers_is_refused(name: str) -> None:
    evidence, endorsements = collected(name)
    _, _, events, _ = measured()
    with pytest.raises(UnsupportedError, match="no register"):
        appraise(Evidence(evidence.media_type, evidence.data, log(*events)), endorsements, policy_for(name))


HOSTILE = {
    "no log": b"hello",
    "one byte": b"\0",
    "a size that wraps": log(Logged(size=0xFFFFFFFF)),
    "digests without end": log(Logged(count=0xFFFFFFFF)),
    "algorithms without end": log(head=specification(count=0xFFFFFFFF)),
    "more than is read": log(padding=b"\xff" * DEFAULT_LIMITS.event_log),
    "events without end": log(*[Logged(data=b"", type=3)] * (DEFAULT_LIMITS.event_log_events + 1)),
    "deep JSON": b"[{" + b'"a":{' * 100_000,
    "a huge number": b'[{"imr":' + b"9" * 10_000 + b"}]",
    "another kind of list": b'[{"pcr":0}]',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_3_40_a_malformed_log_is_refused(name: str) -> None:
    with pytest.raises(DecodeError) as raised:
        judge(HOSTILE[name])
    assert raised.value.refusal.exit_code is ExitCode.MALFORMED


def test_3_40_every_flip_in_the_log_is_refused_or_changes_only_words() -> None:
    """Register, type, digest, sizes: what is not refused leaves registers and digests as they were."""
    evidence, _, _, claims = measured()
    whole = without_padding(evidence.event_log)
    kept = [(event.register, event.digest) for event in events_of(judge(whole))]
    proved = {None, *(known.data for known in claims.events or ())}
    refused = 0
    for offset in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[offset] ^= 1
        found = events_or_refusal(bytes(flipped))
        if isinstance(found, str):
            refused += 1
            assert found in {"event_log", "malformed_evidence"}, offset
        else:
            assert [(event.register, event.digest) for event in found] == kept, offset
            assert all(event.data in proved or sha384(event.data or b"") == event.digest for event in found), offset
    assert refused > len(kept) * 48 // 5


def events_or_refusal(data: bytes) -> tuple[MeasuredEvent, ...] | str:
    try:
        return events_of(judge(data))
    except RatsTlsError as error:
        return error.refusal.label


@pytest.mark.parametrize(("name", "data"), [("compose-hash", bytes(32)), ("app-id", None), ("compose-hash:", None)])
def test_3_40_of_dstack_s_events_name_and_payload_are_both_hashed(name: str, data: bytes | None) -> None:
    told = {**dstack_event("compose-hash", bytes(32)), "event": name}
    (event,) = DstackEventLog.from_bytes(dstack_log(told)).events
    (reading,) = event.content.readings
    matches = CRYPTO.digest(HashAlgorithm.SHA384, reading.measured) == event.sha384
    assert (reading.data if matches else None) == data
