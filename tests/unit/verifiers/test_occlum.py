"""The enclave around this process, under Occlum: the calls that are made, and what a failing device means."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.errors import RatsTlsError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import TargetEnclave
from rats_tls.verifiers.occlum import OcclumTargetEnclave, own_target_enclave

REPORT = bytes(range(256)) + bytes(176)
TARGET = bytes([7] * 512)
OWN = bytes([7] * 32) + bytes(480)


class FakeDevice:
    """Answers calls as Occlum's device does; a file stands for it."""

    def __init__(self, directory: Path, fails: int = 0) -> None:
        self.path = directory / "sgx"
        self.path.touch()
        self.fails = fails
        self.calls: list[tuple[int, bytes]] = []

    def __call__(self, descriptor: int, number: int, argument: bytearray) -> int:
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == self.path
        self.calls.append((number, bytes(argument)))
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        if number == 0x82007303:
            argument[:] = OWN
        return 0

    @property
    def enclave(self) -> OcclumTargetEnclave:
        return OcclumTargetEnclave(str(self.path), ioctl=self)


def test_the_enclave_is_asked_for_the_report_as_it_is(tmp_path: Path) -> None:
    device = FakeDevice(tmp_path)
    device.enclave.check(REPORT)
    assert device.calls == [(0x41B07305, REPORT)]


def test_the_enclave_gives_its_target_info(tmp_path: Path) -> None:
    device = FakeDevice(tmp_path)
    assert device.enclave.target_info() == OWN
    assert device.calls == [(0x82007303, bytes(512))]


def test_it_is_hardware_of_this_machine(tmp_path: Path) -> None:
    enclave = FakeDevice(tmp_path).enclave
    assert isinstance(enclave, TargetEnclave)
    assert (enclave.name, enclave.kind) == ("this machine's processor", AnchorKind.VENDOR)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EINVAL, SignatureError),
        (errno.EACCES, SignatureError),
        (errno.ENOTTY, UnsupportedError),
        (errno.ENODEV, UnsupportedError),
    ],
)
def test_a_call_that_fails_is_a_refusal_that_names_device_and_errno(
    number: int, error: type[RatsTlsError], tmp_path: Path
) -> None:
    device = FakeDevice(tmp_path, number)
    with pytest.raises(error) as caught:
        device.enclave.check(REPORT)
    for said in (str(device.path), "SGXIOC_VERIFY_REPORT", errno.errorcode[number]):
        assert said in caught.value.message
    with pytest.raises(UnsupportedError, match=f"SGXIOC_SELF_TARGET: {errno.errorcode[number]}"):
        device.enclave.target_info()


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    enclave = OcclumTargetEnclave(str(tmp_path / "none"))
    with pytest.raises(UnsupportedError, match="none: ENOENT"):
        enclave.check(REPORT)
    with pytest.raises(UnsupportedError, match="none: ENOENT"):
        enclave.target_info()


def test_a_file_that_is_no_device_checks_nothing(tmp_path: Path) -> None:
    (tmp_path / "sgx").touch()
    with pytest.raises(UnsupportedError, match="ENOTTY"):
        OcclumTargetEnclave(str(tmp_path / "sgx")).check(REPORT)


def test_only_a_process_under_occlum_has_an_own_target_enclave(tmp_path: Path) -> None:
    assert own_target_enclave(str(tmp_path / "sgx")) is None
    device = FakeDevice(tmp_path)
    assert isinstance(own_target_enclave(str(device.path), ioctl=device), OcclumTargetEnclave)
    assert device.calls == [(0x82007303, bytes(512))]


@pytest.mark.parametrize("answer", [bytes(512), TARGET, TARGET[:128]], ids=["no enclave", "reserved bytes", "short"])
def test_a_device_that_tells_no_target_info_is_not_occlums(answer: bytes, tmp_path: Path) -> None:
    def answers(_descriptor: int, _number: int, argument: bytearray) -> int:
        argument[:] = answer
        return 0

    (tmp_path / "sgx").touch()
    assert own_target_enclave(str(tmp_path / "sgx"), ioctl=answers) is None


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL, errno.EPERM])
def test_a_device_that_fails_is_not_occlums(number: int, tmp_path: Path) -> None:
    device = FakeDevice(tmp_path, number)
    assert own_target_enclave(str(device.path), ioctl=device) is None


def test_a_file_is_not_occlums_device(tmp_path: Path) -> None:
    (tmp_path / "sgx").touch()
    assert own_target_enclave(str(tmp_path / "sgx")) is None


def test_descriptors_are_closed(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for fails in (0, errno.EINVAL):
        device = FakeDevice(tmp_path, fails)
        for _ in range(20):
            with pytest.raises(SignatureError) if fails else nullcontext():
                device.enclave.check(REPORT)
    assert len(list(descriptors.iterdir())) == before
