"""Until when somebody waits."""

from __future__ import annotations

import time

import pytest

from rats_tls.attesters.deadline import Deadline


def test_what_is_left_and_what_it_allows() -> None:
    deadline = Deadline(10)
    assert 9 < deadline.left <= 10
    assert deadline.allows(9)
    assert not deadline.allows(10)
    deadline.give_up()
    assert deadline.left == 0
    assert not deadline.allows(0)


def test_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline, now = Deadline(1), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.6)
    assert deadline.allows(0.3)
    assert not deadline.allows(0.5)
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    assert deadline.left == 0
