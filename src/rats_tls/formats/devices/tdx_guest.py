"""The kernel's TDX guest device, `/dev/tdx_guest`: its ioctl, and the TDREPORT that it gives.

Sources: Linux, include/uapi/linux/tdx-guest.h (6.2 and later); Intel TDX Module ABI, REPORTMACSTRUCT.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.devices.ioctl import number

DEVICE = "/dev/tdx_guest"
REPORTDATA_SIZE = 64
TDREPORT_SIZE = 1024
TDX = 0x81
"""REPORTTYPE.TYPE of a trust domain."""


class TdxReportReq(ctypes.Structure):
    """`struct tdx_report_req` (1088 bytes): reportdata in, tdreport out."""

    _fields_ = (("reportdata", ctypes.c_uint8 * REPORTDATA_SIZE), ("tdreport", ctypes.c_uint8 * TDREPORT_SIZE))


TDX_CMD_GET_REPORT0 = number("T", 1, ctypes.sizeof(TdxReportReq), reads=True, writes=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """A TDREPORT (1024 bytes), as far as it is looked at here: its MAC means something to its own processor alone.

    Attributes:
        data: all of it, as received.
        reportdata: 64 bytes.
    """

    data: bytes
    reportdata: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> TdReport:
        """Decode.

        Raises:
            DecodeError: another size, or the report of another TEE.
        """
        if len(data) != TDREPORT_SIZE:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected {TDREPORT_SIZE}")
        reader = Reader(data, cls.__name__)
        kind = reader.u8("report_type")
        if kind != TDX:
            raise DecodeError(cls.__name__, "report_type", 0, f"got {kind:#x}, expected {TDX:#x} (TDX)")
        reader.take("cpu_svn and hashes", 127)
        return cls(data=data, reportdata=reader.take("reportdata", REPORTDATA_SIZE))
