"""TCB info and enclave identities of the simulated Intel, as the exact bytes that it signs.

Form: Intel PCS API version 4, "Get TCB Info" and "Get QE Identity"; TCB info version 2: version 3 of that API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from rats_tls.core.checks import time_text
from rats_tls.simulation.intel_levels import LEVEL_DATE, IsvLevel, ModuleIdentity, TcbLevel
from rats_tls.simulation.states import simulated_measurement
from rats_tls.simulation.vendor_state import IntelVendorState, SignedItem

Tee = Literal["SGX", "TDX"]
QE_MR_SIGNER = simulated_measurement("QE mr_signer", 32)
QE_ISV_PROD_ID: dict[Tee, int] = {"SGX": 1, "TDX": 2}
_QE_ID: dict[Tee, str] = {"SGX": "QE", "TDX": "TD_QE"}
_Json = dict[str, Any]


def tcb_info(tee: Tee, fmspc: bytes, pce_id: bytes, now: datetime, state: IntelVendorState) -> bytes:
    """Write TCB info: the value of `tcbInfo`, without its signature."""
    validity = state.document_validity(SignedItem.INTEL_TCB_INFO, now)
    document: _Json = {"id": state.tcb_info_id or tee} if state.tcb_info_version >= 3 else {}
    document |= {
        "version": state.tcb_info_version,
        "issueDate": time_text(validity.start),
        "nextUpdate": time_text(validity.end),
        "fmspc": _hex(state.tcb_info_fmspc or fmspc),
        "pceId": _hex(pce_id),
        "tcbType": 0,
        "tcbEvaluationDataNumber": state.tcb_evaluation_data_number,
    }
    if tee == "TDX":
        # The member for modules of version 0, which have no identity of their own.
        document["tdxModule"] = {
            "mrsigner": _hex(bytes(48)),
            "attributes": _hex(bytes(8)),
            "attributesMask": _hex(b"\xff" * 8),
        }
        document["tdxModuleIdentities"] = [_module_identity(identity, state) for identity in state.module_identities]
    levels = [_tcb_level(tee, level, state.tcb_info_version) for level in state.tcb_levels]
    document["tcbLevels"] = levels[::-1] if state.levels_reversed else levels
    return _encode(document)


def qe_identity(tee: Tee, now: datetime, state: IntelVendorState) -> bytes:
    """Write the identity of the QE or TD_QE: the value of `enclaveIdentity`, without its signature."""
    validity = state.document_validity(SignedItem.INTEL_QE_IDENTITY, now)
    number = state.qe_evaluation_data_number
    return _encode(
        {
            "id": state.qe_identity_id or _QE_ID[tee],
            "version": 2,
            "issueDate": time_text(validity.start),
            "nextUpdate": time_text(validity.end),
            "tcbEvaluationDataNumber": state.tcb_evaluation_data_number if number is None else number,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": _hex(QE_MR_SIGNER),
            "isvprodid": QE_ISV_PROD_ID[tee],
            "tcbLevels": _isv_levels(state.qe_levels, state),
        }
    )


def tcb_evaluation_data_numbers(tee: Tee, numbers: Iterable[int], now: datetime, state: IntelVendorState) -> bytes:
    """Write the list of TCB evaluation data numbers: its inner value, without its signature."""
    validity = state.document_validity(SignedItem.INTEL_TCB_INFO, now)
    date = time_text(LEVEL_DATE)
    return _encode(
        {
            "id": tee,
            "version": 1,
            "issueDate": time_text(validity.start),
            "nextUpdate": time_text(validity.end),
            "tcbNumbers": [
                {"tcbEvaluationDataNumber": number, "tcbRecoveryEventDate": date, "tcbDate": date} for number in numbers
            ],
        }
    )


def _module_identity(identity: ModuleIdentity, state: IntelVendorState) -> _Json:
    return {
        "id": identity.id,
        "mrsigner": _hex(identity.mr_signer),
        "attributes": _hex(identity.attributes),
        "attributesMask": _hex(identity.attributes_mask),
        "tcbLevels": _isv_levels(identity.levels, state),
    }


def _isv_levels(levels: Sequence[IsvLevel], state: IntelVendorState) -> list[_Json]:
    written = [_level({"isvsvn": level.isv_svn}, level) for level in levels]
    return written[::-1] if state.levels_reversed else written


def _tcb_level(tee: Tee, level: TcbLevel, version: int) -> _Json:
    tcb: _Json
    if version < 3:
        tcb = {f"sgxtcbcomp{index:02}svn": svn for index, svn in enumerate(level.sgx_components, 1)}
    else:
        tcb = {"sgxtcbcomponents": [{"svn": svn} for svn in level.sgx_components]}
    tcb["pcesvn"] = level.pce_svn
    if tee == "TDX":
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in level.tdx_components]
    return _level(tcb, level)


def _level(tcb: _Json, level: TcbLevel | IsvLevel) -> _Json:
    written: _Json = {"tcb": tcb, "tcbDate": time_text(level.date), "tcbStatus": level.status.value}
    if level.advisories:
        written["advisoryIDs"] = list(level.advisories)
    return written


def _encode(document: _Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _hex(value: bytes) -> str:
    return value.hex().upper()
