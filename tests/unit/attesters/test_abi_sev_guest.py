"""Numbers, sizes and offsets of the SEV guest device, against the kernel's headers."""

from __future__ import annotations

import ctypes
from pathlib import Path

from rats_tls.formats.devices import sev_guest
from support.c_layout import measured

STRUCTURES = {
    "snp_report_req": sev_guest.SnpReportReq,
    "snp_report_resp": sev_guest.SnpReportResp,
    "snp_ext_report_req": sev_guest.SnpExtReportReq,
    "snp_guest_request_ioctl": sev_guest.SnpGuestRequestIoctl,
}
HEADERS = ("linux/sev-guest.h", "linux/psp-sev.h")


def test_numbers_sizes_and_offsets(tmp_path: Path) -> None:
    expected = {name: getattr(sev_guest, name) for name in ("SNP_GET_REPORT", "SNP_GET_EXT_REPORT")}
    expressions = {name: name for name in expected}
    for name, structure in STRUCTURES.items():
        expressions[f"sizeof {name}"] = f"sizeof(struct {name})"
        expected[f"sizeof {name}"] = ctypes.sizeof(structure)
        for field, *_ in structure._fields_:
            member = f"((struct {name} *)0)->{field}"
            key = f"{name}.{field}"
            expressions |= {key: f"offsetof(struct {name}, {field})", f"sizeof {key}": f"sizeof({member})"}
            expected |= {key: getattr(structure, field).offset, f"sizeof {key}": getattr(structure, field).size}
    assert measured(tmp_path, expressions, headers=HEADERS) == expected
    assert len(expected) == 2 + 4 + 2 * (3 + 1 + 3 + 5)


def test_errors(tmp_path: Path) -> None:
    """The header of some releases ends before INVALID_KEY (SEV-SNP ABI specification, status codes)."""
    names = {name: code for code, name in sev_guest.FIRMWARE_ERRORS.items() if name != "INVALID_KEY"}
    expressions = {name: f"SEV_RET_{name}" for name in names}
    for name, value in (("INVALID_LEN", sev_guest.VMM_ERR_INVALID_LEN), ("BUSY", sev_guest.VMM_ERR_BUSY)):
        expressions[f"vmm {name}"] = f"SNP_GUEST_VMM_ERR_{name}"
        names[f"vmm {name}"] = value
    assert measured(tmp_path, expressions, headers=HEADERS) == names
