"""The kernel's TDX guest device, `/dev/tdx_guest`: its ioctl, and the TDREPORT that it gives.

Sources: Linux, include/uapi/linux/tdx-guest.h (6.2 and later); Intel TDX Module ABI, TDREPORT_STRUCT, REPORTMACSTRUCT,
TDINFO_STRUCT.
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

_TDINFO = 512  # offset of TDINFO_STRUCT
_REGISTER_SIZE = 48
_REGISTERS = ("mr_td", "mr_config_id", "mr_owner", "mr_owner_config", "rtmr0", "rtmr1", "rtmr2", "rtmr3")


class TdxReportReq(ctypes.Structure):
    """`struct tdx_report_req` (1088 bytes): reportdata in, tdreport out."""

    _fields_ = (("reportdata", ctypes.c_uint8 * REPORTDATA_SIZE), ("tdreport", ctypes.c_uint8 * TDREPORT_SIZE))


TDX_CMD_GET_REPORT0 = number("T", 1, ctypes.sizeof(TdxReportReq), reads=True, writes=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdInfo:
    """TDINFO_STRUCT, as far as quotes of every version have it: what the trust domain is.

    The fields are named as those of a quote's body.
    """

    td_attributes: int  # 64 bits
    xfam: int  # 64 bits
    mr_td: bytes  # 48
    mr_config_id: bytes  # 48
    mr_owner: bytes  # 48
    mr_owner_config: bytes  # 48
    rtmr0: bytes  # 48
    rtmr1: bytes  # 48
    rtmr2: bytes  # 48
    rtmr3: bytes  # 48

    @classmethod
    def read(cls, reader: Reader) -> TdInfo:
        """Read it from where it begins. Raises DecodeError: there is too little."""
        return cls(
            td_attributes=reader.u64("attributes"),
            xfam=reader.u64("xfam"),
            **{name: reader.take(name, _REGISTER_SIZE) for name in _REGISTERS},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """A TDREPORT (1024 bytes), as far as it is looked at here: its MAC means something to its own processor alone.

    Attributes:
        data: all of it, as received.
        reportdata: 64 bytes.
        info: what the trust domain is.
    """

    data: bytes
    reportdata: bytes
    info: TdInfo

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
        reportdata = reader.take("reportdata", REPORTDATA_SIZE)
        reader.take("mac and tee_tcb_info", _TDINFO - reader.offset)
        return cls(data=data, reportdata=reportdata, info=TdInfo.read(reader))
