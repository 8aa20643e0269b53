"""What Attesters of hardware TEEs have in common.

Each takes turns at its device, is bounded in time, and gives no Evidence that does not carry the bytes asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.turns import in_turn
from rats_tls.core.binding import REPORT_DATA_SIZE
from rats_tls.core.errors import CollectionError, ConfigurationError, RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Collected

SECONDS = 30.0
"""How long Evidence may take, waiting for others included: quotes of TDX take seconds while their service starts."""

MOST_SECONDS = 9999
"""How long it can be let take."""

PROBE_SECONDS = 2.0
"""How long it may take to see whether an Attester can be used."""

_SHOWN = 32  # bytes of report_data in messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether an Attester can be used here.

    Attributes:
        usable: whether it can.
        told: by what, or why not: for people.
    """

    usable: bool
    told: str


class DeviceAttester(ABC):
    """An Attester that asks a device.

    Args:
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: `seconds` is no number, or not within `MOST_SECONDS`.
    """

    name: str
    tee_type: TeeType

    def __init__(self, *, seconds: float = SECONDS) -> None:
        if type(seconds) not in {int, float} or not 0 < seconds <= MOST_SECONDS:
            raise ConfigurationError(
                f"attester {self.name}: seconds: got {seconds!r}, expected a number above 0, {MOST_SECONDS} at most"
            )
        self._seconds = seconds

    @property
    @abstractmethod
    def device(self) -> str:
        """What is asked; all Attesters of this process that ask the same take turns."""

    def availability(self) -> Availability:
        """Say whether it can be used here.

        Has no effect but making and removing a directory in configfs, asks once, and blocks for two seconds at most.
        """
        return probed(self.device, self._probe, seconds=min(self._seconds, PROBE_SECONDS))

    def collect(self, report_data: bytes) -> Collected:
        """Collect Evidence that carries exactly `report_data` (64 bytes).

        Raises:
            CollectionError: the device failed or took too long, or gave Evidence that is malformed or has other
                report_data.
        """
        if len(report_data) != REPORT_DATA_SIZE:
            got = len(report_data)
            raise CollectionError(f"attester {self.name}: report_data: got {got} bytes, expected {REPORT_DATA_SIZE}")
        try:
            with _failures(self.device):
                collected = in_turn(
                    self.device, lambda deadline: self._collect(report_data, deadline), seconds=self._seconds
                )
        except CollectionError as error:
            raise CollectionError(f"attester {self.name}: {error.message}") from error
        self._require(collected.evidence.data, report_data)
        return collected

    def _require(self, evidence: bytes, report_data: bytes) -> None:
        """Require that Evidence is well-formed and carries what was asked for: a peer would refuse it."""
        try:
            carried = self._report_data(evidence)
        except RatsTlsError as error:
            raise CollectionError(
                f"attester {self.name}: {self.device} gave malformed Evidence: {error.message}"
            ) from error
        if carried is not None and carried != report_data:
            raise CollectionError(
                f"attester {self.name}: {self.device} gave Evidence with other report_data: "
                f"got {_shown(carried)}, expected {_shown(report_data)}"
            )

    @abstractmethod
    def _probe(self) -> str:
        """Say by what Evidence is got here. Raises CollectionError: by nothing, and why."""

    @abstractmethod
    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:
        """Ask the device; it is this thread's turn. Raises CollectionError."""

    @abstractmethod
    def _report_data(self, evidence: bytes) -> bytes | None:
        """Give the report_data that Evidence carries; None of a kind that carries none.

        Raises:
            RatsTlsError: malformed.
        """


def probed(device: str, probe: Callable[[], str], *, seconds: float = PROBE_SECONDS) -> Availability:
    """See whether an Attester can be used, for so many seconds at most.

    Args:
        device: what is looked at. Who looks does not wait for those who collect, but for others who look.
        probe: says by what Evidence is got. Raises CollectionError: by nothing, and why.
        seconds: how long it may take.
    """
    try:
        with _failures(device):
            told = in_turn(f"probe of {device}", lambda _: probe(), seconds=seconds)
    except CollectionError as error:
        return Availability(usable=False, told=error.message)
    return Availability(usable=True, told=told)


@contextmanager
def _failures(device: str) -> Iterator[None]:
    """Make a CollectionError of what a machine that lacks memory, threads or permissions raises anywhere."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        raise CollectionError(f"{device}: {type(error).__name__}: {error}") from error


def _shown(data: bytes) -> str:
    return f"{data[:_SHOWN].hex()}... ({len(data)} bytes)"
