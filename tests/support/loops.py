"""Event loops for tests: asyncio's own and uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from rats_tls import aio
from rats_tls.context import Context
from rats_tls.core.errors import RatsTlsError

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
SECONDS = 60.0


def run(loop: str, main: Coroutine[Any, Any, None], *, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Run `main` on a loop of that kind, within a time limit; give what the loop's exception handler was told."""
    told: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=LOOPS[loop], debug=False) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: told.append(context))
        runner.run(asyncio.wait_for(main, seconds))
    return told


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes until the peer ends."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(
    server: Context, connected: Callable[..., Any] = echo, refused: list[RatsTlsError] | None = None
) -> AsyncIterator[int]:
    """Serve with streams on a free port; gives the port."""

    def note(error: RatsTlsError, _: object) -> None:
        if refused is not None:
            refused.append(error)

    async with await aio.start_server(connected, "127.0.0.1", 0, context=server, refused=note) as listening:
        yield listening.port
