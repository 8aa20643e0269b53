"""What every TLS wrapper that declares `sockets` does right over one."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rats_tls.core.errors import ConnectionFailedError, TlsError
from rats_tls.core.tls import SocketTlsSession, TlsWrapper
from support.channels import certificate
from support.instances import TLS_WRAPPERS
from support.tls import config

DIRECT = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.sockets)
MEGABYTE = bytes(range(256)) * 4096
over = pytest.mark.parametrize("tls", DIRECT, ids=lambda tls: f"{tls.name}-{type(tls._calls).__name__}")


@contextmanager
def both(
    tls: TlsWrapper,
) -> Iterator[tuple[SocketTlsSession, SocketTlsSession, socket.socket, socket.socket]]:
    """Give a client and a server over a pair of sockets, before their handshake."""
    left, right = socket.socketpair()
    with left, right:
        for sock in (left, right):
            sock.setblocking(False)
        client: Any = tls.context(config("client"))
        server: Any = tls.context(config("server", serial=2))
        yield client.socket_session(left), server.socket_session(right), left, right


def shake_hands(client: SocketTlsSession, server: SocketTlsSession) -> None:
    for _ in range(20):
        if client.handshake() & server.handshake():
            return
    raise AssertionError("handshake does not complete")


def requires_handshake(session: SocketTlsSession) -> None:
    for call in (
        lambda: session.read(100),
        lambda: session.read_into(memoryview(bytearray(100))),
        lambda: session.write(b"early"),
    ):
        with pytest.raises(TlsError, match="not complete"):
            call()


def heard(session: SocketTlsSession, size: int = 100) -> bytes | None:
    """What is read behind records without data: each of them ends a read."""
    for _ in range(10):
        if (data := session.read(size)) is not None:
            return data
    return None


def drained(session: SocketTlsSession) -> bytes:
    out = bytearray()
    while data := session.read(65_536):
        out += data
    return bytes(out)


def test_the_default_wrapper_is_among_them() -> None:
    assert {"openssl"} == {tls.name for tls in DIRECT}


@over
def test_nothing_is_read_or_written_before_the_handshake_is_complete(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, _, _):
        requires_handshake(server)
        requires_handshake(client)
        assert not client.handshake()
        requires_handshake(server)
        assert not server.handshake()
        requires_handshake(client)
        assert client.handshake()
        requires_handshake(server)
        shake_hands(client, server)
        client.write(b"in time")
        assert heard(server) == b"in time"


@over
def test_a_mutual_handshake_gives_both_certificates_and_nothing_to_carry(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, _, _):
        shake_hands(client, server)
        assert server.peer_certificate == certificate(serial=1)
        assert client.peer_certificate == certificate(serial=2)
        assert client.facts() == server.facts()
        assert not client.resumed
        assert client.exporter("a label", b"x", 32) == server.exporter("a label", b"x", 32)
        assert client.data_to_send() == server.data_to_send() == b""


@over
def test_a_write_that_the_socket_does_not_take_is_flushed_in_order(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, _, _):
        shake_hands(client, server)
        client.write(MEGABYTE)
        client.write(b"and the end")
        assert client.unsent
        assert client.waits_to_send
        got = bytearray()
        for _ in range(10_000):
            if client.flush():
                break
            got += drained(server)
        got += drained(server)
        assert bytes(got) == MEGABYTE + b"and the end"
        assert not client.unsent
        assert not client.waits_to_send


@over
def test_what_a_failure_keeps_from_being_sent_is_not_counted_as_sent(tls: TlsWrapper) -> None:
    """A read may find data with a failure behind it: whoever waits to send hears of it first."""
    with both(tls) as (client, server, _, right):
        shake_hands(client, server)
        while client.read(1) is not None:
            pass
        client.write(MEGABYTE)
        server.write(bytes(16_384))
        right.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert heard(client, 65_536) == bytes(16_384)
        assert client.unsent
        with pytest.raises(TlsError):
            client.flush()
        assert not client.unsent
        assert client.flush()


@over
def test_reads_go_into_a_buffer(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, _, _):
        shake_hands(client, server)
        client.write(b"abcdef")
        buffer = bytearray(4)
        assert server.read_into(memoryview(buffer)) == 4
        assert buffer == b"abcd"
        assert server.read_into(memoryview(buffer)) == 2
        assert server.read_into(memoryview(buffer)) is None
        assert buffer[:2] == b"ef"


@over
def test_no_buffer_is_kept_whatever_comes(tls: TlsWrapper) -> None:
    """What is lent for ever, and then in a cycle, crashes CPython."""
    with both(tls) as (client, server, left, _):
        shake_hands(client, server)
        sent, read = memoryview(bytearray(b"abc")), memoryview(bytearray(10))
        client.write(sent)
        assert server.read_into(read) == 3
        left.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(TlsError):
            server.read_into(read)
        for view in (sent, read):
            view.release()  # raises while anything is lent


@over
def test_close_notify_follows_what_was_written(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, _, _):
        shake_hands(client, server)
        client.write(MEGABYTE)
        client.close()
        assert not client.flush()
        got = drained(server)
        for _ in range(10_000):
            if client.flush():
                break
            got += drained(server)
        assert got + drained(server) == MEGABYTE
        assert server.read(1) == b""
        with pytest.raises(TlsError, match="close_notify"):
            client.write(b"late")
        server.write(b"the other direction is still open")
        assert heard(client) == b"the other direction is still open"


@over
def test_the_end_of_the_socket_is_truncation(tls: TlsWrapper) -> None:
    with both(tls) as (client, server, left, _):
        shake_hands(client, server)
        client.write(b"last")
        for _ in range(4):
            assert client.read(1) is None  # tickets: a socket that closes over unread bytes resets the connection
        left.close()
        assert server.read(10) == b"last"
        for _ in range(2):
            with pytest.raises(TlsError) as caught:
                server.read(10)
            assert caught.value.truncated


@over
def test_a_reset_is_a_failure_and_no_end(tls: TlsWrapper) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    left = socket.create_connection(listening.getsockname())
    right, _ = listening.accept()
    with listening, left, right:
        right.setblocking(False)
        server: Any = tls.context(config("server"))
        session = server.socket_session(right)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        left.close()
        select.select([right], [], [], 5)
        with pytest.raises(ConnectionFailedError, match="reset") as caught:
            session.handshake()
        assert not getattr(caught.value, "truncated", False)


@over
def test_after_detach_the_descriptor_is_left_alone(tls: TlsWrapper) -> None:
    """It may be another connection's by then."""
    with both(tls) as (client, server, _, right):
        shake_hands(client, server)
        client.write(MEGABYTE)
        client.detach()
        drained(server)
        assert client.flush()
        for call in (lambda: client.write(b"x"), lambda: client.read(1)):
            with pytest.raises(TlsError, match="closed"):
                call()
        client.close()
        with pytest.raises(BlockingIOError):
            right.recv(1)


@over
def test_it_cannot_be_fed(tls: TlsWrapper) -> None:
    with both(tls) as (client, _, _, _), pytest.raises(TlsError, match="socket"):
        client.receive_from_wire(b"x")
