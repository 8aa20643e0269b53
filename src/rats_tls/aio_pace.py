"""Hands judgements to threads at a pace that leaves the event loop its time.

A judgement takes less than a millisecond of Python, in which the loop cannot run. Several that are started at once
would take that time from it in one piece: threads share one interpreter lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any
from weakref import WeakKeyDictionary

_SLOW_SECONDS = 0.005
"""A judgement that takes longer waits for something, or is a first one: it does not keep the next one waiting."""


class Pace:
    """Starts one judgement for each turn of the running loop, and the next ones beside one that is slow."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Executor, Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._busy = False

    def run(self, executor: Executor, judgement: Callable[[], Any]) -> asyncio.Future[Any]:
        """Do `judgement` in `executor` when its turn comes; gives its value or exception."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((executor, judgement, answer))
        if not self._busy:
            self._start_next()
        return answer

    def _start_next(self) -> None:
        self._busy = False
        while self._waiting and not self._busy:
            executor, judgement, answer = self._waiting.popleft()
            if not answer.cancelled():
                self._busy = True
                _Turn(self._start_next, answer).take(executor, judgement)


class _Turn:
    """One judgement under way, whose turn ends once: when it is done, or when it proves slow."""

    def __init__(self, end: Callable[[], None], answer: asyncio.Future[Any]) -> None:
        self._end = end
        self._answer = answer
        self._slow: asyncio.TimerHandle | None = None

    def take(self, executor: Executor, judgement: Callable[[], Any]) -> None:
        loop = asyncio.get_running_loop()
        self._slow = loop.call_later(_SLOW_SECONDS, self._is_slow)
        loop.run_in_executor(executor, judgement).add_done_callback(self._done)

    def _is_slow(self) -> None:
        self._slow = None
        self._end()

    def _done(self, work: asyncio.Future[Any]) -> None:
        if self._slow is not None:
            self._slow.cancel()
            asyncio.get_running_loop().call_soon(self._end)  # the loop's other work comes first
        if self._answer.cancelled() or work.cancelled():
            self._answer.cancel()
        elif (error := work.exception()) is not None:
            self._answer.set_exception(error)
        else:
            self._answer.set_result(work.result())


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, Pace] = WeakKeyDictionary()


def pace() -> Pace:
    """Give the one of the running loop."""
    loop = asyncio.get_running_loop()
    found = _paces.get(loop)
    if found is None:
        found = _paces[loop] = Pace()
    return found
