"""The SEV guest device: what is asked, what each failure says, and what is asked again."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading

import pytest

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import CharacterDevice
from rats_tls.attesters.sev_guest import SevGuest
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices.sev_guest import ReportResponse, SnpGuestRequestIoctl
from rats_tls.simulation.devices.sev_guest import FakeSevGuest

DATA = bytes(range(64))
GET_REPORT, GET_EXT_REPORT = 0xC0205300, 0xC0205302
TABLE = bytes(range(1, 251)) * 24  # 6000 bytes


def report_of(user_data: bytes, vmpl: int) -> bytes:
    return bytes((vmpl,)) + user_data + bytes(0x4A0 - 65)


def fake(certificates: bytes = b"", **settings: object) -> FakeSevGuest:
    return FakeSevGuest(report_of, certificates, **settings)  # type: ignore[arg-type]  # settings of the fake


def guest(device: FakeSevGuest, pauses: list[float] | None = None) -> SevGuest:
    return SevGuest(device, sleep=[].append if pauses is None else pauses.append)


def refused(device: FakeSevGuest, *, extended: bool = False) -> str:
    with pytest.raises(CollectionError) as caught:
        (guest(device).extended_report if extended else guest(device).report)(DATA, deadline=Deadline(20))
    return caught.value.message


def test_a_report() -> None:
    device = fake()
    assert guest(device).report(DATA, vmpl=2) == report_of(DATA, 2)
    assert device.calls == [GET_REPORT]


def test_an_extended_report() -> None:
    device = fake(TABLE)
    given = guest(device).extended_report(DATA, vmpl=3)
    assert given.report == report_of(DATA, 3)
    assert given.certificates == TABLE.ljust(16_384, b"\0")
    assert (device.calls, device.rooms) == ([GET_EXT_REPORT], [16_384])


def test_a_host_without_certificates() -> None:
    given = guest(fake()).extended_report(DATA)
    assert (given.report, given.certificates) == (report_of(DATA, 0), bytes(16_384))


def test_100_callers_get_their_own() -> None:
    device, asked = fake(TABLE), [os.urandom(64) for _ in range(100)]
    given: dict[bytes, bytes] = {}

    def ask(data: bytes) -> None:
        given[data] = guest(device).extended_report(data).report

    threads = [threading.Thread(target=ask, args=(data,)) for data in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == {data: report_of(data, 0) for data in asked}


# --- certificates that do not fit ------------------------------------------------------------------------------------
def test_the_buffer_grows_once_to_what_the_host_asks_for() -> None:
    device = fake(TABLE * 4, largest_buffer=0x10000)
    given = guest(device).extended_report(DATA)
    assert given.certificates == (TABLE * 4).ljust(24_576, b"\0")
    assert device.rooms == [16_384, 24_576]


@pytest.mark.parametrize(
    ("size", "largest", "rooms"),
    [
        (24_000, 0x4000, [16_384, 24_576]),  # the driver takes no such buffer
        (70_000, 0x100000, [16_384]),  # nor do we
    ],
)
def test_more_certificates_than_fit_do_not_stop_the_report(
    size: int, largest: int, rooms: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    device = fake(bytes(size), largest_buffer=largest)
    given = guest(device).extended_report(DATA)
    assert (given.report, given.certificates) == (report_of(DATA, 0), b"")
    assert device.rooms == rooms
    assert device.calls == [GET_EXT_REPORT] * len(rooms) + [GET_REPORT]
    assert "/dev/sev-guest: the host's certificates are left out" in caplog.text


@pytest.mark.parametrize("length", [0, 4096, 16_384, 20_000, 0xFFFFFFFF])
def test_a_host_that_lies_about_its_certificates_is_asked_for_none(length: int) -> None:
    class Lying(FakeSevGuest):
        def ioctl(self, number: int, argument: ctypes.Structure) -> None:  # type: ignore[override]  # fewer arguments
            if number == GET_EXT_REPORT:
                self.calls.append(number)
                ctypes.memmove(argument.req_data + 104, length.to_bytes(4, "little"), 4)
                argument.vmm_error = 1
                raise OSError(errno.EIO, "Input/output error")
            super().ioctl(number, argument)

    device = Lying(report_of)
    assert guest(device).extended_report(DATA).report == report_of(DATA, 0)
    assert device.calls == [GET_EXT_REPORT, GET_REPORT]


def test_a_host_whose_certificates_grow_is_asked_twice_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    class Growing(FakeSevGuest):
        def ioctl(self, number: int, argument: ctypes.Structure) -> None:  # type: ignore[override]  # fewer arguments
            self._certificates += bytes(8192)
            super().ioctl(number, argument)

    device = Growing(report_of, bytes(16_384), largest_buffer=0x100000)
    assert guest(device).extended_report(DATA).certificates == b""
    assert device.calls == [GET_EXT_REPORT, GET_EXT_REPORT, GET_REPORT]


# --- the host throttles ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("extended", [False, True])
def test_a_host_that_throttles_is_asked_again_with_pauses(extended: bool) -> None:
    device, pauses = fake(), []
    device.busy = 4
    ask = guest(device, pauses)
    assert (
        ask.extended_report(DATA, deadline=Deadline(20)).report if extended else ask.report(DATA, deadline=Deadline(20))
    ) == report_of(DATA, 0)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("extended", [False, True])
def test_a_host_that_goes_on_throttling_is_given_up(extended: bool) -> None:
    device = fake()
    device.busy = 100
    name = "SNP_GET_EXT_REPORT" if extended else "SNP_GET_REPORT"
    text = f"/dev/sev-guest: {name}: EIO (Input/output error), vmm_err 0x2 (BUSY)"
    assert refused(device, extended=extended) == text
    assert len(device.calls) == 5


# --- failures --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(("code", "name"), [(22, "INVALID_PARAM"), (39, "INVALID_KEY"), (0x1234, "unknown")])
def test_an_error_of_the_firmware_is_named_and_never_asked_again(code: int, name: str, extended: bool) -> None:
    device = fake(TABLE)
    device.firmware_fails = code
    assert f": EIO (Input/output error), fw_err {code:#x} ({name})" in refused(device, extended=extended)
    assert len(device.calls) == 1
    # The driver has given up its key: so it is from now on.
    hint = "it is another device, or the driver has given up its key to the firmware after an earlier error"
    assert refused(device) == f"/dev/sev-guest: SNP_GET_REPORT: ENOTTY (Inappropriate ioctl for device), {hint}"


def test_a_driver_that_has_waited_for_a_host_in_vain_is_not_asked_again() -> None:
    """It has given up its key by then."""

    class TimedOut(FakeSevGuest):
        def ioctl(self, number: int, argument: ctypes.Structure) -> None:  # type: ignore[override]  # fewer arguments
            self.calls.append(number)
            argument.vmm_error = 2
            raise OSError(errno.ETIMEDOUT, "Connection timed out")

    device = TimedOut(report_of)
    assert refused(device).endswith("ETIMEDOUT (Connection timed out), vmm_err 0x2 (BUSY)")
    assert len(device.calls) == 1


@pytest.mark.parametrize("host", [1, 2])
def test_an_error_of_the_firmware_counts_whatever_the_host_says_besides(host: int) -> None:
    class Both(FakeSevGuest):
        def ioctl(self, number: int, argument: ctypes.Structure) -> None:  # type: ignore[override]  # fewer arguments
            self.calls.append(number)
            argument.fw_error, argument.vmm_error = 22, host
            raise OSError(errno.EIO, "Input/output error")

    device = Both(report_of)
    words = {1: "INVALID_LEN", 2: "BUSY"}[host]
    assert f"fw_err 0x16 (INVALID_PARAM), vmm_err {host:#x} ({words})" in refused(device, extended=True)
    assert len(device.calls) == 1


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, ", this user may not open it"),
        (errno.EPERM, ", this user may not open it"),
        (errno.EINVAL, ""),
        (errno.ETIMEDOUT, ""),
        (errno.EBADMSG, ""),
        (errno.EFAULT, ""),
    ],
)
@pytest.mark.parametrize("extended", [False, True])
def test_an_error_of_the_driver_is_named(number: int, hint: str, extended: bool) -> None:
    device = fake()
    device.driver_fails = number
    said = refused(device, extended=extended)
    assert said.endswith(f"REPORT: {errno.errorcode[number]} ({os.strerror(number)}){hint}")
    assert len(device.calls) == 1


def test_nothing_of_an_earlier_answer_is_in_the_next() -> None:
    """A call that fails may have written to its response; the next one gets a new one."""

    class Dirty(FakeSevGuest):
        def ioctl(self, number: int, argument: ctypes.Structure) -> None:  # type: ignore[override]  # fewer arguments
            assert not any(ctypes.string_at(argument.resp_data, 4000))
            if self.busy:
                ctypes.memset(argument.resp_data, 0xFF, 4000)
            super().ioctl(number, argument)

    device = Dirty(report_of, TABLE)
    device.busy = 2
    assert guest(device).extended_report(DATA, deadline=Deadline(20)).report == report_of(DATA, 0)
    assert len(device.calls) == 3


def test_a_device_that_is_not_there() -> None:
    device = fake()
    device.there = False
    assert not guest(device).is_there()
    assert refused(device) == "/dev/sev-guest: SNP_GET_REPORT: ENOENT (No such file or directory)"
    real = SevGuest(CharacterDevice("/dev/no-such-device"))
    assert (real.is_there(), real.path) == (False, "/dev/no-such-device")
    with pytest.raises(CollectionError, match="/dev/no-such-device: open: ENOENT"):
        real.report(DATA)


def test_a_device_that_is_another_one() -> None:
    with pytest.raises(CollectionError, match=r"/dev/null: SNP_GET_EXT_REPORT: ENOTTY .*, it is another device"):
        SevGuest(CharacterDevice("/dev/null")).extended_report(DATA)


@pytest.mark.parametrize(("status", "name"), [(22, "INVALID_PARAM"), (39, "INVALID_KEY"), (99, "unknown")])
@pytest.mark.parametrize("extended", [False, True])
def test_a_status_that_is_not_0(status: int, name: str, extended: bool) -> None:
    device = fake()
    device.status = status
    assert refused(device, extended=extended).endswith(f"status: got {status:#x} ({name}), expected 0")
    assert len(device.calls) == 1


def test_a_vmpl_below_the_guests() -> None:
    assert refused(fake(vmpl=1)).endswith("SNP_GET_REPORT: status: got 0x16 (INVALID_PARAM), expected 0")


@pytest.mark.parametrize("size", [0, 0x4A0 - 1, 4000 - 32 + 1, 0xFFFFFFFF])
def test_a_report_size_that_no_report_has(size: int) -> None:
    device = fake()
    device.report_size = size
    text = f"SNP_GET_REPORT: ReportResponse.report_size at 0x4: got {size}, expected 1184 to 3968"
    assert refused(device).endswith(text)


def test_a_response_is_decoded_at_its_size_alone() -> None:
    with pytest.raises(DecodeError, match="got 3999 bytes, expected 4000"):
        ReportResponse.from_bytes(bytes(3999))
    largest = (0).to_bytes(4, "little") + (3968).to_bytes(4, "little") + bytes(24) + b"r" * 3968
    assert ReportResponse.from_bytes(largest).report == b"r" * 3968


# --- the device of this machine --------------------------------------------------------------------------------------
def test_what_a_failed_call_has_written_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer Pythons hand the kernel a copy of short arguments, and drop it where the call fails."""

    def ioctl(_descriptor: int, number: int, argument: ctypes.Array) -> int:  # type: ignore[type-arg]  # of bytes
        view = memoryview(argument).cast("B")
        assert number == GET_REPORT
        assert view[0] == 1
        if len(view) > 1024:
            view[24:32] = b"\x16\0\0\0\2\0\0\0"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    call = SnpGuestRequestIoctl(1)
    with pytest.raises(OSError):
        CharacterDevice("/dev/null").ioctl(GET_REPORT, call)
    assert (call.fw_error, call.vmm_error) == (22, 2)


def test_the_fake_keeps_the_drivers_rules() -> None:
    device = fake(TABLE)
    for number, version, expected in ((GET_REPORT, 0, errno.EINVAL), (0xC0205309, 1, errno.ENOTTY)):
        with pytest.raises(OSError) as caught:
            device.ioctl(number, SnpGuestRequestIoctl(version, 1, 1))
        assert caught.value.errno == expected
    for number in (GET_REPORT, GET_EXT_REPORT):
        with pytest.raises(OSError) as caught:
            device.ioctl(number, SnpGuestRequestIoctl(1, 0, 0))
        assert caught.value.errno == errno.EINVAL
    for length, misplaced in ((4095, 0), (0x5000, 0), (4096, 8)):
        request = ctypes.create_string_buffer(112)
        room = ctypes.create_string_buffer(0x6000)
        address = (ctypes.addressof(room) + 4095) // 4096 * 4096 + misplaced
        request[96:104] = address.to_bytes(8, "little")
        request[104:108] = length.to_bytes(4, "little")
        response = ctypes.create_string_buffer(4000)
        call = SnpGuestRequestIoctl(1, ctypes.addressof(request), ctypes.addressof(response))
        with pytest.raises(OSError) as caught:
            device.ioctl(GET_EXT_REPORT, call)
        assert (caught.value.errno, call.fw_error) == (errno.EINVAL, 0xFF)
