"""The pace at which judgements take the interpreter's lock from an event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from rats_tls import aio_pace
from rats_tls.aio_pace import pace


def test_quick_judgements_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio_pace, "_SLOW_SECONDS", 20.0)  # however busy the machine is
    running, most, lock = 0, 0, threading.Lock()

    def judge() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0005)
        with lock:
            running -= 1
        return threading.get_ident()

    async def main() -> None:
        with ThreadPoolExecutor(4) as executor:
            found = await asyncio.gather(*(pace().run(executor, judge) for _ in range(20)))
        assert len(found) == 20
        assert threading.get_ident() not in found

    asyncio.run(main())
    assert most == 1


def test_the_loop_turns_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio_pace, "_SLOW_SECONDS", 20.0)
    turns: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            turns.append("turn")
            loop.call_soon(turn)

        with ThreadPoolExecutor(4) as executor:
            answers = [pace().run(executor, lambda: turns.append("judged")) for _ in range(3)]
            loop.call_soon(turn)
            await asyncio.gather(*answers)

    asyncio.run(main())
    judged = [number for number, what in enumerate(turns) if what == "judged"]
    assert len(judged) == 3
    assert all("turn" in turns[one:other] for one, other in pairwise(judged))


def test_a_slow_one_keeps_no_other_waiting() -> None:
    go_on = threading.Event()

    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            slow = pace().run(executor, lambda: go_on.wait(20))
            assert await asyncio.wait_for(pace().run(executor, lambda: "quick"), 10) == "quick"
            assert await asyncio.wait_for(pace().run(executor, lambda: "again"), 10) == "again"
            assert not slow.done()
            go_on.set()
            assert await slow

    asyncio.run(main())


def test_exceptions_come_back_and_whoever_gave_up_is_passed_over() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            failing = pace().run(executor, fail)
            given_up = pace().run(executor, lambda: done.append(1))
            last = pace().run(executor, lambda: done.append(2))
            given_up.cancel()
            with pytest.raises(ValueError, match="no"):
                await failing
            await last

    asyncio.run(main())
    assert done == [2]


def test_a_loop_that_is_gone_is_forgotten() -> None:
    loop = asyncio.new_event_loop()

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            await pace().run(executor, lambda: None)

    loop.run_until_complete(main())
    loop.close()
    known = weakref.ref(loop)
    del loop
    gc.collect()
    assert known() is None
