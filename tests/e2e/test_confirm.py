"""The application's own say about a peer that the policy accepted: it can refuse, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.channel import AppraisalNeeded
from rats_tls.context import Context
from rats_tls.core.errors import (
    AppraisalError,
    ConfigurationError,
    NotConfirmedError,
    PeerRefusedError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.refusals import WireCode
from rats_tls.core.results import AttestationResult
from support.loops import LOOPS, run, serving
from support.sides import SGX, SNP, context, echo, policy_for, served

FACES = ("blocking", *LOOPS)


class Confirm:
    """Notes what it is asked, and raises or returns what it is told to."""

    def __init__(self, *, error: BaseException | None = None, answer: Any = None) -> None:
        self.error = error
        self.answer = answer
        self.asked: list[tuple[AttestationResult, AppraisalNeeded]] = []
        self.threads: set[int] = set()

    def __call__(self, result: AttestationResult, needed: AppraisalNeeded) -> Any:
        self.asked.append((result, needed))
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        return self.answer() if callable(self.answer) else self.answer


def talk(face: str, server: Context, client: Context) -> tuple[RatsTlsError | None, BaseException | None]:
    """Connect once and echo five bytes; gives the error of the client and of the server."""
    refused: list[RatsTlsError] = []

    async def connect() -> None:
        async with serving(server, refused=refused) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=client)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

    async def main() -> None:
        try:
            await connect()
        finally:
            await asyncio.sleep(0.05)  # the server notes the refusal after the client has read it

    if face != "blocking":
        try:
            run(face, main())
        except RatsTlsError as error:
            return error, refused[0] if refused else None
        return None, refused[0] if refused else None
    failure: RatsTlsError | None = None
    with served(server, echo) as (address, outcome):
        try:
            with client.connect(address, timeout=20) as connection:
                connection.sendall(b"hello")
                assert connection.recv() == b"hello"
        except RatsTlsError as error:
            failure = error
    return failure, outcome.error


faces = pytest.mark.parametrize("face", FACES)


@faces
def test_it_is_asked_for_every_connection_with_what_was_judged(face: str) -> None:
    confirm = Confirm()
    server, client = context(SGX), context(None, SGX, confirm=confirm)
    for _ in range(2):
        assert talk(face, server, client) == (None, None)
    (first, needed), (second, _) = confirm.asked
    assert (first.tee_type.value, first.verdict) == ("sgx_ecdsa", "accepted")
    assert needed.certificate
    assert first.remembered_from is None
    assert second.remembered_from is not None
    if face != "blocking":
        assert threading.get_ident() not in confirm.threads, "the loop was blocked"


@faces
@pytest.mark.parametrize("error", [ValueError("not today"), SignatureError("x"), RuntimeError()])
def test_an_exception_refuses_and_the_peer_learns_no_more_than_of_any_refusal(face: str, error: Exception) -> None:
    client_error, server_error = talk(face, context(SGX), context(None, SGX, confirm=Confirm(error=error)))
    assert isinstance(client_error, NotConfirmedError)
    assert client_error.__cause__ is error
    assert (str(error) or type(error).__name__) in str(client_error)
    assert client_error.checks
    assert isinstance(server_error, PeerRefusedError)
    assert server_error.wire_code is WireCode.APPRAISAL
    assert "today" not in str(server_error)


@faces
def test_a_server_confirms_too(face: str) -> None:
    server = context(SGX, SNP, confirm=Confirm(error=ValueError("no")))
    client_error, server_error = talk(face, server, context(SNP, SGX))
    assert isinstance(server_error, NotConfirmedError)
    assert isinstance(client_error, PeerRefusedError)
    assert client_error.wire_code is WireCode.APPRAISAL


@faces
def test_a_remembered_appraisal_is_confirmed_anew(face: str) -> None:
    confirm = Confirm()
    server, client = context(SGX), context(None, SGX, confirm=confirm)
    assert talk(face, server, client) == (None, None)
    confirm.error = ValueError("no more")
    assert isinstance(talk(face, server, client)[0], NotConfirmedError)
    assert confirm.asked[1][0].remembered_from is not None


@faces
def test_it_is_not_asked_about_a_peer_that_the_policy_refuses(face: str) -> None:
    confirm = Confirm()
    client = context(None, policy_for(SGX, mr_enclave=bytes(32)), confirm=confirm)
    assert isinstance(talk(face, context(SGX), client)[0], AppraisalError)
    assert confirm.asked == []


async def nobody_awaits() -> None:
    pass


@pytest.mark.parametrize("answer", [False, True, 0, 1, "yes", nobody_awaits])
def test_an_answer_is_not_overheard(answer: object) -> None:
    """Whoever returns False means no; an awaitable has not even been asked."""
    client_error, _ = talk("blocking", context(SGX), context(None, SGX, confirm=Confirm(answer=answer)))
    assert isinstance(client_error, NotConfirmedError)
    assert "expected None" in str(client_error)


def test_without_a_policy_there_is_nobody_to_confirm() -> None:
    with pytest.raises(ConfigurationError, match="confirm"):
        context(SGX, confirm=Confirm())
