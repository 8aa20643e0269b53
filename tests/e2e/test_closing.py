"""Ends of connections: closing under other threads, peers that trickle or fall silent, the end at every byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from rats_tls import connection_pumps
from rats_tls.connection import Connection
from rats_tls.connection_pumps import wait
from rats_tls.core.errors import ConnectionFailedError, HandshakeTimeoutError, RatsTlsError
from rats_tls.core.limits import Limits
from support.sides import SGX, connected_pair, context

SHORT = Limits(close_seconds=0.5, handshake_seconds=0.5)


@contextmanager
def in_a_thread(work: Callable[[], object]) -> Iterator[list[object]]:
    """Run `work` in a thread that must end; gives what it returned or raised."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except (RatsTlsError, OSError, AssertionError) as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.1)
    yield outcome
    thread.join(10)
    assert not thread.is_alive(), "the thread waits for ever"


def ends(**settings: object) -> tuple[Connection, Connection]:
    """Give both ends of an accepted connection that wait without a timeout."""
    pair = connected_pair(context(SGX, **settings), context(None, SGX, **settings))
    for end in pair:
        end.settimeout(None)
    return pair


# --- closing under a thread ------------------------------------------------------------------------------------------
def test_a_thread_that_receives_is_woken() -> None:
    server, client = ends()
    with in_a_thread(client.recv) as outcome:
        client.close()
    (error,) = outcome
    assert isinstance(error, ConnectionFailedError)
    assert "closed" in error.message
    server.close()


def test_a_descriptor_is_not_closed_under_a_thread_that_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number would be the next connection's, and that one's bytes be read in this one's place."""
    server, client = ends()
    number = client.fileno()
    original = client._wire.socket
    seen: list[int] = []

    def watched(sock: socket.socket, events: int, deadline: float | None) -> None:
        try:
            wait(sock, events, deadline)
        finally:
            seen.append(original.fileno())

    monkeypatch.setattr(connection_pumps, "wait", watched)
    with in_a_thread(client.recv):
        client.close()
    assert seen == [number]
    assert original.fileno() == -1
    server.close()


def test_closing_does_not_wait_for_a_thread_that_sends_to_a_peer_that_does_not_read() -> None:
    server, client = ends(limits=SHORT)
    with in_a_thread(lambda: client.sendall(bytes(64 * 1024 * 1024))) as outcome:
        started = time.monotonic()
        client.close()
        assert time.monotonic() - started < 5
    assert isinstance(outcome[0], ConnectionFailedError)
    server.close()


def test_closing_ends_a_handshake_in_another_thread() -> None:
    left, right = socket.socketpair()
    connection = context(None, SGX).wrap_socket(left)
    with in_a_thread(connection.handshake) as outcome:
        connection.close()
    assert isinstance(outcome[0], ConnectionFailedError)
    assert left.fileno() == -1
    right.close()


def test_closing_in_many_threads_at_once() -> None:
    server, client = ends()
    threads = [threading.Thread(target=client.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert client.fileno() == -1
    assert server.recv() == b""
    server.close()


def test_a_parents_copy_may_be_closed_before_a_childs_handshake() -> None:
    """A server that forks for each client closes its own copy; nothing of the connection ends by that."""
    left, right = socket.socketpair()
    copy = left.dup()
    context(SGX).wrap_socket(left, server_side=True).close()
    server, client = context(SGX).wrap_socket(copy, server_side=True), context(None, SGX).wrap_socket(right)
    with in_a_thread(server.handshake):
        client.handshake()
    for end in (client, server):
        end.close()


# --- time ------------------------------------------------------------------------------------------------------------
def test_unwrap_ends_in_time_and_leaves_the_timeout_as_it_was() -> None:
    server, client = ends(limits=SHORT)
    client.settimeout(7)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        client.unwrap()
    assert time.monotonic() - started < 5
    assert client.gettimeout() == 7
    for end in (client, server):
        end.close()


def test_unwrap_towards_a_peer_that_does_not_read_ends_in_time() -> None:
    server, client = ends(limits=SHORT)
    client.settimeout(0.2)
    client._wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with suppress(TimeoutError, BlockingIOError):
        # Raw bytes fill the transport; what the peer makes of them does not matter here.
        while client._wire.socket.send(bytes(65_536)):
            pass
    client.settimeout(None)
    started = time.monotonic()
    with pytest.raises((TimeoutError, RatsTlsError)):
        client.unwrap()
    assert time.monotonic() - started < 5
    for end in (client, server):
        end.close()


def handshake_bytes() -> tuple[bytes, bytes]:
    """Record what a client and a server send each other up to acceptance."""
    left, right = socket.socketpair()
    server, client = context(SGX).wrap_socket(left, server_side=True), context(None, SGX).wrap_socket(right)
    said: dict[str, bytes] = {"server": b"", "client": b""}
    for name, end in (("server", server), ("client", client)):
        due = end._wire.channel.data_to_send

        def record(name: str = name, due: Callable[[], bytes] = due) -> bytes:
            data = due()
            said[name] += data
            return data

        end._wire.channel.data_to_send = record  # type: ignore[method-assign]
    with in_a_thread(server.handshake):
        client.handshake()
    for end in (client, server):
        end.close()
    return said["client"], said["server"]


@pytest.mark.parametrize("server_side", [False, True])
def test_a_peer_that_trickles_genuine_bytes_is_cut_at_the_deadline(server_side: bool) -> None:
    """Each byte is one that a peer of ours would send; none extends the time."""
    said = handshake_bytes()[0 if server_side else 1]
    left, right = socket.socketpair()
    own = context(SGX if server_side else None, None if server_side else SGX, limits=SHORT)
    connection = own.wrap_socket(left, server_side=server_side)
    stop = threading.Event()

    def trickle() -> None:
        for byte in said:
            if stop.wait(0.05):
                return
            with suppress(OSError):
                right.send(bytes([byte]))

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    started = time.monotonic()
    with pytest.raises(HandshakeTimeoutError):
        connection.handshake()
    assert 0.4 < time.monotonic() - started < 5
    stop.set()
    thread.join(5)
    right.close()


@pytest.mark.parametrize("server_side", [False, True])
def test_the_end_of_the_stream_at_any_point_of_the_handshake_is_our_error(server_side: bool) -> None:
    said = handshake_bytes()[0 if server_side else 1]
    for cut in (0, 1, 5, 6, 100, len(said) // 2, len(said) - 1):
        left, right = socket.socketpair()
        own = context(SGX if server_side else None, None if server_side else SGX)
        connection = own.wrap_socket(left, server_side=server_side)
        right.sendall(said[:cut])
        right.shutdown(socket.SHUT_WR)
        with pytest.raises(RatsTlsError):
            connection.handshake()
        assert left.fileno() == -1
        with pytest.raises(RatsTlsError):
            connection.recv()
        right.close()
