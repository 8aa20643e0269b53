"""Faults of simulated services: how they are written, and how often a service takes requests."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.services.faults import (
    FAULT_NAMES,
    NO_FAULTS,
    Faults,
    Throttle,
    ThrottleWindow,
    faults_by_service,
    faults_from_texts,
)


def test_a_window_takes_so_many_requests() -> None:
    window = ThrottleWindow(Throttle(requests=2, seconds=10))
    assert [window.wait(now) for now in (0.0, 4.0, 5.5, 9.9)] == [None, None, 5, 1]
    # The first one has left the window; those that were refused do not count.
    assert [window.wait(now) for now in (10.0, 10.1, 14.0, 14.1)] == [None, 4, None, 6]


def test_a_window_may_take_none() -> None:
    window = ThrottleWindow(Throttle(requests=0, seconds=3))
    assert [window.wait(now) for now in (0.0, 100.0)] == [3, 3]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], NO_FAULTS),
        (["expired", "cut-off"], Faults(expired=True, cut_off=True)),
        (["rolled-back", "tcb-recovery", "for-another"], Faults(rolled_back=True, tcb_recovery=True, for_another=True)),
        (["throttle"], Faults(throttle=Throttle(requests=4, seconds=600))),
        (["throttle=2/1.5"], Faults(throttle=Throttle(requests=2, seconds=1.5))),
        (["stall=0.5", "only=/tcb?fmspc="], Faults(stall=0.5, only="/tcb?fmspc=")),
        (["stall"], Faults(stall=3600)),
        (["status=503", "times=2"], Faults(status=503, times=2)),
    ],
)
def test_texts(texts: list[str], expected: Faults) -> None:
    assert faults_from_texts(texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "lost", "expired=true", "throttle=4", "throttle=a/b", "throttle=-1/5", "throttle=1/0", "throttle=1/nan"),
        *("stall=x", "stall=-1", "stall=inf", "status", "status=200", "status=x", "only", "only=", "times=-1", "=1"),
    ],
)
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError):
        faults_from_texts([text])


def test_every_fault_has_a_name() -> None:
    names = {name.partition("[")[0].partition("=")[0].replace("-", "_") for name in FAULT_NAMES}
    assert names == {field.name for field in fields(Faults)}


def test_faults_of_one_service_and_of_all() -> None:
    texts = ["expired", "two:down", "only=a:b"]
    assert faults_by_service(texts, ("one", "two")) == {
        "one": Faults(expired=True, only="a:b"),
        "two": Faults(expired=True, only="a:b", down=True),
    }
    with pytest.raises(ConfigurationError, match="no service 'three'; there are one, two"):
        faults_by_service(["three:down"], ("one", "two"))
