"""A fake of Hygon's `/dev/csv-guest`, and of the firmware behind it: it reads and writes through the page's address.

Source: Hygon CSV guest driver and attestation tools. Layouts are written down here once more, so that a mistake on the
other side shows.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from cryptography.hazmat.primitives import hashes

from rats_tls.attesters.device import Argument
from rats_tls.simulation.csv_chip import SimulatedHygonChip
from rats_tls.simulation.csv_states import CsvState

_GET_REPORT = 0xC010_4401
_ARGUMENT = struct.Struct("<Qi4x")
_REQUEST = struct.Struct("<64s16s32s16sI")
_PAGE = 4096
_MAGIC = b"ATTESTATION_EXT\0"
Version = Literal[1, 2, 3]
_VERSIONS: dict[int, Version] = {1: 2, 3: 3}


class FakeCsvGuest:
    """`Device` of `/dev/csv-guest` in a guest on a simulated chip.

    Args:
        chip: where the guest runs.
        state: guest and firmware; a healthy one when left out. mnonce and version are those of each request.
        path: where it is.
        newest: the newest version of reports that driver and firmware know: with 1 they see no extension of a request.

    Attributes:
        there: whether there is such a device.
        fails: errno of each call; 0 is none.
        silent: the hypercall fails and the driver does not say so: the page is as it was.
        mnonce: what the report carries in place of the request's.
        user_data: the same.
        changes: changes each page.
        before: called before each call.
        pages: addresses of the pages that came.
    """

    def __init__(
        self,
        chip: SimulatedHygonChip,
        state: CsvState | None = None,
        *,
        path: str = "/dev/csv-guest",
        newest: Version = 3,
    ) -> None:
        self.path = path
        self.there = True
        self.fails = 0
        self.silent = False
        self.mnonce: bytes | None = None
        self.user_data: bytes | None = None
        self.changes: Callable[[bytes], bytes] = bytes
        self.before: Callable[[], object] = lambda: None
        self.pages: list[int] = []
        self._chip = chip
        self._state = replace(state or CsvState(), certificates="beside")
        self._newest = newest

    def is_there(self) -> bool:
        """Whether there is such a device."""
        return self.there

    def obstacle(self) -> str:
        """Say why it cannot be opened: only that it is not there."""
        return "" if self.there else "is not there"

    def ioctl(self, number: int, argument: Argument) -> None:
        """Serve one call. Raises OSError: EINVAL of the driver, EIO of the firmware."""
        if not self.there:
            raise self._error(errno.ENOENT)
        self.before()
        if self.fails:
            raise self._error(self.fails)
        if number != _GET_REPORT:
            raise self._error(errno.ENOTTY)
        address, size = _ARGUMENT.unpack(ctypes.string_at(ctypes.addressof(argument), _ARGUMENT.size))
        # The firmware says how much room it needs; the driver takes no less.
        if not address or size < _PAGE:
            raise self._error(errno.EINVAL)
        self.pages.append(address)
        if not self.silent:
            _write(address, self.changes(self._report(ctypes.string_at(address, size)))[:size])

    def _report(self, request: bytes) -> bytes:
        user_data, mnonce, digest, magic, flags = _REQUEST.unpack(request[: _REQUEST.size])
        hashed = hashes.Hash(hashes.SM3())
        hashed.update(user_data + mnonce)
        if hashed.finalize() != digest:
            raise self._error(errno.EIO)
        asked: Version = 1
        if magic == _MAGIC and self._newest > 1:
            if flags not in _VERSIONS:
                raise self._error(errno.EIO)
            asked = _VERSIONS[flags]
        carried = mnonce if self.mnonce is None else self.mnonce
        state = replace(self._state, report_version=min(asked, self._newest), mnonce=carried)
        return self._chip.evidence(state, user_data if self.user_data is None else self.user_data)

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), self.path)


def _write(address: int, data: bytes) -> None:
    ctypes.memmove(address, data, len(data))
