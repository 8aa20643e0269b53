"""dstack's event log, and its answers that hold a quote and one."""

from __future__ import annotations

import json

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, TeeType
from rats_tls.core.limits import Limits
from rats_tls.formats.event_log.dstack import DstackEventLog
from rats_tls.formats.event_log.dstack_quote import read_dstack_quote
from rats_tls.formats.event_log.reading import read_event_log, without_padding
from support.event_logs import ACTION, dstack_event, dstack_log, runtime_digest
from support.simulated import REPORT_DATA, world


def test_events_are_read_as_they_stand() -> None:
    data = dstack_log(
        dstack_event(imr=0, event_type=ACTION, event="", event_payload="41", digest="ab" * 48), dstack_event()
    )
    found = read_event_log(data)
    assert isinstance(found, DstackEventLog)
    first, second = found.events
    assert (first.mr_index, first.type_name, first.content.name) == (1, "EV_EFI_ACTION", "A")
    assert (second.mr_index, second.type_name, second.content.name) == (4, "0x08000001", "app-id")
    assert first.digest(HashAlgorithm.SHA384) == b"\xab" * 48
    assert first.digest(HashAlgorithm.SM3) is None
    assert without_padding(data) == data


def test_a_digest_left_out_is_made_of_type_name_and_payload() -> None:
    (event,) = DstackEventLog.from_bytes(dstack_log(dstack_event(digest=""))).events
    assert event.sha384 == runtime_digest("app-id", b"\1\2")


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (dstack_event(imr=4), "imr: got an integer outside 0 to 3"),
        (dstack_event(imr=-1), "imr"),
        (dstack_event(imr=True), "imr"),
        (dstack_event(imr=1.0), "not strict JSON"),
        (dstack_event(event_type=1 << 32), "event_type"),
        (dstack_event(digest="ab" * 32), "digest: got 32 bytes, expected 48"),
        (dstack_event(digest="a" * 95), "digest"),
        (dstack_event(digest="zz" * 48), "digest"),
        (dstack_event(digest="", event_type=ACTION), "digest: got 0 bytes"),
        (dstack_event(event="x" * 257, digest=""), "event: got 257 characters"),
        (dstack_event(event="\ud800", digest="ab" * 48), "not UTF-8"),
        (dstack_event(event_payload="0"), "event_payload"),
        ({"imr": 3}, "missing"),
    ],
)
def test_an_event_that_is_wrong(event: dict[str, object], match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        DstackEventLog.from_bytes(dstack_log(dstack_event(), event))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"[[]]",
        b"[{}",
        b"[{}] []",
        b"[" * 100_000,
        b'[{"imr":0,"imr":0}]',
        b"[{},]",
        b"\xff[{}]",
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_other_text_is_no_log(data: bytes) -> None:
    with pytest.raises(DecodeError):
        DstackEventLog.from_bytes(data)


def test_size_and_number_are_bounded() -> None:
    data = dstack_log(dstack_event(), dstack_event())
    assert len(DstackEventLog.from_bytes(data, limits=Limits(event_log=len(data), event_log_events=2)).events) == 2
    with pytest.raises(DecodeError, match="at most"):
        DstackEventLog.from_bytes(data, limits=Limits(event_log=len(data) - 1))
    with pytest.raises(DecodeError, match="at most 1"):
        DstackEventLog.from_bytes(data, limits=Limits(event_log_events=1))


def answer(**changes: object) -> bytes:
    quote = world().attester("simulated_tdx_ecdsa").collect(REPORT_DATA).evidence.data
    log = dstack_log(dstack_event()).decode()
    return json.dumps({"quote": quote.hex(), "event_log": log, "vm_config": "", **changes}).encode()


def test_an_answer_holds_quote_and_log() -> None:
    evidence = read_dstack_quote(answer())
    assert evidence is not None
    assert evidence.media_type == NAMES_BY_TEE[TeeType.TDX_ECDSA].media_type
    assert evidence.event_log == dstack_log(dstack_event())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"quote": ""}', b"{", b"[]", b"\xff", b'{"event_log": "[]"}'])
def test_other_data_is_no_answer(data: bytes) -> None:
    assert read_dstack_quote(data) is None


@pytest.mark.parametrize("changes", [{"quote": "0"}, {"quote": 1}, {"event_log": []}, {"quote": None}])
def test_an_answer_that_is_wrong(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        read_dstack_quote(answer(**changes))


def test_an_answer_with_no_known_quote() -> None:
    with pytest.raises(UnsupportedError):
        read_dstack_quote(answer(quote="00" * 100))
