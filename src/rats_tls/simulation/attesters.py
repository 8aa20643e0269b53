"""Attesters of simulated TEEs. Their Evidence proves nothing; each says so once, as a warning in the log."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rats_tls.core.binding import REPORT_DATA_SIZE
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import CollectionError, ConfigurationError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.simulation.amd_chip import SimulatedAmdChip
from rats_tls.simulation.event_log import measured_state
from rats_tls.simulation.intel_platform import SimulatedIntelPlatform
from rats_tls.simulation.local_attestation import SimulatedProcessor
from rats_tls.simulation.states import SgxLocalState, SgxState, SnpState, TdxState
from rats_tls.simulation.vendor_state import AMD_HEALTHY, INTEL_HEALTHY, AmdVendorState, IntelVendorState

_log = logging.getLogger("rats_tls.simulation")
_RENEWAL = timedelta(days=1)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Give the present time."""
    return datetime.now(UTC)


class SimulatedAttester(ABC):
    """What all have in common: certificates and documents are issued anew once a day, Evidence each time.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    _event_log = b""

    def __init__(self, name: str, tee_type: TeeType, clock: Clock) -> None:
        self._name = name
        self._tee_type = tee_type
        self._clock = clock
        self._lock = threading.Lock()
        self._renewed = clock()
        try:
            self._endorsements = self._issue(self._renewed)
            self._evidence(bytes(REPORT_DATA_SIZE))
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(f"{name}: {error}") from error
        _log.warning("%s: a simulated TEE proves nothing", name)

    @property
    def name(self) -> str:
        """Instance name."""
        return self._name

    @property
    def tee_type(self) -> TeeType:
        """The TEE type whose Evidence it makes."""
        return self._tee_type

    @property
    def endorsements(self) -> Endorsements:
        """The Endorsements that judge its Evidence."""
        with self._lock:
            self._renew_if_due()
            return self._endorsements

    def collect(self, report_data: bytes) -> Collected:
        """Make Evidence that carries exactly `report_data` (64 bytes), with the Endorsements that judge it.

        Raises:
            CollectionError: `report_data` has another length.
        """
        if len(report_data) != REPORT_DATA_SIZE:
            raise CollectionError(
                f"{self.name}: report_data: got {len(report_data)} bytes, expected {REPORT_DATA_SIZE}"
            )
        with self._lock:
            self._renew_if_due()
            evidence = Evidence.of(self.tee_type, self._evidence(report_data), self._event_log)
            return Collected(evidence=evidence, endorsements=self._endorsements.items)

    def _renew_if_due(self) -> None:
        now = self._clock()
        # A clock that was set back counts too: what was issued would lie in the future.
        if not timedelta(0) <= now - self._renewed < _RENEWAL:
            self._endorsements = self._issue(now)
            self._renewed = now

    @abstractmethod
    def _issue(self, now: datetime) -> Endorsements:
        """Have everything issued that is valid for a time."""

    @abstractmethod
    def _evidence(self, report_data: bytes) -> bytes:
        """Make the bytes of Evidence."""


class SimulatedSgxEcdsaAttester(SimulatedAttester):
    """`simulated_sgx_ecdsa`: an SGX enclave on a simulated Intel platform.

    Args:
        platform: where it runs.
        state: enclave and platform.
        vendor_state: what the simulated Intel publishes.
        clock: gives the time at which certificates and documents are issued.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    def __init__(
        self,
        platform: SimulatedIntelPlatform,
        state: SgxState | None = None,
        vendor_state: IntelVendorState = INTEL_HEALTHY,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._platform = platform
        self._state = state or SgxState()
        self._vendor_state = vendor_state
        super().__init__("simulated_sgx_ecdsa", TeeType.SGX_ECDSA, clock)

    def _issue(self, now: datetime) -> Endorsements:
        self._enclave = self._platform.quoting_enclave(self._state, now, self._vendor_state)
        return self._platform.endorsements(self._state, now, self._vendor_state)

    def _evidence(self, report_data: bytes) -> bytes:
        return self._enclave.sgx_quote(self._state, report_data)


class SimulatedTdxEcdsaAttester(SimulatedAttester):
    """`simulated_tdx_ecdsa`: a trust domain on a simulated Intel platform.

    Args:
        platform: where it runs.
        state: trust domain, TDX module and platform.
        vendor_state: what the simulated Intel publishes.
        clock: gives the time at which certificates and documents are issued.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    def __init__(
        self,
        platform: SimulatedIntelPlatform,
        state: TdxState | None = None,
        vendor_state: IntelVendorState = INTEL_HEALTHY,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._platform = platform
        self._state, self._event_log = measured_state(state or TdxState())
        self._vendor_state = vendor_state
        super().__init__("simulated_tdx_ecdsa", TeeType.TDX_ECDSA, clock)

    def _issue(self, now: datetime) -> Endorsements:
        self._enclave = self._platform.quoting_enclave(self._state, now, self._vendor_state)
        return self._platform.endorsements(self._state, now, self._vendor_state)

    def _evidence(self, report_data: bytes) -> bytes:
        return self._enclave.tdx_quote(self._state, report_data)


class SimulatedSgxLocalAttester(SimulatedAttester):
    """`simulated_sgx_la`: an SGX enclave that makes local reports for another one on its simulated machine.

    Args:
        processor: of that machine.
        state: the enclave, and which one it makes reports for.
        clock: gives the time.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    def __init__(
        self, processor: SimulatedProcessor, state: SgxLocalState | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._processor = processor
        self._state = state or SgxLocalState()
        super().__init__("simulated_sgx_la", TeeType.SGX_LA, clock)

    def _issue(self, _now: datetime) -> Endorsements:
        return Endorsements()

    def _evidence(self, report_data: bytes) -> bytes:
        return self._processor.report(self._state, report_data)


class SimulatedSevSnpAttester(SimulatedAttester):
    """`simulated_sev_snp`: a SEV-SNP guest on a simulated AMD chip.

    Args:
        chip: where it runs.
        state: guest and firmware; its product must be the chip's.
        vendor_state: what the simulated AMD publishes.
        clock: gives the time at which certificates and lists are issued.

    Raises:
        ConfigurationError: a state that cannot be written down in the vendor's format.
    """

    def __init__(
        self,
        chip: SimulatedAmdChip,
        state: SnpState | None = None,
        vendor_state: AmdVendorState = AMD_HEALTHY,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._chip = chip
        self._state = state or SnpState(product=chip.product)
        self._vendor_state = vendor_state
        super().__init__("simulated_sev_snp", TeeType.SEV_SNP, clock)

    def _issue(self, now: datetime) -> Endorsements:
        return self._chip.endorsements(self._state, now, self._vendor_state)

    def _evidence(self, report_data: bytes) -> bytes:
        return self._chip.report(self._state, report_data)
