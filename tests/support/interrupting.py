"""Signals at a chosen place: as a function of Python begins, before its first line, or as one of C ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Alarm(Exception):  # noqa: N818  # as applications call it
    """Raised by the handler of SIGALRM."""


INTERRUPTS: dict[signal.Signals, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGALRM: Alarm,
}
"""Signals that raise within `interrupted`, and what."""


def _raise_alarm(_number: int, _frame: FrameType | None) -> None:
    raise Alarm


@contextmanager
def interrupted(
    number: signal.Signals, file: str, function: str, *, ended: str | None = None, at: int = 1
) -> Iterator[None]:
    """Within this, one call in this thread is interrupted by a signal.

    Args:
        number: the signal, of `INTERRUPTS`.
        file: end of a file's path.
        function: a function there, interrupted as it begins.
        ended: a function of C that it calls: interrupted in its stead, as that one has returned.
        at: which call, from 1 on.
    """
    calls = 0
    awaited = "call" if ended is None else "c_return"

    def look(frame: FrameType, event: str, called: object) -> None:
        nonlocal calls
        code = frame.f_code
        if event != awaited or code.co_name != function or not code.co_filename.endswith(f"/{file}"):
            return
        if ended is None or getattr(called, "__name__", "") == ended:
            calls += 1
            if calls == at:
                sys.setprofile(None)
                signal.raise_signal(number)

    before = signal.signal(signal.SIGALRM, _raise_alarm), signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert calls >= at, f"{function} of {file} was called {calls} times"
