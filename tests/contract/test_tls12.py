"""What every TLS wrapper that declares `tls12` does where TLS 1.2 is allowed."""

from __future__ import annotations

import ssl

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsSession, TlsWrapper
from support.channels import certificate
from support.instances import TLS_WRAPPERS
from support.tls import StdlibPeer, config, connected

TLS12 = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.tls12)
TLS_1_2 = ssl.TLSVersion.TLSv1_2
NO_EXTENDED_MASTER_SECRET = 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET of OpenSSL 3, openssl/ssl.h
over = pytest.mark.parametrize("tls", TLS12, ids=lambda tls: tls.name)


@over
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("extended", [True, False])
def test_tls12_takes_extended_master_secret(tls: TlsWrapper, role: str, extended: bool) -> None:
    """RFC 7627 5: without it a connection can be made to look like another one, so it is refused."""
    own = tls.context(config(role, allow_tls12=True)).session()
    peer = StdlibPeer(server_side=role == "client", maximum=TLS_1_2)
    if not extended:
        context = peer.context
        context.options |= NO_EXTENDED_MASTER_SECRET
        peer = StdlibPeer(server_side=role == "client", context=context)

    def shake_hands() -> None:
        for _ in range(4):
            done = own.handshake()
            peer.feed(own.data_to_send())
            peer.advance()
            own.receive_from_wire(peer.output())
        assert done

    if not extended:
        with pytest.raises(TlsError, match="extended master secret"):
            shake_hands()
        with pytest.raises(TlsError, match="extended master secret"):
            own.write(b"late")
        assert own.peer_certificate is None
        if tls.capabilities.chosen_alerts:  # the library has completed the handshake, and sends none by itself
            peer.feed(own.data_to_send())
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                peer.tls.read(10)
        return
    shake_hands()
    facts = own.facts()
    assert facts.version == "TLSv1.2"
    assert facts.cipher.startswith("TLS_ECDHE_ECDSA_WITH_")
    assert facts.cipher.lower().endswith(facts.hash.value)
    assert own.peer_certificate == certificate(serial=9)
    own.write(b"there")
    peer.feed(own.data_to_send())
    assert peer.read() == b"there"


@over
def test_a_tls12_client_without_certificate_is_refused(tls: TlsWrapper) -> None:
    server = tls.context(config("server", allow_tls12=True)).session()
    client = StdlibPeer(server_side=False, serial=None, maximum=TLS_1_2)

    def shake_hands() -> None:
        for _ in range(4):
            client.advance()
            server.receive_from_wire(client.output())
            assert not server.handshake()
            client.feed(server.data_to_send())

    with pytest.raises(TlsError, match="certificate"):
        shake_hands()
    client.feed(server.data_to_send())
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        client.advance()


@over
def test_a_tls12_server_resumes_nothing(tls: TlsWrapper) -> None:
    context = tls.context(config("server", allow_tls12=True))

    def connect(client: StdlibPeer) -> TlsSession:
        server = context.session()
        for _ in range(4):
            client.advance()
            server.receive_from_wire(client.output())
            done = server.handshake()
            client.feed(server.data_to_send())
        assert done
        return server

    first = StdlibPeer(server_side=False, maximum=TLS_1_2)
    connect(first)
    assert first.tls.version() == "TLSv1.2"
    second = StdlibPeer(server_side=False, context=first.context, session=first.tls.session)
    server = connect(second)
    assert not second.tls.session_reused
    assert not server.resumed
    assert server.peer_certificate == certificate(serial=9)


@over
def test_tls13_is_taken_where_both_do_it(tls: TlsWrapper) -> None:
    client, _ = connected(tls, allow_tls12=True)
    assert client.facts().version == "TLSv1.3"


@over
@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls12_is_the_lowest(tls: TlsWrapper, maximum: ssl.TLSVersion) -> None:
    server = tls.context(config("server", mutual=False, allow_tls12=True)).session()
    context = StdlibPeer(server_side=False, serial=None, maximum=TLS_1_2).context
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = maximum
    context.set_ciphers("ALL:@SECLEVEL=0")
    client = StdlibPeer(server_side=False, context=context)
    client.advance()
    server.receive_from_wire(client.output())
    with pytest.raises(TlsError):
        server.handshake()
