"""What every TLS wrapper does, over every instance."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError, UnsupportedError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsSession, TlsWrapper
from rats_tls.registry import BUILT_IN
from rats_tls.tls_self_test import tried
from support.channels import at_random, bytewise, certificate, key, whole
from support.instances import TLS_WRAPPERS, UNAVAILABLE
from support.machine import lacking
from support.tls import StdlibPeer, config, connected, handshake, pump, read_exactly, roles, sessions

TELLS_NO_GROUP = frozenset({"stdlib", "rustls"})
"""Wrappers of libraries without a call that tells the key exchange group."""
WITHOUT_COMMON_ALPN_REFUSES = frozenset({"rustls"})
"""Wrappers of libraries whose servers end a handshake without a common protocol, as RFC 7301 3.2 has it."""
ENCRYPTING = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.encrypts)
CLIENTS = tuple(tls for tls in ENCRYPTING if tls.capabilities.clients)
ROLES = tuple((tls, role) for tls in ENCRYPTING for role in roles(tls))
MUTUAL = tuple(tls for tls in ENCRYPTING if tls.capabilities.mutual_server)
WITH_ALPN = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.alpn)
WITH_EXPORTER = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.exporter_with_context)
WITHOUT_EXPORTER = tuple(tls for tls in TLS_WRAPPERS if not tls.capabilities.exporter_with_context)
WITH_ALERTS = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.chosen_alerts)
MADE = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
MEGABYTE = bytes(range(256)) * 4096


def in_every_role() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("tls", "role"), ROLES, ids=[f"{tls.name}-{role}" for tls, role in ROLES])


def ours_and_peer(tls: TlsWrapper, role: str) -> tuple[TlsSession, TlsSession]:
    client, server = connected(tls)
    return (client, server) if role == "client" else (server, client)


def over(wrappers: tuple[TlsWrapper, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("tls", wrappers, ids=lambda tls: tls.name)


@pytest.mark.parametrize("name", BUILT_IN["tls_wrappers"])
def test_every_instance_is_here(name: str) -> None:
    if ("tls_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")
    (tls, *_) = (tls for tls in TLS_WRAPPERS if tls.name == name)
    assert isinstance(tls, TlsWrapper)
    assert tls.version


# --- handshake ---------------------------------------------------------------------------------------------------
@over(MUTUAL)
@pytest.mark.parametrize("algorithm", [*MADE])
@pytest.mark.parametrize("largest", [False, True])
def test_mutual_handshake_gives_both_certificates(tls: TlsWrapper, algorithm: KeyAlgorithm, largest: bool) -> None:
    if algorithm not in tls.capabilities.key_algorithms:
        with pytest.raises(ConfigurationError):
            tls.context(config("client", algorithm=algorithm))
        return
    size = tried(tls).capabilities.largest_certificate if largest else 5000
    client, server = sessions(
        tls,
        config("client", algorithm=algorithm, size=size, serial=1),
        config("server", algorithm=algorithm, size=size, serial=2),
    )
    handshake(client, server)
    assert server.peer_certificate == certificate(algorithm, size=size, serial=1)
    assert client.peer_certificate == certificate(algorithm, size=size, serial=2)
    assert size - 2 <= len(client.peer_certificate) <= size


@over(tuple(tls for tls in ENCRYPTING if not tls.capabilities.mutual_server))
@pytest.mark.parametrize("algorithm", [*MADE])
@pytest.mark.parametrize("largest", [False, True])
def test_one_way_handshake_gives_the_servers_certificate(
    tls: TlsWrapper, algorithm: KeyAlgorithm, largest: bool
) -> None:
    size = tls.capabilities.largest_certificate if largest else 5000
    client, server = sessions(
        tls, config("client", present=False), config("server", algorithm=algorithm, size=size, serial=2)
    )
    handshake(client, server)
    assert client.peer_certificate == certificate(algorithm, size=size, serial=2)
    assert server.peer_certificate is None


@over(tuple(tls for tls in ENCRYPTING if not tls.capabilities.clients))
def test_a_client_is_refused_where_none_is_declared(tls: TlsWrapper) -> None:
    with pytest.raises(ConfigurationError, match="server"):
        tls.context(config("client"))


@over(MUTUAL)
@pytest.mark.parametrize("allow_tls12", [False, True])
def test_a_call_goes_as_far_as_the_bytes_allow(tls: TlsWrapper, allow_tls12: bool) -> None:
    """Nobody calls again before more bytes come: what is not done by then waits for bytes that never come."""
    if allow_tls12 and not tls.capabilities.tls12:
        return
    size = tried(tls).capabilities.largest_certificate
    client, server = sessions(
        tls,
        config("client", size=size, allow_tls12=allow_tls12),
        config("server", size=size, serial=2, allow_tls12=allow_tls12),
    )
    assert not client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert not server.handshake()
    client.receive_from_wire(server.data_to_send())
    assert client.handshake()
    client.write(b"x" * 40_000)
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert read_exactly(server, 40_000) == b"x" * 40_000


@over(ENCRYPTING)
def test_one_way_handshake_presents_no_client_certificate(tls: TlsWrapper) -> None:
    client, server = sessions(tls, config("client"), config("server", mutual=False, serial=2))
    handshake(client, server)
    assert server.peer_certificate is None
    assert client.peer_certificate == certificate(serial=2)


@over(TLS_WRAPPERS)
@pytest.mark.parametrize("cut", [bytewise, at_random(1), at_random(2)])
def test_bytes_may_come_in_any_pieces(tls: TlsWrapper, cut) -> None:
    client, server = sessions(tls, config("client"), config("server", serial=2))
    handshake(client, server, cut)
    client.write(b"a" * 20_000)
    pump(client, server, cut)
    assert read_exactly(server, 20_000) == b"a" * 20_000


@over(TLS_WRAPPERS)
def test_much_data_each_way(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    data = MEGABYTE[: 65_536 if tls.capabilities.slow else None]
    client.write(data)
    server.write(memoryview(bytearray(data))[::1])
    pump(client, server)
    assert read_exactly(server, len(data)) == data
    assert read_exactly(client, len(data)) == data


@over(TLS_WRAPPERS)
def test_a_read_gives_no_more_than_asked_and_loses_nothing(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    client.write(b"abcdef")
    pump(client, server)
    assert [server.read(1), server.read(3), server.read(9), server.read(9)] == [b"a", b"bcd", b"ef", None]


@over(ENCRYPTING)
def test_wire_is_encrypted(tls: TlsWrapper) -> None:
    client, _ = connected(tls)
    client.write(b"a secret of some length")
    assert b"a secret" not in client.data_to_send()


# --- version, resumption, ALPN -----------------------------------------------------------------------------------
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
        extensions = _client_hello_extensions(session.data_to_send())
        assert 43 in extensions  # supported_versions: the parser sees what is there
        assert not extensions & {41, 42}  # pre_shared_key, early_data (RFC 8446 4.2)


def _client_hello_extensions(record: bytes) -> set[int]:
    """Extension types of a ClientHello in one record (RFC 8446 4.1.2)."""
    body = record[5 + 4 + 2 + 32 :]
    for width in (1, 2, 1):  # legacy_session_id, cipher_suites, legacy_compression_methods
        body = body[width + int.from_bytes(body[:width], "big") :]
    body = body[2:]
    found = set()
    while body:
        found.add(int.from_bytes(body[:2], "big"))
        body = body[4 + int.from_bytes(body[2:4], "big") :]
    return found


@over(CLIENTS)
@pytest.mark.parametrize("hostname", ["server.example", "192.0.2.1", "2001:db8::1", None])
def test_sni_is_sent_for_names_only(tls: TlsWrapper, hostname: str | None) -> None:
    session = tls.context(config("client")).session(hostname)
    session.handshake()
    assert (0 in _client_hello_extensions(session.data_to_send())) is (hostname == "server.example")


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


# --- exporter ----------------------------------------------------------------------------------------------------
@over(WITH_EXPORTER)
def test_exporter_is_equal_on_both_ends_and_tells_labels_contexts_and_connections_apart(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    other, _ = connected(tls)
    values = set()
    for label, context in (("a label", b""), ("a label", b"x"), ("b label", b"")):
        value = client.exporter(label, context, 32)
        assert server.exporter(label, context, 32) == value
        assert len(value) == 32
        values |= {value, other.exporter(label, context, 32)}
    assert len(values) == 6
    assert len(client.exporter("a label", b"", 100)) == 100


@over(WITH_EXPORTER)
def test_exporter_needs_a_complete_handshake(tls: TlsWrapper) -> None:
    client, _ = sessions(tls, config("client"), config("server", serial=2))
    with pytest.raises(TlsError):
        client.exporter("a label", b"", 32)


@over(WITHOUT_EXPORTER)
def test_no_exporter_where_none_is_declared(tls: TlsWrapper) -> None:
    for role in roles(tls):
        ours, _ = ours_and_peer(tls, role)
        with pytest.raises(UnsupportedError):
            ours.exporter("a label", b"", 32)


# --- the end -----------------------------------------------------------------------------------------------------
@in_every_role()
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


@in_every_role()
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


@in_every_role()
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


@in_every_role()
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


# --- refusals ----------------------------------------------------------------------------------------------------
@over(MUTUAL)
def test_a_client_without_certificate_is_refused_and_told(tls: TlsWrapper) -> None:
    client, server = sessions(tls, config("client", present=False), config("server"))
    with pytest.raises(TlsError, match="certificate") as caught:
        handshake(client, server)
    assert caught.value.peer_alert is None
    client.receive_from_wire(server.data_to_send())
    assert client.handshake()  # in TLS 1.3 the client is done before the server judges
    with pytest.raises(TlsError) as caught:
        client.read(10)
    assert caught.value.peer_alert == "certificate_required"


@in_every_role()
@pytest.mark.parametrize("position", [5, 20, -1])
def test_a_tampered_record_is_refused_and_stays_so(tls: TlsWrapper, role: str, position: int) -> None:
    server, client = ours_and_peer(tls, role)
    client.write(b"x" * 100)
    record = bytearray(client.data_to_send())
    record[position] ^= 1
    server.receive_from_wire(bytes(record))
    client.write(b"more")
    server.receive_from_wire(client.data_to_send())
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            server.read(100)
        assert not caught.value.truncated
    with pytest.raises(TlsError):
        server.write(b"after")
    server.close()


@in_every_role()
@given(data=st.binary(min_size=1, max_size=300), record=st.booleans())
@settings(max_examples=80, deadline=None)
def test_garbage_raises_tls_errors_only(tls: TlsWrapper, role: str, data: bytes, record: bool) -> None:
    session = tls.context(config(role, mutual=tls.capabilities.mutual_server)).session()
    session.data_to_send()
    session.receive_from_wire(b"\x16\x03\x03" + len(data).to_bytes(2, "big") + data if record else data)
    try:
        assert not session.handshake()
        session.receive_eof()
        session.handshake()
    except TlsError as error:
        assert error.message  # noqa: PT017  # any TlsError will do, nothing else
    else:
        raise AssertionError("garbage completes a handshake")
    session.data_to_send()


@over(ENCRYPTING)
def test_key_and_certificate_must_fit(tls: TlsWrapper) -> None:
    good = config("server")
    values = {"role": "server", "request_peer_certificate": False}
    other = key(KeyAlgorithm.EC_P384).pkcs8()
    too_large = certificate(size=DEFAULT_LIMITS.certificate_made + 100)
    for cert, private in (
        (good.certificate, other),
        (good.certificate, b"not a key"),
        (b"not a certificate", good.private_key),
        (good.certificate, None),
        (None, good.private_key),
        (None, None),
        (too_large, good.private_key),
    ):
        with pytest.raises(ConfigurationError):
            tls.context(type(good)(certificate=cert, private_key=private, **values))


@over(TLS_WRAPPERS)
def test_one_context_serves_many_connections(tls: TlsWrapper) -> None:
    mutual = tls.capabilities.mutual_server
    clients = tls if tls.capabilities.clients else TLS_WRAPPERS[0]
    ours, theirs = clients.context(config("client")), tls.context(config("server", mutual=mutual, serial=2))
    open_pairs = [(ours.session(), theirs.session()) for _ in range(3)]
    for client, server in open_pairs:
        handshake(client, server)
        pump(client, server)
    for number, (client, server) in enumerate(open_pairs):
        client.write(bytes([number]))
        pump(client, server, whole)
        assert server.read(10) == bytes([number])
