"""Turns at a device: one after the other, for a bounded time, also after a fork."""

from __future__ import annotations

import os
import threading
import time

import pytest

from rats_tls.attesters.turns import in_turn
from rats_tls.core.errors import CollectionError


def test_100_callers_have_it_one_after_the_other() -> None:
    inside, most, given = 0, 0, []

    def call(number: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return number

    def caller(number: int) -> None:
        given.append(in_turn("a device", lambda: call(number), seconds=20))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(given) == list(range(100))


def test_devices_do_not_wait_for_each_other() -> None:
    go = threading.Event()
    held = threading.Thread(target=lambda: in_turn("one", lambda: go.wait(20), seconds=20), daemon=True)
    held.start()
    try:
        assert in_turn("another", lambda: 7, seconds=5) == 7
    finally:
        go.set()
        held.join(20)


def test_who_has_waited_long_enough_goes_and_the_device_stays_taken_until_the_call_returns() -> None:
    go, calls = threading.Event(), []
    with pytest.raises(CollectionError, match=r"hung: no answer within 0\.1 seconds"):
        in_turn("hung", lambda: go.wait(20), seconds=0.1)
    with pytest.raises(CollectionError, match=r"hung: others have kept it busy for 0\.1 seconds"):
        in_turn("hung", lambda: calls.append(1), seconds=0.1)
    assert calls == []
    go.set()
    assert in_turn("hung", lambda: 7, seconds=5) == 7


def test_what_a_call_raises_is_raised_and_the_device_is_free_again() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        in_turn("failing", fail, seconds=5)
    assert in_turn("failing", lambda: 7, seconds=5) == 7


def test_a_forked_child_does_not_wait_for_calls_of_its_parent() -> None:
    go = threading.Event()
    held = threading.Thread(target=lambda: in_turn("forked", lambda: go.wait(20), seconds=20), daemon=True)
    held.start()
    time.sleep(0.05)
    try:
        child = os.fork()
        if child == 0:
            try:
                os._exit(in_turn("forked", lambda: 7, seconds=5))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        go.set()
        held.join(20)
