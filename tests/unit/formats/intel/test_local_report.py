"""SGX local reports and TARGETINFO: sizes, fields at their offsets, reserved bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.formats.intel.local_report import LocalReport, TargetInfo

REPORT = bytearray(432)
REPORT[0:16] = bytes([1] * 16)
REPORT[64:96] = bytes([2] * 32)
REPORT[320:384] = bytes(range(64))
REPORT[384:416] = bytes([3] * 32)
REPORT[416:432] = bytes([4] * 16)
RESERVED_IN_REPORT = (*range(20, 32), *range(96, 128), *range(160, 192), *range(262, 304))

TARGET = bytearray(512)
TARGET[0:32] = bytes([5] * 32)
TARGET[32:40] = (0x15).to_bytes(8, "little")
TARGET[40:48] = (0xE7).to_bytes(8, "little")
TARGET[48] = 6
TARGET[50:52] = (0x0708).to_bytes(2, "little")
TARGET[52:56] = (0x090A0B0C).to_bytes(4, "little")
TARGET[64:128] = bytes([13] * 64)
RESERVED_IN_TARGET = (49, *range(56, 64), *range(128, 512))


def test_fields_of_a_report() -> None:
    report = LocalReport.from_bytes(bytes(REPORT))
    assert report.body.cpu_svn == bytes([1] * 16)
    assert report.body.mr_enclave == bytes([2] * 32)
    assert report.body.report_data == bytes(range(64))
    assert (report.key_id, report.mac) == (bytes([3] * 32), bytes([4] * 16))
    assert report.to_bytes() == REPORT


def test_fields_of_a_target_info() -> None:
    target = TargetInfo.from_bytes(bytes(TARGET))
    assert target.mr_enclave == bytes([5] * 32)
    assert (target.attributes, target.xfrm, target.cet_attributes) == (0x15, 0xE7, 6)
    assert (target.config_svn, target.miscselect, target.config_id) == (0x0708, 0x090A0B0C, bytes([13] * 64))
    assert target.to_bytes() == TARGET


@pytest.mark.parametrize(("structure", "whole"), [(LocalReport, REPORT), (TargetInfo, TARGET)])
def test_every_other_size_is_refused(structure: type[LocalReport | TargetInfo], whole: bytearray) -> None:
    for size in (*range(len(whole)), len(whole) + 1, 2 * len(whole)):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected {len(whole)}"):
            structure.from_bytes(bytes(whole).ljust(size, b"\0")[:size])


@pytest.mark.parametrize(
    ("structure", "whole", "reserved"),
    [(LocalReport, REPORT, RESERVED_IN_REPORT), (TargetInfo, TARGET, RESERVED_IN_TARGET)],
)
def test_reserved_bytes_must_be_zero_and_no_others(
    structure: type[LocalReport | TargetInfo], whole: bytearray, reserved: tuple[int, ...]
) -> None:
    refused = []
    for offset in range(len(whole)):
        changed = bytearray(whole)
        changed[offset] ^= 0x80
        try:
            structure.from_bytes(bytes(changed))
        except DecodeError as error:
            refused.append((error.field, offset))
    assert refused == [("reserved", offset) for offset in reserved]


@given(st.binary(min_size=432, max_size=432) | st.binary(min_size=512, max_size=512) | st.binary(max_size=600))
def test_any_bytes_give_a_structure_that_writes_them_or_an_error(data: bytes) -> None:
    for structure in (LocalReport, TargetInfo):
        try:
            read = structure.from_bytes(data)
        except DecodeError:
            continue
        assert read.to_bytes() == data
