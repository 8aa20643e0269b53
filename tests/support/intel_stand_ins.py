"""Simulated evidence in the place of real SGX and TDX evidence, where that is absent.

Each stand-in is of the form of the vector whose id it has: quote and body version, trailing bytes, issuing CA, TCB info
version, and which vectors share a platform's family. It is judged at a time of its own, as vectors are.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.evidence import Evidence
from rats_tls.simulation.attesters import SimulatedSgxEcdsaAttester, SimulatedTdxEcdsaAttester
from rats_tls.simulation.intel_platform import SimulatedIntelPlatform
from rats_tls.simulation.pki import to_pem
from rats_tls.simulation.states import FMSPC, SgxState, TdxState
from rats_tls.simulation.vendor_state import INTEL_HEALTHY, IntelVendorState
from support.simulated import NOW, REPORT_DATA, world

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How a stand-in differs from others."""

    state: SgxState | TdxState
    vendor_state: IntelVendorState = field(default=INTEL_HEALTHY)
    now: datetime = NOW


def _fmspc(family: int) -> bytes:
    return FMSPC[:5] + bytes((family,))


_TDX_1 = TdxState(fmspc=_fmspc(2), trailing=bytes(70))
_TDX_2 = TdxState(fmspc=_fmspc(4))
_FORMS = {
    "sgx_ecdsa/phala-sgx-v3": _Form(state=SgxState(fmspc=_fmspc(1), certificate_authority="processor"), now=NOW - _DAY),
    "sgx_ecdsa/openenclave-evidence-endorsements": _Form(
        state=SgxState(fmspc=_fmspc(5), certificate_authority="processor"),
        vendor_state=IntelVendorState(tcb_info_version=2),
        now=NOW - 2 * _DAY,
    ),
    "tdx_ecdsa/phala-tdx-v4-uptodate": _Form(state=_TDX_1),
    "tdx_ecdsa/dstack-ra-tls-quote": _Form(state=_TDX_1),
    "tdx_ecdsa/phala-tdx-v5-outdated": _Form(
        state=TdxState(fmspc=_fmspc(3), quote_version=5, body_version="1.5"), now=NOW + _DAY
    ),
    "tdx_ecdsa/go-tdx-guest-v4-spr-e4": _Form(state=_TDX_2, now=NOW - 3 * _DAY),
    "tdx_ecdsa/openenclave-v5-td-relaunch": _Form(state=TdxState(fmspc=_fmspc(6), relaunch_advised=True)),
    "tdx_ecdsa/openenclave-v4": _Form(state=_TDX_2),
    "tdx_ecdsa/trustee-v4-debug-ccel": _Form(state=TdxState(fmspc=_fmspc(4), debug=True)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Simulated evidence with the Endorsements that judge it at `now`."""

    evidence: Evidence
    endorsements: Endorsements
    now: datetime


@functools.cache
def stand_in(vector_id: str) -> StandIn:
    """Make the stand-in of a vector, on a platform of its own; once in a process."""
    form = _FORMS[vector_id]
    platform = SimulatedIntelPlatform(world().intel, vector_id.encode())

    def clock() -> datetime:
        return form.now

    attester: SimulatedSgxEcdsaAttester | SimulatedTdxEcdsaAttester
    if isinstance(form.state, SgxState):
        attester = SimulatedSgxEcdsaAttester(platform, form.state, form.vendor_state, clock=clock)
    else:
        attester = SimulatedTdxEcdsaAttester(platform, form.state, form.vendor_state, clock=clock)
    collected = attester.collect(REPORT_DATA)
    return StandIn(evidence=collected.evidence, endorsements=Endorsements(collected.endorsements), now=form.now)


def stand_in_bundle(vector_id: str) -> bytes:
    """Write the JSON bundle of a stand-in as vectors have it. By hand: the package's own writer is what tests try."""
    items = {item.kind: item for item in stand_in(vector_id).endorsements}

    def signed(name: str, item: Endorsement) -> dict[str, str]:
        return {
            name: item.data.decode(),
            f"{name}_issuer_chain": to_pem(item.issuer_chain).decode(),
            f"{name}_signature": item.signature.hex(),
        }

    pck_crl = items[EndorsementKind.INTEL_PCK_CRL]
    document = {
        "pck_crl_issuer_chain": to_pem(pck_crl.issuer_chain).decode(),
        "root_ca_crl": items[EndorsementKind.INTEL_ROOT_CRL].data.hex(),
        "pck_crl": pck_crl.data.hex(),
        **signed("tcb_info", items[EndorsementKind.INTEL_TCB_INFO]),
        **signed("qe_identity", items[EndorsementKind.INTEL_QE_IDENTITY]),
    }
    return json.dumps(document).encode()
