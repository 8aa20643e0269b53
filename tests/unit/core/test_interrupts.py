"""What only interrupted the code that it came out of: told by the frame that a signal's handler was given."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rats_tls.core.interrupts import interrupts


class Alarm(Exception):  # noqa: N818  # as applications call it
    pass


def named(number: int, frame: object) -> None:
    raise Alarm(number, frame is None)


def starred(*_: object) -> None:
    raise Alarm


def inner(number: int) -> None:
    raise Alarm(number)


def deeper(number: int, _frame: object) -> None:
    inner(number)


class Called:
    def __call__(self, number: int, frame: object) -> None:
        named(number, frame)

    def method(self, number: int, frame: object) -> None:
        named(number, frame)


@pytest.fixture
def handle() -> Iterator[Callable[[Any], None]]:
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def raised_by(work: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # whatever it is
        work()
    return caught.value


@pytest.mark.parametrize(
    "handler",
    [named, starred, deeper, Called(), Called().method, functools.partial(named), functools.wraps(named)(starred)],
    ids=["named", "starred", "deeper", "called", "method", "partial", "wrapped"],
)
def test_what_a_handler_raises_interrupts(handle: Callable[[Any], None], handler: Any) -> None:
    handle(handler)
    error = raised_by(lambda: signal.raise_signal(signal.SIGUSR1))
    assert isinstance(error, Alarm)
    assert interrupts(error)


def test_it_does_when_it_was_raised_again(handle: Callable[[Any], None]) -> None:
    handle(named)
    error = raised_by(lambda: signal.raise_signal(signal.SIGUSR1))

    def again() -> None:
        raise error

    assert interrupts(raised_by(again))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_what_is_no_exception_interrupts(error: BaseException) -> None:
    assert interrupts(error)


def test_an_error_of_the_code_itself_does_not() -> None:
    assert not interrupts(Alarm())
    assert not interrupts(raised_by(lambda: inner(1)))
    assert not interrupts(raised_by(lambda: deeper(1, None)))


def test_a_handler_that_hides_its_frame_is_not_told(handle: Callable[[Any], None]) -> None:
    def hiding(_number: int, frame: object) -> None:
        del frame
        raise Alarm

    handle(hiding)
    assert not interrupts(raised_by(lambda: signal.raise_signal(signal.SIGUSR1)))
