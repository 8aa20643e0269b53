"""What a fake device reads and writes through the addresses in an ioctl's argument, as the kernel does."""

from __future__ import annotations

import ctypes
import errno


def read_memory(address: int, size: int) -> bytes:
    """Copy `size` bytes from an address of this process. Raises OSError (EFAULT): no address."""
    if not address:
        raise OSError(errno.EFAULT, "Bad address")
    return ctypes.string_at(address, size)


def write_memory(address: int, data: bytes) -> None:
    """Copy `data` to an address of this process. Raises OSError (EFAULT): no address."""
    if not address:
        raise OSError(errno.EFAULT, "Bad address")
    ctypes.memmove(address, data, len(data))
