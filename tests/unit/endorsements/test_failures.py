"""What is remembered of sources' failures, and for how long."""

from __future__ import annotations

import pytest

from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.fetching import SetClock, vek

P = FetchProblem


def failure(problem: FetchProblem, retry_after: float | None = None) -> FetchError:
    return FetchError("no", problem=problem, retry_after=retry_after)


def is_worth_asking(failures: RecentFailures, source: str = "a", number: int = 1) -> bool:
    try:
        failures.require_worth_asking(source, vek(number))
    except FetchError:
        return False
    return True


def test_an_item_that_does_not_exist_is_remembered_for_its_source() -> None:
    clock = SetClock()
    failures = RecentFailures(not_found_seconds=300, clock=clock)
    failures.note("a", vek(1), failure(P.NOT_FOUND))
    with pytest.raises(FetchError, match=r"no \(remembered for 300 more seconds\)") as caught:
        failures.require_worth_asking("a", vek(1))
    assert (caught.value.problem, caught.value.retry_after) == (P.NOT_FOUND, None)
    assert is_worth_asking(failures, "a", 2)
    assert is_worth_asking(failures, "b", 1)
    clock.seconds += 299
    assert not is_worth_asking(failures)
    clock.seconds += 1
    assert is_worth_asking(failures)
    assert len(failures) == 0


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 60), (0.0, 0), (20.0, 20), (1e6, 3600)])
def test_a_source_that_throttles_is_left_alone(retry_after: float | None, seconds: float) -> None:
    clock = SetClock()
    failures = RecentFailures(clock=clock)
    failures.note("a", vek(1), failure(P.THROTTLED, retry_after))
    assert is_worth_asking(failures, "b", 1)
    if seconds:
        clock.seconds += seconds - 1
        with pytest.raises(FetchError) as caught:
            failures.require_worth_asking("a", vek(2))
        assert (caught.value.problem, caught.value.retry_after) == (P.THROTTLED, 1.0)
        clock.seconds += 1
    assert is_worth_asking(failures, "a", 2)


def test_a_longer_retry_after_is_not_shortened() -> None:
    clock = SetClock()
    failures = RecentFailures(clock=clock)
    failures.note("a", vek(1), failure(P.THROTTLED, 500))
    failures.note("a", vek(2), failure(P.THROTTLED, 5))
    clock.seconds += 499
    assert not is_worth_asking(failures)


def test_other_failures_are_not_remembered() -> None:
    failures = RecentFailures()
    failures.note("a", vek(), failure(P.BUDGET))
    assert is_worth_asking(failures)


@pytest.mark.parametrize("problem", [P.UNAVAILABLE, P.MALFORMED])
def test_an_outage_is_remembered_for_longer_each_time_and_never_for_more_than_a_minute(problem: FetchProblem) -> None:
    clock = SetClock()
    failures = RecentFailures(clock=clock)
    for seconds in (5, 10, 20, 40, 60, 60, 60):
        failures.note("a", vek(), failure(problem))
        clock.seconds += seconds - 1
        assert not is_worth_asking(failures)
        assert is_worth_asking(failures, "b")
        clock.seconds += 1
        assert is_worth_asking(failures)
    clock.seconds += 61  # nobody asked for it: whether that was one outage is not known
    failures.note("a", vek(), failure(problem))
    clock.seconds += 5
    assert is_worth_asking(failures)
    failures.note("a", vek(), failure(problem))
    failures.forget("a", vek())
    assert is_worth_asking(failures)
    assert len(failures) == 0


def test_an_outage_may_last() -> None:
    failures = RecentFailures(clock=SetClock())
    for _ in range(5000):
        failures.note("a", vek(), failure(P.UNAVAILABLE))
    assert not is_worth_asking(failures)


def test_memory_is_bounded() -> None:
    failures = RecentFailures(limit=10)
    for number in range(1000):
        failures.note("a", vek(number), failure(P.NOT_FOUND))
    assert len(failures) == 10
    assert not is_worth_asking(failures, "a", 999)
    assert is_worth_asking(failures, "a", 1)
