"""Standard input of `rats-tls client`: within its limit, and no call that a signal cannot end."""

from __future__ import annotations

import io
import signal
import sys
from types import SimpleNamespace

import click
import pytest

from rats_tls.cli import client
from support.interrupting import Alarm, interrupted

LIMIT = 16 * 1024 * 1024


class Endless(io.RawIOBase):
    """Zeros without end; counts what is taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        self.taken += len(buffer)
        assert self.taken < 2 * LIMIT, "it is read without a limit"
        return len(buffer)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    raw = Endless()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(raw)))
    return raw


def test_more_than_the_limit_is_an_error(endless: Endless) -> None:
    with pytest.raises(click.UsageError, match="more than 16777216 bytes"):
        client._standard_input()
    assert endless.taken <= LIMIT + 65_536


def test_a_signal_is_answered_between_two_pieces(endless: Endless) -> None:
    with interrupted(signal.SIGALRM, "client.py", "_standard_input", ended="read", at=3), pytest.raises(Alarm):
        client._standard_input()
    assert endless.taken <= 4 * 65_536


@pytest.mark.parametrize("size", [0, 1, 65_536, LIMIT])
def test_up_to_the_limit_it_is_read_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(bytes(size)))))
    assert len(client._standard_input()) == size


def test_a_closed_one_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert client._standard_input() == b""
