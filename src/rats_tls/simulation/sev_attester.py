"""The Attester of simulated SEV and SEV-ES guests."""

from __future__ import annotations

from datetime import datetime

from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import TeeType
from rats_tls.simulation.attesters import Clock, SimulatedAttester, utc_now
from rats_tls.simulation.sev_chip import SimulatedSevChip
from rats_tls.simulation.sev_states import SevState
from rats_tls.simulation.vendor_state import SEV_HEALTHY, SevVendorState


class SimulatedSevAttester(SimulatedAttester):
    """`simulated_sev`: a SEV or SEV-ES guest on a simulated AMD chip. Its Evidence carries no report_data.

    Args:
        chip: where it runs.
        state: guest and firmware; its product must be the chip's.
        vendor_state: what the simulated AMD publishes.
        clock: gives the time.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    def __init__(
        self,
        chip: SimulatedSevChip,
        state: SevState | None = None,
        vendor_state: SevVendorState = SEV_HEALTHY,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._chip = chip
        self._state = state or SevState(product=chip.product)
        self._vendor_state = vendor_state
        super().__init__("simulated_sev", TeeType.SEV, clock)

    def _issue(self, now: datetime) -> Endorsements:  # noqa: ARG002  # what AMD published then has no dates
        return self._chip.vendor.endorsements(self._vendor_state)

    def _evidence(self, report_data: bytes) -> bytes:  # noqa: ARG002  # nothing in a report is the guest's
        return self._chip.evidence(self._state)
