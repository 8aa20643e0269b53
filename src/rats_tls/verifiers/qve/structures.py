"""Structures that Intel's library takes and gives, for 64-bit Linux, where they are little-endian.

Sources: Intel SGX DCAP, sgx_ql_lib_common.h (sgx_ql_qve_collateral_t), sgx_ql_quote.h (sgx_ql_qe_report_info_t,
packed), sgx_qve_header.h (sgx_ql_qv_supplemental_t).
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass

from rats_tls.core.errors import InternalError, UnsupportedError
from rats_tls.core.refusals import Refusal
from rats_tls.formats.intel.local_report import LOCAL_REPORT_SIZE, TARGET_INFO_SIZE

NONCE_SIZE = 16
MAX_SUPPLEMENTAL_SIZE = 65_536
_TEE_SGX = 0
_MAJOR_VERSION, _LEAST_MINOR_VERSION = 3, 1  # the first with advisories
_ADVISORIES_SIZE = 320
_ADVISORY = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}")


class Collateral(ctypes.Structure):
    """sgx_ql_qve_collateral_t. Sizes of texts count the NUL behind them; lists are DER (version 3.1)."""

    _fields_ = (
        ("major_version", ctypes.c_uint16),
        ("minor_version", ctypes.c_uint16),
        ("tee_type", ctypes.c_uint32),
        ("pck_crl_issuer_chain", ctypes.c_void_p),
        ("pck_crl_issuer_chain_size", ctypes.c_uint32),
        ("root_ca_crl", ctypes.c_void_p),
        ("root_ca_crl_size", ctypes.c_uint32),
        ("pck_crl", ctypes.c_void_p),
        ("pck_crl_size", ctypes.c_uint32),
        ("tcb_info_issuer_chain", ctypes.c_void_p),
        ("tcb_info_issuer_chain_size", ctypes.c_uint32),
        ("tcb_info", ctypes.c_void_p),
        ("tcb_info_size", ctypes.c_uint32),
        ("qe_identity_issuer_chain", ctypes.c_void_p),
        ("qe_identity_issuer_chain_size", ctypes.c_uint32),
        ("qe_identity", ctypes.c_void_p),
        ("qe_identity_size", ctypes.c_uint32),
    )


class ReportInfo(ctypes.Structure):
    """sgx_ql_qe_report_info_t: what QvE's report is made for, and the report."""

    _pack_ = 1
    _fields_ = (
        ("nonce", ctypes.c_uint8 * NONCE_SIZE),
        ("app_enclave_target_info", ctypes.c_uint8 * TARGET_INFO_SIZE),
        ("qe_report", ctypes.c_uint8 * LOCAL_REPORT_SIZE),
    )


class SupplementalData(ctypes.Structure):
    """sgx_ql_qv_supplemental_t, version 3.1; later minor versions have more behind it."""

    _fields_ = (
        ("major_version", ctypes.c_uint16),
        ("minor_version", ctypes.c_uint16),
        ("earliest_issue_date", ctypes.c_int64),
        ("latest_issue_date", ctypes.c_int64),
        ("earliest_expiration_date", ctypes.c_int64),
        ("tcb_level_date_tag", ctypes.c_int64),
        ("pck_crl_num", ctypes.c_uint32),
        ("root_ca_crl_num", ctypes.c_uint32),
        ("tcb_eval_ref_num", ctypes.c_uint32),
        ("root_key_id", ctypes.c_uint8 * 48),
        ("pck_ppid", ctypes.c_uint8 * 16),
        ("tcb_cpusvn", ctypes.c_uint8 * 16),
        ("tcb_pce_isvsvn", ctypes.c_uint16),
        ("pce_id", ctypes.c_uint16),
        ("tee_type", ctypes.c_uint32),
        ("sgx_type", ctypes.c_uint8),
        ("platform_instance_id", ctypes.c_uint8 * 16),
        ("dynamic_platform", ctypes.c_uint32),
        ("cached_keys", ctypes.c_uint32),
        ("smt_enabled", ctypes.c_uint32),
        ("sa_list", ctypes.c_uint8 * _ADVISORIES_SIZE),
    )


SA_LIST_END = SupplementalData.sa_list.offset + SupplementalData.sa_list.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplement:
    """What is used of supplemental data.

    Attributes:
        advisories: those of the TCB level.
        tcb_evaluation_data_number: the lower of TCB info's and QE identity's.
        ppid: of the platform that was judged (16 bytes).
        cpu_svn: of its PCK certificate (16 bytes).
    """

    advisories: tuple[str, ...]
    tcb_evaluation_data_number: int
    ppid: bytes
    cpu_svn: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Supplement:
        """Read supplemental data.

        Raises:
            UnsupportedError: of a version without advisories, or of another structure.
            InternalError: it is too short, not of SGX, or its advisories are no list of ids.
        """
        if len(data) < 4:
            raise _garbage(f"got {len(data)} bytes")
        version = int.from_bytes(data[0:2], "little"), int.from_bytes(data[2:4], "little")
        if version[0] != _MAJOR_VERSION or version[1] < _LEAST_MINOR_VERSION:
            raise UnsupportedError(
                f"supplemental data: got version {version[0]}.{version[1]}, expected 3.1 or later of 3, "
                "which has the advisories"
            )
        if len(data) < SA_LIST_END:
            raise _garbage(f"got {len(data)} bytes, expected at least {SA_LIST_END}")
        read = SupplementalData.from_buffer_copy(data.ljust(ctypes.sizeof(SupplementalData), b"\0"))
        if read.tee_type != _TEE_SGX:
            raise _garbage(f"tee_type: got {read.tee_type:#x}, expected 0 (SGX)")
        text = bytes(read.sa_list).partition(b"\0")[0].decode("ascii", "replace")
        advisories = tuple(item.strip() for item in text.split(",")) if text else ()
        if not all(_ADVISORY.fullmatch(item) for item in advisories):
            raise _garbage(f"sa_list: got {text!r}, expected ids of advisories, separated by commas")
        return cls(
            advisories=advisories,
            tcb_evaluation_data_number=read.tcb_eval_ref_num,
            ppid=bytes(read.pck_ppid),
            cpu_svn=bytes(read.tcb_cpusvn),
        )


def _garbage(problem: str) -> InternalError:
    return InternalError(f"supplemental data: {problem}", refusal=Refusal.VERIFIER_FAILED)
