"""The guest device's ABI, as a C compiler reads it from the kernel's header (Linux 6.2 and later)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from rats_tls.formats.devices import tdx_guest
from rats_tls.formats.devices.tdx_guest import TdxReportReq
from support.c_layout import measured


def test_numbers_sizes_and_offsets_are_those_of_the_header(tmp_path: Path) -> None:
    """`.ci/tdx-headers` fetches the header where the system has none."""
    structure = "struct tdx_report_req"
    expressions = {
        "number": "TDX_CMD_GET_REPORT0",
        "size": f"sizeof({structure})",
        "reportdata": f"offsetof({structure}, reportdata)",
        "reportdata_size": f"sizeof((({structure} *)0)->reportdata)",
        "tdreport": f"offsetof({structure}, tdreport)",
        "tdreport_size": f"sizeof((({structure} *)0)->tdreport)",
    }
    directory = os.environ.get("RATS_TLS_TDX_HEADERS")
    include = [Path(directory)] if directory else []
    found = measured(tmp_path, expressions, headers=["linux/tdx-guest.h"], include=include)
    assert found == {
        "number": tdx_guest.TDX_CMD_GET_REPORT0,
        "size": ctypes.sizeof(TdxReportReq),
        "reportdata": TdxReportReq.reportdata.offset,
        "reportdata_size": tdx_guest.REPORTDATA_SIZE,
        "tdreport": TdxReportReq.tdreport.offset,
        "tdreport_size": tdx_guest.TDREPORT_SIZE,
    }


def test_numbers_and_sizes_are_those_of_the_kernel() -> None:
    """The same, where there is no header."""
    assert tdx_guest.TDX_CMD_GET_REPORT0 == 0xC4405401
    assert ctypes.sizeof(TdxReportReq) == 1088
    assert (TdxReportReq.reportdata.offset, TdxReportReq.tdreport.offset) == (0, 64)
