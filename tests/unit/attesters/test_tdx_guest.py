"""TDREPORTs by the guest device: what is asked, and what a device that fails or errs ends in."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable

import pytest

from rats_tls.attesters.tdx_guest import TdxGuest
from rats_tls.core.errors import CollectionError
from rats_tls.formats.devices.tdx_guest import TDX_CMD_GET_REPORT0, TdxReportReq
from rats_tls.simulation.devices.tdx_guest import SimulatedTdxGuest
from support.host_services import trust_domain
from support.simulated import REPORT_DATA


def test_a_report_carries_what_was_asked_for() -> None:
    report = TdxGuest(SimulatedTdxGuest(trust_domain())).report(REPORT_DATA)
    assert len(report.data) == 1024
    assert report.data[128:192] == report.reportdata == REPORT_DATA
    assert report.data == trust_domain().td_report(REPORT_DATA)


def test_what_the_trust_domain_is_stands_at_the_end_of_its_report() -> None:
    """By offsets of TDINFO_STRUCT, which begins at 512."""
    data = bytearray(trust_domain().td_report(REPORT_DATA))
    data[512:912] = bytes(range(1, 17)) + b"".join(bytes((20 + number,)) * 48 for number in range(8))
    info = TdxGuest(SimulatedTdxGuest(trust_domain(), changes=lambda _: bytes(data))).report(REPORT_DATA).info
    assert (info.td_attributes, info.xfam) == (0x0807060504030201, 0x100F0E0D0C0B0A09)
    registers = (info.mr_td, info.mr_config_id, info.mr_owner, info.mr_owner_config)
    assert registers == tuple(bytes((number,)) * 48 for number in range(20, 24))
    assert (info.rtmr0, info.rtmr1, info.rtmr2, info.rtmr3) == tuple(bytes((n,)) * 48 for n in range(24, 28))


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EACCES, errno.EBUSY])
def test_a_device_that_fails_is_named_with_call_and_errno(number: int) -> None:
    with pytest.raises(CollectionError) as caught:
        TdxGuest(SimulatedTdxGuest(trust_domain(), fails=number)).report(REPORT_DATA)
    assert caught.value.message.startswith(f"/dev/tdx_guest: TDX_CMD_GET_REPORT0: {errno.errorcode[number]} (")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda report: report[:128] + bytes(64) + report[192:], "other reportdata: got 0000"),
        (lambda report: report[:191] + b"\xff" + report[192:], "other reportdata"),
        (lambda _: bytes(1024), "TdReport.report_type at 0x0: got 0x0, expected 0x81"),
    ],
    ids=["zeros", "last byte", "nothing"],
)
def test_a_report_of_something_else_is_refused(changes: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(CollectionError, match=f"^/dev/tdx_guest: TDX_CMD_GET_REPORT0: .*{said}"):
        TdxGuest(SimulatedTdxGuest(trust_domain(), changes=changes)).report(REPORT_DATA)


def test_a_machine_without_the_device() -> None:
    guest = TdxGuest()
    assert guest.path == "/dev/tdx_guest"
    if not guest.is_there():
        with pytest.raises(CollectionError, match="/dev/tdx_guest: open: ENOENT"):
            guest.report(REPORT_DATA)


def test_the_fake_refuses_what_the_kernel_does() -> None:
    device = SimulatedTdxGuest(trust_domain())
    with pytest.raises(OSError, match="Inappropriate") as caught:
        device.ioctl(TDX_CMD_GET_REPORT0 + 1, TdxReportReq())
    assert caught.value.errno == errno.ENOTTY
    with pytest.raises(OSError, match="Bad address") as caught:
        device.ioctl(TDX_CMD_GET_REPORT0, (ctypes.c_uint8 * 1024)())
    assert caught.value.errno == errno.EFAULT
