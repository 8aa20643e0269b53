"""The enclave that this process runs in, under Occlum: it checks local reports that were made for it.

Source: Occlum, SGX device, ioctls of type `s`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.errors import DecodeError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import TargetEnclave
from rats_tls.formats.devices.occlum import DEVICE, SELF_TARGET, VERIFY_REPORT
from rats_tls.formats.intel.local_report import TARGET_INFO_SIZE, TargetInfo

_NOT_THIS_DEVICE = frozenset({errno.ENOTTY, errno.ENODEV})
Ioctl = Callable[[int, int, bytearray], int]
"""File descriptor, number, argument that may be written to."""


class OcclumTargetEnclave:
    """Asks the enclave around this process, through Occlum's device.

    Args:
        device: Occlum's SGX device.
        ioctl: makes the call.
    """

    name = "this machine's processor"
    kind = AnchorKind.VENDOR

    def __init__(self, device: str = DEVICE, *, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._device = device
        self._ioctl = ioctl

    def target_info(self) -> bytes:
        """Give this enclave's TARGETINFO (512 bytes). Raises UnsupportedError: the device fails."""
        argument = bytearray(TARGET_INFO_SIZE)
        try:
            self._call(SELF_TARGET, argument)
        except OSError as error:
            raise UnsupportedError(f"target enclave: {self._device}: SGXIOC_SELF_TARGET: {_text(error)}") from error
        return bytes(argument)

    def check(self, report: bytes) -> None:
        """Have the enclave check a local report (432 bytes).

        Raises:
            SignatureError: the enclave does not take it.
            UnsupportedError: the device is not there, or is another one.
        """
        try:
            self._call(VERIFY_REPORT, bytearray(report))
        except OSError as error:
            call = f"{self._device}: SGXIOC_VERIFY_REPORT: {_text(error)}"
            if error.errno in _NOT_THIS_DEVICE:
                raise UnsupportedError(f"target enclave: {call}: it is not Occlum's") from error
            raise SignatureError(
                f"local report: MAC: {call}: it was not made for this enclave on this machine, or was changed"
            ) from error

    def _call(self, number: int, argument: bytearray) -> None:
        try:
            descriptor = os.open(self._device, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UnsupportedError(f"target enclave: {self._device}: {_text(error)}") from error
        try:
            self._ioctl(descriptor, number, argument)
        finally:
            os.close(descriptor)


def own_target_enclave(device: str = DEVICE, *, ioctl: Ioctl = fcntl.ioctl) -> TargetEnclave | None:
    """Give the enclave that this process runs in, or None: under Occlum, its device tells that enclave's TARGETINFO.

    Asking has no effect. No environment variable has a say in it.
    """
    if not Path(device).exists():
        return None
    enclave = OcclumTargetEnclave(device, ioctl=ioctl)
    try:
        target = TargetInfo.from_bytes(enclave.target_info())
    except (UnsupportedError, DecodeError):
        return None
    return enclave if any(target.mr_enclave) else None


def _text(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, error.errno)} ({error.strerror})"
