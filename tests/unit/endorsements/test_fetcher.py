"""The fetcher: order of sources, one request for many threads, forked children."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.limits import DEFAULT_FETCH_LIMITS
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.fetcher import Fetcher, FetchOutcome, _Flight
from rats_tls.endorsements.source import FetchProblem
from support.fetching import ScriptedSource, SetClock, answer_to, failing, vek
from support.pcs import missing

K = EndorsementKind
P = FetchProblem
SHORT = replace(DEFAULT_FETCH_LIMITS, shared_wait_seconds=0.3)
ONCE = Rate(burst=1, seconds_each=1000)


def problems(outcome: FetchOutcome) -> list[tuple[str, FetchProblem]]:
    return [(failure.source, failure.error.problem) for failure in outcome.failures]


# --- sources ------------------------------------------------------------------------------------------------------
def test_sources_are_asked_in_order_until_one_gives() -> None:
    first = ScriptedSource("first", failing(P.UNAVAILABLE))
    other = ScriptedSource("other", kinds=(K.AMD_CRL,))
    second, third = ScriptedSource("second"), ScriptedSource("third")
    outcome = Fetcher([first, other, second, third]).fetch([vek()], authenticated=True)
    assert outcome.found == (answer_to(vek()),)
    assert outcome.missing == ()
    assert problems(outcome) == [("first", P.UNAVAILABLE)]
    assert (len(first.asked), len(other.asked), len(second.asked), len(third.asked)) == (1, 0, 1, 0)
    assert str(outcome) == ""


def test_an_answer_that_does_not_suffice_does_not_end_the_asking() -> None:
    """A bundle that was carried last month, or a mirror that is behind, hides nothing that the next source has."""
    old, new = (Endorsement(kind=K.AMD_VEK, data=data) for data in (b"old", b"new"))
    first, second, third = (ScriptedSource(give=give) for give in (lambda _: old, lambda _: new, lambda _: new))
    fetcher = Fetcher([first, second, third])
    assert fetcher.fetch([vek()], authenticated=True, suffices=lambda _, found: found == (new,)).found == (new,)
    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 1, 0)
    # Where none does, all are given: what is wrong with them is for a Verifier to say.
    outcome = Fetcher([first, ScriptedSource("down", failing(P.UNAVAILABLE)), second]).fetch(
        [vek()], authenticated=True, suffices=lambda *_: False
    )
    assert outcome.found == (old, new)
    assert (outcome.missing, problems(outcome)) == ((), [("down", P.UNAVAILABLE)])


def test_each_item_is_fetched_once_and_failures_are_collected() -> None:
    def give(item: MissingEndorsement) -> Endorsement:
        return failing(P.MALFORMED)(item) if item == vek(2) else answer_to(item)

    source = ScriptedSource("a", give)
    outcome = Fetcher([source]).fetch([vek(1), vek(2), vek(1), vek(3)], authenticated=True)
    assert source.asked == [vek(1), vek(2), vek(3)]
    assert outcome.found == (answer_to(vek(1)), answer_to(vek(3)))
    assert outcome.missing == (vek(2),)
    assert outcome.failures[0].item == vek(2)
    assert str(outcome) == f"no {vek(2)}"


def test_nothing_to_fetch() -> None:
    assert Fetcher([]).fetch([], authenticated=False) == FetchOutcome()


def test_an_item_that_no_source_serves() -> None:
    for sources in ([], [ScriptedSource(kinds=())]):
        outcome = Fetcher(sources).fetch([vek()], authenticated=True)
        assert outcome.missing == (vek(),)
        assert problems(outcome) == [("", P.NOT_FOUND)]
        assert "no source serves it" in str(outcome)


def test_a_defect_of_a_source_is_its_failure() -> None:
    def broken(item: MissingEndorsement) -> Endorsement:
        raise ZeroDivisionError("oh")

    outcome = Fetcher([ScriptedSource("a", broken), ScriptedSource("b")]).fetch([vek()], authenticated=True)
    assert outcome.missing == ()
    assert outcome.failures[0].error.message == "a: failed: ZeroDivisionError: oh"


def test_a_source_that_gives_something_else_gave_nothing() -> None:
    source = ScriptedSource("a", lambda _: Endorsement(kind=K.AMD_CRL, data=b"x"))
    outcome = Fetcher([source]).fetch([vek()], authenticated=True)
    assert outcome.found == ()
    assert problems(outcome) == [("a", P.MALFORMED)]


def test_failures_are_remembered_by_source_and_item() -> None:
    clock = SetClock()
    first, second = ScriptedSource("first", failing(P.NOT_FOUND)), ScriptedSource("second", failing(P.THROTTLED, 50))
    fetcher = Fetcher([first, second], clock=clock)
    for _ in range(3):
        outcome = fetcher.fetch([vek(1)], authenticated=True)
        assert problems(outcome) == [("first", P.NOT_FOUND), ("second", P.THROTTLED)]
    fetcher.fetch([vek(2)], authenticated=True)
    assert first.asked == [vek(1), vek(2)]
    assert second.asked == [vek(1)]  # it throttles, whatever it is asked for
    clock.seconds += 51
    fetcher.fetch([vek(2)], authenticated=True)
    assert second.asked == [vek(1), vek(2)]


# --- outages ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("problem", [P.UNAVAILABLE, P.MALFORMED])
@pytest.mark.parametrize("authenticated", [True, False])
def test_a_source_that_is_down_is_left_alone_for_a_while(problem: P, *, authenticated: bool) -> None:
    clock = SetClock()
    source = ScriptedSource("a", failing(problem))
    fetcher = Fetcher([source], clock=clock)
    for _ in range(50):
        outcome = fetcher.fetch([vek()], authenticated=authenticated)
        assert (outcome.missing, problems(outcome)) == ((vek(),), [("a", problem)])
        fetcher.fetch([vek()], authenticated=not authenticated)
    assert len(source.asked) == 1
    assert "remembered for 5 more seconds" in str(outcome)
    source.give = answer_to
    clock.seconds += 61
    assert not fetcher.fetch([vek()], authenticated=authenticated).missing


def test_another_item_of_a_source_that_is_down_is_asked_for() -> None:
    source = ScriptedSource("a", lambda item: failing(P.UNAVAILABLE)(item) if item == vek(1) else answer_to(item))
    outcome = Fetcher([source]).fetch([vek(1), vek(2)], authenticated=True)
    assert outcome.missing == (vek(1),)


def test_a_success_ends_what_is_remembered_of_an_outage() -> None:
    clock = SetClock()
    source = ScriptedSource("a", failing(P.UNAVAILABLE))
    fetcher = Fetcher([source], clock=clock)
    for _ in range(3):
        fetcher.fetch([vek()], authenticated=True)
        clock.seconds += 41
    source.give = answer_to
    assert not fetcher.fetch([vek()], authenticated=True, anew=True).missing
    source.give = failing(P.UNAVAILABLE)
    fetcher.fetch([vek()], authenticated=True)
    clock.seconds += 6  # the first of an outage again
    source.give = answer_to
    assert not fetcher.fetch([vek()], authenticated=True).missing


def test_the_refresh_asks_a_source_that_was_down_a_moment_ago() -> None:
    source = ScriptedSource("a", failing(P.UNAVAILABLE))
    fetcher = Fetcher([source])
    fetcher.fetch([vek()], authenticated=True)
    source.give = answer_to
    assert fetcher.fetch([vek()], authenticated=True).missing
    assert not fetcher.fetch([vek()], authenticated=True, anew=True).missing
    assert not fetcher.fetch([vek()], authenticated=True).missing


def test_nobody_waits_while_an_item_is_asked_for_again_in_an_outage() -> None:
    clock = SetClock()
    source = ScriptedSource("a", failing(P.UNAVAILABLE))
    fetcher = Fetcher([source], clock=clock)
    fetcher.fetch([vek()], authenticated=True)
    clock.seconds += 6
    source.held = True
    source.begun.clear()
    with ThreadPoolExecutor(1) as pool:
        try:
            asks = pool.submit(fetcher.fetch, [vek()], authenticated=True)
            assert source.begun.wait(10)
            others = [fetcher.fetch([vek()], authenticated=authenticated) for authenticated in (True, False)]
            assert [problems(outcome) for outcome in others] == [[("a", P.UNAVAILABLE)]] * 2
            source.give = answer_to
        finally:
            source.go.set()
        assert not asks.result(10).missing
    assert len(source.asked) == 2


def test_a_failure_of_a_while_ago_refuses_nobody() -> None:
    clock = SetClock()
    source = ScriptedSource("a", failing(P.UNAVAILABLE))
    fetcher = Fetcher([source], clock=clock)
    fetcher.fetch([vek()], authenticated=True)
    for _ in range(3):  # what is remembered of it is no new failure
        fetcher.fetch([vek()], authenticated=True)
        clock.seconds += 1
    clock.seconds += 80
    source.give = answer_to
    source.held = True
    source.begun.clear()
    with ThreadPoolExecutor(2) as pool:
        try:
            asks = pool.submit(fetcher.fetch, [vek()], authenticated=True)
            assert source.begun.wait(10)
            waits = pool.submit(fetcher.fetch, [vek()], authenticated=True)
            with pytest.raises(TimeoutError):
                waits.result(0.2)
        finally:
            source.go.set()
        assert asks.result(10).found == waits.result(10).found == (answer_to(vek()),)


def test_nobody_waits_either_where_another_source_gives_what_will_not_do() -> None:
    clock = SetClock()
    old = Endorsement(kind=EndorsementKind.AMD_VEK, data=b"old")
    bundle, down = ScriptedSource("bundle", lambda _: old), ScriptedSource("pcs", failing(P.UNAVAILABLE))
    fetcher = Fetcher([bundle, down], clock=clock)

    def ask() -> FetchOutcome:
        return fetcher.fetch([vek()], authenticated=True, suffices=lambda _, found: old not in found)

    ask()
    clock.seconds += 6
    down.held = True
    down.begun.clear()
    with ThreadPoolExecutor(1) as pool:
        try:
            asks = pool.submit(ask)
            assert down.begun.wait(10)
            assert ask().found == (old,)
        finally:
            down.go.set()
        assert asks.result(10).found == (old,)


# --- budget -------------------------------------------------------------------------------------------------------
def test_evidence_that_nobody_authenticated_has_a_budget_and_other_has_none() -> None:
    source = ScriptedSource("a")
    fetcher = Fetcher([source], budget=FetchBudget(per_source={"a": ONCE}))
    assert not fetcher.fetch([vek(1)], authenticated=False).missing
    outcome = fetcher.fetch([vek(2)], authenticated=False)
    assert problems(outcome) == [("a", P.BUDGET)]
    for number in range(3, 60):
        assert not fetcher.fetch([vek(number)], authenticated=True).missing
    assert vek(2) not in source.asked


def test_what_is_remembered_costs_nothing() -> None:
    source = ScriptedSource("a", failing(P.NOT_FOUND))
    fetcher = Fetcher([source], budget=FetchBudget(per_source={"a": Rate(burst=2, seconds_each=1000)}))
    for _ in range(20):
        assert problems(fetcher.fetch([vek(1)], authenticated=False)) == [("a", P.NOT_FOUND)]
    assert problems(fetcher.fetch([vek(2)], authenticated=False)) == [("a", P.NOT_FOUND)]
    assert problems(fetcher.fetch([vek(3)], authenticated=False)) == [("a", P.BUDGET)]


def test_chips_of_authenticated_evidence_become_known() -> None:
    source = ScriptedSource("a")
    fetcher = Fetcher([source], budget=FetchBudget(known_chips_only=True))
    assert problems(fetcher.fetch([vek(1)], authenticated=False)) == [("a", P.BUDGET)]
    assert not fetcher.fetch([vek(1)], authenticated=True).missing
    assert not fetcher.fetch([vek(1)], authenticated=False).missing
    assert fetcher.fetch([vek(2)], authenticated=False).missing


def test_a_flood_of_unknown_chips_makes_a_bounded_number_of_requests() -> None:
    source = ScriptedSource("amd-kds", failing(P.NOT_FOUND))
    failures = RecentFailures(limit=16)
    fetcher = Fetcher([source], failures=failures, clock=SetClock())
    for number in range(2000):
        fetcher.fetch([vek(number)], authenticated=False)
    assert len(source.asked) == 3
    assert len(failures) <= 16


# --- threads ------------------------------------------------------------------------------------------------------
def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def waiters(flight: _Flight) -> int:
    return len(flight.done._cond._waiters)  # type: ignore[attr-defined]  # the standard library's own


@contextmanager
def two_for_one(source: ScriptedSource) -> Iterator[tuple[Future[FetchOutcome], Future[FetchOutcome]]]:
    """Give what comes of two look-ups of an item: the second waits for the first, which the source then answers."""
    fetcher = Fetcher([source])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetcher.fetch, [vek()], authenticated=True)
        assert source.begun.wait(10)
        flight = fetcher._flights[vek()]
        second = pool.submit(fetcher.fetch, [vek()], authenticated=True)
        until(lambda: waiters(flight) == 1)
        source.go.set()
        yield first, second


def test_many_threads_share_one_request() -> None:
    source = ScriptedSource("a", held=True)
    fetcher = Fetcher([source], budget=FetchBudget(per_source={"a": ONCE}))
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(fetcher.fetch, [vek()], authenticated=False) for _ in range(20)]
        assert source.begun.wait(10)
        flight = fetcher._flights[vek()]
        until(lambda: waiters(flight) == 19)
        source.go.set()
        assert {each.result(10).found for each in waiting} == {(answer_to(vek()),)}
    assert source.asked == [vek()]
    assert fetcher._flights == {}


def test_different_items_do_not_wait_for_each_other() -> None:
    slow = ScriptedSource("slow", kinds=(K.AMD_VEK,), held=True)
    fetcher = Fetcher([slow, ScriptedSource("quick", kinds=(K.AMD_CRL,))])
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(fetcher.fetch, [vek()], authenticated=True)
        assert slow.begun.wait(10)
        assert not fetcher.fetch([missing(K.AMD_CRL, product="Milan")], authenticated=True).missing
        slow.go.set()
        assert not held.result(10).missing


def test_a_failure_is_shared_too() -> None:
    source = ScriptedSource("a", failing(P.UNAVAILABLE), held=True)
    with two_for_one(source) as (first, second):
        assert problems(first.result(10)) == problems(second.result(10)) == [("a", P.UNAVAILABLE)]
    assert source.asked == [vek()]


def test_who_waits_gives_up_at_its_deadline() -> None:
    source = ScriptedSource("a", held=True)
    fetcher = Fetcher([source], limits=SHORT)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetcher.fetch, [vek()], authenticated=True)
        assert source.begun.wait(10)
        started = time.monotonic()
        outcome = fetcher.fetch([vek()], authenticated=True)
        assert time.monotonic() - started < 5
        source.go.set()
        assert not first.result(10).missing
    assert problems(outcome) == [("", P.UNAVAILABLE)]


def test_requests_are_not_begun_after_the_deadline() -> None:
    clock = SetClock()

    def slow(item: MissingEndorsement) -> Endorsement:
        clock.seconds += 15
        return failing(P.UNAVAILABLE)(item)

    first, second = ScriptedSource("first", slow), ScriptedSource("second", slow)
    outcome = Fetcher([first, second], clock=clock).fetch([vek(1), vek(2)], authenticated=True)
    assert first.asked == second.asked == [vek(1)]
    assert outcome.missing == (vek(1), vek(2))


def test_the_refusal_of_another_threads_evidence_is_not_this_ones() -> None:
    source = ScriptedSource("a")
    budget = FetchBudget(per_source={"a": ONCE})
    budget.spend("a", vek(9))
    reached, go = threading.Event(), threading.Event()
    spend = budget.spend

    def held(name: str, item: MissingEndorsement, **which: Any) -> None:
        reached.set()
        assert go.wait(10)
        spend(name, item, **which)

    budget.spend = held  # type: ignore[method-assign]
    fetcher = Fetcher([source], budget=budget)
    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(fetcher.fetch, [vek()], authenticated=False)
        assert reached.wait(10)
        flight = fetcher._flights[vek()]
        allowed = pool.submit(fetcher.fetch, [vek()], authenticated=True)
        until(lambda: waiters(flight) == 1)
        go.set()
        assert problems(refused.result(10)) == [("a", P.BUDGET)]
        assert not allowed.result(10).missing


def test_who_waits_takes_over_from_a_thread_that_was_interrupted() -> None:
    interrupts = iter([True, False])

    def give(item: MissingEndorsement) -> Endorsement:
        if next(interrupts):
            raise KeyboardInterrupt
        return answer_to(item)

    with two_for_one(ScriptedSource("a", give, held=True)) as (first, second):
        with pytest.raises(KeyboardInterrupt):
            first.result(10)
        assert second.result(10).found == (answer_to(vek()),)


# --- fork ---------------------------------------------------------------------------------------------------------
def test_a_forked_child_does_not_wait_for_its_parents_requests_and_locks() -> None:
    source = ScriptedSource("a", held=True)
    budget, failures = FetchBudget(), RecentFailures()
    fetcher = Fetcher([source], budget=budget, failures=failures)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetcher.fetch, [vek()], authenticated=False)
        assert source.begun.wait(10)
        with fetcher._lock, budget._lock, failures._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forks of a process with threads
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    signal.alarm(20)
                    source.held = False
                    outcome = fetcher.fetch([vek()], authenticated=False)
                    status = 0 if outcome.found == (answer_to(vek()),) else 2
                finally:
                    os._exit(status)
        end = time.monotonic() + 20
        done, status = os.waitpid(child, os.WNOHANG)
        while not done and time.monotonic() < end:
            time.sleep(0.01)
            done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        source.go.set()
        assert not first.result(10).missing
    assert done
    assert status == 0
