"""Policies that accept simulated TEEs: by their measurements, on platforms that are up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rats_tls import registry
from rats_tls.core.binding import REPORT_DATA_SIZE, Binding
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import Policy, pinning_entry

if TYPE_CHECKING:
    from rats_tls.simulation.world import SimulatedWorld


def policy_for(
    world: SimulatedWorld, name: str, *, entry_name: str | None = None, machine: int = 0, **settings: object
) -> Policy:
    """Give the policy that pins what a simulated TEE shows.

    Args:
        world: where the TEE is.
        name: of its attester, such as `simulated_tdx_ecdsa`.
        entry_name: name of the policy's entry; that of the attester when left out.
        machine: number of the platform or chip that it runs on.
        settings: of the attester.

    Raises:
        ConfigurationError: no such attester or setting.
    """
    collected = world.attester(name, machine=machine, **settings).collect(bytes(REPORT_DATA_SIZE))
    if collected is None:
        raise ConfigurationError(f"attester {name} collects no Evidence")
    verifier = registry.verifier(name.removeprefix("simulated_"))
    decoded = verifier.decode(collected.evidence)
    binding = Binding.CERTIFICATE if decoded.report_data is not None else Binding.NONE
    return Policy.of(pinning_entry(decoded.claims, name=entry_name or name, bindings=binding))
