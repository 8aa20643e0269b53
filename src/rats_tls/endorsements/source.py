"""Where Endorsements come from: the interface of sources, and what can go wrong there."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import Refusal


class FetchProblem(str, Enum):
    """Why an Endorsement was not got."""

    NOT_FOUND = "not found"  # the vendor has no such item
    THROTTLED = "throttled"  # asked too often; later it may be given
    UNAVAILABLE = "unavailable"  # network, timeout, the service's own failure
    MALFORMED = "malformed"  # an answer that is none
    BUDGET = "budget"  # this side fetches no more for Evidence that nobody has authenticated


class FetchError(RatsTlsError):
    """An Endorsement was not got from a source.

    Attributes:
        problem: why.
        retry_after: seconds to wait before asking again, as the source says; None where it does not.
        remembered: whether the source was not asked this time.
    """

    default_refusal = Refusal.ENDORSEMENTS_MISSING

    def __init__(
        self, message: str, *, problem: FetchProblem, retry_after: float | None = None, remembered: bool = False
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.retry_after = retry_after
        self.remembered = remembered


class EndorsementSource(Protocol):
    """Gives Endorsements by what a Verifier misses. Blocks; thread-safe."""

    @property
    def name(self) -> str:
        """What it is called in logs, budgets and errors."""
        ...

    @property
    def channel(self) -> str | None:
        """Update channel of its Intel documents; None where it has none."""
        ...

    def serves(self, item: MissingEndorsement) -> bool:
        """Whether it knows how to ask for `item`: its kind, with every part of the key that is needed."""
        ...

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        """Get `item`, and what comes with it in the same answer.

        Raises:
            FetchError: it was not got.
        """
        ...


class LocalSource:
    """Base of sources that ask nobody: what they give spends no budget, and what they do not have is not remembered."""
