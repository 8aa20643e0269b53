"""Blocking connections over every way of moving their bytes: by TLS itself, and carried to and fro."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from rats_tls.connection_pumps import CarryingPump, DirectPump
from rats_tls.core.errors import HandshakeTimeoutError, RatsTlsError
from rats_tls.core.limits import Limits
from rats_tls.core.tls import TlsWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_binding import BindingCalls
from rats_tls.tls_wrappers.openssl_calls import PublicCalls
from support.sides import SGX, connected_pair, context, policy_for

MEGABYTES = bytes(range(256)) * (4 * 4096)


class NoSockets(BindingCalls):
    """The fast calls as if they could not use sockets."""

    sockets = False


WAYS = {
    "direct": OpensslTlsWrapper(),
    "carried by public calls": OpensslTlsWrapper(PublicCalls()),
    "carried": OpensslTlsWrapper(NoSockets()),
    "no TLS": NullTlsWrapper(),
}
over = pytest.mark.parametrize("tls", WAYS.values(), ids=WAYS)


def contexts(tls: TlsWrapper, **more: Any) -> tuple[Any, Any]:
    policy = policy_for(SGX, bindings=["certificate" if tls.capabilities.encrypts else "none"])
    return context(SGX, tls=tls, **more), context(None, policy, tls=tls, **more)


@over
def test_the_way_is_what_the_wrapper_declares(tls: TlsWrapper) -> None:
    server, client = connected_pair(*contexts(tls))
    with server, client:
        expected = DirectPump if tls.capabilities.sockets else CarryingPump
        assert type(client._wire._pump) is type(server._wire._pump) is expected


@over
def test_megabytes_cross_both_ways_at_once(tls: TlsWrapper) -> None:
    """Each end sends more than all buffers hold before anything was read: a thread that reads must not be kept out."""
    server, client = connected_pair(*contexts(tls))
    with server, client:
        for end in (server, client):
            end.settimeout(20)
        got: dict[int, bytes] = {}

        def read(number: int, end: Any) -> None:
            parts = bytearray()
            buffer = bytearray(100_000)
            while len(parts) < len(MEGABYTES):
                count = end.recv_into(buffer)
                parts += buffer[:count]
            got[number] = bytes(parts)

        threads = [threading.Thread(target=read, args=(n, end)) for n, end in enumerate((server, client))]
        threads += [threading.Thread(target=end.sendall, args=(MEGABYTES,)) for end in (server, client)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert got == {0: MEGABYTES, 1: MEGABYTES}


@over
def test_a_read_in_pieces_waits_for_nothing_that_is_here(tls: TlsWrapper) -> None:
    server, client = connected_pair(*contexts(tls))
    with server, client:
        server.settimeout(2)
        client.sendall(b"abcdef" * 5000)
        got = b"".join(server.recv(7) for _ in range(100))
        assert got == (b"abcdef" * 5000)[:700]
        assert server.pending() > 0
        while len(got) < 30_000:
            got += server.recv(1000)
        assert got == b"abcdef" * 5000
        assert server.pending() == 0


@over
def test_a_timeout_loses_nothing(tls: TlsWrapper) -> None:
    server, client = connected_pair(*contexts(tls))
    with server, client:
        server.settimeout(0.05)
        for word in (b"one", b"two"):
            with pytest.raises(TimeoutError):
                server.recv(10)
            client.sendall(word)
            assert server.recv(10) == word


@over
def test_a_write_towards_a_peer_that_does_not_read_ends_in_time(tls: TlsWrapper) -> None:
    server, client = connected_pair(*contexts(tls, limits=Limits(close_seconds=0.5)))
    client.settimeout(0.3)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        client.sendall(bytes(64 << 20))
    assert time.monotonic() - started < 5
    assert client.fileno() == -1
    with pytest.raises(RatsTlsError):
        client.sendall(b"x")
    server.close()


@over
def test_a_handshake_that_nobody_answers_ends_in_time(tls: TlsWrapper) -> None:
    for number, server_side in ((0, True), (1, False)):
        ends = socket.socketpair()
        made = contexts(tls, limits=Limits(handshake_seconds=0.3))[number]
        started = time.monotonic()
        with pytest.raises(HandshakeTimeoutError):
            made.wrap_socket(ends[0], server_side=server_side).handshake()
        assert time.monotonic() - started < 5
        ends[1].close()
