"""What the package costs before it does anything: time to import, memory of a connection that waits."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from bench.measure import Candidate, Figure, interleaved
from bench.sides import SGX, TDX, attested
from rats_tls import aio
from rats_tls.connection import Connection
from rats_tls.simulation.world import SimulatedWorld

_HELD = 100


def figures(world: SimulatedWorld, rounds: int) -> list[Figure]:
    """Measure both."""
    return [*_imports(rounds), _idle(world), _idle_asyncio(world)]


def _imports(rounds: int) -> list[Figure]:
    """Start interpreters in turn; each line's value is what it takes beyond a bare one."""
    bare, *others = interleaved(
        Candidate("interpreter alone", partial(_start, "pass"), 1, "starts/s"),
        Candidate("import rats_tls", partial(_start, "import rats_tls"), 1, "starts/s"),
        Candidate("import rats_tls; Context", partial(_start, "import rats_tls; rats_tls.Context"), 1, "starts/s"),
        rounds=rounds,
    )
    return [
        bare,
        *(
            Figure(name=other.name, rate=(1 / other.rate - 1 / bare.rate) * 1000, unit="ms more", wanted="<= 120 ms")
            for other in others
        ),
    ]


def _start(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def _idle(world: SimulatedWorld) -> Figure:
    """Hold connections open, both ends in this process; give the growth of its memory for each end."""
    pair = attested(world, SGX, TDX, remember=True)
    held: list[Connection] = []

    def open_some(count: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for _ in range(count):
                client = pair.client.wrap_socket(socket.create_connection(listening.getsockname()))
                server = pair.server.wrap_socket(listening.accept()[0], server_side=True)
                thread = threading.Thread(target=server.handshake)
                thread.start()
                client.handshake()
                thread.join()
                held.extend((client, server))

    open_some(10)
    gc.collect()
    before = _resident()
    open_some(_HELD)
    gc.collect()
    grown = (_resident() - before) / (2 * _HELD)
    for connection in held:
        connection.close()
    return Figure(name="an idle connection, one end", rate=grown / 1024, unit="KB", wanted="<= 60 KB")


def _idle_asyncio(world: SimulatedWorld) -> Figure:
    """The same with streams in one event loop."""
    pair = attested(world, SGX, TDX, remember=True)

    async def main() -> float:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await aio.start_server(hold, "127.0.0.1", 0, context=pair.server) as server:

            async def open_some(count: int) -> list[asyncio.StreamWriter]:
                opened = [
                    await aio.open_connection("127.0.0.1", server.port, context=pair.client) for _ in range(count)
                ]
                gc.collect()
                return [writer for _, writer in opened]

            held = await open_some(10)
            before = _resident()
            held += await open_some(_HELD)
            grown = (_resident() - before) / (2 * _HELD)
            for writer in held:
                writer.close()
            return grown

    return Figure(
        name="an idle asyncio connection, one end", rate=asyncio.run(main()) / 1024, unit="KB", wanted="<= 60 KB"
    )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
