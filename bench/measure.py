"""Interleaved timing of things that are compared, and how the figures are shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        rate: per second, or the value itself where `unit` says so.
        unit: of `rate`.
        ratio: to the baseline; None where there is none.
        wanted: what the ratio (or the value) should reach, for the reader; nothing is asserted.
        cpu: CPU seconds by wall seconds, of this process.
    """

    name: str
    rate: float
    unit: str
    ratio: float | None = None
    wanted: str = ""
    cpu: float | None = None


@dataclass
class Candidate:
    """One of the things that are compared: `run` does `amount` units of work once."""

    name: str
    run: Callable[[], None]
    amount: float
    unit: str
    wanted: str = ""
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def interleaved(baseline: Candidate, *others: Candidate, rounds: int = 7) -> list[Figure]:
    """Run all in turn, `rounds` times after a warm-up; a ratio is the median over rounds of each round's own ratio."""
    candidates = (baseline, *others)
    for candidate in candidates:
        candidate.run()
    for number in range(rounds):
        # Every other round backwards, so that none always runs in another's wake.
        for candidate in candidates if number % 2 == 0 else reversed(candidates):
            cpu, wall = time.process_time(), time.perf_counter()
            candidate.run()
            candidate.seconds.append((time.perf_counter() - wall) / candidate.amount)
            candidate.cpu.append((time.process_time() - cpu) / candidate.amount)
    return [_figure(candidate, baseline) for candidate in candidates]


def _figure(candidate: Candidate, baseline: Candidate) -> Figure:
    ratios = [base / own for base, own in zip(baseline.seconds, candidate.seconds, strict=True)]
    return Figure(
        name=candidate.name,
        rate=1 / statistics.median(candidate.seconds),
        unit=candidate.unit,
        ratio=None if candidate is baseline else statistics.median(ratios),
        wanted=candidate.wanted,
        cpu=statistics.median(candidate.cpu) / statistics.median(candidate.seconds),
    )
