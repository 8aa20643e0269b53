"""Sources and clocks that do what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.endorsements.source import FetchError, FetchProblem


@dataclass
class SetClock:
    """A clock that stands until it is moved."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def vek(number: int = 1) -> MissingEndorsement:
    """Make the missing item of a chip."""
    return MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", f"{number:0128x}")))


def answer_to(item: MissingEndorsement) -> Endorsement:
    """Make what a source gives for `item`."""
    return Endorsement(kind=item.kind, data=str(item).encode())


def failing(problem: FetchProblem, retry_after: float | None = None) -> Callable[[MissingEndorsement], Endorsement]:
    """Make what raises a FetchError."""

    def fail(item: MissingEndorsement) -> Endorsement:
        raise FetchError(f"no {item}", problem=problem, retry_after=retry_after)

    return fail


@dataclass
class ScriptedSource:
    """A source that answers by `give`; it notes what it was asked, and can be held until `go` is set."""

    name: str = "scripted"
    give: Callable[[MissingEndorsement], Endorsement] = answer_to
    kinds: tuple[EndorsementKind, ...] = tuple(EndorsementKind)
    asked: list[MissingEndorsement] = field(default_factory=list)
    held: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    @property
    def channel(self) -> None:
        return None

    def serves(self, item: MissingEndorsement) -> bool:
        return item.kind in self.kinds

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        self.asked.append(item)
        self.begun.set()
        if self.held:
            assert self.go.wait(20), "nobody let the source go on"
        return (self.give(item),)
