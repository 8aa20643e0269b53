"""Bulk data and short messages over one connection, against the standard library's the same way.

Blocking and asyncio go over loopback sockets, with the receiving end in a thread or task of its own; memory has both
ends in one thread and no socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.handshakes import Ends
from bench.measure import Candidate, Figure, interleaved
from bench.sides import SGX, TDX, Pair, attested, standard
from rats_tls import aio
from rats_tls.channel import AppraisalNeeded, Channel, EvidenceNeeded
from rats_tls.simulation.world import SimulatedWorld

_MEGABYTES = 32
_TURNS = 400
_MESSAGE = bytes(1024)
_SIZES = (16 << 10, 256 << 10)


def figures(world: SimulatedWorld, rounds: int) -> list[Figure]:
    """Measure bulk in two sizes of writes in three modes, and messages there and back in two."""
    pair = attested(world, SGX, TDX, remember=True)
    plain = standard(pair)
    found: list[Figure] = []
    for style, connected, wanted in (("blocking", _Blocking, ">= 1.0"), ("asyncio", _Asyncio, ">= 0.9")):
        for size in _SIZES:
            found += interleaved(
                _bulk(f"{style}: stdlib ssl, writes of {size >> 10} KB", connected(plain).bulk(size)),
                _bulk(f"{style}: rats-tls, writes of {size >> 10} KB", connected(pair).bulk(size), wanted),
                rounds=rounds,
            )
        found += interleaved(
            _turns(f"{style}: stdlib ssl, 1 KB there and back", connected(plain).turns()),
            _turns(f"{style}: rats-tls, 1 KB there and back", connected(pair).turns()),
            rounds=rounds,
        )
    for size in _SIZES:
        found += interleaved(
            _bulk(f"memory: stdlib ssl, writes of {size >> 10} KB", _stdlib_memory(plain, size)),
            _bulk(f"memory: rats-tls, writes of {size >> 10} KB", _own_memory(pair, size), ">= 1.0"),
            rounds=rounds,
        )
    return found


def _bulk(name: str, run: Callable[[], None], wanted: str = "") -> Candidate:
    return Candidate(name, run, _MEGABYTES, "MB/s", wanted)


def _turns(name: str, run: Callable[[], None]) -> Candidate:
    return Candidate(name, run, _TURNS, "turns/s")


class _Blocking:
    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def bulk(self, size: int) -> Callable[[], None]:
        block = bytes(size)

        def sink(server: Any) -> None:
            buffer = bytearray(256 << 10)
            left = _MEGABYTES << 20
            while left:
                left -= server.recv_into(buffer)
            server.sendall(b"1")

        def run() -> None:
            with self._connection(sink) as client:
                for _ in range((_MEGABYTES << 20) // size):
                    client.sendall(block)
                client.recv(1)

        return run

    def turns(self) -> Callable[[], None]:
        def echo(server: Any) -> None:
            for _ in range(_TURNS):
                server.sendall(_whole(server))

        def run() -> None:
            with self._connection(echo) as client:
                for _ in range(_TURNS):
                    client.sendall(_MESSAGE)
                    _whole(client)

        return run

    @contextmanager
    def _connection(self, serve: Callable[[Any], None]) -> Iterator[Any]:
        def accept() -> None:
            sock, _ = listening.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._wrap(sock, server_side=True) as server:
                serve(server)

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=accept)
            thread.start()
            sock = socket.create_connection(listening.getsockname())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._wrap(sock, server_side=False) as client:
                yield client
            thread.join()

    def _wrap(self, sock: socket.socket, *, server_side: bool) -> Any:
        if isinstance(self._ends, Pair):
            context = self._ends.server if server_side else self._ends.client
            return context.wrap_socket(sock, server_side=server_side)
        return self._ends[0 if server_side else 1].wrap_socket(sock, server_side=server_side)


def _whole(connection: Any) -> bytes:
    data: bytes = connection.recv(len(_MESSAGE))
    while len(data) < len(_MESSAGE):
        data += connection.recv(len(_MESSAGE) - len(data))
    return data


class _Asyncio:
    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def bulk(self, size: int) -> Callable[[], None]:
        block = bytes(size)

        async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            left = _MEGABYTES << 20
            while left:
                left -= len(await reader.read(256 << 10))
            writer.write(b"1")
            await writer.drain()
            await reader.read()
            writer.close()

        async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range((_MEGABYTES << 20) // size):
                writer.write(block)
                await writer.drain()
            await reader.readexactly(1)

        return lambda: asyncio.run(self._main(sink, send))

    def turns(self) -> Callable[[], None]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(_TURNS):
                writer.write(await reader.readexactly(len(_MESSAGE)))
                await writer.drain()
            await reader.read()
            writer.close()

        async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(_TURNS):
                writer.write(_MESSAGE)
                await writer.drain()
                await reader.readexactly(len(_MESSAGE))

        return lambda: asyncio.run(self._main(echo, send))

    async def _main(self, serve: Any, use: Any) -> None:
        if isinstance(self._ends, Pair):
            server: Any = await aio.start_server(serve, "127.0.0.1", 0, context=self._ends.server)
            reader, writer = await aio.open_connection("127.0.0.1", server.port, context=self._ends.client)
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._ends[0])
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self._ends[1])
        async with server:
            await use(reader, writer)
            writer.close()
            await writer.wait_closed()


def _stdlib_memory(contexts: tuple[ssl.SSLContext, ssl.SSLContext], size: int) -> Callable[[], None]:
    block = bytes(size)

    def run() -> None:
        ends = []
        for context, server_side in zip(contexts, (True, False), strict=True):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            ends.append((context.wrap_bio(incoming, outgoing, server_side=server_side), incoming, outgoing))
        (server, to_server, _), (client, _, from_client) = ends
        done: set[int] = set()
        while len(done) < 2:
            for number, ((end, _, outgoing), (_, incoming, _)) in enumerate((ends, ends[::-1])):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
                    done.add(number)
                incoming.write(outgoing.read())
        buffer = bytearray(256 << 10)
        for _ in range((_MEGABYTES << 20) // size):
            client.write(block)
            to_server.write(from_client.read())
            left = size
            while left:
                left -= server.read(len(buffer), buffer)  # type: ignore[operator]  # as the standard library documents it

    return run


def _own_memory(pair: Pair, size: int) -> Callable[[], None]:
    block = bytes(size)

    def run() -> None:
        client, server = _open_channels(pair)
        buffer = memoryview(bytearray(256 << 10))
        for _ in range((_MEGABYTES << 20) // size):
            client.send(block)
            server.receive_from_wire(client.data_to_send())
            left = size
            while left:
                left -= server.receive_into(buffer) or 0

    return run


def _open_channels(pair: Pair) -> tuple[Channel, Channel]:
    sides = ((pair.client, pair.client.channel()), (pair.server, pair.server.channel(server_side=True)))
    (_, client), (_, server) = sides
    while not (client.accepted and server.accepted):
        for (context, own), other in zip(sides, (server, client), strict=True):
            while (event := own.next_event()) is not None:
                if isinstance(event, EvidenceNeeded):
                    own.supply_evidence(context.collect_credentials())
                elif isinstance(event, AppraisalNeeded):
                    own.supply_result(context.appraise(event))
            data = own.data_to_send()
            if data:
                other.receive_from_wire(data)
    return client, server
