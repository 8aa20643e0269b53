"""What every TLS wrapper offers and takes: TLS 1.3, no resumption, names for names only, ALPN."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.core.tls import TlsWrapper
from support.client_hello import extensions
from support.instances import TLS_WRAPPERS
from support.tls import StdlibPeer, config, connected, handshake, roles, sessions
from support.tls_contract import CLIENTS, ENCRYPTING, over

TELLS_NO_GROUP = frozenset({"stdlib", "rustls"})
"""Wrappers of libraries without a call that tells the key exchange group."""
WITHOUT_COMMON_ALPN_REFUSES = frozenset({"rustls"})
"""Wrappers of libraries whose servers end a handshake without a common protocol, as RFC 7301 3.2 has it."""
WITH_ALPN = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.alpn)


@over(ENCRYPTING)
def test_facts_are_those_of_tls13(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    facts = server.facts()
    assert facts == (client.facts() if tls.capabilities.clients else replace(client.facts(), group=facts.group))
    assert facts.version == "TLSv1.3"
    assert facts.cipher.startswith("TLS_")
    assert facts.cipher.lower().endswith(facts.hash.value)
    assert bool(facts.group) is (tls.name not in TELLS_NO_GROUP)


@over(CLIENTS)
def test_a_tls12_server_is_refused(tls: TlsWrapper) -> None:
    client = tls.context(config("client", present=False)).session()
    server = StdlibPeer(server_side=True, maximum=ssl.TLSVersion.TLSv1_2)
    client.handshake()
    server.feed(client.data_to_send())
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        server.advance()
    client.receive_from_wire(server.output())
    with pytest.raises(TlsError) as caught:
        client.handshake()
    assert caught.value.peer_alert == "protocol_version"


@over(ENCRYPTING)
def test_a_tls12_client_is_refused(tls: TlsWrapper) -> None:
    server = tls.context(config("server", mutual=False)).session()
    client = StdlibPeer(server_side=False, serial=None, maximum=ssl.TLSVersion.TLSv1_2)
    client.advance()
    server.receive_from_wire(client.output())
    with pytest.raises(TlsError, match=r"(?i)protocol|version") as caught:
        server.handshake()
    assert caught.value.peer_alert is None
    client.feed(server.data_to_send())
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        client.advance()


@over(tuple(tls for tls in ENCRYPTING if not tls.capabilities.tls12))
def test_tls12_cannot_be_asked_for_where_it_is_not_offered(tls: TlsWrapper) -> None:
    role = roles(tls)[0]
    with pytest.raises(ConfigurationError, match=r"TLS 1\.2"):
        tls.context(config(role, mutual=False, allow_tls12=True))


def _stdlib_connection(tls_context, context=None, session=None) -> tuple[StdlibPeer, object, bytes]:
    """Handshake of a stdlib client with our server. Gives both and what the server sent behind its handshake."""
    client = StdlibPeer(server_side=False, context=context, session=session)
    server = tls_context.session()
    late = b""
    for _ in range(4):
        client.advance()
        server.receive_from_wire(client.output())
        done = server.handshake()
        late = server.data_to_send()
        client.feed(late)
    server.write(b"!")
    last = server.data_to_send()
    client.feed(late if not done else last)
    return client, server, late


@over(ENCRYPTING)
@pytest.mark.parametrize("mutual", [False, True])
def test_a_server_resumes_nothing(tls: TlsWrapper, mutual: bool) -> None:
    """Attacks 1.7: a ticket that was received is not usable."""
    if mutual and not tls.capabilities.mutual_server:
        with pytest.raises(ConfigurationError, match="certificate"):
            tls.context(config("server", mutual=True))
        return
    context = tls.context(config("server", mutual=mutual))
    first, _, _ = _stdlib_connection(context)
    assert first.read() == b"!"
    second, server, _ = _stdlib_connection(context, first.context, first.tls.session)
    assert second.read() == b"!"
    assert not second.tls.session_reused
    assert not server.resumed
    assert (server.peer_certificate is not None) is mutual


@over(ENCRYPTING)
def test_a_server_sends_no_ticket_that_holds_anything(tls: TlsWrapper) -> None:
    """A ticket with state holds the client's certificate (here 5 KB); two bare handles are below 200 bytes."""
    client, server = sessions(tls, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert len(server.data_to_send()) < 200


@over(CLIENTS)
def test_a_client_offers_no_session(tls: TlsWrapper) -> None:
    context = tls.context(config("client", present=False))
    server = StdlibPeer(server_side=True)
    client = context.session()
    for _ in range(3):
        client.handshake()
        server.feed(client.data_to_send())
        server.advance()
        client.receive_from_wire(server.output())
    server.tls.write(b"!")
    client.receive_from_wire(server.output())
    assert client.read(10) == b"!"  # the tickets came before it
    for session in (context.session(), context.session()):
        session.handshake()
        assert not extensions(session.data_to_send()) & {41, 42}  # pre_shared_key, early_data (RFC 8446 4.2)


@over(CLIENTS)
@pytest.mark.parametrize("hostname", ["server.example", "192.0.2.1", "2001:db8::1", None])
def test_sni_is_sent_for_names_only(tls: TlsWrapper, hostname: str | None) -> None:
    session = tls.context(config("client")).session(hostname)
    session.handshake()
    assert (0 in extensions(session.data_to_send())) is (hostname == "server.example")


@over(CLIENTS)
@pytest.mark.parametrize("hostname", ["a..b", "x" * 64 + ".example"])
def test_a_hostname_that_is_none_is_refused(tls: TlsWrapper, hostname: str) -> None:
    with pytest.raises(ConfigurationError, match="server_hostname"):
        tls.context(config("client")).session(hostname)


@over(WITH_ALPN)
@pytest.mark.parametrize(
    ("offered", "own", "chosen"),
    [
        (("h2", "rats-tls/1"), ("rats-tls/1", "h2"), "rats-tls/1"),
        (("rats-tls/1", "h2"), ("h2",), "h2"),
        (("http/1.1", "h2"), ("h2", "http/1.1"), "h2"),
        (("h3",), ("h2",), None),
        ((), ("h2",), None),
        (("h2",), (), None),
    ],
)
def test_alpn_is_the_first_of_the_servers_that_is_offered(
    tls: TlsWrapper, offered: tuple[str, ...], own: tuple[str, ...], chosen: str | None
) -> None:
    client, server = sessions(tls, config("client", alpn=offered), config("server", alpn=own, serial=2))
    if offered and own and chosen is None and tls.name in WITHOUT_COMMON_ALPN_REFUSES:
        with pytest.raises(TlsError, match="protocol"):
            handshake(client, server)
        return
    handshake(client, server)
    assert client.alpn == server.alpn == chosen
