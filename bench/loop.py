"""How long an asyncio loop is kept from its other work while peers connect, each verified in full.

A task wakes every millisecond and notes how late it is. Both ends of every connection share the loop with it, so a
service, which has one end, is kept for less; TLS itself is a part of it, as the standard library's lines show.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.handshakes import Ends, connect_many
from bench.measure import Figure
from bench.sides import SGX, SNP, TDX, attested, standard
from rats_tls.simulation.world import SimulatedWorld

_TICK = 0.001
_CONNECTIONS = 200
_AT_ONCE = 8


def figures(world: SimulatedWorld) -> list[Figure]:
    """Measure an idle loop, then one that serves each pair of TEEs."""
    found = [_figure("nothing else", asyncio.run(_idle()))]
    for server, client in ((SGX, TDX), (SGX, SNP)):
        pair = attested(world, server, client, remember=False)
        title = f"{server.removeprefix('simulated_')}-{client.removeprefix('simulated_')}"
        plain = standard(pair)
        for at_once in (1, _AT_ONCE):
            found.append(_figure(f"stdlib ssl, {title} certificates, {at_once} at once", _late(plain, at_once)))
            found.append(_figure(f"{title}, {at_once} at once", _late(pair, at_once), "<= 5 ms"))
    return found


def _figure(name: str, late: list[float], wanted: str = "") -> Figure:
    percentile = statistics.quantiles(late, n=100)[98]
    return Figure(name=f"late at the 99th percentile: {name}", rate=percentile * 1000, unit="ms", wanted=wanted)


async def _idle() -> list[float]:
    late: list[float] = []
    ticking = asyncio.create_task(_tick(late))
    await asyncio.sleep(1)
    ticking.cancel()
    return late


def _late(ends: Ends, at_once: int) -> list[float]:
    late: list[float] = []

    async def main() -> None:
        ticking = asyncio.create_task(_tick(late))
        await connect_many(ends, connections=_CONNECTIONS, at_once=at_once)
        ticking.cancel()

    asyncio.run(main())
    return late


async def _tick(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        late.append(time.perf_counter() - due)
