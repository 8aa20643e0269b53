"""SGX local reports and the TARGETINFO that they are made for.

Source: Intel SDM 3D, REPORT, TARGETINFO. All integers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.formats.intel.report import SGX_REPORT_BODY_SIZE, SgxReportBody

LOCAL_REPORT_SIZE = 432
TARGET_INFO_SIZE = 512

_MAC_OFFSET = SGX_REPORT_BODY_SIZE + 32
_TARGET_INFO = struct.Struct("<32sQQB1sHI8s64s384s")
_TARGET_INFO_RESERVED = ((4, 49), (7, 56), (9, 128))  # position among the fields, offset


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReport:
    """REPORT (432 bytes): a report body with a MAC by a key that the processor gives to one enclave alone."""

    body: SgxReportBody
    key_id: bytes  # 32
    mac: bytes  # 16, over the body

    @classmethod
    def from_bytes(cls, data: bytes) -> LocalReport:
        """Decode 432 bytes. Raises DecodeError: another size, or reserved bytes that are not zero."""
        if len(data) != LOCAL_REPORT_SIZE:
            raise DecodeError("LocalReport", "", 0, f"got {len(data)} bytes, expected {LOCAL_REPORT_SIZE}")
        return cls(
            body=SgxReportBody.from_bytes(data[:SGX_REPORT_BODY_SIZE], "LocalReport.body"),
            key_id=data[SGX_REPORT_BODY_SIZE:_MAC_OFFSET],
            mac=data[_MAC_OFFSET:],
        )

    def to_bytes(self) -> bytes:
        """Encode to 432 bytes."""
        return self.body.to_bytes() + self.key_id + self.mac


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """TARGETINFO (512 bytes): which enclave a report is made for, so that it alone can check the MAC."""

    mr_enclave: bytes  # 32
    attributes: int  # 64 flag bits
    xfrm: int  # 64 bits
    cet_attributes: int  # 8 bits
    config_svn: int
    miscselect: int  # 32 bits
    config_id: bytes  # 64

    @classmethod
    def from_bytes(cls, data: bytes) -> TargetInfo:
        """Decode 512 bytes. Raises DecodeError: another size, or reserved bytes that are not zero."""
        if len(data) != TARGET_INFO_SIZE:
            raise DecodeError("TargetInfo", "", 0, f"got {len(data)} bytes, expected {TARGET_INFO_SIZE}")
        fields = _TARGET_INFO.unpack(data)
        for position, offset in _TARGET_INFO_RESERVED:
            reserved: bytes = fields[position]
            if reserved.count(0) != len(reserved):
                raise DecodeError(
                    "TargetInfo", "reserved", offset, f"reserved bytes are {reserved.hex()}, must be zero"
                )
        return cls(
            mr_enclave=fields[0],
            attributes=fields[1],
            xfrm=fields[2],
            cet_attributes=fields[3],
            config_svn=fields[5],
            miscselect=fields[6],
            config_id=fields[8],
        )

    def to_bytes(self) -> bytes:
        """Encode to 512 bytes."""
        return _TARGET_INFO.pack(
            self.mr_enclave,
            self.attributes,
            self.xfrm,
            self.cet_attributes,
            bytes(1),
            self.config_svn,
            self.miscselect,
            bytes(8),
            self.config_id,
            bytes(384),
        )
