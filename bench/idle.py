"""Memory of connections that wait: `python -m bench.idle blocking|asyncio` prints bytes for each end."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import threading
from pathlib import Path

from bench.sides import SGX, TDX, attested
from rats_tls import aio
from rats_tls.connection import Connection
from rats_tls.simulation.world import SimulatedWorld

_HELD = 100


def _blocking(world: SimulatedWorld) -> float:
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
    return grown


def _streams(world: SimulatedWorld) -> float:
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

    return asyncio.run(main())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
    print((_blocking if sys.argv[1] == "blocking" else _streams)(SimulatedWorld()))
