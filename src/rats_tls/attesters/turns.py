"""Turns: a TEE's device serves one caller after the other, and none waits for ever.

A call into the kernel cannot be broken off. It runs in a thread of its own; who has waited long enough goes, and the
device stays taken until the call returns. Calls that are under way when the process ends are given a moment to end, so
that they put away what they have made.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rats_tls.attesters.deadline import Deadline
from rats_tls.core.errors import CollectionError

GRACE = 2.0
"""Seconds that calls have to end in when nobody waits for them any more and the process is about to end."""

T = TypeVar("T")

_NOTABLE = 0.05
"""Seconds of waiting for others that are told of."""


class _Turn:
    """Whose turn it is at a device.

    Attributes:
        lock: held by who has it.
        took: seconds that the last call took.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.took = 0.0


_turns: dict[str, _Turn] = {}
_under_way: set[_Call[Any]] = set()
_making = threading.Lock()


def in_turn(device: str, call: Callable[[Deadline], T], *, seconds: float) -> T:
    """Call when it is this thread's turn at `device`.

    Who has waited for others and has less time left than the last call took is not served: that call would delay all
    the others for an answer that nobody awaits.

    Args:
        device: names the device; all of this process that name it take turns.
        call: what is done, until when: nobody waits after that. Whatever it raises is raised.
        seconds: how long this thread waits at most, for its turn and for the call together.

    Raises:
        CollectionError: the time is over, or there can be no more threads.
    """
    deadline = Deadline(seconds)
    turn = _turn(device)
    if not turn.lock.acquire(timeout=seconds):
        raise CollectionError(f"{device}: others have kept it busy for {seconds:g} seconds")
    left = deadline.left
    waited = seconds - left
    if not left or (waited > _NOTABLE and left < turn.took):
        turn.lock.release()
        raise CollectionError(
            f"{device}: others have kept it busy for {waited:.2g} of {seconds:g} seconds: too little is left to ask it"
        )
    under_way = _Call(device, call, turn, deadline, seconds)
    _under_way.add(under_way)
    try:
        under_way.start()
    except RuntimeError as error:
        under_way.give_back()
        raise CollectionError(f"{device}: no thread can be started to ask it: {error}") from error
    except BaseException:
        # A signal: the thread may have begun all the same.
        under_way.end_within(GRACE)
        if under_way.ident is None:
            under_way.give_back()
        raise
    return under_way.outcome()


class _Call(threading.Thread, Generic[T]):
    """A call under way; it gives the turn back when it has ended."""

    def __init__(
        self, device: str, call: Callable[[Deadline], T], turn: _Turn, deadline: Deadline, seconds: float
    ) -> None:
        super().__init__(name="rats-tls-device", daemon=True)
        self._device = device
        self._call = call
        self._turn = turn
        self._deadline = deadline
        self._left = deadline.left
        self._waited = seconds - self._left
        self._given: list[T] = []
        self._raised: BaseException | None = None
        self._ended = threading.Event()  # a join that a signal interrupts takes the thread for ended

    def run(self) -> None:
        begun = time.monotonic()
        try:
            self._given.append(self._call(self._deadline))
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self._raised = error
        finally:
            self._turn.took = time.monotonic() - begun
            self.give_back()
            self._ended.set()

    def give_back(self) -> None:
        """Give the turn back."""
        _under_way.discard(self)
        self._turn.lock.release()

    def outcome(self) -> T:
        try:
            ended = self._ended.wait(self._deadline.left)
        except BaseException:
            # A signal, which mostly ends the process.
            self.end_within(GRACE)
            raise
        if not ended:
            before = (
                f", after {self._waited:.2g} seconds in which others kept it busy" if self._waited > _NOTABLE else ""
            )
            raise CollectionError(f"{self._device}: no answer within {self._left:.2g} seconds{before}")
        self.join()  # it has nothing left to do
        if self._raised is not None:
            raise self._raised
        return self._given[0]

    def end_within(self, seconds: float) -> None:
        """Let it ask nobody again, and wait for its end."""
        self._deadline.give_up()
        self._ended.wait(seconds)


def _turn(device: str) -> _Turn:
    with _making:
        return _turns.setdefault(device, _Turn())


def _end_calls() -> None:
    """Wait for the calls that are under way, for a moment."""
    grace = Deadline(GRACE)
    for call in tuple(_under_way):
        call.end_within(grace.left)


def _begin_anew() -> None:
    """In a forked child: calls that were under way are not."""
    global _making  # noqa: PLW0603  # the parent's may be held for ever
    _making = threading.Lock()
    _turns.clear()
    _under_way.clear()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_end_calls)
