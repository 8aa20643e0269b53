"""Reports of SEV-SNP by the kernel's SEV guest device, with the certificates that the host has for them."""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import CharacterDevice, Device, failure
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices.sev_guest import (
    CERTIFICATES_SIZE,
    DEVICE,
    MESSAGE_VERSION,
    PAGE_SIZE,
    SNP_GET_EXT_REPORT,
    SNP_GET_REPORT,
    USER_DATA_SIZE,
    VMM_ERR_BUSY,
    VMM_ERR_INVALID_LEN,
    ReportResponse,
    SnpExtReportReq,
    SnpGuestRequestIoctl,
    SnpReportReq,
    SnpReportResp,
    firmware_error,
)

_MOST_CERTIFICATES = 65_536
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_HINTS = {
    errno.ENOTTY: "it is another device, or the driver has given up its key to the firmware after an earlier error",
    errno.EACCES: "this user may not open it",
    errno.EPERM: "this user may not open it",
}
_NAMES = {SNP_GET_REPORT: "SNP_GET_REPORT", SNP_GET_EXT_REPORT: "SNP_GET_EXT_REPORT"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedReport:
    """A report, and what the host has for it.

    Attributes:
        report: ATTESTATION_REPORT.
        certificates: the host's certificate table with zeros behind it; empty where it could not be had.
    """

    report: bytes
    certificates: bytes


class SevGuest:
    """Makes reports. A host that throttles is asked again a few times, for less than eight seconds.

    Nothing else is asked twice: after an error of the firmware the driver gives up its key to it.

    Args:
        device: `/dev/sev-guest` where left out.
        sleep: pauses before a host that throttles is asked again.
    """

    def __init__(self, device: Device | None = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._device = device if device is not None else CharacterDevice(DEVICE)
        self._sleep = sleep

    @property
    def path(self) -> str:
        """Where the device is."""
        return self._device.path

    def is_there(self) -> bool:
        """Whether there is such a device; asking has no effect."""
        return self._device.is_there()

    def obstacle(self) -> str:
        """Say why this process cannot open it; "" where it can."""
        return self._device.obstacle()

    def report(self, report_data: bytes, *, vmpl: int = 0, deadline: Deadline | None = None) -> bytes:
        """Get a report that carries `report_data` (64 bytes), for a VMPL from 0 to 3.

        Args:
            report_data: 64 bytes.
            vmpl: 0 to 3.
            deadline: until then a host that throttles is asked again; it is asked once where left out.

        Raises:
            CollectionError: device or firmware failed; the message names errno, fw_err, vmm_err or status.
        """
        try:
            return self._call(SNP_GET_REPORT, _request(report_data, vmpl), deadline)
        except _CallFailedError as failed:
            raise self._failure(SNP_GET_REPORT, failed) from failed.error

    def extended_report(self, report_data: bytes, *, vmpl: int = 0, deadline: Deadline | None = None) -> ExtendedReport:
        """Get a report as `report` does, with the host's certificates.

        The host is not trusted, and certificates are to be had elsewhere: where it has more than fit, the report comes
        without them.

        Raises:
            CollectionError: as `report`.
        """
        # As much as the driver takes at once: each request that the host refuses for its length costs one more.
        given = self._extended(report_data, vmpl, CERTIFICATES_SIZE, deadline)
        if isinstance(given, int) and CERTIFICATES_SIZE < given <= _MOST_CERTIFICATES and given % PAGE_SIZE == 0:
            given = self._extended(report_data, vmpl, given, deadline)
        if isinstance(given, ExtendedReport):
            return given
        _log.warning("%s: the host's certificates are left out: they take %d bytes", self.path, given)
        return ExtendedReport(report=self.report(report_data, vmpl=vmpl, deadline=deadline), certificates=b"")

    def _extended(self, report_data: bytes, vmpl: int, size: int, deadline: Deadline | None) -> ExtendedReport | int:
        """Ask with room for `size` bytes of certificates; give how many bytes they take where that is too few."""
        room = (ctypes.c_uint8 * size).from_buffer(mmap.mmap(-1, size))  # aligned to pages
        request = SnpExtReportReq(_request(report_data, vmpl), ctypes.addressof(room), size)
        try:
            report = self._call(SNP_GET_EXT_REPORT, request, deadline)
        except _CallFailedError as failed:
            if failed.is_for_length:
                return int(request.certs_len)
            if failed.error.errno == errno.EINVAL and size > CERTIFICATES_SIZE:
                return size  # the driver has no such buffer, and has not asked the firmware
            raise self._failure(SNP_GET_EXT_REPORT, failed) from failed.error
        return ExtendedReport(report=report, certificates=bytes(room))

    def _call(self, number: int, request: SnpReportReq | SnpExtReportReq, deadline: Deadline | None) -> bytes:
        """Make a call, and again while the host throttles; give the report. Raises _CallFailedError."""
        for pause in _PAUSES:
            try:
                return self._call_once(number, request)
            except _CallFailedError as failed:
                if not failed.is_for_throttling or deadline is None or not deadline.allows(pause):
                    raise
                self._sleep(pause)
                if not deadline.left:
                    raise
        return self._call_once(number, request)

    def _call_once(self, number: int, request: SnpReportReq | SnpExtReportReq) -> bytes:
        response = SnpReportResp()
        call = SnpGuestRequestIoctl(MESSAGE_VERSION, ctypes.addressof(request), ctypes.addressof(response))
        try:
            self._device.ioctl(number, call)
        except OSError as error:
            raise _CallFailedError(error, call) from error
        where = f"{self.path}: {_NAMES[number]}"
        try:
            answer = ReportResponse.from_bytes(bytes(response.data))
        except DecodeError as error:
            raise CollectionError(f"{where}: {error.message}") from error
        if answer.status:
            raise CollectionError(
                f"{where}: status: got {answer.status:#x} ({firmware_error(answer.status)}), expected 0"
            )
        return answer.report

    def _failure(self, number: int, failed: _CallFailedError) -> CollectionError:
        hint = _HINTS.get(failed.error.errno or 0, "")
        told = ", ".join(filter(None, (failed.call.told, hint)))
        return failure(self.path, _NAMES[number], failed.error, told=told)


class _CallFailedError(Exception):
    """A call that failed, and what firmware and host said of it."""

    def __init__(self, error: OSError, call: SnpGuestRequestIoctl) -> None:
        super().__init__(str(error))
        self.error = error
        self.call = call

    @property
    def is_for_throttling(self) -> bool:
        return self._is_the_hosts(VMM_ERR_BUSY)

    @property
    def is_for_length(self) -> bool:
        return self._is_the_hosts(VMM_ERR_INVALID_LEN)

    def _is_the_hosts(self, vmm_error: int) -> bool:
        """Whether the host, and not the firmware, refused the request: it may be made again."""
        return self.error.errno == errno.EIO and self.call.fw_error == 0 and self.call.vmm_error == vmm_error


def _request(report_data: bytes, vmpl: int) -> SnpReportReq:
    return SnpReportReq((ctypes.c_uint8 * USER_DATA_SIZE)(*report_data), vmpl)
