"""Report-only over real connections: by the policy's mode and by a switch of the Context, and never by one of them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.channel import AppraisalNeeded
from rats_tls.context import Context
from rats_tls.core.errors import AppraisalError, NotConfirmedError, RatsTlsError, RevokedError
from rats_tls.core.refusals import WireCode
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Mode, Policy
from rats_tls.simulation.vendor_state import SignedItem
from support.loops import LOOPS, run, serving
from support.sides import SGX, attester, context, echo, policy_for, served

FACES = ("blocking", *LOOPS)
OTHER = bytes([0xEE] * 32)
faces = pytest.mark.parametrize("face", FACES)


def policy(mode: Mode = Mode.REPORT_ONLY, **written: Any) -> Policy:
    return Policy.of(*policy_for(SGX, **{"mr_enclave": OTHER, **written}).entries, mode=mode)


def talk(face: str, server: Context, client: Context) -> AttestationResult | RatsTlsError:
    """Connect once and echo five bytes; gives what the client knows of its peer, or its error."""
    seen: list[AttestationResult] = []

    async def connect() -> None:
        async with serving(server) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=client)
            seen.append(writer.get_extra_info("peer"))
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    try:
        if face != "blocking":
            run(face, connect())
            return seen[0]
        with served(server, echo) as (address, _), client.connect(address, timeout=20) as connection:
            peer = connection.peer
            assert peer is not None
            connection.sendall(b"hello")
            assert connection.recv() == b"hello"
            return peer
    except RatsTlsError as error:
        return error


@faces
def test_a_refused_peer_is_talked_to_and_stays_refused(face: str, caplog: pytest.LogCaptureFixture) -> None:
    server, client = context(SGX), context(None, policy(), insecure_report_only=True)
    assert "connections are opened to peers that the policy REFUSES" in caplog.text
    for _ in range(2):
        caplog.clear()
        result = talk(face, server, client)
        assert isinstance(result, AttestationResult)
        assert result.verdict == "refused (report-only)"
        assert [mismatch.field for mismatch in result.mismatches] == ["mr_enclave"]
        assert result.remembered_from is None, "nothing remembers it"
        (warning,) = [record for record in caplog.records if record.name == "rats_tls.verdicts"]
        assert warning.levelno == logging.WARNING
        assert warning.getMessage().startswith("INSECURE: report-only: the connection is opened although the policy")
        assert "pinned.mr_enclave: got" in warning.getMessage()


@faces
def test_the_mode_alone_refuses(face: str, caplog: pytest.LogCaptureFixture) -> None:
    client = context(None, policy())
    assert "it refuses as any other" in caplog.text
    error = talk(face, context(SGX), client)
    assert isinstance(error, AppraisalError)
    assert error.reported is not None


@faces
def test_the_switch_alone_refuses(face: str, caplog: pytest.LogCaptureFixture) -> None:
    error = talk(face, context(SGX), context(None, policy(Mode.ENFORCE), insecure_report_only=True))
    assert isinstance(error, AppraisalError)
    assert error.reported is None
    assert "INSECURE" not in caplog.text


@faces
@pytest.mark.parametrize(
    ("state", "written", "expected"),
    [
        ({"debug": True}, {}, AppraisalError),
        ({"revoked": {SignedItem.INTEL_PCK}}, {}, RevokedError),
        ({}, {"identity": {"spki_sha256": [OTHER]}}, AppraisalError),
        ({}, {"custom_claims": {"role": "00"}}, AppraisalError),
    ],
    ids=str,
)
def test_whatever_is_not_softened_refuses(
    face: str, state: dict[str, Any], written: dict[str, Any], expected: type[RatsTlsError]
) -> None:
    client = context(None, policy(**written), insecure_report_only=True)
    error = talk(face, context(attester(SGX, **state)), client)
    assert type(error) is expected


@faces
def test_an_accepted_peer_is_accepted_and_remembered(face: str) -> None:
    server = context(SGX)
    client = context(None, policy(mr_enclave="any"), insecure_report_only=True)
    first, second = (talk(face, server, client) for _ in range(2))
    assert isinstance(first, AttestationResult)
    assert isinstance(second, AttestationResult)
    assert (first.verdict, second.verdict) == ("accepted", "accepted")
    assert second.remembered_from == first.judged_at


@faces
def test_the_application_can_still_refuse(face: str) -> None:
    asked: list[str] = []

    def confirm(result: AttestationResult, _: AppraisalNeeded) -> None:
        asked.append(result.verdict)
        if result.verdict != "accepted":
            raise ValueError("accepted peers alone")

    client = context(None, policy(), insecure_report_only=True, confirm=confirm)
    assert isinstance(talk(face, context(SGX), client), NotConfirmedError)
    assert asked == ["refused (report-only)"]


def test_a_server_too() -> None:
    server = context(SGX, policy(), insecure_report_only=True)
    with served(server, echo) as (address, outcome):
        with context(SGX, SGX).connect(address, timeout=20) as connection:
            connection.sendall(b"hello")
            assert connection.recv() == b"hello"
        assert outcome.connection is not None
        peer = outcome.connection.peer
    assert peer is not None
    assert (peer.verdict, outcome.error) == ("refused (report-only)", None)
    # Without the switch the client learns what it learns of any refusal.
    strict = context(SGX, policy())
    with served(strict, echo) as (address, outcome):
        with pytest.raises(RatsTlsError) as caught:
            context(SGX, SGX).connect(address, timeout=20)
        assert getattr(caught.value, "wire_code", None) is WireCode.APPRAISAL


def test_no_environment_variable_is_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATS_TLS_INSECURE_REPORT_ONLY", "INSECURE_REPORT_ONLY", "RATS_TLS_REPORT_ONLY"):
        monkeypatch.setenv(name, "1")
    assert isinstance(talk("blocking", context(SGX), context(None, policy())), AppraisalError)
