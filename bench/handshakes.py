"""Mutual handshakes over loopback, blocking and asyncio, against the standard library's with pinned certificates.

Each connection: connect, handshake, five bytes there and back, close. Blocking, the server is a process of its own, as
peers are. With both ends in threads of one process, which is measured too, what counts is how often a thread has to
wait for the interpreter's lock. asyncio has both ends in one loop.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench.measure import Candidate, Figure, interleaved
from bench.sides import SGX, SNP, TDX, Pair, attested, standard
from rats_tls import aio
from rats_tls.simulation.world import SimulatedWorld

_CONNECTIONS = 60
_AT_ONCE = 8
_MOST_CONNECTIONS = 1_000_000
_SECONDS = 20
_FASTEST = "awslc"


def figures(world: SimulatedWorld, rounds: int) -> list[Figure]:
    """Measure each pair of TEEs, with the peer unchanged and verified in full each time."""
    found: list[Figure] = []
    for server, client, wanted in ((SGX, TDX, (">= 0.75", "")), (SGX, SNP, (">= 0.5", ">= 0.65"))):
        known = attested(world, server, client, remember=True)
        anew = attested(world, server, client, remember=False)
        title = f"{server.removeprefix('simulated_')}-{client.removeprefix('simulated_')}"
        faster = attested(world, server, client, remember=False, crypto=_FASTEST)
        contexts = standard(known)
        for style, run in (("blocking", _two_processes), ("threads", _two_threads), ("asyncio", _asyncio)):
            with (
                run(contexts) as standard_run,
                run(known) as known_run,
                run(anew) as anew_run,
                run(faster) as faster_run,
            ):
                aims = (">= 0.9", *wanted) if style != "threads" else ("", "", "")
                found += interleaved(
                    _candidate(f"{style}: stdlib ssl, {title} certificates", standard_run),
                    _candidate(f"{style}: {title}, peer unchanged", known_run, aims[0]),
                    _candidate(f"{style}: {title}, full verification", anew_run, aims[1]),
                    _candidate(f"{style}: {title}, full verification by {_FASTEST}", faster_run, aims[2]),
                    rounds=rounds,
                )
    return found


def _candidate(name: str, run: Callable[[], None], wanted: str = "") -> Candidate:
    return Candidate(name, run, _CONNECTIONS, "handshakes/s", wanted)


Ends = Pair | tuple[ssl.SSLContext, ssl.SSLContext]


def _wrap(ends: Ends, sock: socket.socket, *, server_side: bool) -> Any:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if isinstance(ends, Pair):
        context = ends.server if server_side else ends.client
        return context.wrap_socket(sock, server_side=server_side)
    return ends[0 if server_side else 1].wrap_socket(sock, server_side=server_side)


def _serve(ends: Ends, listening: socket.socket, connections: int) -> None:
    for _ in range(connections):
        accepted, _ = listening.accept()
        with _wrap(ends, accepted, server_side=True) as connection:
            connection.sendall(connection.recv(5))
            connection.recv(5)


def _connect(ends: Ends, address: Any) -> None:
    for _ in range(_CONNECTIONS):
        sock = socket.create_connection(address, _SECONDS)
        sock.settimeout(None)
        with _wrap(ends, sock, server_side=False) as connection:
            connection.sendall(b"hello")
            connection.recv(5)


@contextmanager
def _two_processes(ends: Ends) -> Iterator[Callable[[], None]]:
    """Serve from a forked process, which is ended by its pid."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(ends, listening, _MOST_CONNECTIONS), daemon=True
        )
        process.start()
        try:
            yield partial(_connect, ends, listening.getsockname())
        finally:
            process.terminate()
            process.join(_SECONDS)


@contextmanager
def _two_threads(ends: Ends) -> Iterator[Callable[[], None]]:
    def run() -> None:
        thread = threading.Thread(target=_serve, args=(ends, listening, _CONNECTIONS))
        thread.start()
        _connect(ends, listening.getsockname())
        thread.join(_SECONDS)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield run


@contextmanager
def _asyncio(ends: Ends) -> Iterator[Callable[[], None]]:
    yield lambda: asyncio.run(connect_many(ends, connections=_CONNECTIONS, at_once=_AT_ONCE))


async def connect_many(ends: Ends, *, connections: int, at_once: int) -> None:
    """Open and close connections in the running loop, both ends in it, `at_once` at a time."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(5))
        await reader.read(5)
        writer.close()

    async def one(port: int) -> None:
        if isinstance(ends, Pair):
            reader, writer = await aio.open_connection("127.0.0.1", port, context=ends.client)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ends[1])
        writer.write(b"hello")
        await reader.read(5)
        writer.close()
        await writer.wait_closed()

    if isinstance(ends, Pair):
        server: Any = await aio.start_server(echo, "127.0.0.1", 0, context=ends.server)
        port = server.port
    else:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=ends[0])
        port = server.sockets[0].getsockname()[1]
    async with server:
        left = iter(range(connections))

        async def several() -> None:
            for _ in left:
                await one(port)

        await asyncio.gather(*(several() for _ in range(at_once)))
