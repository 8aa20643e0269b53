"""Turns at a device: one after the other, for a bounded time, also after a fork."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from rats_tls.attesters.deadline import Deadline
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
        given.append(in_turn("a device", lambda _: call(number), seconds=20))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(given) == list(range(100))


def test_devices_do_not_wait_for_each_other() -> None:
    go = threading.Event()
    held = threading.Thread(target=lambda: in_turn("one", lambda _: go.wait(20), seconds=20), daemon=True)
    held.start()
    try:
        assert in_turn("another", lambda _: 7, seconds=5) == 7
    finally:
        go.set()
        held.join(20)


def test_who_has_waited_long_enough_goes_and_the_device_stays_taken_until_the_call_returns() -> None:
    go, calls = threading.Event(), []
    with pytest.raises(CollectionError, match=r"hung: no answer within 0\.1 seconds"):
        in_turn("hung", lambda _: go.wait(20), seconds=0.1)
    with pytest.raises(CollectionError, match=r"hung: others have kept it busy for 0\.1 seconds"):
        in_turn("hung", lambda _: calls.append(1), seconds=0.1)
    assert calls == []
    go.set()
    assert in_turn("hung", lambda _: 7, seconds=5) == 7


def test_a_call_is_told_until_when_it_is_awaited() -> None:
    """Who had to wait has less: what is asked of others, or again, is bounded by what is left."""
    go, left = threading.Event(), []
    with pytest.raises(CollectionError):
        in_turn("told", lambda _: go.wait(20), seconds=0.01)
    threading.Timer(0.3, go.set).start()
    in_turn("told", lambda deadline: left.append(deadline.left), seconds=5)
    assert 4 < left[0] < 4.8


def test_waiting_for_others_is_told_from_waiting_for_the_device() -> None:
    first, second = threading.Event(), threading.Event()
    with pytest.raises(CollectionError, match=r"^slow: no answer within 0\.[0-9]+ seconds$"):
        in_turn("slow", lambda _: first.wait(20), seconds=0.01)
    threading.Timer(0.6, first.set).start()
    begun = time.monotonic()
    with pytest.raises(CollectionError) as caught:
        in_turn("slow", lambda _: second.wait(20), seconds=1.4)
    assert 1.3 < time.monotonic() - begun < 1.8
    second.set()
    said = r"slow: no answer within (0\.[0-9]+) seconds, after (0\.[0-9]+) seconds in which others kept it busy"
    found = re.fullmatch(said, caught.value.message)
    assert found is not None
    assert (float(found[1]), float(found[2])) == (pytest.approx(0.8, abs=0.3), pytest.approx(0.6, abs=0.3))


def test_100_callers_of_a_device_that_takes_20_milliseconds() -> None:
    assert sorted(callers_of("unhurried", seconds=20)) == list(range(100))


def test_who_gave_up_while_waiting_is_not_served() -> None:
    calls: list[int] = []
    given = callers_of("overloaded", seconds=0.5, calls=calls)
    in_turn("overloaded", lambda _: 0, seconds=5)
    assert 5 < len(given) < 40
    assert len(calls) - len(given) <= 5  # all but those whose call took longer than the one before


def test_who_has_less_left_than_the_last_call_took_is_not_served() -> None:
    in_turn("known to be slow", lambda _: time.sleep(0.3), seconds=5)
    threading.Thread(target=lambda: in_turn("known to be slow", lambda _: time.sleep(0.3), seconds=5)).start()
    time.sleep(0.05)
    calls: list[int] = []
    said = r"others have kept it busy for 0\.[0-9]+ of 0\.4 seconds: too little is left to ask it"
    with pytest.raises(CollectionError, match=said):
        in_turn("known to be slow", lambda _: calls.append(1), seconds=0.4)
    assert calls == []
    # Who need not wait is served, however long the last call took.
    assert in_turn("known to be slow", lambda _: 7, seconds=0.1) == 7


def callers_of(device: str, *, seconds: float, calls: list[int] | None = None) -> list[int]:
    """Have 100 callers ask a device that takes 20 milliseconds; gives the numbers of those who were answered."""
    given: list[int] = []

    def call(number: int) -> int:
        if calls is not None:
            calls.append(number)
        time.sleep(0.02)
        return number

    def caller(number: int) -> None:
        with contextlib.suppress(CollectionError):
            given.append(in_turn(device, lambda _: call(number), seconds=seconds))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


def test_a_thread_that_cannot_be_started_is_our_error_and_leaves_the_device_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(CollectionError, match=r"crowded: no thread can be started to ask it: can't start new"):
            in_turn("crowded", lambda _: 7, seconds=5)
    assert in_turn("crowded", lambda _: 7, seconds=5) == 7


ENDING = """
import sys, time
from rats_tls.attesters.turns import in_turn

def call(deadline):
    print("asked", flush=True)
    time.sleep(float(sys.argv[1]))
    print("over" if not deadline.left else "awaited", flush=True)
    time.sleep(0.1)
    print("put away", flush=True)

in_turn("ending", call, seconds=float(sys.argv[2]))
"""


def ending(takes: float, seconds: float, number: int | None = None) -> tuple[str, float]:
    """Have a process end while a call is under way; gives what the call said, and how long the end took."""
    command = [sys.executable, "-c", ENDING, str(takes), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        begun = time.monotonic()
        if number is not None:
            process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    return said, time.monotonic() - begun


def test_a_process_that_ends_lets_calls_end_that_nobody_awaits() -> None:
    """After a time-out, and after Ctrl-C: what the call made is put away, and nobody is asked again."""
    assert ending(0.5, 0.1)[0] == "over\nput away\n"
    assert ending(0.5, 20, signal.SIGINT)[0] == "over\nput away\n"


def test_a_process_does_not_wait_for_ever_for_a_call_that_hangs() -> None:
    """Its thread is no reason for the process to stay."""
    said, took = ending(20, 0.1)
    assert (said, took < 8) == ("", True)
    said, took = ending(20, 20, signal.SIGINT)
    assert (said, took < 8) == ("", True)


def test_what_a_call_raises_is_raised_and_the_device_is_free_again() -> None:
    def fail(_: Deadline) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        in_turn("failing", fail, seconds=5)
    assert in_turn("failing", lambda _: 7, seconds=5) == 7


def test_a_forked_child_does_not_wait_for_calls_of_its_parent() -> None:
    go = threading.Event()
    held = threading.Thread(target=lambda: in_turn("forked", lambda _: go.wait(20), seconds=20), daemon=True)
    held.start()
    time.sleep(0.05)
    try:
        child = os.fork()
        if child == 0:
            try:
                os._exit(in_turn("forked", lambda _: 7, seconds=5))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        go.set()
        held.join(20)
