"""Attested TLS with SM2 keys alone (RFC 8998): the TLS wrapper `tongsuo` and the crypto wrapper `gm`, over sockets."""

from __future__ import annotations

import asyncio

import pytest

from rats_tls import aio
from rats_tls.connection import Connection
from rats_tls.context import Context
from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.errors import ConfigurationError, PeerRefusedError, RatsTlsError, TlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.results import ACCEPTED
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.sides import CSV, SGX, context, echo, served


@pytest.fixture(autouse=True)
def _here() -> None:
    if ("tls_wrappers", "tongsuo") in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", "tongsuo"], install="rats-tls[tongsuo]")


def side(attests: str | None = CSV, judges: str | None = CSV, **settings: object) -> Context:
    return context(attests, judges, **{"tls": "tongsuo", "crypto": "gm", "key_algorithm": KeyAlgorithm.SM2, **settings})


def test_both_attest_csv_by_sm2_keys() -> None:
    ends: list[Connection] = []

    def converse(end: Connection) -> None:
        ends.append(end)
        echo(end)

    with served(side(mutual=True), converse) as (address, outcome), side().connect(address, timeout=20) as connection:
        connection.sendall(b"an answer is due")
        assert connection.recv() == b"an answer is due"
        facts, result = connection._facts(), connection.peer
        assert connection.cipher() == ("TLS_SM4_GCM_SM3", "TLSv1.3", 128)
        exported = connection.export_keying_material("EXPORTER-test", b"context", 32)
        assert ends[0].export_keying_material("EXPORTER-test", b"context", 32) == exported
    assert outcome.error is None
    assert facts is not None
    assert (facts.version, facts.cipher, facts.group) == ("TLSv1.3", "TLS_SM4_GCM_SM3", "curveSM2")
    assert facts.hash is HashAlgorithm.SM3
    for judged in (result, ends[0].peer):
        assert judged is not None
        assert judged.verdict == ACCEPTED
        assert judged.claims.tee_type is TeeType.CSV
        assert judged.binding is Binding.CERTIFICATE
        assert judged.crypto.startswith("gm ")
        assert judged.connection is not None
        assert judged.connection.tls == facts


def test_an_sm2_server_is_judged_by_the_default_crypto_wrapper() -> None:
    """Its certificate is SM2's, its Evidence CSV; the client makes no keys."""
    server, client = side(judges=None), side(None, crypto="openssl", key_algorithm=KeyAlgorithm.EC_P256)
    with served(server, echo) as (address, outcome), client.connect(address, timeout=20) as connection:
        connection.sendall(b"!")
        assert connection.recv() == b"!"
        assert connection.version() == "TLSv1.3"
        assert connection.cipher() == ("TLS_SM4_GCM_SM3", "TLSv1.3", 128)
        assert connection.peer is not None
        assert connection.peer.verdict == ACCEPTED
    assert outcome.error is None


def test_evidence_that_the_policy_does_not_allow() -> None:
    with (
        served(side(judges=SGX, mutual=True), echo) as (address, outcome),
        pytest.raises(RatsTlsError),
        side().connect(address, timeout=20) as connection,
    ):
        connection.recv(1)
    assert "got csv, expected sgx_ecdsa" in str(outcome.error)


def test_a_client_with_another_key_is_told() -> None:
    with served(side(mutual=True), echo) as (address, outcome):
        client = side(key_algorithm=KeyAlgorithm.EC_P256)
        with pytest.raises(PeerRefusedError, match=r"another kind of key than this side has: .*certificate_required"):
            client.connect(address, timeout=20)
    assert "certificate" in str(outcome.error)


def test_a_client_of_another_library_is_told() -> None:
    with served(side(mutual=True), echo) as (address, _outcome):
        client = side(tls="openssl", crypto="openssl", key_algorithm=KeyAlgorithm.EC_P256)
        with pytest.raises(TlsError) as caught:
            client.connect(address, timeout=20)
    assert caught.value.peer_alert == "handshake_failure"


def test_other_wrappers_do_no_sm2() -> None:
    for settings in ({"tls": "openssl"}, {"crypto": "openssl"}):
        with pytest.raises(ConfigurationError, match="sm2"):
            side(**settings)._credentials.current()


def test_over_asyncio() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()

    async def talk() -> bytes:
        async with await aio.start_server(handle, "127.0.0.1", 0, context=side(mutual=True)) as server:
            host, port = server.sockets[0].getsockname()
            reader, writer = await aio.open_connection(host, port, context=side())
            writer.write(b"hello")
            answer = await reader.read(5)
            assert writer.get_extra_info("tls").hash is HashAlgorithm.SM3
            writer.close()
            return answer

    assert asyncio.run(asyncio.wait_for(talk(), 20)) == b"hello"
