"""Data passes behind a complete handshake alone, and into memory alone that may be written: every wrapper."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsSession, TlsWrapper
from support.instances import TLS_WRAPPERS
from support.tls import config, connected, handshake, pump, read_exactly, roles, sessions

ROLES = tuple((tls, role) for tls in TLS_WRAPPERS if tls.capabilities.encrypts for role in roles(tls))
TOO_EARLY: tuple[Callable[[TlsSession], object], ...] = (
    lambda session: session.read(100),
    lambda session: session.read_into(memoryview(bytearray(100))),
    lambda session: session.write(b"early"),
)


@pytest.mark.parametrize(("tls", "role"), ROLES, ids=[f"{tls.name}-{role}" for tls, role in ROLES])
def test_nothing_is_read_or_written_before_the_handshake_is_complete(tls: TlsWrapper, role: str) -> None:
    """RFC 8446 2: neither call goes on with the handshake, past what is checked when it completes; and it still can."""
    client, server = sessions(tls, config("client"), config("server", serial=2))
    ours, peer = (client, server) if role == "client" else (server, client)

    complete, rounds = False, 0
    while not complete:
        for call in TOO_EARLY:
            with pytest.raises(TlsError, match="not complete"):
                call(ours)
        assert not ours.data_to_send()
        complete, rounds = ours.handshake(), rounds + 1
        peer.receive_from_wire(ours.data_to_send())
        peer.handshake()
        ours.receive_from_wire(peer.data_to_send())
        assert rounds < 10
    assert rounds > 1
    handshake(client, server)
    peer.write(b"in time")
    pump(client, server)
    pump(client, server)
    assert read_exactly(ours, 7) == b"in time"


@pytest.mark.parametrize("tls", TLS_WRAPPERS, ids=lambda tls: tls.name)
def test_bytes_that_must_not_change_are_not_written(tls: TlsWrapper) -> None:
    client, server = connected(tls)
    client.write(b"12345678")
    pump(client, server)
    kept = bytes(bytearray(b"abcdefgh"))  # no other object's
    with pytest.raises((BufferError, TypeError)):
        server.read_into(memoryview(kept))
    assert kept == b"abcdefgh"
    assert server.read_into(memoryview(buffer := bytearray(9))) == 8
    assert buffer == b"12345678\0"
