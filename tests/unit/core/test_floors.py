"""Floors as values: they only rise, each part for itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.floors import NO_FLOORS, Floor, Floors

START = datetime(2026, 1, 1, tzinfo=UTC)
ONE, OTHER = (b"a" * 32, "intel-tcb-info (id SGX)"), (b"b" * 32, "intel-tcb-info (id SGX)")


def floor(number: int, day: int) -> Floor:
    return Floor(number=number, issued=START + timedelta(days=day))


floors = st.builds(floor, st.integers(0, 20), st.integers(0, 20))


@given(st.lists(floors, min_size=1), floors)
def test_what_is_older_in_number_or_date_than_anything_seen_is_a_problem(seen: list[Floor], new: Floor) -> None:
    raised = NO_FLOORS
    for one in seen:
        raised = raised.raised([(ONE, one)])
    older = new.number < max(one.number for one in seen) or new.issued < max(one.issued for one in seen)
    assert (raised.problem(ONE, new) is not None) is older
    assert raised.problem(OTHER, new) is None
    assert raised.latest == max(one.issued for one in seen)


def test_the_problem_is_named() -> None:
    raised = Floors({ONE: floor(18, 5)})
    assert raised.problem(ONE, floor(17, 6)) == "number: got 17, expected at least 18, which was seen before"
    problem = raised.problem(ONE, floor(18, 4))
    assert problem is not None
    assert "issued: got 2026-01-05T00:00:00Z, expected at least 2026-01-06" in problem


def test_the_digest_tells_floors_apart() -> None:
    found = {
        NO_FLOORS.digest,
        *(
            Floors({series: floor(number, day)}).digest
            for series in (ONE, OTHER)
            for number in (1, 2)
            for day in (1, 2)
        ),
    }
    assert len(found) == 9
    assert NO_FLOORS.digest == b""
    assert (
        Floors({ONE: floor(1, 1), OTHER: floor(2, 2)}).digest == Floors({OTHER: floor(2, 2), ONE: floor(1, 1)}).digest
    )


def test_what_does_not_rise_stays_the_same_object() -> None:
    raised = Floors({ONE: floor(2, 2)})
    assert raised.raised([(ONE, floor(1, 1)), (ONE, floor(2, 2))]) is raised
    assert len(raised.raised([(OTHER, floor(1, 1))])) == 2
