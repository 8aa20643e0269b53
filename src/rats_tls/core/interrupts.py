"""Exceptions that are not of the code that they come out of.

Python runs the handlers of signals between any two steps of the main thread, and what a handler raises comes out of
whatever ran there.
"""

from __future__ import annotations

from types import FrameType


def interrupts(error: BaseException) -> bool:
    """Whether `error` only interrupted the code that it came out of, and so must go on to the caller as it is.

    So does all that is no Exception (KeyboardInterrupt, SystemExit), and what the handler of a signal raised. A handler
    shows by the frame that it interrupted, which Python gives it as an argument. One that replaced or deleted that
    argument, or is written in C, does not show: what it raises counts as a defect of the interrupted code.
    """
    if not isinstance(error, Exception):
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        if _was_given(step.tb_next.tb_frame, step.tb_frame):
            return True
        step = step.tb_next
    return False


def _was_given(called: FrameType, frame: FrameType) -> bool:
    for value in called.f_locals.values():
        if value is frame or (isinstance(value, tuple) and any(each is frame for each in value)):
            return True
    return False
