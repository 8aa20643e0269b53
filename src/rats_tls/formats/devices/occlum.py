"""Occlum's SGX device, `/dev/sgx`: ioctls of kind `s` and their arguments.

Source: Occlum, SGX device (dev_sgx); the instances of C rats-tls and librats that use it. There is no header.
"""

from __future__ import annotations

import ctypes

from rats_tls.formats.devices.ioctl import number

DEVICE = "/dev/sgx"


class CreateReport(ctypes.Structure):
    """Argument of CREATE_REPORT (24 bytes): addresses of TARGETINFO (512), report_data (64), and the report (432)."""

    _fields_ = (
        ("target_info", ctypes.c_uint64),
        ("report_data", ctypes.c_uint64),
        ("report", ctypes.c_uint64),
    )


class GenQuote(ctypes.Structure):
    """Argument of GEN_QUOTE (24 bytes): addresses of report_data (64), of the buffer's size (u32), of the buffer."""

    _fields_ = (
        ("report_data", ctypes.c_uint64),
        ("quote_len", ctypes.c_uint64),
        ("quote_buf", ctypes.c_uint64),
    )


SELF_TARGET = number("s", 3, 512, reads=True, writes=False)
"""TARGETINFO (512 bytes) of the enclave around the process: out."""
CREATE_REPORT = number("s", 4, ctypes.sizeof(CreateReport), reads=True, writes=True)
VERIFY_REPORT = number("s", 5, 432, reads=False, writes=True)
"""A local report (432 bytes) that was made for this enclave: in."""
GET_QUOTE_SIZE = number("s", 7, 4, reads=True, writes=False)
"""u32, the largest size of a quote: out."""
GEN_QUOTE = number("s", 8, ctypes.sizeof(GenQuote), reads=True, writes=True)
