"""The Verifiers that a command line names, in place of those that are used when none is named."""

from __future__ import annotations

from pathlib import Path

import click

from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Verifier
from rats_tls.policy import Policy
from rats_tls.registry import simulated_local_verifier, verifier, verifiers


def chosen_verifiers(
    policy: Policy, name: str | None, simulated_target_enclave: Path | None
) -> tuple[Policy, dict[TeeType, Verifier] | None]:
    """Give the policy, for one Verifier's TEE alone where it is named, and the Verifiers; None where none is named.

    Args:
        policy: the Appraisal Policy.
        name: of the Verifier to use.
        simulated_target_enclave: directory of the simulated world whose target enclave checks local reports.

    Raises:
        click.UsageError: options that do not go together.
        ConfigurationError: the policy has no entry for the Verifier's TEE; no simulated world.
        NoInstanceError: no such Verifier.
    """
    chosen: dict[TeeType, Verifier] = {}
    if name is not None:
        named = verifier(name)
        policy = policy.restricted_to(named.tee_type)
        chosen[named.tee_type] = named
    if simulated_target_enclave is not None:
        if TeeType.SGX_LA not in policy.tee_types:
            raise click.UsageError("--simulated-target-enclave needs a policy with an entry for sgx_la")
        chosen[TeeType.SGX_LA] = simulated_local_verifier(simulated_target_enclave)
    if not chosen:
        return policy, None
    return policy, {**verifiers(policy.tee_types - chosen.keys()), **chosen}
