"""The ABI of Hygon's guest device and Occlum's SGX device, as a C compiler lays it out.

No package installs a header of either: the declarations below are written after Hygon's driver and Occlum's device, so
this holds numbers, sizes and offsets against C, not against a vendor's own file.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from rats_tls.formats.devices import csv_guest, occlum
from rats_tls.formats.devices.csv_guest import ReportRequest, RequestPage
from rats_tls.formats.devices.occlum import CreateReport, GenQuote
from support.c_layout import measured

CSV = """
struct csv_report_req { uint8_t *report_data; int len; };
#define CSV_CMD_GET_REPORT _IOWR('D', 1, struct csv_report_req)
struct csv_request { uint8_t user_data[64], mnonce[16], hash[32], magic[16]; uint32_t flags; };
"""
OCCLUM = """
typedef struct { uint8_t bytes[64]; } report_data_t;
typedef struct { uint8_t bytes[512]; } target_info_t;
typedef struct { uint8_t bytes[432]; } report_t;
struct create_report { const target_info_t *target_info; const report_data_t *report_data; report_t *report; };
struct gen_quote { const report_data_t *report_data; uint32_t *quote_len; uint8_t *quote_buf; };
#define SGXIOC_SELF_TARGET _IOR('s', 3, target_info_t)
#define SGXIOC_CREATE_REPORT _IOWR('s', 4, struct create_report)
#define SGXIOC_VERIFY_REPORT _IOW('s', 5, report_t)
#define SGXIOC_GET_DCAP_QUOTE_SIZE _IOR('s', 7, uint32_t)
#define SGXIOC_GEN_DCAP_QUOTE _IOWR('s', 8, struct gen_quote)
"""


def test_csv_guest_is_as_c_has_it(tmp_path: Path) -> None:
    fields = ("user_data", "mnonce", "hash", "magic", "flags")
    expressions = {
        "number": "CSV_CMD_GET_REPORT",
        "size": "sizeof(struct csv_report_req)",
        "address": "offsetof(struct csv_report_req, report_data)",
        "len": "offsetof(struct csv_report_req, len)",
        **{name: f"offsetof(struct csv_request, {name})" for name in fields},
        "request": "sizeof(struct csv_request)",
    }
    page = RequestPage(user_data=b"U" * 64, mnonce=b"N" * 16, digest=b"H" * 32, version=3).to_bytes()
    assert len(page) == csv_guest.PAGE_SIZE
    assert measured(tmp_path, expressions, declarations=CSV) == {
        "number": csv_guest.GET_REPORT,
        "size": ctypes.sizeof(ReportRequest),
        "address": ReportRequest.address.offset,
        "len": ReportRequest.size.offset,
        "user_data": page.index(b"U" * 64),
        "mnonce": page.index(b"N" * 16),
        "hash": page.index(b"H" * 32),
        "magic": page.index(b"ATTESTATION_EXT\0"),
        "flags": page.index(b"\3"),
        "request": len(page.rstrip(b"\0")) + 3,
    }


def test_occlum_is_as_c_has_it(tmp_path: Path) -> None:
    expressions = {
        **{name: f"SGXIOC_{name}" for name in ("SELF_TARGET", "CREATE_REPORT", "VERIFY_REPORT")},
        **{name: f"SGXIOC_{name}" for name in ("GET_DCAP_QUOTE_SIZE", "GEN_DCAP_QUOTE")},
        "create_report": "sizeof(struct create_report)",
        "target_info": "offsetof(struct create_report, target_info)",
        "report_data": "offsetof(struct create_report, report_data)",
        "report": "offsetof(struct create_report, report)",
        "gen_quote": "sizeof(struct gen_quote)",
        "quote_data": "offsetof(struct gen_quote, report_data)",
        "quote_len": "offsetof(struct gen_quote, quote_len)",
        "quote_buf": "offsetof(struct gen_quote, quote_buf)",
    }
    assert measured(tmp_path, expressions, declarations=OCCLUM) == {
        "SELF_TARGET": occlum.SELF_TARGET,
        "CREATE_REPORT": occlum.CREATE_REPORT,
        "VERIFY_REPORT": occlum.VERIFY_REPORT,
        "GET_DCAP_QUOTE_SIZE": occlum.GET_QUOTE_SIZE,
        "GEN_DCAP_QUOTE": occlum.GEN_QUOTE,
        "create_report": ctypes.sizeof(CreateReport),
        "target_info": CreateReport.target_info.offset,
        "report_data": CreateReport.report_data.offset,
        "report": CreateReport.report.offset,
        "gen_quote": ctypes.sizeof(GenQuote),
        "quote_data": GenQuote.report_data.offset,
        "quote_len": GenQuote.quote_len.offset,
        "quote_buf": GenQuote.quote_buf.offset,
    }


def test_numbers_are_those_that_are_known() -> None:
    """The same, where there is no compiler."""
    assert csv_guest.GET_REPORT == 0xC0104401
    assert (occlum.SELF_TARGET, occlum.CREATE_REPORT, occlum.VERIFY_REPORT) == (0x82007303, 0xC0187304, 0x41B07305)
    assert (occlum.GET_QUOTE_SIZE, occlum.GEN_QUOTE) == (0x80047307, 0xC0187308)
