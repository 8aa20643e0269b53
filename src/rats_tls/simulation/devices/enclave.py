"""The simulated enclave behind the fakes of Gramine and Occlum: makes quotes, local reports and its own TARGETINFO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rats_tls.simulation.local_attestation import SimulatedProcessor, target_info
from rats_tls.simulation.states import SgxLocalState, SgxState, TargetEnclaveState
from rats_tls.simulation.world import SimulatedWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEnclave:
    """An enclave on a machine of a simulated world.

    Attributes:
        quote: makes a quote that carries 64 bytes.
        local_report: makes a local report for a TARGETINFO (512 bytes) that carries 64 bytes.
        target_info: its own TARGETINFO (512 bytes).
    """

    quote: Callable[[bytes], bytes]
    local_report: Callable[[bytes, bytes], bytes]
    target_info: bytes

    @classmethod
    def of(cls, world: SimulatedWorld, *, state: SgxState | None = None) -> SimulatedEnclave:
        """Make the enclave that `state` describes on the first machine of `world`."""
        attester = (
            world.attester("simulated_sgx_ecdsa", state=state) if state else world.attester("simulated_sgx_ecdsa")
        )
        processor = SimulatedProcessor(world.intel_machine(0))
        local = SgxLocalState()

        def report(target: bytes, report_data: bytes) -> bytes:
            return processor.report(replace(local, target_info=target), report_data)

        return cls(
            quote=lambda report_data: attester.collect(report_data).evidence.data,
            local_report=report,
            target_info=target_info(TargetEnclaveState()),
        )
