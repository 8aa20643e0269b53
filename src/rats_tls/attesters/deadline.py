"""Until when somebody waits for an answer."""

from __future__ import annotations

import math
import time


class Deadline:
    """A time after which nobody waits any more: what is asked again, or of others, is bounded by it. Thread-safe.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; 0 when it is over."""
        return max(self._end - time.monotonic(), 0.0)

    def allows(self, pause: float) -> bool:
        """Whether somebody still waits after a pause of so many seconds."""
        return pause < self.left

    def give_up(self) -> None:
        """Let it be over: whoever waited has gone."""
        self._end = -math.inf
