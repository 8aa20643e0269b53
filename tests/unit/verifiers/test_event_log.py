"""Replay: which register an event is of, what is checked, and the registers of each kind of TEE."""

from __future__ import annotations

import hashlib

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.errors import UnsupportedError
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.event_log.reading import read_event_log
from rats_tls.formats.event_log.replay import CSV_REGISTERS, TDX_REGISTERS, RegisterMap
from rats_tls.verifiers.check_log import CheckLog, Stop
from rats_tls.verifiers.event_log import replay_event_log
from support.event_logs import (
    SHA384,
    SM3,
    Logged,
    dstack_event,
    dstack_log,
    log,
    replay,
    runtime_digest,
    sha384,
    specification,
)
from support.intel import CRYPTO

ZERO = bytes(48)
FIRST, SECOND = Logged(index=1), Logged(index=2, data=b"two")


class FakeSm3(OpensslCryptoWrapper):
    """Hashes with SHA-256 where SM3 is asked for; the replay does not care which hash it is."""

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash."""
        return hashlib.sha256(data).digest() if algorithm is HashAlgorithm.SM3 else super().digest(algorithm, data)


class WithoutSm3(OpensslCryptoWrapper):
    """Has no SM3."""

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash, or refuse."""
        if algorithm is HashAlgorithm.SM3:
            raise UnsupportedError("no SM3")
        return super().digest(algorithm, data)


def tdx(**values: bytes) -> dict[str, bytes]:
    return {name: values.get(name, ZERO) for name in ("rtmr0", "rtmr1", "rtmr2", "rtmr3")}


def verdicts(checks: CheckLog) -> dict[str, str]:
    return {check.id.removeprefix("event_log."): check.verdict.value for check in checks.checks}


def test_each_number_is_its_register() -> None:
    events = [Logged(index=number, data=bytes([number])) for number in range(1, 5)]
    checks = CheckLog()
    registers = {f"rtmr{number - 1}": replay(events, number) for number in range(1, 5)}
    found = replay_event_log(checks, read_event_log(log(*events)), registers, TDX_REGISTERS, CRYPTO)
    assert [(event.register, event.data) for event in found] == [(f"rtmr{n}", bytes([n + 1])) for n in range(4)]
    assert verdicts(checks) == dict.fromkeys(registers, "passed")
    assert {check.stage for check in checks.checks} == {Stage.EVIDENCE_SIGNATURE}


def test_order_counts() -> None:
    events = [FIRST, Logged(index=1, data=b"b")]
    value = sha384(sha384(ZERO + events[0].digest) + events[1].digest)
    assert replay(events, 1) == value
    replay_event_log(CheckLog(), read_event_log(log(*events)), tdx(rtmr0=value), TDX_REGISTERS, CRYPTO)
    with pytest.raises(Stop):
        replay_event_log(CheckLog(), read_event_log(log(*events[::-1])), tdx(rtmr0=value), TDX_REGISTERS, CRYPTO)


def test_a_register_without_events_is_known_only_where_it_is_zero() -> None:
    checks = CheckLog()
    registers = tdx(rtmr0=replay([FIRST], 1), rtmr3=b"\1" * 48)
    replay_event_log(checks, read_event_log(log(FIRST)), registers, TDX_REGISTERS, CRYPTO)
    assert verdicts(checks) == {"rtmr0": "passed", "rtmr1": "passed", "rtmr2": "passed", "rtmr3": "not checked"}
    assert checks.problems == []


def test_what_does_not_replay_ends_the_verification() -> None:
    checks = CheckLog()
    with pytest.raises(Stop):
        replay_event_log(checks, read_event_log(log(FIRST, SECOND)), tdx(), TDX_REGISTERS, CRYPTO)
    (problem,) = checks.problems
    assert problem.error.refusal.label == "event_log"
    assert "1 event of rtmr0 replay to" in problem.error.message
    assert checks.checks[-1].verdict is Verdict.FAILED


def test_dstack_numbers_registers_from_zero() -> None:
    value = sha384(ZERO + runtime_digest("app-id", b"\1\2"))
    (event,) = replay_event_log(
        CheckLog(), read_event_log(dstack_log(dstack_event())), tdx(rtmr3=value), TDX_REGISTERS, CRYPTO
    )
    assert (event.register, event.name, event.data) == ("rtmr3", "app-id", b"\1\2")


def csv_log() -> tuple[bytes, dict[str, bytes]]:
    def digest(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    events = [
        Logged(index=number, data=bytes([number]), digests=((SM3, digest(bytes([number]))),)) for number in range(1, 5)
    ]
    values = {"rtmr0": b"\7" * 32}
    values |= {f"rtmr{number}": digest(bytes(32) + digest(bytes([number]))) for number in range(1, 5)}
    return log(*events, head=specification(((SHA384, 48), (SM3, 32)))), values


def test_numbers_of_csv_are_those_of_its_registers() -> None:
    data, registers = csv_log()
    checks = CheckLog()
    found = replay_event_log(checks, read_event_log(data), registers, CSV_REGISTERS, FakeSm3())
    assert [(event.register, event.data) for event in found] == [(f"rtmr{n}", bytes([n])) for n in range(1, 5)]
    assert verdicts(checks) == {"rtmr0": "not checked", **{f"rtmr{n}": "passed" for n in range(1, 5)}}


@pytest.mark.parametrize(("of", "label"), [(TDX_REGISTERS, "event_log"), (CSV_REGISTERS, "unsupported_evidence")])
def test_a_hash_that_is_not_there(of: RegisterMap, label: str) -> None:
    """The log has none of the registers' hash, or nothing at hand computes it."""
    data, registers = csv_log()
    checks = CheckLog()
    with pytest.raises(Stop):
        replay_event_log(checks, read_event_log(data), registers, of, WithoutSm3())
    assert [problem.error.refusal.label for problem in checks.problems] == [label]
