"""The event log of a simulated trust domain: its registers, and what is made to differ."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.claims import TdxClaims
from rats_tls.core.evidence import Evidence
from rats_tls.formats.event_log.reading import read_event_log
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.states import TdxState
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.appraisals import make_appraiser
from support.judged import collected
from support.sides import TDX
from support.simulated import NOW, REPORT_DATA, world

REGISTERS = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")


def claims(evidence: Evidence) -> TdxClaims:
    found = TdxEcdsaVerifier().decode(evidence).claims
    assert isinstance(found, TdxClaims)
    return found


def registers(**state: Any) -> dict[str, bytes]:
    evidence, _ = collected(TDX, **state)
    return {name: getattr(claims(evidence), name) for name in REGISTERS}


def test_without_the_setting_nothing_is_other_than_it_was() -> None:
    evidence, _ = collected(TDX)
    assert evidence.event_log == b""
    assert registers() == {name: getattr(TdxState(), name) for name in REGISTERS}


def test_the_registers_are_those_of_the_log() -> None:
    with_log, other_line = registers(event_log=True), registers(event_log=True, command_line="root=/dev/vdb")
    plain = registers()
    assert all(with_log[name] not in {plain[name], bytes(48)} for name in REGISTERS)
    assert {name for name in REGISTERS if with_log[name] != other_line[name]} == {"rtmr2"}


def test_its_policy_accepts_it() -> None:
    evidence, endorsements = collected(TDX, event_log=True)
    policy = policy_for(world(), TDX, event_log=True)
    result = make_appraiser(policy, endorsements, anchors=world().trust_anchors).appraise_evidence(
        evidence, now=NOW, expected_report_data=REPORT_DATA
    )
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.events is not None
    assert len(result.claims.events) == len(read_event_log(evidence.event_log).events)
    assert {event.register for event in result.claims.events} == set(REGISTERS)


@pytest.mark.parametrize("name", REGISTERS)
def test_a_register_that_is_set_is_not_that_of_the_log(name: str) -> None:
    state = {"event_log": True, name: b"\xee" * 48}
    assert registers(**state)[name] == b"\xee" * 48
    evidence, _ = collected(TDX, **state)
    assert evidence.event_log == collected(TDX, event_log=True)[0].event_log


def test_settings_are_texts_on_the_command_line() -> None:
    made = world().attester_from_texts(TDX, {"event_log": True, "command_line": "quiet"})
    evidence = made.collect(REPORT_DATA).evidence
    assert b"kernel_cmdline: quiet\0" in evidence.event_log
    wrong = world().attester_from_texts(TDX, {"wrong_event_log": True}).collect(REPORT_DATA).evidence
    assert claims(wrong).rtmr2 == b"\xff" * 48
