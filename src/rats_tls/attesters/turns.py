"""Turns: a TEE's device serves one caller after the other, and none waits for ever.

A call into the kernel cannot be broken off. It runs in a thread of its own; who has waited long enough goes, and the
device stays taken until the call returns.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from rats_tls.core.errors import CollectionError

T = TypeVar("T")

_taken: dict[str, threading.Lock] = {}
_making = threading.Lock()


def in_turn(device: str, call: Callable[[], T], *, seconds: float) -> T:
    """Call when it is this thread's turn at `device`.

    Args:
        device: names the device; all of this process that name it take turns.
        call: what is done; whatever it raises is raised.
        seconds: how long this thread waits at most, for its turn and for the call together.

    Raises:
        CollectionError: the time is over.
    """
    end = time.monotonic() + seconds
    turn = _turn(device)
    if not turn.acquire(timeout=seconds):
        raise CollectionError(f"{device}: others have kept it busy for {seconds:g} seconds")
    under_way = _Call(call, turn)
    try:
        under_way.start()
    except BaseException:
        turn.release()
        raise
    return under_way.outcome(device, end - time.monotonic(), seconds)


class _Call(threading.Thread, Generic[T]):
    """A call under way; it gives the turn back when it has ended."""

    def __init__(self, call: Callable[[], T], turn: threading.Lock) -> None:
        super().__init__(name="rats-tls-device", daemon=True)
        self._call = call
        self._turn = turn
        self._given: list[T] = []
        self._raised: BaseException | None = None

    def run(self) -> None:
        try:
            self._given.append(self._call())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self._raised = error
        finally:
            self._turn.release()

    def outcome(self, device: str, left: float, seconds: float) -> T:
        self.join(max(left, 0.0))
        if self.is_alive():
            raise CollectionError(f"{device}: no answer within {seconds:g} seconds")
        if self._raised is not None:
            raise self._raised
        return self._given[0]


def _turn(device: str) -> threading.Lock:
    with _making:
        return _taken.setdefault(device, threading.Lock())


def _begin_anew() -> None:
    """In a forked child: calls that were under way are not."""
    global _making  # noqa: PLW0603  # the parent's may be held for ever
    _making = threading.Lock()
    _taken.clear()


os.register_at_fork(after_in_child=_begin_anew)
