"""Values by which a policy for simulated TEEs is known."""

from __future__ import annotations

from dataclasses import fields

from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.sev_states import SevState
from rats_tls.simulation.states import FMSPC, SgxLocalState, SgxState, SnpState, TdxState, simulated_measurement


def simulated_values() -> frozenset[bytes | str]:
    """Give values that the healthy simulated TEEs show and that no genuine TEE has."""
    found: set[bytes | str] = {FMSPC, SnpState().csp_id}
    for state in (SgxState(), SgxLocalState(), TdxState(), SnpState(), SevState(), CsvState()):
        for declared in fields(state):
            value = getattr(state, declared.name)
            if isinstance(value, bytes) and value == simulated_measurement(declared.name, len(value)):
                found.add(value)
    return frozenset(value for value in found if value)
