"""The `wolfssl` wrapper: what it offers, what a peer may do, the end."""

from __future__ import annotations

import time

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from rats_tls.tls_wrappers.wolfssl_library import Library
from support.channels import certificate
from support.client_hello import suites_and_extensions
from support.machine import lacking
from support.tls import config, connected, handshake, pump, sessions
from support.wolfssl import here, over

ALL = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
FATAL = {number: name for number, name in ALERTS.items() if name not in {"close_notify", "user_canceled"}}


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    return here()


# --- what is offered ---------------------------------------------------------------------------------------------
def test_a_client_offers_no_more_than_it_should(tls: WolfsslTlsWrapper) -> None:
    session = tls.context(config("client")).session()
    session.handshake()
    suites, found = suites_and_extensions(session.data_to_send())
    assert suites.hex() == "130113021303"  # no CCM, and none that does not encrypt (RFC 9150)
    assert found[43] == b"\x02\x03\x04"  # supported_versions
    assert found[10].hex() == "0006001d00170018"  # supported_groups
    assert not found.keys() & {35, 41, 42, 49}  # session_ticket, pre_shared_key, early_data, post_handshake_auth
    assert not {found[13][at] for at in range(2, len(found[13]), 2)} & {1, 2, 3}  # MD5, SHA-1, SHA-224


def test_a_suite_that_does_not_encrypt_is_refused(tls: WolfsslTlsWrapper) -> None:
    client, server = tls.context(config("client")), tls.context(config("server", serial=2))
    suites = b"TLS13-SHA256-SHA256"
    assert tls._library.lib.wolfSSL_CTX_set_cipher_list(client._context, suites) == 1
    session = client.session()
    session.handshake()
    hello = session.data_to_send()
    if "c0b4" not in suites_and_extensions(hello)[0].hex():
        lacking("libwolfssl has no suites of RFC 9150")
    # Ours stay in the list, so that they have to go from the hello.
    hello = hello.replace(bytes.fromhex("0008130113021303c0b4"), bytes.fromhex("0008c0b4c0b4c0b4c0b4"))
    peer = server.session()
    peer.receive_from_wire(hello)
    with pytest.raises(TlsError, match="match cipher suite"):
        peer.handshake()


def test_a_request_for_authentication_after_the_handshake_is_not_taken(tls: WolfsslTlsWrapper) -> None:
    _, server = connected(tls)
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("int wolfSSL_request_certificate(WOLFSSL *);", override=True)
    if not hasattr(lib, "wolfSSL_request_certificate"):
        lacking("libwolfssl does no post-handshake authentication")
    assert "will not do post handshake" in tls._library.text(lib.wolfSSL_request_certificate(server._ssl))


@pytest.mark.parametrize("role", ["client", "server"])
def test_no_sessions_are_kept(tls: WolfsslTlsWrapper, role: str) -> None:
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("long wolfSSL_CTX_get_session_cache_mode(WOLFSSL_CTX *);", override=True)
    assert lib.wolfSSL_CTX_get_session_cache_mode(tls.context(config(role))._context) == 0


# --- what a peer may do ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("role", ["client", "server"])
def test_it_speaks_with_openssl(tls: WolfsslTlsWrapper, algorithm: KeyAlgorithm, role: str) -> None:
    other = OpensslTlsWrapper()
    ours = tls.context(config(role, algorithm=algorithm, serial=1)).session()
    against = "server" if role == "client" else "client"
    theirs = other.context(config(against, algorithm=algorithm, serial=2)).session()
    client, server = (ours, theirs) if role == "client" else (theirs, ours)
    handshake(client, server)
    pump(client, server)
    assert ours.peer_certificate == certificate(algorithm, serial=2)
    assert theirs.peer_certificate == certificate(algorithm, serial=1)
    assert ours.facts() == theirs.facts()
    assert ours.exporter("a label", b"context", 32) == theirs.exporter("a label", b"context", 32)


@pytest.mark.parametrize(("number", "name"), FATAL.items())
def test_alerts_of_the_peer_are_told_by_name(tls: WolfsslTlsWrapper, number: int, name: str) -> None:
    session = tls.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    for _ in range(2):
        with pytest.raises(TlsError, match=f"the peer sent alert {name}$") as caught:
            session.handshake()
        assert caught.value.peer_alert == name
        assert not caught.value.truncated


def test_key_updates_of_a_peer_are_followed(tls: WolfsslTlsWrapper) -> None:
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("int wolfSSL_update_keys(WOLFSSL *);", override=True)
    for one, other in (connected(tls), reversed(connected(tls))):
        assert lib.wolfSSL_update_keys(one._ssl) == 1
        one.write(b"there")
        pump(one, other)
        assert other.read(10) == b"there"
        other.write(b"back")
        pump(other, one)
        assert one.read(10) == b"back"
        for _ in range(20):
            assert lib.wolfSSL_update_keys(one._ssl) == 1
        pump(one, other)
        assert other.read(10) is None
        assert one.read(10) is None


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("size", [30_000, 61_440])
def test_a_certificate_that_is_too_large_is_refused_at_once(tls: WolfsslTlsWrapper, role: str, size: int) -> None:
    theirs = OpensslTlsWrapper().context(config(role, size=size)).session()
    ours = tls.context(config("server" if role == "client" else "client", serial=2)).session()
    client, server = (theirs, ours) if role == "client" else (ours, theirs)
    begun = time.monotonic()
    with pytest.raises(TlsError, match="too large"):
        handshake(client, server)
    assert time.monotonic() - begun < 1
    with pytest.raises(TlsError, match="too large"):
        ours.handshake()
    assert ours.peer_certificate is None


# --- the end -----------------------------------------------------------------------------------------------------
def test_after_both_have_closed_the_library_is_asked_for_nothing(tls: WolfsslTlsWrapper) -> None:
    """Behind both close_notify wolfSSL clears a connection, and a call on it begins another handshake."""
    client, server = connected(tls)
    facts, peer = server.facts(), server.peer_certificate
    client.close()
    pump(client, server)
    assert server.read(10) == b""
    server.close()
    assert server.data_to_send()
    assert [server.read(10), server.read_into(memoryview(bytearray(10)))] == [b"", 0]
    assert server.handshake()
    assert not server.data_to_send()
    assert (server.facts(), server.peer_certificate, server.alpn, server.resumed) == (facts, peer, None, False)
    with pytest.raises(TlsError, match="closed"):
        server.exporter("a label", b"", 32)


def test_a_close_that_cannot_be_sent(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tls._library
    made = type("Failing", (Library,), {})(whole.ffi, whole.lib, whole.version, whole.has)
    _, server = connected(over(made, monkeypatch))
    server._wire.out = None
    with pytest.raises(TlsError, match="close: a callback failed"):
        server.close()
    with pytest.raises(TlsError, match="close: a callback failed"):
        server.read(10)
    assert made.raised() is None  # nothing of it reaches the next connection of this thread


def test_nothing_is_read_or_written_before_the_handshake(tls: WolfsslTlsWrapper) -> None:
    client, _ = sessions(tls, config("client"), config("server", serial=2))
    with pytest.raises(TlsError, match="not complete"):
        client.write(b"early")
    with pytest.raises(TlsError, match="not complete"):
        client.read(10)
    client.close()
    assert client.data_to_send() == b""
    assert client.peer_certificate is None
