"""The threads in which asyncio connections have Evidence collected, peers judged, and Endorsements fetched for them.

Started when first needed.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor

_JUDGES = 2
_FETCHERS = 8
_STRANGERS_FETCHERS = 32
"""For Evidence that nobody has authenticated: more than the requests that it can have under way at once, though not
than the peers that wait for one of them. A service that stalls on those of an attacker keeps but strangers waiting."""


class Workers:
    """One thread that collects, since a TEE's device serves one caller at a time, and a few that judge.

    A device that hangs keeps no peer from being judged, nor does a service that is asked for Endorsements. A forked
    child starts threads of its own. Callers that come first at the same time may each start some; those of the last are
    kept.
    """

    def __init__(self) -> None:
        self._made: tuple[int, Executor, Executor, Executor, Executor] | None = None

    @property
    def collector(self) -> Executor:
        """Where Evidence is collected, one after the other."""
        return self._executors()[0]

    @property
    def judge(self) -> Executor:
        """Where peers are judged with what is at hand."""
        return self._executors()[1]

    def fetcher(self, *, authenticated: bool) -> Executor:
        """Give where peers are judged for whom Endorsements have to be fetched, by whether anybody knows them."""
        return self._executors()[2 if authenticated else 3]

    def _executors(self) -> tuple[Executor, Executor, Executor, Executor]:
        process, made = os.getpid(), self._made
        if made is None or made[0] != process:
            counts = {"collect": 1, "judge": _JUDGES, "fetch": _FETCHERS, "fetch-strangers": _STRANGERS_FETCHERS}
            collector, judge, fetcher, strangers = (
                ThreadPoolExecutor(count, thread_name_prefix=f"rats-tls-{name}") for name, count in counts.items()
            )
            made = self._made = (process, collector, judge, fetcher, strangers)
        return made[1:]
