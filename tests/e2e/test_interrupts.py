"""Connections that a signal interrupts: what it raises comes out, and what was left half done is never gone on with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rats_tls.connection import Connection
from rats_tls.core.errors import ConnectionFailedError, InternalError, RatsTlsError
from rats_tls.core.tls import TlsWrapper
from rats_tls.tls_wrappers.openssl_calls import PublicCalls
from support.instances import TLS_WRAPPERS
from support.interrupted_sender import drain
from support.interrupting import INTERRUPTS, interrupted
from support.sides import SGX, connected_pair, context

ENCRYPTING = [tls for tls in TLS_WRAPPERS if tls.capabilities.encrypts]
NAMED = [tls for tls in ENCRYPTING if not isinstance(getattr(tls, "_calls", None), PublicCalls)]
SIZE = 300_000
over = pytest.mark.parametrize("tls", NAMED, ids=lambda tls: tls.name)
by_signal = pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)


@contextmanager
def ends(tls: TlsWrapper) -> Iterator[tuple[Connection, Connection]]:
    """Give both ends of an accepted connection, the first of them by `tls`."""
    pair = connected_pair(context(SGX, tls=tls), context(None, SGX))
    try:
        yield pair
    finally:
        for end in pair:
            end.close()


def require_unusable(connection: Connection) -> None:
    for use in (lambda: connection.sendall(b"more"), connection.recv, connection.pending, connection.unwrap):
        with pytest.raises(ConnectionFailedError, match="closed"):
            use()
    assert connection.fileno() == -1


# --- sending -----------------------------------------------------------------------------------------------------
def places_of_sending(tls: TlsWrapper) -> list[tuple[str, str, str | None, int]]:
    session = f"{tls.name}_session.py"
    # Those that give plain bytes as objects of Python share how they take them.
    writes = "sessions.py" if tls.name in ("rustls", "tlslite") else session
    places: list[tuple[str, str, str | None, int]] = [(writes, "write", None, 1), (writes, "write", None, 2)]
    if not tls.capabilities.sockets:
        places += [(session, "data_to_send", None, 2), ("connection_pumps.py", "_send_some", "send", 1)]
    return places


def named(value: object) -> str | None:
    return getattr(value, "name", None)


SENDING = [(tls, *place) for tls in NAMED for place in places_of_sending(tls)]


@by_signal
@pytest.mark.parametrize(("tls", "file", "function", "ended", "at"), SENDING, ids=named)
def test_half_a_message_is_never_gone_on_with(
    tls: TlsWrapper, file: str, function: str, ended: str | None, at: int, number: signal.Signals
) -> None:
    with ends(tls) as (server, client):
        seen: list[bytes | RatsTlsError] = []
        reader = threading.Thread(target=drain, args=(client, seen), daemon=True)
        reader.start()
        with interrupted(number, file, function, ended=ended, at=at), pytest.raises(INTERRUPTS[number]):
            server.sendall(bytes(SIZE))
        require_unusable(server)
        server.close()
        reader.join(20)
        (end,) = seen
        assert isinstance(end, RatsTlsError), "the peer sees an end"
        assert "mac" not in end.message


@over
def test_signals_at_any_time_stop_who_sends(tls: TlsWrapper) -> None:
    """In a process of its own: a second signal, or what is printed, must not be this one's."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "support.interrupted_sender", tls.name, "8"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@by_signal
def test_a_close_that_is_interrupted_closes(number: signal.Signals) -> None:
    with ends(NAMED[0]) as (server, _):
        with interrupted(number, "connection_wire.py", "flush"), pytest.raises(INTERRUPTS[number]):
            server.close()
        require_unusable(server)


@by_signal
def test_an_end_of_data_that_is_interrupted_closes(number: signal.Signals) -> None:
    with ends(NAMED[0]) as (server, _):
        with interrupted(number, "connection_wire.py", "flush"), pytest.raises(INTERRUPTS[number]):
            server.shutdown(socket.SHUT_WR)
        require_unusable(server)


def test_half_a_message_of_a_wrapper_that_fails_gets_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no signal's is the wrapper's defect, and told as that."""
    with ends(NAMED[0]) as (server, client):
        server.sendall(b"half")
        monkeypatch.setattr(server._wire.channel, "_tls", Failing(server._wire.channel._tls))
        with pytest.raises(InternalError, match="ValueError: a defect") as caught:
            server.sendall(b"a message")
        assert isinstance(caught.value.__cause__, ValueError)
        server.close()
        seen: list[bytes | RatsTlsError] = []
        drain(client, seen)
        assert isinstance(seen[0], RatsTlsError)


class Failing:
    """A TLS session that writes no more than one byte of a message."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def write(self, data: memoryview) -> None:
        self._inner.write(data[:1])
        if len(data) > 1:
            raise ValueError("a defect")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# --- receiving ---------------------------------------------------------------------------------------------------
def receive(connection: Connection) -> bytes:
    return connection.recv()


def receive_into(connection: Connection) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: connection.recv_into(buffer)])


@over
@by_signal
@pytest.mark.parametrize("call", [receive, receive_into])
def test_who_waits_to_receive_can_go_on(tls: TlsWrapper, call: Any, number: signal.Signals) -> None:
    with ends(tls) as (server, client):
        for _ in range(2):
            with interrupted(number, "connection_pumps.py", "wait"), pytest.raises(INTERRUPTS[number]):
                call(server)
            client.sendall(b"whole")
            assert call(server) == b"whole"
        server.sendall(b"answer")
        assert client.recv() == b"answer"


@over
@by_signal
@pytest.mark.parametrize("call", [receive, receive_into, Connection.pending])
def test_what_was_taken_and_given_to_nobody_ends_the_connection(
    tls: TlsWrapper, call: Any, number: signal.Signals
) -> None:
    with ends(tls) as (server, client):
        client.sendall(b"lost")
        if call is Connection.pending and not tls.capabilities.sockets:
            server._wire._pump.receive(None)  # else there is nothing to take yet
        with interrupted(number, "channel.py", "_took"), pytest.raises(INTERRUPTS[number]):
            call(server)
        require_unusable(server)


@by_signal
@pytest.mark.parametrize("place", [("_receive", "__exit__"), ("receive", "recv")], ids=str)
def test_bytes_that_only_the_interrupted_had_end_the_connection(place: tuple[str, str], number: signal.Signals) -> None:
    carried = next(tls for tls in NAMED if not tls.capabilities.sockets)
    with ends(carried) as (server, client):
        client.sendall(b"lost")
        file = "connection_wire.py" if place[0] == "_receive" else "connection_pumps.py"
        with interrupted(number, file, place[0], ended=place[1]), pytest.raises(INTERRUPTS[number]):
            server.recv()
        require_unusable(server)


@by_signal
def test_a_file_whose_read_was_interrupted_is_not_read_on(number: signal.Signals) -> None:
    with ends(NAMED[0]) as (server, client), server.makefile("rb") as lines:
        client.sendall(b"half a line")
        with interrupted(number, "connection_pumps.py", "wait"), pytest.raises(INTERRUPTS[number]):
            lines.readline()
        client.sendall(b", and the rest\n")
        with pytest.raises(OSError, match="interrupted"):
            lines.readline()


# --- handshakes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tls", [tls for tls in NAMED if tls.capabilities.clients], ids=lambda tls: tls.name)
@by_signal
def test_a_silent_server_keeps_nobody_who_was_interrupted(tls: TlsWrapper, number: signal.Signals) -> None:
    left, right = socket.socketpair()
    with left:
        connection = context(None, SGX, tls=tls).wrap_socket(right)
        begun = time.monotonic()
        with interrupted(number, "connection_pumps.py", "wait"), pytest.raises(INTERRUPTS[number]):
            connection.handshake()
        assert time.monotonic() - begun < 0.5
        require_unusable(connection)


@by_signal
@pytest.mark.parametrize(
    "place", [("appraisal.py", "_judge_in_order"), ("sgx_ecdsa.py", "_claims"), ("sgx_ecdsa.py", "_evaluate")]
)
def test_an_interrupt_in_an_appraisal_goes_on(place: tuple[str, str], number: signal.Signals) -> None:
    left, right = socket.socketpair()
    server, client = context(SGX).wrap_socket(left, server_side=True), context(None, SGX).wrap_socket(right)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            server.handshake()
        except RatsTlsError as error:
            failures.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with interrupted(number, *place), pytest.raises(INTERRUPTS[number]):
        client.handshake()
    require_unusable(client)
    thread.join(20)
    assert failures
