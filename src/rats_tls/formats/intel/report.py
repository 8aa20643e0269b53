"""Bodies of quotes: the SGX report body and the TD report bodies 1.0 and 1.5.

Sources: Intel SGX ECDSA QuoteLibrary API reference, A.4 (SGX); Intel TDX DCAP QuoteLibrary API reference, A.3 (TDX).
All integers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError

SGX_REPORT_BODY_SIZE = 384
TD_REPORT_10_SIZE = 584
TD_REPORT_15_SIZE = 648

_SGX = struct.Struct("<16sI12s16sQQ32s32s32s32s64sHHH42s16s64s")
_SGX_RESERVED = ((2, 20), (7, 96), (9, 160), (14, 262))  # position among the fields, offset in the body
_TD_10 = struct.Struct("<16s48s48sQQQ48s48s48s48s48s48s48s48s64s")
_TD_15 = struct.Struct("<16s48s")


def _require_size(data: bytes, size: int, structure: str) -> None:
    if len(data) != size:
        raise DecodeError(structure, "", 0, f"got {len(data)} bytes, expected {size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxReportBody:
    """Report body of an enclave (384 bytes)."""

    cpu_svn: bytes  # 16
    miscselect: int  # 32 bits
    isv_ext_prod_id: bytes  # 16
    attributes: int  # 64 flag bits
    xfrm: int  # 64 bits
    mr_enclave: bytes  # 32
    mr_signer: bytes  # 32
    config_id: bytes  # 64
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes  # 16
    report_data: bytes  # 64

    @classmethod
    def from_bytes(cls, data: bytes, structure: str = "SgxReportBody") -> SgxReportBody:
        """Decode 384 bytes. Raises DecodeError: another size, or reserved bytes that are not zero."""
        _require_size(data, SGX_REPORT_BODY_SIZE, structure)
        fields = _SGX.unpack(data)
        for position, offset in _SGX_RESERVED:
            reserved: bytes = fields[position]
            if reserved.count(0) != len(reserved):
                raise DecodeError(structure, "reserved", offset, f"reserved bytes are {reserved.hex()}, must be zero")
        return cls(
            cpu_svn=fields[0],
            miscselect=fields[1],
            isv_ext_prod_id=fields[3],
            attributes=fields[4],
            xfrm=fields[5],
            mr_enclave=fields[6],
            mr_signer=fields[8],
            config_id=fields[10],
            isv_prod_id=fields[11],
            isv_svn=fields[12],
            config_svn=fields[13],
            isv_family_id=fields[15],
            report_data=fields[16],
        )

    def to_bytes(self) -> bytes:
        """Encode to 384 bytes."""
        return _SGX.pack(
            self.cpu_svn,
            self.miscselect,
            bytes(12),
            self.isv_ext_prod_id,
            self.attributes,
            self.xfrm,
            self.mr_enclave,
            bytes(32),
            self.mr_signer,
            bytes(32),
            self.config_id,
            self.isv_prod_id,
            self.isv_svn,
            self.config_svn,
            bytes(42),
            self.isv_family_id,
            self.report_data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReportBody:
    """Report body of a trust domain: 584 bytes (1.0) or 648 bytes (1.5, which has the last two fields).

    `tee_tcb_svn` byte 0 is the SVN of the TDX module, byte 1 its major version.
    """

    tee_tcb_svn: bytes  # 16
    mr_seam: bytes  # 48
    mr_signer_seam: bytes  # 48
    seam_attributes: int  # 64 bits
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
    report_data: bytes  # 64
    tee_tcb_svn2: bytes | None = None  # 16
    mr_service_td: bytes | None = None  # 48

    @property
    def version(self) -> str:
        """Version of the body, "1.0" or "1.5"."""
        return "1.0" if self.tee_tcb_svn2 is None else "1.5"

    @classmethod
    def from_bytes(cls, data: bytes, structure: str = "TdReportBody") -> TdReportBody:
        """Decode a body; its size tells the version. Raises DecodeError: another size."""
        tee_tcb_svn2: bytes | None = None
        mr_service_td: bytes | None = None
        if len(data) == TD_REPORT_15_SIZE:
            tee_tcb_svn2, mr_service_td = _TD_15.unpack_from(data, TD_REPORT_10_SIZE)
        else:
            _require_size(data, TD_REPORT_10_SIZE, structure)
        fields = _TD_10.unpack_from(data)
        return cls(
            tee_tcb_svn=fields[0],
            mr_seam=fields[1],
            mr_signer_seam=fields[2],
            seam_attributes=fields[3],
            td_attributes=fields[4],
            xfam=fields[5],
            mr_td=fields[6],
            mr_config_id=fields[7],
            mr_owner=fields[8],
            mr_owner_config=fields[9],
            rtmr0=fields[10],
            rtmr1=fields[11],
            rtmr2=fields[12],
            rtmr3=fields[13],
            report_data=fields[14],
            tee_tcb_svn2=tee_tcb_svn2,
            mr_service_td=mr_service_td,
        )

    def to_bytes(self) -> bytes:
        """Encode to 584 or 648 bytes."""
        head = _TD_10.pack(
            self.tee_tcb_svn,
            self.mr_seam,
            self.mr_signer_seam,
            self.seam_attributes,
            self.td_attributes,
            self.xfam,
            self.mr_td,
            self.mr_config_id,
            self.mr_owner,
            self.mr_owner_config,
            self.rtmr0,
            self.rtmr1,
            self.rtmr2,
            self.rtmr3,
            self.report_data,
        )
        if self.tee_tcb_svn2 is None or self.mr_service_td is None:
            return head
        return head + _TD_15.pack(self.tee_tcb_svn2, self.mr_service_td)
