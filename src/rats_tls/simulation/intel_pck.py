"""The SGX extension of PCK certificates (Intel SGX PCK Certificate and CRL Profile specification, 1.3.5)."""

from __future__ import annotations

from rats_tls.simulation import der
from rats_tls.simulation.intel_levels import components_for
from rats_tls.simulation.states import IntelPlatformState

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"


def sgx_components(state: IntelPlatformState) -> tuple[int, ...]:
    """Give the 16 SGX component SVNs of a platform in `state`.

    Raises:
        ValueError: `state` gives another number of them.
    """
    components = components_for(state.tcb_status) if state.sgx_components is None else state.sgx_components
    if len(components) != 16:
        raise ValueError(f"sgx_components: got {len(components)}, expected 16")
    return components


def cpu_svn(state: IntelPlatformState) -> bytes:
    """Give the CPUSVN (16 bytes) of a platform in `state`; here it is the component SVNs."""
    return bytes(sgx_components(state))


def sgx_extension(state: IntelPlatformState, *, ppid: bytes, platform_instance_id: bytes) -> bytes:
    """Encode extnValue of the SGX extension; instance id and configuration under the Platform CA only."""
    components = [_entry(f"2.{index}", der.integer(svn)) for index, svn in enumerate(sgx_components(state), 1)]
    tcb = der.sequence(
        *components, _entry("2.17", der.integer(state.pce_svn)), _entry("2.18", der.octet_string(cpu_svn(state)))
    )
    entries = [
        _entry("1", der.octet_string(ppid)),
        _entry("2", tcb),
        _entry("3", der.octet_string(state.pce_id)),
        _entry("4", der.octet_string(state.fmspc)),
        _entry("5", der.enumerated(state.sgx_type)),
    ]
    if state.certificate_authority == "platform":
        configuration = der.sequence(
            _entry("7.1", der.boolean(state.dynamic_platform)),
            _entry("7.2", der.boolean(state.cached_keys)),
            _entry("7.3", der.boolean(state.smt_enabled)),
        )
        entries += [_entry("6", der.octet_string(platform_instance_id)), _entry("7", configuration)]
    return der.sequence(*entries)


def _entry(suffix: str, value: bytes) -> bytes:
    return der.sequence(der.object_identifier(f"{SGX_EXTENSION_OID}.{suffix}"), value)
