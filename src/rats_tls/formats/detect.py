"""Tells the type of bare Evidence from its first bytes. A guess about form only: the Verifier decides what it is."""

from __future__ import annotations

from collections.abc import Iterable

from rats_tls.core.errors import UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.amd.sev_certificate import CERTIFICATE_SIZE, is_sev_certificate
from rats_tls.formats.amd.sev_report import EVIDENCE_SIZES, REPORT_SIZE
from rats_tls.formats.hygon.evidence import EVIDENCE_SIZE
from rats_tls.formats.hygon.report import BARE_V1_SIZE, PAGE_SIZE, looks_like_report
from rats_tls.formats.intel.local_report import LOCAL_REPORT_SIZE
from rats_tls.formats.vendor_files import vendor_file

INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_TEE_SGX = 0x00
_TEE_TDX = 0x81
_SNP_REPORT_SIZE = 0x4A0
_TDREPORT_SIZE = 1024
_CSV_SIZES = frozenset({BARE_V1_SIZE, PAGE_SIZE, EVIDENCE_SIZE})


def detect_evidence(data: bytes) -> Evidence:
    """Give `data` as Evidence of the type that its header shows.

    Raises:
        UnsupportedError: no known Evidence, or one that cannot be judged remotely; the message says which.
    """
    version = int.from_bytes(data[0:2], "little")
    if len(data) >= 48 and data[12:28] == INTEL_QE_VENDOR_ID:
        tee_type = int.from_bytes(data[4:8], "little")
        # A v3 header has no TEE type: those bytes are reserved there (verification: Intel quote header).
        if version == 3 or tee_type == _TEE_SGX:
            return Evidence.of(TeeType.SGX_ECDSA, data)
        if tee_type == _TEE_TDX:
            return Evidence.of(TeeType.TDX_ECDSA, data)
        raise UnsupportedError(f"Intel quote header tee_type: got {tee_type:#x}, expected 0 (SGX) or 0x81 (TDX)")
    if (
        len(data) >= _SNP_REPORT_SIZE
        and data[2:4] == b"\0\0"
        and version in range(2, 6)
        and data[0x34:0x38] == b"\1\0\0\0"
    ):
        return Evidence.of(TeeType.SEV_SNP, data)
    if len(data) in EVIDENCE_SIZES and is_sev_certificate(data[REPORT_SIZE : REPORT_SIZE + CERTIFICATE_SIZE]):
        return Evidence.of(TeeType.SEV, data)
    if len(data) in _CSV_SIZES and looks_like_report(data):
        return Evidence.of(TeeType.CSV, data)
    if len(data) == _TDREPORT_SIZE:
        raise UnsupportedError(
            "this looks like a TDREPORT: a MAC for its own platform, not verifiable remotely; a quote made of it is"
        )
    if len(data) == LOCAL_REPORT_SIZE:
        return Evidence.of(TeeType.SGX_LA, data)
    got = vendor_file(data) or f"{len(data)} bytes that begin with {data[:16].hex() or 'nothing'}"
    raise UnsupportedError(
        f"Evidence: got {got}, expected a quote or report of SGX, TDX, SEV-SNP, CSV ({_listed(_CSV_SIZES)} bytes), SEV "
        f"({_listed(EVIDENCE_SIZES)} bytes), or a certificate with one"
    )


def _listed(sizes: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(sizes)))
