"""The threads in which asyncio connections have Evidence collected and peers judged. Started when first needed."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor

_JUDGES = 2


class Workers:
    """One thread that collects, since a TEE's device serves one caller at a time, and a few that judge.

    A device that hangs keeps no peer from being judged. A forked child starts threads of its own. Callers that come
    first at the same time may each start some; those of the last are kept.
    """

    def __init__(self) -> None:
        self._made: tuple[int, Executor, Executor] | None = None

    @property
    def collector(self) -> Executor:
        """Where Evidence is collected, one after the other."""
        return self._executors()[0]

    @property
    def judge(self) -> Executor:
        """Where peers are judged."""
        return self._executors()[1]

    def _executors(self) -> tuple[Executor, Executor]:
        process, made = os.getpid(), self._made
        if made is None or made[0] != process:
            collector = ThreadPoolExecutor(1, thread_name_prefix="rats-tls-collect")
            made = self._made = (process, collector, ThreadPoolExecutor(_JUDGES, thread_name_prefix="rats-tls-judge"))
        return made[1], made[2]
