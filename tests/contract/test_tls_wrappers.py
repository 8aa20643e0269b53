"""What every TLS wrapper does, over every instance: handshakes and data.

Versions and names are in `test_tls_negotiation`, ends in `test_tls_ends`, refusals in `test_tls_refusals`.
"""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError, UnsupportedError
from rats_tls.core.tls import TlsWrapper
from rats_tls.registry import BUILT_IN
from rats_tls.tls_self_test import tried
from support.channels import at_random, bytewise, certificate, whole
from support.instances import TLS_WRAPPERS, UNAVAILABLE
from support.machine import lacking
from support.tls import config, connected, handshake, pump, read_exactly, roles, sessions
from support.tls_contract import ENCRYPTING, MUTUAL, ours_and_peer, over

WITH_EXPORTER = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.exporter_with_context)
WITHOUT_EXPORTER = tuple(tls for tls in TLS_WRAPPERS if not tls.capabilities.exporter_with_context)
MADE = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
MEGABYTE = bytes(range(256)) * 4096


@pytest.mark.parametrize("name", BUILT_IN["tls_wrappers"])
def test_every_instance_is_here(name: str) -> None:
    if ("tls_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")
    (tls, *_) = (tls for tls in TLS_WRAPPERS if tls.name == name)
    assert isinstance(tls, TlsWrapper)
    assert tls.version


# --- handshake and data ------------------------------------------------------------------------------------------
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
