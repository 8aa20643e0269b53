"""TDREPORTs by the kernel's TDX guest device."""

from __future__ import annotations

import ctypes

from rats_tls.attesters.device import CharacterDevice, Device, failure
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices.tdx_guest import DEVICE, REPORTDATA_SIZE, TDX_CMD_GET_REPORT0, TdReport, TdxReportReq


class TdxGuest:
    """Makes TDREPORTs: local reports, of which the quote generation service makes quotes.

    Args:
        device: `/dev/tdx_guest` where left out.
    """

    def __init__(self, device: Device | None = None) -> None:
        self._device = device if device is not None else CharacterDevice(DEVICE)

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

    def report(self, report_data: bytes) -> TdReport:
        """Get a TDREPORT (1024 bytes) that carries `report_data` (64 bytes).

        Raises:
            CollectionError: the device failed, or gave something else.
        """
        request = TdxReportReq(reportdata=(ctypes.c_uint8 * REPORTDATA_SIZE)(*report_data))
        try:
            self._device.ioctl(TDX_CMD_GET_REPORT0, request)
        except OSError as error:
            raise failure(self.path, "TDX_CMD_GET_REPORT0", error) from error
        try:
            report = TdReport.from_bytes(bytes(request.tdreport))
        except DecodeError as error:
            raise CollectionError(f"{self.path}: TDX_CMD_GET_REPORT0: {error.message}") from error
        if report.reportdata != report_data:
            raise CollectionError(
                f"{self.path}: TDX_CMD_GET_REPORT0: gave a TDREPORT with other reportdata: "
                f"got {report.reportdata.hex()}, expected {report_data.hex()}"
            )
        return report
