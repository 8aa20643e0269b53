"""The kernel's SEV guest device, `/dev/sev-guest`: its ioctls, and what its structures hold.

Sources: Linux, include/uapi/linux/sev-guest.h and psp-sev.h, Documentation/virt/coco/sev-guest.rst; AMD SEV-SNP ABI
specification, MSG_REPORT_RSP; GHCB specification, SNP Guest Request.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.report import REPORT_SIZE
from rats_tls.formats.devices.ioctl import number

DEVICE = "/dev/sev-guest"
USER_DATA_SIZE = 64
RESPONSE_SIZE = 4000
MESSAGE_VERSION = 1

PAGE_SIZE = 4096
"""The length of the buffer for certificates is a multiple of it, and the buffer is aligned to it."""

CERTIFICATES_SIZE = 16_384
"""The largest buffer for certificates that the driver takes (SEV_FW_BLOB_MAX_SIZE)."""

VMM_ERR_INVALID_LEN = 1
VMM_ERR_BUSY = 2

NO_FIRMWARE_CALL = 0xFF
"""What the driver leaves in fw_err when it fails before it has asked the firmware."""

FIRMWARE_ERRORS = {
    1: "INVALID_PLATFORM_STATE",
    2: "INVALID_GUEST_STATE",
    4: "INVALID_LEN",
    9: "INVALID_ADDRESS",
    16: "INVALID_GUEST",
    17: "INVALID_COMMAND",
    19: "HWSEV_RET_PLATFORM",
    20: "HWSEV_RET_UNSAFE",
    21: "UNSUPPORTED",
    22: "INVALID_PARAM",
    23: "RESOURCE_LIMIT",
    24: "SECURE_DATA_INVALID",
    39: "INVALID_KEY",
}
"""Names of errors of the firmware that a guest may meet; also of `ReportResponse.status`."""

_VMM_ERRORS = {VMM_ERR_INVALID_LEN: "INVALID_LEN", VMM_ERR_BUSY: "BUSY"}
_HEADER_SIZE = 32


class SnpReportReq(ctypes.Structure):
    """`struct snp_report_req` (96 bytes): what the report shall carry, and its VMPL."""

    _fields_ = (
        ("user_data", ctypes.c_uint8 * USER_DATA_SIZE),
        ("vmpl", ctypes.c_uint32),
        ("rsvd", ctypes.c_uint8 * 28),
    )


class SnpReportResp(ctypes.Structure):
    """`struct snp_report_resp` (4000 bytes): see `ReportResponse`."""

    _fields_ = (("data", ctypes.c_uint8 * RESPONSE_SIZE),)


class SnpExtReportReq(ctypes.Structure):
    """`struct snp_ext_report_req` (112 bytes): the request, and where certificates go."""

    _fields_ = (("data", SnpReportReq), ("certs_address", ctypes.c_uint64), ("certs_len", ctypes.c_uint32))


class SnpGuestRequestIoctl(ctypes.Structure):
    """`struct snp_guest_request_ioctl` (32 bytes): where request and response are, and what firmware and host said."""

    _fields_ = (
        ("msg_version", ctypes.c_uint8),
        ("req_data", ctypes.c_uint64),
        ("resp_data", ctypes.c_uint64),
        ("fw_error", ctypes.c_uint32),
        ("vmm_error", ctypes.c_uint32),
    )

    @property
    def told(self) -> str:
        """What firmware and host said, in words; "" where they said nothing."""
        parts = []
        if self.fw_error not in {0, NO_FIRMWARE_CALL}:
            parts.append(f"fw_err {self.fw_error:#x} ({firmware_error(self.fw_error)})")
        if self.vmm_error:
            parts.append(f"vmm_err {self.vmm_error:#x} ({_VMM_ERRORS.get(self.vmm_error, 'unknown')})")
        return ", ".join(parts)


SNP_GET_REPORT = number("S", 0, ctypes.sizeof(SnpGuestRequestIoctl), reads=True, writes=True)
SNP_GET_EXT_REPORT = number("S", 2, ctypes.sizeof(SnpGuestRequestIoctl), reads=True, writes=True)


def firmware_error(code: int) -> str:
    """Name an error of the firmware."""
    return FIRMWARE_ERRORS.get(code, "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResponse:
    """MSG_REPORT_RSP.

    Attributes:
        status: 0, or why there is no report; `firmware_error` names it.
        report: `report_size` bytes; empty where `status` is not 0.
    """

    status: int
    report: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> ReportResponse:
        """Decode the data of a response (4000 bytes).

        Raises:
            DecodeError: another size; a report that is too small for one, or larger than the response.
        """
        if len(data) != RESPONSE_SIZE:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected {RESPONSE_SIZE}")
        reader = Reader(data, cls.__name__)
        status = reader.u32("status")
        size = reader.u32("report_size")
        if status:
            return cls(status=status, report=b"")
        most = RESPONSE_SIZE - _HEADER_SIZE
        if not REPORT_SIZE <= size <= most:
            raise DecodeError(cls.__name__, "report_size", 4, f"got {size}, expected {REPORT_SIZE} to {most}")
        return cls(status=0, report=data[_HEADER_SIZE : _HEADER_SIZE + size])
