"""Occlum's SGX device: the calls that are made, and what a device that fails or errs ends in."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.attesters.device import CharacterDevice
from rats_tls.attesters.occlum import Occlum
from rats_tls.core.errors import CollectionError, SignatureError
from rats_tls.formats.devices.occlum import CreateReport, GenQuote
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.occlum import FakeOcclum
from rats_tls.simulation.states import SgxState
from rats_tls.verifiers.occlum import OcclumTargetEnclave, own_target_enclave
from support.devices import enclave, occlum
from support.simulated import REPORT_DATA, world

SELF_TARGET, CREATE_REPORT, VERIFY_REPORT = 0x82007303, 0xC0187304, 0x41B07305
QUOTE_SIZE, GEN_QUOTE = 0x80047307, 0xC0187308
TARGET = world().target_enclave().target_info()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(CollectionError) as caught:
        call()
    return caught.value.message


def target(device: FakeOcclum, path: Path) -> OcclumTargetEnclave | None:
    """Give the Verifier's side of the device; a file stands for it."""
    path.touch()

    def ioctl(_descriptor: int, number: int, argument: bytearray) -> int:
        device.ioctl(number, (ctypes.c_uint8 * len(argument)).from_buffer(argument))
        return 0

    found = own_target_enclave(str(path), ioctl=ioctl)
    assert found is None or isinstance(found, OcclumTargetEnclave)
    return found


def test_a_quote_is_made_in_a_buffer_of_the_size_that_is_told() -> None:
    device = occlum()
    quote = Quote.from_bytes(Occlum(device).quote(REPORT_DATA))
    assert (quote.body.report_data, quote.trailing) == (REPORT_DATA, 0)
    assert device.calls == [QUOTE_SIZE, GEN_QUOTE]


def test_a_buffer_that_is_too_large_has_zeros_behind_the_quote() -> None:
    assert Quote.from_bytes(Occlum(occlum(room=1000)).quote(REPORT_DATA)).trailing == 1000


def test_a_size_that_is_written_back_counts() -> None:
    device = occlum(room=1000)
    whole = Occlum(device).quote(REPORT_DATA)
    device.made_size = len(whole) - 1000
    assert Quote.from_bytes(Occlum(device).quote(REPORT_DATA)).trailing == 0
    device.made_size = len(whole) + 1
    assert refused(lambda: Occlum(device).quote(REPORT_DATA)) == (
        f"/dev/sgx: SGXIOC_GEN_DCAP_QUOTE: got {len(whole) + 1} bytes, expected at most {len(whole)}"
    )


@pytest.mark.parametrize("size", [0, 65_537, 0xFFFF_FFFF])
def test_a_size_that_no_quote_has(size: int) -> None:
    device = occlum()
    device.told_size = size
    assert refused(lambda: Occlum(device).quote(REPORT_DATA)) == (
        f"/dev/sgx: SGXIOC_GET_DCAP_QUOTE_SIZE: got {size} bytes, expected 1 to 65536"
    )
    assert device.calls == [QUOTE_SIZE]


@pytest.mark.parametrize("size", [1, 4000])
def test_a_size_that_is_too_small(size: int) -> None:
    device = occlum()
    device.told_size = size
    assert refused(lambda: Occlum(device).quote(REPORT_DATA)) == (
        "/dev/sgx: SGXIOC_GEN_DCAP_QUOTE: EINVAL (Invalid argument)"
    )


def test_a_local_report_is_made_for_the_enclave_that_is_named() -> None:
    device = occlum()
    report = Occlum(device).local_report(TARGET, REPORT_DATA)
    assert LocalReport.from_bytes(report).body.report_data == REPORT_DATA
    assert device.calls == [CREATE_REPORT]
    world().target_enclave().check(report)
    with pytest.raises(SignatureError):
        enclave().check(report)


def test_the_enclave_tells_its_target_info() -> None:
    device = occlum()
    assert Occlum(device).own_target_info() == enclave().target_info()
    assert device.calls == [SELF_TARGET]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda _: bytes(512), "got an enclave of zeros: the device is not Occlum's"),
        (lambda info: bytes(32) + info[32:], "got an enclave of zeros: the device is not Occlum's"),
        (lambda info: info[:511] + b"\1", "TargetInfo.reserved at 0x80: reserved bytes are"),
    ],
    ids=["zeros", "no enclave", "reserved bytes"],
)
def test_a_device_that_tells_of_no_enclave_is_not_occlums(changes: Callable[[bytes], bytes], said: str) -> None:
    device = occlum()
    device.changes = changes
    assert refused(Occlum(device).own_target_info).startswith(f"/dev/sgx: SGXIOC_SELF_TARGET: {said}")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTTY, errno.EIO, errno.EBUSY])
@pytest.mark.parametrize(
    ("code", "name", "call"),
    [
        (SELF_TARGET, "SGXIOC_SELF_TARGET", lambda it: it.own_target_info()),
        (QUOTE_SIZE, "SGXIOC_GET_DCAP_QUOTE_SIZE", lambda it: it.quote(REPORT_DATA)),
        (GEN_QUOTE, "SGXIOC_GEN_DCAP_QUOTE", lambda it: it.quote(REPORT_DATA)),
        (CREATE_REPORT, "SGXIOC_CREATE_REPORT", lambda it: it.local_report(TARGET, REPORT_DATA)),
    ],
)
def test_a_call_that_fails_is_named_with_device_and_errno(
    code: int, name: str, call: Callable[[Occlum], object], number: int
) -> None:
    device = occlum()
    device.fails[code] = number
    assert refused(lambda: call(Occlum(device))).startswith(f"/dev/sgx: {name}: {errno.errorcode[number]} (")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    device = Occlum(CharacterDevice(str(tmp_path / "sgx")))
    assert not device.is_there()
    assert refused(lambda: device.quote(REPORT_DATA)).endswith("sgx: open: ENOENT (No such file or directory)")
    assert Occlum().path == "/dev/sgx"


def test_another_device_of_that_name() -> None:
    null = Occlum(CharacterDevice("/dev/null"))
    assert null.is_there()
    assert refused(null.own_target_info).startswith("/dev/null: SGXIOC_SELF_TARGET: ENOTTY (")


def test_attester_and_verifier_under_occlum_understand_each_other(tmp_path: Path) -> None:
    peer = occlum()
    checks = FakeOcclum(enclave(state=SgxState(mr_enclave=bytes([9] * 32))))
    judging = target(checks, tmp_path / "sgx")
    assert judging is not None
    report = Occlum(peer).local_report(judging.target_info(), REPORT_DATA)
    judging.check(report)
    assert checks.calls[-1] == VERIFY_REPORT
    for changed in (report[:320] + bytes([report[320] ^ 1]) + report[321:], report[:-1] + bytes([report[-1] ^ 1])):
        with pytest.raises(SignatureError, match="EINVAL"):
            judging.check(changed)
    with pytest.raises(SignatureError):
        judging.check(Occlum(peer).local_report(TARGET, REPORT_DATA))
    elsewhere = FakeOcclum(enclave(machine=1))
    with pytest.raises(SignatureError):
        judging.check(Occlum(elsewhere).local_report(judging.target_info(), REPORT_DATA))


# --- the fake ---------------------------------------------------------------------------------------------------------
def test_the_fake_refuses_what_the_device_does() -> None:
    device, room = occlum(), (ctypes.c_uint8 * 5000)()
    somewhere, size = ctypes.addressof(room), (ctypes.c_uint32 * 1)(5000)
    wrong = [
        (SELF_TARGET, (ctypes.c_uint8 * 511)()),
        (0x82007302, (ctypes.c_uint8 * 512)()),
        (CREATE_REPORT, CreateReport(target_info=somewhere, report_data=somewhere)),
        (GEN_QUOTE, GenQuote(quote_len=ctypes.addressof(size), quote_buf=somewhere)),
        (GEN_QUOTE, GenQuote(report_data=somewhere, quote_buf=somewhere)),
        (GEN_QUOTE, GenQuote(report_data=somewhere, quote_len=ctypes.addressof(size))),
        (VERIFY_REPORT, (ctypes.c_uint8 * 432)()),
    ]
    for number, argument in wrong:
        with pytest.raises(OSError, match="Invalid argument"):
            device.ioctl(number, argument)
    device.ioctl(CREATE_REPORT, CreateReport(report=somewhere))
    assert LocalReport.from_bytes(bytes(room)[:432]).body.report_data == bytes(64)
    enclave().check(bytes(room)[:432])
    device.there = False
    with pytest.raises(OSError, match="No such file"):
        device.ioctl(SELF_TARGET, (ctypes.c_uint8 * 512)())
