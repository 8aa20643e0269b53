"""How connections end over every TLS wrapper: close_notify, truncation, alerts of choice."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsWrapper
from support.instances import TLS_WRAPPERS
from support.tls import config, connected, pump, sessions
from support.tls_contract import ROLES, in_roles, ours_and_peer, over

WITH_ALERTS = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.chosen_alerts)


@in_roles(ROLES)
def test_close_notify_is_a_clean_end(tls: TlsWrapper, role: str) -> None:
    server, client = ours_and_peer(tls, role)
    client.write(b"last")
    client.close()
    client.close()
    pump(client, server)
    server.receive_eof()
    assert [server.read(10), server.read(10), server.read(10)] == [b"last", b"", b""]
    server.write(b"the other direction is still open")
    pump(server, client)
    assert client.read(100) == b"the other direction is still open"


@in_roles(ROLES)
def test_an_end_without_close_notify_is_truncation(tls: TlsWrapper, role: str) -> None:
    server, client = ours_and_peer(tls, role)
    client.write(b"last")
    pump(client, server)
    server.receive_eof()
    assert server.read(10) == b"last"
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            server.read(10)
        assert caught.value.truncated


@in_roles(ROLES)
def test_an_end_within_the_handshake_is_truncation(tls: TlsWrapper, role: str) -> None:
    client, server = sessions(tls, config("client"), config("server", serial=2))
    client.handshake()
    ours = client if role == "client" else server
    if role == "server":
        server.receive_from_wire(client.data_to_send())
        server.handshake()
    ours.receive_eof()
    with pytest.raises(TlsError) as caught:
        ours.handshake()
    assert caught.value.truncated


@over(tuple(tls for tls in TLS_WRAPPERS if not tls.capabilities.encrypts))
def test_without_tls_the_end_of_the_transport_is_the_end(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    client.write(b"last")
    client.close()
    pump(client, server)
    assert [server.read(10), server.read(10)] == [b"last", None]
    server.receive_eof()
    assert server.read(10) == b""
    assert server.facts().version == "none"
    assert (server.peer_certificate, server.alpn, server.resumed) == (None, None, False)


@in_roles(ROLES)
def test_nothing_is_written_after_close(tls: TlsWrapper, role: str) -> None:
    client, server = ours_and_peer(tls, role)
    client.close()
    client.data_to_send()
    with pytest.raises(TlsError):
        client.write(b"late")
    assert client.data_to_send() == b""
    server.write(b"still heard")
    client.receive_from_wire(server.data_to_send())
    assert client.read(100) == b"still heard"


@over(WITH_ALERTS)
@pytest.mark.parametrize("name", ["access_denied", "internal_error", "bad_certificate"])
@pytest.mark.parametrize("role", ["client", "server"])
def test_the_peer_sees_the_alert_that_was_chosen_and_nothing_behind_it(tls: TlsWrapper, role: str, name: str) -> None:
    client, server = connected(tls)
    own, peer = (client, server) if role == "client" else (server, client)
    own.write(b"before")
    own.alert(name)
    own.close()
    for _ in range(2):
        with pytest.raises(TlsError):
            own.write(b"after")
    peer.receive_from_wire(own.data_to_send())
    peer.receive_eof()
    assert peer.read(100) == b"before"
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            peer.read(100)
        assert caught.value.peer_alert == name
        assert not caught.value.truncated
    assert own.data_to_send() == b""


@over(WITH_ALERTS)
@pytest.mark.parametrize("name", ["close_notify", "no such alert"])
def test_only_fatal_alerts_are_chosen(tls: TlsWrapper, name: str) -> None:
    client, server = connected(tls)
    with pytest.raises(ValueError, match="alert"):
        client.alert(name)
    client.write(b"still open")
    pump(client, server)
    assert server.read(100) == b"still open"
