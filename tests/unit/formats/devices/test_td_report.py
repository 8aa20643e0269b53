"""TDREPORTs, as far as they are looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.formats.devices.tdx_guest import TdReport


@given(st.binary(min_size=1023, max_size=1023))
def test_reportdata_is_at_its_place(rest: bytes) -> None:
    data = b"\x81" + rest
    report = TdReport.from_bytes(data)
    assert (report.data, report.reportdata) == (data, data[128:192])


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=1023, max_size=1025)))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    try:
        assert TdReport.from_bytes(data).data == data
    except DecodeError:
        assert len(data) != 1024 or data[0] != 0x81


@pytest.mark.parametrize("size", [0, 1023, 1025])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"got {size} bytes, expected 1024"):
        TdReport.from_bytes(b"\x81" * size)
