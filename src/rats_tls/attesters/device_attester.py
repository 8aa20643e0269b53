"""What Attesters of hardware TEEs have in common.

Each takes turns at its device, is bounded in time, and gives no Evidence that does not carry the bytes asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rats_tls.attesters.turns import in_turn
from rats_tls.core.binding import REPORT_DATA_SIZE
from rats_tls.core.errors import CollectionError, RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Collected

SECONDS = 30.0
"""How long Evidence may take, waiting for others included: quotes of TDX take seconds while their service starts."""


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
    """

    name: str
    tee_type: TeeType

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    @property
    @abstractmethod
    def device(self) -> str:
        """What is asked; all Attesters of this process that ask the same take turns."""

    @abstractmethod
    def availability(self) -> Availability:
        """Say whether it can be used here. Has no effect but making and removing a directory in configfs."""

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
            collected = in_turn(self.device, lambda: self._collect(report_data), seconds=self._seconds)
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
                f"got {carried.hex()}, expected {report_data.hex()}"
            )

    @abstractmethod
    def _collect(self, report_data: bytes) -> Collected:
        """Ask the device; it is this thread's turn. Raises CollectionError."""

    @abstractmethod
    def _report_data(self, evidence: bytes) -> bytes | None:
        """Give the report_data that Evidence carries; None of a kind that carries none.

        Raises:
            RatsTlsError: malformed.
        """
