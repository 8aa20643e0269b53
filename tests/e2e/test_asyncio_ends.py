"""asyncio connections that are reset, whose opening is cancelled, or whose application fails: one error each."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from rats_tls import aio
from support.loops import LOOPS, run
from support.sides import SGX, context

each_loop = pytest.mark.parametrize("loop", LOOPS)


@each_loop
@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_closing_towards_a_peer_that_has_reset_the_connection(loop: str, how: str) -> None:
    async def main() -> None:
        served: list[asyncio.StreamWriter] = []
        ready = asyncio.Event()

        async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(writer)
            ready.set()
            await asyncio.sleep(20)

        server = await aio.start_server(handler, "127.0.0.1", 0, context=context(SGX), limit=1024)
        _, writer = await aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
        await ready.wait()
        writer.write(bytes(4 << 20))  # more than the server's reader takes: it stops reading, and sees no reset
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        if how == "close":
            served[0].close()
        await asyncio.wait_for(server.shutdown(0.1), 20)

    complaints = run(loop, main())
    gc.collect()
    assert [what for what in complaints if not isinstance(what.get("exception"), asyncio.CancelledError)] == []


@each_loop
@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3, 5, 8])
def test_cancelling_an_opening_is_silent(loop: str, milliseconds: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:

        async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await aio.start_server(handler, "127.0.0.1", 0, context=context(SGX)) as server:
            for _ in range(3):
                opening = asyncio.ensure_future(
                    aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
                )
                await asyncio.sleep(milliseconds / 1000)
                opening.cancel()
                try:
                    _, writer = await opening
                except asyncio.CancelledError:
                    continue
                writer.close()
            await asyncio.sleep(0.05)

    with caplog.at_level(logging.ERROR):
        complaints = run(loop, main())
        gc.collect()
    assert complaints == []
    assert caplog.records == []


@each_loop
def test_a_protocol_factory_that_fails_is_the_only_error(loop: str) -> None:
    async def main() -> None:

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        def factory() -> asyncio.Protocol:
            raise ZeroDivisionError

        async with await aio.start_server(handler, "127.0.0.1", 0, context=context(SGX)) as server:
            with pytest.raises(ZeroDivisionError):
                await aio.create_connection(factory, "127.0.0.1", server.port, context=context(None, SGX))
            await asyncio.sleep(0.05)

    complaints = run(loop, main())
    assert [type(what["exception"]) for what in complaints] == [ZeroDivisionError]
