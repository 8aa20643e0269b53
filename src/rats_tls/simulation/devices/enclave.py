"""The simulated enclave behind the fakes of Gramine and Occlum."""

from __future__ import annotations

from dataclasses import fields, replace

from rats_tls.simulation.attesters import SimulatedSgxEcdsaAttester
from rats_tls.simulation.local_attestation import SimulatedProcessor, SimulatedTargetEnclave
from rats_tls.simulation.states import EnclaveState, SgxLocalState, SgxState, TargetEnclaveState
from rats_tls.simulation.world import SimulatedWorld

_DEBUG = 1 << 1


class SimulatedEnclave:
    """An enclave on an Intel platform of a simulated world.

    Args:
        world: whose platform and time it has.
        machine: number of the platform.
        state: the enclave, and the platform as quotes show it; a healthy one when left out.

    Raises:
        ConfigurationError: no such machine, or a state that does not fit its formats.
    """

    def __init__(self, world: SimulatedWorld, *, machine: int = 0, state: SgxState | None = None) -> None:
        state = state or SgxState()
        platform = world.intel_machine(machine)
        self._quotes = SimulatedSgxEcdsaAttester(platform, state, clock=world.now)
        self._processor = SimulatedProcessor(platform)
        self._local = SgxLocalState(**{field.name: getattr(state, field.name) for field in fields(EnclaveState)})
        as_target = TargetEnclaveState(
            mr_enclave=state.mr_enclave,
            attributes=state.attributes | (_DEBUG if state.debug else 0),
            xfrm=state.xfrm,
            config_svn=state.config_svn,
            miscselect=state.miscselect,
            config_id=state.config_id,
        )
        self._as_target = SimulatedTargetEnclave(self._processor, machine, as_target)

    def quote(self, report_data: bytes) -> bytes:
        """Make a quote that carries 64 bytes."""
        return self._quotes.collect(report_data).evidence.data

    def local_report(self, target_info: bytes, report_data: bytes) -> bytes:
        """Make a local report (432 bytes) that carries 64 bytes, for the enclave of a TARGETINFO (512 bytes)."""
        return self._processor.report(replace(self._local, target_info=target_info), report_data)

    def target_info(self) -> bytes:
        """Give its own TARGETINFO (512 bytes)."""
        return self._as_target.target_info()

    def check(self, report: bytes) -> None:
        """Check a local report (432 bytes). Raises SignatureError: it was not made for this enclave."""
        self._as_target.check(report)
