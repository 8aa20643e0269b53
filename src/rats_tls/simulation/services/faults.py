"""What is wrong with a simulated service."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.services.publication import AmdPublication, HygonPublication, IntelPublication

_STALL_SECONDS = 3600.0
_Publication = TypeVar("_Publication", IntelPublication, AmdPublication, HygonPublication)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """How many requests a service takes; the defaults are about what AMD's takes from one address.

    Attributes:
        requests: how many in any window; more are answered by 429 and Retry-After.
        seconds: length of the window. Retry-After is in whole seconds, so tests take at least 1.
    """

    requests: int = 4
    seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.requests < 0 or not 0 < self.seconds < math.inf:
            raise ConfigurationError(f"throttle: got {self.requests} in {self.seconds} s")


class ThrottleWindow:
    """Counts the requests that were taken within the last window. Not thread-safe.

    Args:
        throttle: how many are taken.
    """

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._taken: deque[float] = deque(maxlen=max(throttle.requests, 1))

    def wait(self, now: float) -> int | None:
        """Take a request at `now` (seconds of a clock that only goes forward).

        Returns:
            None if it is taken, else the whole seconds after which one will be.
        """
        limit, seconds = self._throttle.requests, self._throttle.seconds
        while self._taken and now - self._taken[0] >= seconds:
            self._taken.popleft()
        if len(self._taken) < limit:
            self._taken.append(now)
            return None
        oldest = self._taken[0] if self._taken else now
        return max(1, math.ceil(oldest + seconds - now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is wrong with one service; by default nothing.

    Attributes:
        expired: lists and documents have ended a day ago.
        revoked: the PCK certificates of all platforms are revoked (Intel), or the signers of VEKs (AMD).
        rolled_back: documents are those of ten days before, still in date, with lower numbers and nothing revoked.
        for_another: answers are for another FMSPC, enclave, CA or platform (Intel), for another chip or the signer of
            the other kind of key (AMD), for another chip (Hygon, whose certificates know none of those above).
        tcb_recovery: Intel's services only: the early channel is one TCB evaluation data number ahead, and calls out of
            date what the standard channel calls up to date.
        throttle: how many requests are taken; None is any number.
        stall: seconds before each answer.
        cut_off: the connection ends in the middle of each body.
        garbage: each body is other bytes of the same length.
        status: HTTP status of every answer (an error's), such as 503; None answers.
        down: connections are refused. `only` and `times` do not matter to it.
        only: faults concern only requests whose path and query contain this text.
        times: how many requests the faults concern; then all is well. None is all.

    Raises:
        ConfigurationError: a number out of range.
    """

    expired: bool = False
    revoked: bool = False
    rolled_back: bool = False
    for_another: bool = False
    tcb_recovery: bool = False
    throttle: Throttle | None = None
    stall: float = 0.0
    cut_off: bool = False
    garbage: bool = False
    status: int | None = None
    down: bool = False
    only: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.stall <= _STALL_SECONDS:
            raise ConfigurationError(f"stall: got {self.stall}, expected 0 to {_STALL_SECONDS:g} seconds")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ConfigurationError(f"status: got {self.status}, expected 400 to 599")
        if self.times is not None and self.times < 0:
            raise ConfigurationError(f"times: got {self.times}, expected 0 or more")

    def on(self, publication: _Publication, now: datetime) -> _Publication:
        """Give what a service gives out with these faults, in place of `publication`."""
        if self.tcb_recovery and isinstance(publication, IntelPublication):
            publication = publication.after_tcb_recovery()
        if self.expired:
            publication = publication.expired()
        if self.revoked:
            publication = publication.revoked()
        if self.rolled_back:
            publication = publication.rolled_back(now)
        return publication.to_another() if self.for_another else publication


NO_FAULTS = Faults()
_FLAGS = ("expired", "revoked", "rolled_back", "for_another", "tcb_recovery", "cut_off", "garbage", "down")
FAULT_NAMES = (
    *(flag.replace("_", "-") for flag in _FLAGS),
    *("throttle[=REQUESTS/SECONDS]", "stall[=SECONDS]", "status=CODE", "only=TEXT", "times=COUNT"),
)
"""Forms of the texts that `faults_from_texts` takes."""


def faults_from_texts(texts: Iterable[str]) -> Faults:
    """Read faults as a command line gives them: each one of `FAULT_NAMES`.

    Raises:
        ConfigurationError: no such fault, or a value that is none of it.
    """
    settings: dict[str, object] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        key = name.replace("-", "_")
        try:
            settings[key] = _setting(key, value if sign else None)
        except ValueError as error:
            raise ConfigurationError(f"fault {text!r}: expected one of {', '.join(FAULT_NAMES)}") from error
    return Faults(**settings)  # type: ignore[arg-type]  # fields of that name and kind


def faults_by_service(texts: Iterable[str], services: Sequence[str]) -> dict[str, Faults]:
    """Read faults that name their service (`SERVICE:FAULT`); without a name they are all services'.

    Raises:
        ConfigurationError: no such service or fault.
    """
    wanted: dict[str, list[str]] = {name: [] for name in services}
    for text in texts:
        name, mark, fault = text.partition(":")
        # A value may hold the mark too.
        if not mark or "=" in name:
            for each in wanted.values():
                each.append(text)
        elif name in wanted:
            wanted[name].append(fault)
        else:
            raise ConfigurationError(f"fault {text!r}: no service {name!r}; there are {', '.join(services)}")
    return {name: faults_from_texts(each) for name, each in wanted.items()}


def _setting(key: str, value: str | None) -> object:
    if key in _FLAGS and value is None:
        return True
    if key == "throttle":
        requests, _, seconds = (value or "4/600").partition("/")
        return Throttle(requests=int(requests), seconds=float(seconds))
    if key == "stall":
        return float(value or _STALL_SECONDS)
    if key in {"status", "times"} and value:
        return int(value)
    if key == "only" and value:
        return value
    raise ValueError(key)
