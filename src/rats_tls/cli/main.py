"""The program `rats-tls`: what it does about signals, before and while a command runs.

Nothing is imported here but what Python has loaded anyway, so that a signal is answered from the first moment.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asks this process to end. Not a KeyboardInterrupt: click answers that in a way of its own.

    Attributes:
        exit_code: 128 and the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Tidily:
    """Within it, a signal ends the process through every `finally`; elsewhere at once.

    At once is the rule: an exception that comes while modules are loaded or in a callback of a library would be printed
    by Python as one that it ignores, and threads that still serve connections would disturb Python's own end.
    """

    def __enter__(self) -> None:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        _on_signals(_stop)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def main() -> int:
    """Run the command line; give its exit code."""
    _on_signals(_leave)
    from rats_tls.cli.app import run  # noqa: PLC0415  # a signal while this is loaded must not be a traceback

    try:
        return run()
    except Stopped as stopped:
        os._exit(stopped.exit_code)


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _SIGNALS:
        # What was started with a signal ignored, as by nohup, goes on ignoring it.
        if signal.getsignal(number) not in {signal.SIG_IGN, None}:
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)
