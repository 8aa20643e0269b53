"""Hygon's guest device, `/dev/csv-guest`: the ioctl for reports, and the page that it reads and writes.

Source: Hygon's CSV guest driver (drivers/virt/coco/csv-guest of the kernels that have it: GET_REPORT) and attestation
tools (the request). No header of it is in the kernel's UAPI.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from rats_tls.formats.devices.ioctl import number

DEVICE = "/dev/csv-guest"
PAGE_SIZE = 4096
USER_DATA_SIZE = 64
NONCE_SIZE = 16
HASH_SIZE = 32
EXTENSION_MAGIC = b"ATTESTATION_EXT\0"
_FLAGS = {2: 1, 3: 3}
"""Flags of the extension by the version of the report that they ask for; version 1 is asked for without it."""


class ReportRequest(ctypes.Structure):
    """Argument of GET_REPORT (16 bytes): address and size of the page."""

    _fields_ = (("address", ctypes.c_uint64), ("size", ctypes.c_uint32), ("padding", ctypes.c_uint32))


GET_REPORT = number("D", 1, ctypes.sizeof(ReportRequest), reads=True, writes=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """What the page holds when a report is asked for.

    Attributes:
        user_data: 64 bytes.
        mnonce: 16 bytes, new for each request.
        digest: SM3 over both (32 bytes).
        version: of the report: 1, 2 or 3.
    """

    user_data: bytes
    mnonce: bytes
    digest: bytes
    version: int

    def to_bytes(self) -> bytes:
        """Encode the page (4096 bytes)."""
        request = self.user_data + self.mnonce + self.digest
        if self.version in _FLAGS:
            request += EXTENSION_MAGIC + _FLAGS[self.version].to_bytes(4, "little")
        return request.ljust(PAGE_SIZE, b"\0")
