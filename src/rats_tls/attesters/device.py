"""What Attesters ask of the machine: character devices by ioctl, and pseudo files.

Both are Protocols, so that a simulated device can stand behind them. What fails raises OSError, as the kernel says it;
`failure` makes of it what users read.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import stat
from pathlib import Path
from typing import Protocol

from rats_tls.attesters.presence import absence
from rats_tls.core.errors import CollectionError

Argument = ctypes.Structure | ctypes.Array  # type: ignore[type-arg]  # of any elements
"""What an ioctl reads and writes; pointers in it are addresses in this process."""


_log = logging.getLogger(__name__)

_NO_COPY = 1025  # fcntl.ioctl uses buffers of more than 1024 bytes in place


class Device(Protocol):
    """A character device."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    def is_there(self) -> bool:
        """Whether there is such a device; asking has no effect."""
        ...

    def obstacle(self) -> str:
        """Say why this process cannot open it, as what follows its path; "" where it can. Asking has no effect."""
        ...

    def ioctl(self, number: int, argument: Argument) -> None:
        """Open the device, make one call, and close it. Raises OSError, NotOpenedError where it cannot be opened."""
        ...


class Files(Protocol):
    """A tree of pseudo files, such as configfs and Gramine's /dev/attestation.

    Every call but `is_there` may raise OSError.
    """

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or directory that may be looked at; asking has no effect."""
        ...

    def read(self, path: str, most: int) -> bytes:
        """Read a file up to its end. Raises OSError (EFBIG) where it has more than `most` bytes."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write at once. Raises OSError, EIO where not all of `data` was taken by one call."""
        ...

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        ...

    def names(self, path: str) -> tuple[str, ...]:
        """Give the names in a directory."""
        ...


class NotOpenedError(OSError):
    """A device could not be opened: no call was made."""


class CharacterDevice:
    """A character device of this machine.

    Args:
        path: where it is.
        flags: how it is opened.
    """

    def __init__(self, path: str, flags: int = os.O_RDWR) -> None:
        self.path = path
        self._flags = flags | os.O_CLOEXEC

    def is_there(self) -> bool:
        """Whether there is a character device."""
        return not self._absence()

    def obstacle(self) -> str:
        """Say why this process cannot open it; "" where it can."""
        if absent := self._absence():
            return absent
        wanted = {os.O_RDONLY: os.R_OK, os.O_WRONLY: os.W_OK}.get(self._flags & os.O_ACCMODE, os.R_OK | os.W_OK)
        may = os.access(self.path, wanted, effective_ids=os.access in os.supports_effective_ids)
        return "" if may else "may not be opened by this user"

    def _absence(self) -> str:
        return absence(self.path, stat.S_ISCHR, "character device")

    def ioctl(self, number: int, argument: Argument) -> None:
        """Open, call, close. Raises OSError; what the kernel wrote into the argument is there all the same."""
        size = ctypes.sizeof(argument)
        # fcntl hands the kernel a copy of what is short, and where the call fails, Pythons differ in copying it back.
        room = (ctypes.c_uint8 * max(size, _NO_COPY)).from_buffer_copy(bytes(argument).ljust(_NO_COPY, b"\0"))
        try:
            descriptor = os.open(self.path, self._flags)
        except OSError as error:
            raise NotOpenedError(*error.args) from error
        try:
            fcntl.ioctl(descriptor, number, room)
        finally:
            os.close(descriptor)
            ctypes.memmove(ctypes.addressof(argument), room, size)


class OsFiles:
    """Files of this machine."""

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or directory that may be looked at."""
        try:
            os.stat(path)  # noqa: PTH116  # pathlib's own exists raises
        except OSError as error:
            _log.debug("%s: is taken not to be there: %s", path, error)
            return False
        return True

    def read(self, path: str, most: int) -> bytes:
        """Read up to the end. Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts: list[bytes] = []
            left = most + 1
            while left > 0 and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
        finally:
            os.close(descriptor)
        data = b"".join(parts)
        if len(data) > most:
            raise OSError(errno.EFBIG, f"more than {most} bytes", path)
        return data

    def write(self, path: str, data: bytes) -> None:
        """Write in one call. Raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(errno.EIO, f"{written} of {len(data)} bytes were taken", path)

    def make_directory(self, path: str) -> None:
        """Make a directory. Raises OSError."""
        Path(path).mkdir(mode=0o700)

    def remove_directory(self, path: str) -> None:
        """Remove a directory. Raises OSError."""
        Path(path).rmdir()

    def names(self, path: str) -> tuple[str, ...]:
        """Give the names in a directory. Raises OSError."""
        return tuple(os.listdir(path))  # noqa: PTH208  # of text


class Openable(Protocol):
    """What has the path of a device."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    def obstacle(self) -> str:
        """Say why this process cannot open it, as what follows its path; "" where it can."""
        ...


def require_opened(device: Openable) -> None:
    """Require that this process can open a device; it is not opened. Raises CollectionError: it cannot, and why."""
    if why := device.obstacle():
        raise CollectionError(f"{device.path} {why}")


def failure(where: str, what: str, error: OSError, *, told: str = "") -> CollectionError:
    """Make what users read of a call that failed.

    Args:
        where: the device or file.
        what: what was asked of it; of a device that could not be opened that was not.
        error: what the kernel said.
        told: what the device said besides.
    """
    what = "open" if isinstance(error, NotOpenedError) else what
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    return CollectionError(f"{where}: {what}: {name} ({error.strerror or error}){f', {told}' if told else ''}")
