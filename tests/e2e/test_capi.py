"""The six calls of the C API over real sockets, between simulated TEEs."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from rats_tls import capi
from rats_tls.capi import (
    CallError,
    CallTimeoutError,
    CertAlgorithm,
    CoreCode,
    CoreError,
    CsvEvidence,
    EnclaveVerifierCode,
    EnclaveVerifierError,
    EvidenceType,
    Flags,
    Handle,
    PeerEvidence,
    TlsWrapperCode,
    TlsWrapperError,
)
from rats_tls.connection import Connection
from rats_tls.core.claims import CsvClaims, SgxClaims, SnpClaims, TdxClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import AppraisalError, NotConfirmedError, PeerRefusedError
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.policy import Policy
from support.capi import (
    CLIENT,
    MUTUAL_CLIENT,
    MUTUAL_SERVER,
    SERVER,
    connected,
    handle,
    in_threads,
    negotiated,
    socket_pair,
)
from support.policies import null_policy
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, attester, context, echo, policy_for, served


def exchange(server: Handle, client: Handle) -> None:
    """Negotiate by descriptors, and send a few bytes there and back."""
    with connected(server, client) as (left, right):
        assert capi.transmit(client, b"hello") == 5
        assert capi.receive(server, 256) == b"hello"
        assert capi.transmit(server, memoryview(b"and back")) == 8
        assert capi.receive(client, 3) == b"and"
        assert capi.receive(client, 256) == b" back"
        capi.cleanup(server)
        capi.cleanup(client)
        for sock in (left, right):
            os.fstat(sock.fileno())  # it stays the caller's


@pytest.mark.parametrize(("server_tee", "client_tee"), list(permutations(ALL_SIMULATED, 2)))
def test_two_different_tees_attest_to_each_other(server_tee: str, client_tee: str) -> None:
    exchange(handle(MUTUAL_SERVER, server_tee, client_tee), handle(MUTUAL_CLIENT, client_tee, server_tee))


@pytest.mark.parametrize(
    "fields",
    [
        {"cert_algo": CertAlgorithm.RSA_3072},
        {"tls_type": "nulltls"},
        {"flags": Flags.ATTESTER_ENFORCED, "attester_type": SGX},
    ],
    ids=str,
)
def test_one_side_attests(fields: dict[str, Any]) -> None:
    given = {**fields}
    client_fields = {key: value for key, value in fields.items() if key == "tls_type"}
    server = handle(SERVER | given.pop("flags", Flags(0)), SGX, **given)
    client = handle(CLIENT | Flags.VERIFIER_ENFORCED, None, SGX, verifier_type="sgx_ecdsa", **client_fields)
    exchange(server, client)


def test_the_end_of_the_peer_is_an_empty_receive() -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    with connected(server, client):
        capi.transmit(client, b"last")
        capi.cleanup(client)
        assert capi.receive(server, 256) == b"last"
        assert capi.receive(server, 256) == b""


def test_a_handle_serves_one_connection_after_the_other() -> None:
    server, first, second = handle(SERVER, SGX), handle(CLIENT, None, SGX), handle(CLIENT, None, SGX)
    with connected(server, first):
        assert server.peer is None
        assert first.peer is not None
        assert first.peer.tee_type.value == "sgx_ecdsa"
        with connected(server, second):
            assert capi.receive(first, 1) == b"", "the former connection was ended"
            capi.transmit(server, b"y")
            assert capi.receive(second, 1) == b"y"


def test_a_handle_talks_to_the_blocking_api() -> None:
    with served(context(SGX, SNP), echo) as (address, outcome):
        client = handle(MUTUAL_CLIENT, SNP, SGX)
        with socket.create_connection(address) as sock, client:
            capi.negotiate(client, sock)
            capi.transmit(client, b"hello")
            assert capi.receive(client, 64) == b"hello"
    assert outcome.error is None


def test_a_server_that_judges_nobody_serves_peers_without_the_preamble_when_told_to() -> None:
    for serves in (True, False):
        server = handle(SERVER, SGX, options={"serves_without_preamble": serves})
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

        def greet(client: socket.socket, tls: ssl.SSLContext = tls) -> None:
            with tls.wrap_socket(client) as wrapped:
                wrapped.sendall(b"hello")
                wrapped.recv(1)

        with socket_pair() as (left, right), server:
            negotiating = threading.Thread(target=in_threads, args=(lambda right=right: greet(right),), daemon=True)
            negotiating.start()
            if serves:
                capi.negotiate(server, left)
                assert capi.receive(server, 5) == b"hello"
                capi.cleanup(server)
            else:
                with pytest.raises(TlsWrapperError) as caught:
                    capi.negotiate(server, left)
                assert caught.value.refusal in {Refusal.PREAMBLE_REQUIRED, Refusal.TLS}
            negotiating.join(20)


# --- refusals -----------------------------------------------------------------------------------------------------
def refusals(server: Handle, client: Handle) -> tuple[CallError, CallError]:
    """Negotiate; both sides fail. Gives the server's error and the client's."""
    server_error, client_error = negotiated(server, client)
    assert isinstance(server_error, CallError)
    assert isinstance(client_error, CallError)
    for side in (server, client):
        with pytest.raises(CoreError, match="not negotiated"):
            capi.transmit(side, b"x")
    return server_error, client_error


def test_the_policy_refuses() -> None:
    server_error, error = refusals(handle(SERVER, SGX), handle(CLIENT, None, policy_for(SGX, mr_enclave=bytes(32))))
    assert isinstance(error, EnclaveVerifierError)
    assert (error.code, error.number) == (EnclaveVerifierCode.INVALID, -0x3000_0003)
    assert error.refusal is Refusal.POLICY
    assert isinstance(error.__cause__, AppraisalError)
    assert [mismatch.field for mismatch in error.__cause__.mismatches] == ["mr_enclave"]
    assert error.checks
    assert isinstance(server_error, TlsWrapperError)
    assert server_error.code is TlsWrapperCode.INVALID
    assert isinstance(server_error.__cause__, PeerRefusedError)
    assert server_error.__cause__.wire_code is WireCode.APPRAISAL


@pytest.mark.parametrize("verifier", ["", "sgx_ecdsa"])
def test_a_peer_without_evidence_is_not_accepted_by_not_naming_a_verifier(verifier: str) -> None:
    _, error = refusals(handle(SERVER, attester_type="nullattester"), handle(CLIENT, None, SGX, verifier_type=verifier))
    assert error.refusal is Refusal.NO_EVIDENCE
    accepting = handle(CLIENT, None, null_policy(), verifier_type=verifier and "nullverifier")
    exchange(handle(SERVER, attester_type="nullattester"), accepting)


@pytest.mark.parametrize("enforced", [False, True])
def test_an_enforced_verifier_accepts_its_type_alone(enforced: bool) -> None:
    entries = [replace(entry, name=name) for name in (SGX, SNP) for entry in policy_for(name).entries]
    flags = CLIENT | (Flags.VERIFIER_ENFORCED if enforced else Flags(0))
    client = handle(flags, None, Policy.of(*entries), verifier_type="sev_snp")
    if not enforced:
        exchange(handle(SERVER, SGX), client)
        return
    _, error = refusals(handle(SERVER, SGX), client)
    assert isinstance(error, EnclaveVerifierError)
    exchange(handle(SERVER, SNP), handle(flags, None, Policy.of(*entries), verifier_type="sev_snp"))


# --- the callback -------------------------------------------------------------------------------------------------
def seen(attests: str, **options: Any) -> PeerEvidence:
    """Give what the callback of a client is told about a server."""
    told: list[PeerEvidence] = []

    def note(evidence: PeerEvidence) -> bool:
        told.append(evidence)
        return True

    claims = {"role": b"server\0"}
    exchange(
        handle(SERVER, attests, custom_claims=claims), handle(CLIENT, None, attests, callback=note, options=options)
    )
    (evidence,) = told
    assert dict(evidence.custom_claims) == claims
    with pytest.raises(TypeError):
        evidence.custom_claims["role"] = b"client"  # type: ignore[index]  # that is what is tested
    assert b"role" in evidence.ehd.user_data
    assert len(evidence.ehd.public_key) == 91
    assert evidence.ehd.unhashed == b""
    assert evidence.quote_size == len(evidence.quote) > 432
    return evidence


def test_what_the_callback_is_told_of_sgx() -> None:
    evidence = seen(SGX)
    claims = evidence.result.claims
    assert isinstance(claims, SgxClaims)
    assert evidence.type is EvidenceType.SGX_ECDSA
    sgx = evidence.sgx
    assert sgx is not None
    assert evidence.tdx is None
    assert (sgx.mr_enclave, sgx.mr_signer) == (claims.mr_enclave, claims.mr_signer)
    assert (sgx.product_id, sgx.security_version) == (claims.isv_prod_id, claims.isv_svn)
    # Report body at 48: attributes at 48, MRENCLAVE at 64.
    assert sgx.attributes == evidence.quote[96:112]
    assert sgx.mr_enclave == evidence.quote[112:144]
    assert {"tcb_info", "qe_identity", "pck_crl", "root_ca_crl"} <= set(json.loads(sgx.collateral))


def test_collateral_is_what_the_verdict_rests_on() -> None:
    """Of Endorsements that fit other platforms nothing is told."""
    other = Endorsement(kind=EndorsementKind.AMD_CRL, data=b"of no use")
    unused = next(item for item in attester(TDX).endorsements.items if item.kind is EndorsementKind.INTEL_TCB_INFO)
    sgx = seen(SGX, endorsements=Endorsements((unused, other))).sgx
    assert sgx is not None
    collateral = json.loads(sgx.collateral)
    assert collateral["tcb_info"] != unused.data.decode()
    assert json.loads(collateral["tcb_info"])["id"] == "SGX"


def test_what_the_callback_is_told_of_tdx() -> None:
    evidence = seen(TDX)
    claims = evidence.result.claims
    assert isinstance(claims, TdxClaims)
    assert evidence.type is EvidenceType.TDX_ECDSA
    tdx = evidence.tdx
    assert tdx is not None
    assert evidence.sgx is None
    assert tdx.mr_td == claims.mr_td
    assert (tdx.rtmr0, tdx.rtmr1, tdx.rtmr2, tdx.rtmr3) == (claims.rtmr0, claims.rtmr1, claims.rtmr2, claims.rtmr3)
    assert (tdx.mr_seam, tdx.mr_signer_seam) == (claims.mr_seam, claims.mr_signer_seam)
    assert tdx.tcb_svns == claims.tee_tcb_svn
    assert claims.platform is not None
    assert tdx.cpu_svn == claims.platform.cpu_svn
    assert (tdx.tdel_info, tdx.tdel_data) == (b"", b"")
    assert evidence.csv is None


def test_what_the_callback_is_told_of_csv() -> None:
    evidence = seen("simulated_csv")
    claims = evidence.result.claims
    assert isinstance(claims, CsvClaims)
    assert evidence.type is EvidenceType.CSV
    assert (evidence.sgx, evidence.tdx) == (None, None)
    assert evidence.csv == CsvEvidence(
        vm_id=claims.vm_id,
        vm_version=claims.vm_version,
        measure=claims.measurement,
        policy=claims.policy.to_bytes(4, "little"),
    )


def test_what_the_callback_is_told_of_snp() -> None:
    evidence = seen(SNP)
    assert isinstance(evidence.result.claims, SnpClaims)
    assert (evidence.type, evidence.sgx, evidence.tdx) == (None, None, None)
    assert evidence.tee_type.value == "sev_snp"


def test_what_the_callback_is_told_of_a_peer_without_evidence() -> None:
    told: list[PeerEvidence] = []

    def refuse(evidence: PeerEvidence) -> int:
        told.append(evidence)
        return 0

    refusals(handle(SERVER, attester_type="null"), handle(CLIENT, None, null_policy(), callback=refuse))
    assert (told[0].type, told[0].quote, told[0].ehd.user_data) == (None, b"", b"")
    assert told[0].tee_type.value == "null"


async def nobody_awaits(evidence: PeerEvidence) -> bool:
    return True


def raises(evidence: PeerEvidence) -> int:
    raise KeyError("unknown")


@pytest.mark.parametrize(
    "callback",
    [
        *(lambda _, answer=answer: answer for answer in (0, False, None, "yes", 1.0, b"", object())),
        *(raises, nobody_awaits),
    ],
)
@pytest.mark.parametrize("side", ["server", "client"])
def test_the_callback_refuses(side: str, callback: Any) -> None:
    server = handle(MUTUAL_SERVER, SGX, SNP, callback=callback if side == "server" else None)
    client = handle(MUTUAL_CLIENT, SNP, SGX, callback=callback if side == "client" else None)
    errors = dict(zip(("server", "client"), refusals(server, client), strict=True))
    own = errors.pop(side)
    (other,) = errors.values()
    assert isinstance(own, EnclaveVerifierError)
    assert own.refusal is Refusal.NOT_CONFIRMED
    assert isinstance(own.__cause__, NotConfirmedError)
    assert isinstance(other.__cause__, PeerRefusedError)
    assert other.__cause__.wire_code is WireCode.APPRAISAL


@pytest.mark.parametrize("answer", [True, 1, -1])
def test_the_callback_lets_go_on(answer: int) -> None:
    exchange(handle(SERVER, SGX), handle(CLIENT, None, SGX, callback=lambda _: answer))


def test_the_callback_is_not_asked_about_a_peer_that_the_policy_refuses() -> None:
    asked: list[PeerEvidence] = []

    def accept(evidence: PeerEvidence) -> int:
        asked.append(evidence)
        return 1

    client = handle(CLIENT, None, policy_for(SGX, mr_enclave=bytes(32)), callback=accept)
    _, error = refusals(handle(SERVER, SGX), client)
    assert error.refusal is Refusal.POLICY
    assert asked == []


def test_the_callback_is_asked_for_every_connection_and_can_be_changed() -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    answers: list[int] = []

    def once(evidence: PeerEvidence) -> int:
        answers.append(1)
        return len(answers) == 1

    capi.set_verification_callback(client, once)
    assert negotiated(server, client) == (None, None)
    _, error = negotiated(server, client)
    assert isinstance(error, EnclaveVerifierError), "a remembered appraisal is confirmed too"
    capi.set_verification_callback(client, None)
    assert negotiated(server, client) == (None, None)
    capi.cleanup(server)
    capi.cleanup(client)


def test_a_callback_that_would_never_be_called() -> None:
    with pytest.raises(CoreError, match="judges nobody"):
        handle(SERVER, SGX, callback=lambda _: 0)
    capi.set_verification_callback(handle(SERVER, SGX), None)


# --- descriptors, sizes, ends -------------------------------------------------------------------------------------
def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_descriptors_that_cannot_be_negotiated_over() -> None:
    client = handle(CLIENT, None, SGX)
    read_end, write_end = os.pipe()
    with (
        socket_pair() as (left, right),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        left.setblocking(False)
        right.settimeout(5)
        closed = socket.socket()
        closed.close()
        before = descriptors()
        bad: list[Any] = [-1, 10_000, True, "1", None, read_end, datagrams.fileno(), datagrams, listening, closed]
        for fd in [*bad, left, left.fileno(), right.fileno()]:
            with pytest.raises(CoreError) as caught:
                capi.negotiate(client, fd)
            assert caught.value.code is CoreCode.INVALID
        assert descriptors() == before
    os.close(read_end)
    os.close(write_end)


def test_a_socket_keeps_its_timeout() -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    with socket_pair() as (left, right), server, client:
        right.settimeout(1)
        assert in_threads(lambda: capi.negotiate(server, left), lambda: capi.negotiate(client, right)) == [None, None]
        with pytest.raises(CallTimeoutError) as caught:
            capi.receive(client, 1)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.code is TlsWrapperCode.RECEIVE
        capi.transmit(server, b"z")
        assert capi.receive(client, 1) == b"z"


def test_a_silent_peer_ends_at_the_time_limit() -> None:
    client = handle(CLIENT, None, SGX, options={"limits": Limits(handshake_seconds=0.2)})
    with socket_pair() as (_, right), pytest.raises(CallTimeoutError) as caught:
        capi.negotiate(client, right.fileno())
    assert caught.value.refusal is Refusal.TIMEOUT


def test_use_before_negotiate_and_after_cleanup() -> None:
    client = handle(CLIENT, None, SGX)
    with pytest.raises(CoreError, match="not negotiated"):
        capi.receive(client, 1)
    with pytest.raises(CoreError, match="not negotiated"):
        _ = client.peer
    capi.cleanup(client)
    capi.cleanup(client)
    with socket_pair() as (_, right):
        for call in (
            lambda: capi.negotiate(client, right),
            lambda: capi.receive(client, 1),
            lambda: capi.transmit(client, b"x"),
            lambda: capi.set_verification_callback(client, None),
            lambda: client.peer,
        ):
            with pytest.raises(CoreError, match="cleaned up"):
                call()


@pytest.mark.parametrize("size", [0, -1])
def test_sizes(size: int) -> None:
    with pytest.raises(CoreError, match="size"):
        capi.receive(handle(CLIENT, None, SGX), size)


def test_a_connection_that_is_cut_off() -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    with connected(server, client) as (left, _):
        left.shutdown(socket.SHUT_RDWR)
        with pytest.raises(TlsWrapperError) as caught:
            capi.receive(client, 1)
        assert caught.value.code is TlsWrapperCode.RECEIVE
        with pytest.raises(TlsWrapperError) as caught:
            capi.transmit(client, bytes(65_536))
        assert caught.value.code is TlsWrapperCode.TRANSMIT


# --- threads ------------------------------------------------------------------------------------------------------
def test_cleanup_wakes_a_thread_that_waits() -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    with connected(server, client):

        def clean_up() -> None:
            time.sleep(0.1)
            capi.cleanup(client)

        error, _ = in_threads(lambda: capi.receive(client, 1), clean_up)
        assert isinstance(error, CallError)


def test_cleanup_while_negotiating_leaves_no_connection() -> None:
    client = handle(CLIENT, None, SGX)
    with socket_pair() as (_, right):

        def clean_up() -> None:
            time.sleep(0.1)
            with pytest.raises(CoreError, match="negotiating already"):
                capi.negotiate(client, right)
            capi.cleanup(client)

        error, _ = in_threads(lambda: capi.negotiate(client, right), clean_up)
    assert isinstance(error, CallError)
    assert client._connection is None


@pytest.mark.parametrize("moment", ["_wrap", "_negotiate"])
def test_cleanup_just_before_or_after_the_handshake_leaves_no_connection(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = handle(SERVER, SGX), handle(CLIENT, None, SGX)
    wrap = client._wrap

    def wrapped(fd: int | socket.socket) -> Connection:
        connection = wrap(fd)
        handshake = connection.handshake

        def then_clean_up() -> None:
            handshake()
            capi.cleanup(client)

        if moment == "_wrap":
            capi.cleanup(client)
        else:
            monkeypatch.setattr(connection, "handshake", then_clean_up)
        return connection

    monkeypatch.setattr(client, "_wrap", wrapped)
    with socket_pair() as (left, right):
        actions = [lambda: capi.negotiate(client, right)]
        if moment == "_negotiate":
            actions.append(lambda: capi.negotiate(server, left))
        error = in_threads(*actions)[0]
    assert isinstance(error, CoreError)
    assert "cleaned up" in str(error)
    assert client._connection is None
    capi.cleanup(server)


def test_cleanup_by_the_callback_leaves_no_connection() -> None:
    client = handle(CLIENT, None, SGX)

    def callback(evidence: PeerEvidence) -> int:
        capi.cleanup(client)
        return 1

    capi.set_verification_callback(client, callback)
    _, error = negotiated(handle(SERVER, SGX), client)
    assert isinstance(error, CallError)
    with pytest.raises(CoreError, match="cleaned up"):
        capi.receive(client, 1)


def test_many_handles_at_once() -> None:
    size = 200_000

    def both(number: int) -> None:
        server, client = handle(MUTUAL_SERVER, SGX, SNP), handle(MUTUAL_CLIENT, SNP, SGX)
        data = bytes([number]) * size
        with connected(server, client):
            got: list[bytes] = []

            def read(side: Handle) -> None:
                received = b""
                while len(received) < size:
                    received += capi.receive(side, 65_536)
                got.append(received)

            # Each end is read and written at the same time.
            assert (
                in_threads(
                    lambda: read(server),
                    lambda: read(client),
                    lambda: capi.transmit(server, data),
                    lambda: capi.transmit(client, data),
                )
                == [None] * 4
            )
            assert got == [data, data]

    before = set(threading.enumerate())
    assert in_threads(*(lambda number=number: both(number) for number in range(8))) == [None] * 8
    assert set(threading.enumerate()) <= before  # those of earlier tests may have ended meanwhile
