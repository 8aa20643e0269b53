"""One simulated world for all tests of a process, at a fixed time."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from rats_tls.simulation.world import SimulatedWorld

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
REPORT_DATA = bytes(range(64))


@functools.cache
def world() -> SimulatedWorld:
    """Give the world; its clock stands at `NOW`."""
    return SimulatedWorld(clock=lambda: NOW)
