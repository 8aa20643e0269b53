"""Many asyncio connections in one process: 500 held at once, 2,000 opened and closed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from rats_tls import aio
from support.loops import LOOPS, echo, run, serving
from support.sides import SGX, TDX, context

_HELD = 500
_OPENED = 2_000
_AT_ONCE = 20


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.fixture(autouse=True)
def _enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _HELD + 200
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"`ulimit -Hn` is {hard}; this test needs {wanted}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("loop", LOOPS)
def test_500_connections_are_held_on_one_core(loop: str) -> None:
    server, client = context(SGX, TDX, mutual=True), context(TDX, SGX, mutual=True)

    async def main() -> None:
        async with serving(server, echo) as port:
            gate = asyncio.Semaphore(_AT_ONCE)

            async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                async with gate:
                    return await aio.open_connection("127.0.0.1", port, context=client)

            held = await asyncio.gather(*(opened() for _ in range(_HELD)))
            # Each still carries its own bytes when all are open.
            for number, (_, writer) in enumerate(held):
                writer.write(b"%05d" % number)
            for number, (reader, _) in enumerate(held):
                assert await reader.readexactly(5) == b"%05d" % number
            for _, writer in held:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in held))

    with _one_core():
        assert run(loop, main()) == []


@pytest.mark.parametrize("loop", LOOPS)
def test_2000_connections_opened_and_closed_leave_nothing(loop: str) -> None:
    server, client = context(SGX, TDX, mutual=True), context(TDX, SGX, mutual=True)
    descriptors: list[int] = []

    async def main() -> None:
        async with serving(server, echo) as port:

            async def use_some(count: int) -> None:
                for _ in range(count):
                    reader, writer = await aio.open_connection("127.0.0.1", port, context=client)
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    writer.close()
                    await writer.wait_closed()

            await use_some(1)
            gc.collect()
            descriptors.append(_descriptors())
            await asyncio.gather(*(use_some(_OPENED // _AT_ONCE) for _ in range(_AT_ONCE)))
            async with asyncio.timeout(10):
                while _descriptors() > descriptors[0]:
                    await asyncio.sleep(0.05)

    with _one_core():
        assert run(loop, main()) == []
