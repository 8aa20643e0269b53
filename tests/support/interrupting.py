"""Signals at a chosen place: as the code of that name begins, which is before its first line."""

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
def interrupted(number: signal.Signals, file: str, function: str, *, at: int = 1) -> Iterator[None]:
    """Within this, the `at`th call of a function of a file, and no other, is interrupted by a signal as it begins."""
    calls = 0

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        code = frame.f_code
        if event == "call" and code.co_name == function and code.co_filename.endswith(f"/{file}"):
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
