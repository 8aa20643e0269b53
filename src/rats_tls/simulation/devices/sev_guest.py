"""A fake of the SEV guest device: it reads and writes through the pointers of a request, as the kernel does.

Sources: Linux, Documentation/virt/coco/sev-guest.rst, include/uapi/linux/sev-guest.h; AMD SEV-SNP ABI specification,
MSG_REPORT_RSP. Layouts are written down here once more, so that a mistake on the other side shows.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable

from rats_tls.attesters.device import Argument

_GET_REPORT = 0xC0205300
_GET_EXT_REPORT = 0xC0205302
_CALL = struct.Struct("<B7xQQII")
_REQUEST = struct.Struct("<64sI28s")
_EXT_REQUEST = struct.Struct("<64sI28sQI4x")
_RESPONSE_HEADER = struct.Struct("<II24x")
_RESPONSE_SIZE = 4000
_PAGE = 4096
_NO_FIRMWARE_CALL = 0xFF
_INVALID_LEN, _BUSY = 1, 2
_INVALID_PARAM = 22


class FakeSevGuest:
    """`Device` of `/dev/sev-guest`. Thread-safe.

    Args:
        reports: makes a report for user_data (64 bytes) and a VMPL.
        certificates: the host's certificate table.
        path: where it is.
        vmpl: at which the guest runs: the firmware makes no report for one below.
        largest_buffer: largest buffer for certificates that the driver takes.

    Attributes:
        there: whether there is such a device.
        calls: numbers of the calls that were made.
        rooms: sizes of the buffers for certificates that came with them.
        busy: how many of the next calls the host throttles.
        firmware_fails: fw_err of the next call; the driver's key to the firmware is gone with it.
        status: status of the responses, where it is not 0.
        report_size: report_size of the responses, in place of the report's own.
        driver_fails: errno of the next call, which gets no further than the driver.
    """

    def __init__(
        self,
        reports: Callable[[bytes, int], bytes],
        certificates: bytes = b"",
        *,
        path: str = "/dev/sev-guest",
        vmpl: int = 0,
        largest_buffer: int = 0x4000,
    ) -> None:
        self.path = path
        self.there = True
        self.calls: list[int] = []
        self.rooms: list[int] = []
        self.busy = 0
        self.firmware_fails = 0
        self.status = 0
        self.report_size: int | None = None
        self.driver_fails = 0
        self._reports = reports
        self._certificates = certificates
        self._vmpl = vmpl
        self._largest_buffer = largest_buffer
        self._has_key = True
        self._lock = threading.Lock()

    def is_there(self) -> bool:
        """Whether there is such a device."""
        return self.there

    def obstacle(self) -> str:
        """Say why it cannot be opened: only that it is not there."""
        return "" if self.there else "is not there"

    def ioctl(self, number: int, argument: Argument) -> None:
        """Serve one call. Raises OSError as the kernel does."""
        with self._lock:
            if not self.there:
                raise self._error(errno.ENOENT)
            self.calls.append(number)
            if self.driver_fails:
                failed, self.driver_fails = self.driver_fails, 0
                raise self._error(failed)
            address = ctypes.addressof(argument)
            # The kernel reads as many bytes as the number says, whatever is behind the pointer.
            version, request, response, _, _ = _CALL.unpack(ctypes.string_at(address, _CALL.size))
            if version == 0:
                raise self._error(errno.EINVAL)
            if number not in {_GET_REPORT, _GET_EXT_REPORT}:
                raise self._told(errno.ENOTTY, address, _NO_FIRMWARE_CALL, 0)
            if not request or not response:
                raise self._told(errno.EINVAL, address, _NO_FIRMWARE_CALL, 0)
            if number == _GET_REPORT:
                self._report(address, request, response)
            else:
                self._extended_report(address, request, response)

    def _report(self, address: int, request: int, response: int) -> None:
        user_data, vmpl, reserved = _REQUEST.unpack(ctypes.string_at(request, _REQUEST.size))
        self._ask_firmware(address)
        self._respond(response, user_data, vmpl, reserved)

    def _extended_report(self, address: int, request: int, response: int) -> None:
        fields = _EXT_REQUEST.unpack(ctypes.string_at(request, _EXT_REQUEST.size))
        user_data, vmpl, reserved, certs_address, certs_len = fields
        self.rooms.append(certs_len)
        wants = certs_len and certs_address
        # The driver looks at the length, its documentation asks for aligned addresses too.
        if wants and (certs_len > self._largest_buffer or certs_len % _PAGE or certs_address % _PAGE):
            raise self._told(errno.EINVAL, address, _NO_FIRMWARE_CALL, 0)
        self._ask_firmware(address)
        needed = -len(self._certificates) % _PAGE + len(self._certificates)
        if needed > (certs_len if wants else 0):
            ctypes.memmove(request + _REQUEST.size + 8, struct.pack("<I", needed), 4)
            raise self._told(errno.EIO, address, 0, _INVALID_LEN)
        if wants:
            ctypes.memmove(certs_address, self._certificates.ljust(certs_len, b"\0"), certs_len)
        self._respond(response, user_data, vmpl, reserved)

    def _ask_firmware(self, address: int) -> None:
        if not self._has_key:
            raise self._told(errno.ENOTTY, address, _NO_FIRMWARE_CALL, 0)
        if self.busy:
            self.busy -= 1
            raise self._told(errno.EIO, address, 0, _BUSY)
        if self.firmware_fails:
            failed, self.firmware_fails = self.firmware_fails, 0
            self._has_key = False
            raise self._told(errno.EIO, address, failed, 0)

    def _respond(self, response: int, user_data: bytes, vmpl: int, reserved: bytes) -> None:
        status, report = self.status, b""
        if not self._vmpl <= vmpl <= 3 or any(reserved):
            status = _INVALID_PARAM
        elif not status:
            report = self._reports(user_data, vmpl)
        size = len(report) if self.report_size is None else self.report_size
        data = _RESPONSE_HEADER.pack(status, size) + report
        ctypes.memmove(response, data.ljust(_RESPONSE_SIZE, b"\0"), _RESPONSE_SIZE)

    def _told(self, number: int, address: int, fw_err: int, vmm_err: int) -> OSError:
        """Write down what firmware and host said; give the error of the call."""
        ctypes.memmove(address + 24, struct.pack("<II", fw_err, vmm_err), 8)
        return self._error(number)

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), self.path)
