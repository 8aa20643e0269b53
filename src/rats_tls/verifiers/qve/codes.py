"""What Intel's library answers: results of a verification, and names of its errors.

Sources: Intel SGX DCAP, sgx_qve_header.h (sgx_ql_qv_result_t), sgx_ql_lib_common.h (quote3_error_t).
"""

from __future__ import annotations

from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import (
    CertificateChainError,
    ExpiredError,
    InternalError,
    RatsTlsError,
    RevokedError,
    SignatureError,
    TcbLevelError,
    UnsupportedError,
)
from rats_tls.core.refusals import Refusal

SUCCESS = 0
RESULT_INVALID_SIGNATURE = 0xA004
STATUSES = {
    0x0000: TcbStatus.UP_TO_DATE,
    0xA001: TcbStatus.CONFIGURATION_NEEDED,
    0xA002: TcbStatus.OUT_OF_DATE,
    0xA003: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    0xA005: TcbStatus.REVOKED,
    0xA007: TcbStatus.SW_HARDENING_NEEDED,
    0xA008: TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
}
"""TCB status by sgx_ql_qv_result_t, of results that have one for an SGX quote."""

_GRAVITY = (
    TcbStatus.UP_TO_DATE,
    TcbStatus.SW_HARDENING_NEEDED,
    TcbStatus.CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TcbStatus.OUT_OF_DATE,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.REVOKED,
)

_NAMES = {
    0xE001: "SGX_QL_ERROR_UNEXPECTED",
    0xE002: "SGX_QL_ERROR_INVALID_PARAMETER",
    0xE003: "SGX_QL_ERROR_OUT_OF_MEMORY",
    0xE00D: "SGX_QL_INTERFACE_UNAVAILABLE",
    0xE00E: "SGX_QL_PLATFORM_LIB_UNAVAILABLE",
    0xE012: "SGX_QL_OUT_OF_EPC",
    0xE013: "SGX_QL_ERROR_REPORT",
    0xE014: "SGX_QL_ENCLAVE_LOST",
    0xE016: "SGX_QL_ENCLAVE_LOAD_ERROR",
    0xE01B: "SGX_QL_NO_QUOTE_COLLATERAL_DATA",
    0xE01C: "SGX_QL_QUOTE_CERTIFICATION_DATA_UNSUPPORTED",
    0xE01D: "SGX_QL_QUOTE_FORMAT_UNSUPPORTED",
    0xE01E: "SGX_QL_UNABLE_TO_GENERATE_REPORT",
    0xE01F: "SGX_QL_QE_REPORT_INVALID_SIGNATURE",
    0xE020: "SGX_QL_QE_REPORT_UNSUPPORTED_FORMAT",
    0xE021: "SGX_QL_PCK_CERT_UNSUPPORTED_FORMAT",
    0xE022: "SGX_QL_PCK_CERT_CHAIN_ERROR",
    0xE023: "SGX_QL_TCBINFO_UNSUPPORTED_FORMAT",
    0xE024: "SGX_QL_TCBINFO_MISMATCH",
    0xE025: "SGX_QL_QEIDENTITY_UNSUPPORTED_FORMAT",
    0xE026: "SGX_QL_QEIDENTITY_MISMATCH",
    0xE02C: "SGX_QL_SGX_TCB_INFO_EXPIRED",
    0xE02D: "SGX_QL_SGX_PCK_CERT_CHAIN_EXPIRED",
    0xE02E: "SGX_QL_SGX_CRL_EXPIRED",
    0xE02F: "SGX_QL_SGX_SIGNING_CERT_CHAIN_EXPIRED",
    0xE030: "SGX_QL_SGX_ENCLAVE_IDENTITY_EXPIRED",
    0xE031: "SGX_QL_PCK_REVOKED",
    0xE032: "SGX_QL_TCB_REVOKED",
    0xE034: "SGX_QL_UNABLE_TO_GET_COLLATERAL",
    0xE035: "SGX_QL_ERROR_INVALID_PRIVILEGE",
    0xE038: "SGX_QL_CRL_UNSUPPORTED_FORMAT",
    0xE039: "SGX_QL_QEIDENTITY_CHAIN_ERROR",
    0xE03A: "SGX_QL_TCBINFO_CHAIN_ERROR",
    0xE03B: "SGX_QL_ERROR_QVL_QVE_MISMATCH",
    0xE03E: "SGX_QL_UNSUPPORTED_MODE",
    0xE03F: "SGX_QL_NO_DEVICE",
    0xE050: "SGX_QL_QVEIDENTITY_MISMATCH",
    0xE051: "SGX_QL_QVE_OUT_OF_DATE",
    0xE052: "SGX_QL_PSW_NOT_AVAILABLE",
    0xE053: "SGX_QL_COLLATERAL_VERSION_NOT_SUPPORTED",
    0xE064: "SGX_QL_SUPPLEMENTAL_DATA_VERSION_NOT_SUPPORTED",
    0xE065: "SGX_QL_ROOT_CA_UNTRUSTED",
    0xE066: "SGX_QL_TCB_NOT_SUPPORTED",
    0xE068: "SGX_QL_RESULT_INVALID_SIGNATURE",
}
_LACKS = {
    0xE00D: "its enclave cannot be loaded",
    0xE00E: "a library of the platform is not installed",
    0xE012: "there is no enclave memory left for its enclave (QvE)",
    0xE014: "its enclave (QvE) was lost",
    0xE016: "its enclave (QvE) cannot be loaded: it is not installed, or this machine has no SGX",
    0xE01C: "it wants a quote that carries its PCK certificate chain",
    0xE01D: "it does not judge this version of quote",
    0xE01E: "its enclave (QvE) makes no report",
    0xE035: "this process may not use its enclave",
    0xE03B: "library and enclave (QvE) are of different releases",
    0xE03E: "it does not have this mode",
    0xE03F: "this machine has no SGX device",
    0xE052: "SGX PSW, which loads its enclave (QvE), is not installed",
    0xE053: "it does not take collateral of version 3.1",
    0xE064: "it does not give this version of supplemental data",
}
"""Errors that say what is not there, with what that is."""

_ERRORS: dict[int, type[RatsTlsError]] = {
    **dict.fromkeys(_LACKS, UnsupportedError),
    **dict.fromkeys((0xE01F, 0xE068), SignatureError),
    **dict.fromkeys((0xE022, 0xE024, 0xE026, 0xE039, 0xE03A, 0xE065), CertificateChainError),
    **dict.fromkeys((0xE02C, 0xE02D, 0xE02E, 0xE02F, 0xE030), ExpiredError),
    **dict.fromkeys((0xE031, 0xE032), RevokedError),
    0xE066: TcbLevelError,
}


def error_of(call: str, code: int) -> RatsTlsError:
    """Give the error for what a call answered other than success."""
    text = f"{call}: got {_NAMES.get(code, 'an unknown error')} ({code:#06x})"
    if code in _LACKS:
        text += f": {_LACKS[code]}"
    made = _ERRORS.get(code)
    return made(text) if made is not None else InternalError(text, refusal=Refusal.VERIFIER_FAILED)


def graver(one: TcbStatus, other: TcbStatus) -> TcbStatus:
    """Give the graver of two TCB statuses of SGX platforms."""
    return max(one, other, key=_GRAVITY.index)
