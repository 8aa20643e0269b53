"""The Attester of simulated Hygon CSV guests."""

from __future__ import annotations

from datetime import datetime

from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import TeeType
from rats_tls.simulation.attesters import Clock, SimulatedAttester, utc_now
from rats_tls.simulation.csv_chip import SimulatedHygonChip
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.event_log import measured_csv_state
from rats_tls.simulation.vendor_state import HYGON_HEALTHY, HygonVendorState


class SimulatedCsvAttester(SimulatedAttester):
    """`simulated_csv`: a CSV guest on a simulated Hygon chip.

    Args:
        chip: where it runs.
        state: guest and firmware.
        vendor_state: what the simulated Hygon publishes.
        clock: gives the time.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
        UnsupportedError: no library that is at hand does SM2.
    """

    def __init__(
        self,
        chip: SimulatedHygonChip,
        state: CsvState | None = None,
        vendor_state: HygonVendorState = HYGON_HEALTHY,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._chip = chip
        self._state, self._event_log = measured_csv_state(state or CsvState())
        self._vendor_state = vendor_state
        super().__init__("simulated_csv", TeeType.CSV, clock)

    def _issue(self, now: datetime) -> Endorsements:  # noqa: ARG002  # Hygon's certificates have no dates
        return self._chip.endorsements(self._state, self._vendor_state)

    def _evidence(self, report_data: bytes) -> bytes:
        return self._chip.evidence(self._state, report_data, self._vendor_state)
