"""A fake of the kernel's TDX guest device.

Written apart from `rats_tls.formats.devices.tdx_guest`, so that each is a check on the other.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable

from rats_tls.simulation.trust_domain import SimulatedTrustDomain

_GET_REPORT0 = 0xC440_5401
_KIND = ord("T")
_REPORTDATA, _TDREPORT = 64, 1024


class SimulatedTdxGuest:
    """Answers as `/dev/tdx_guest` does, with TDREPORTs of a simulated trust domain.

    Args:
        domain: makes the reports.
        path: what it is called.
        fails: errno of every call; 0 is none.
        changes: changes each TDREPORT, as a device that is broken.

    Attributes:
        calls: how many calls there were.
        most_inside: most calls that were under way at once.
    """

    def __init__(
        self,
        domain: SimulatedTrustDomain,
        *,
        path: str = "/dev/tdx_guest",
        fails: int = 0,
        changes: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.path = path
        self.calls = 0
        self.most_inside = 0
        self._domain = domain
        self._fails = fails
        self._changes = changes
        self._inside = 0
        self._counting = threading.Lock()

    def is_there(self) -> bool:
        """Whether there is such a device: it is."""
        return True

    def obstacle(self) -> str:
        """Say why it cannot be opened: nothing is in the way."""
        return ""

    def ioctl(self, number: int, argument: ctypes.Structure | ctypes.Array) -> None:  # type: ignore[type-arg]  # any
        """Make one call: the number tells the size, and the bytes are read and written where they are."""
        with self._counting:
            self.calls += 1
            self._inside += 1
            self.most_inside = max(self.most_inside, self._inside)
        try:
            self._call(number, argument)
        finally:
            with self._counting:
                self._inside -= 1

    def _call(self, number: int, argument: ctypes.Structure | ctypes.Array) -> None:  # type: ignore[type-arg]  # any
        if self._fails:
            raise OSError(self._fails, os.strerror(self._fails), self.path)
        if number != _GET_REPORT0:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY), self.path)
        if ctypes.sizeof(argument) < _REPORTDATA + _TDREPORT:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT), self.path)
        address = ctypes.addressof(argument)
        report = self._domain.td_report(ctypes.string_at(address, _REPORTDATA))
        ctypes.memmove(address + _REPORTDATA, self._changes(report), _TDREPORT)
