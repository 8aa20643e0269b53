"""A fake of Occlum's `/dev/sgx`: it reads and writes through the pointers of an argument.

Source: Occlum, SGX device. Whatever goes wrong there, the caller is told EINVAL. Layouts are written down here once
more, so that a mistake on the other side shows.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

from rats_tls.attesters.device import Argument
from rats_tls.core.errors import SignatureError
from rats_tls.simulation.devices.enclave import SimulatedEnclave

_SELF_TARGET = 0x8200_7303
_CREATE_REPORT = 0xC018_7304
_VERIFY_REPORT = 0x41B0_7305
_GET_DCAP_QUOTE_SIZE = 0x8004_7307
_GEN_DCAP_QUOTE = 0xC018_7308
_POINTERS = struct.Struct("<QQQ")
_U32 = struct.Struct("<I")
_LARGEST = (1 << 14) - 1
_REPORT_DATA, _TARGET_INFO, _REPORT = 64, 512, 432


class FakeOcclum:
    """`Device` of `/dev/sgx` in an enclave.

    Args:
        enclave: the enclave around the process.
        path: where it is.
        room: how many bytes more than a quote has the device asks for; they stay zero.

    Attributes:
        there: whether there is such a device.
        fails: errno of each call, by its number.
        told_size: size of quotes that is told, in place of the true one.
        made_size: size that is written back with a quote; None leaves what the caller wrote.
        changes: changes each TARGETINFO, quote and local report.
        before: called before each call.
        calls: numbers of the calls that were made.
    """

    def __init__(self, enclave: SimulatedEnclave, *, path: str = "/dev/sgx", room: int = 0) -> None:
        self.path = path
        self.there = True
        self.fails: dict[int, int] = {}
        self.told_size: int | None = None
        self.made_size: int | None = None
        self.changes: Callable[[bytes], bytes] = bytes
        self.before: Callable[[], object] = lambda: None
        self.calls: list[int] = []
        self._enclave = enclave
        self._size = len(enclave.quote(bytes(_REPORT_DATA))) + room

    def is_there(self) -> bool:
        """Whether there is such a device."""
        return self.there

    def obstacle(self) -> str:
        """Say why it cannot be opened: only that it is not there."""
        return "" if self.there else "is not there"

    def ioctl(self, number: int, argument: Argument) -> None:
        """Serve one call. Raises OSError."""
        if not self.there:
            raise self._error(errno.ENOENT)
        self.before()
        self.calls.append(number)
        if number in self.fails:
            raise self._error(self.fails[number])
        # The number says how large the argument is.
        if ctypes.sizeof(argument) != number >> 16 & _LARGEST:
            raise self._error(errno.EINVAL)
        self._serve(number, ctypes.addressof(argument))

    def _serve(self, number: int, address: int) -> None:
        if number == _SELF_TARGET:
            _write(address, self.changes(self._enclave.target_info())[:_TARGET_INFO])
        elif number == _CREATE_REPORT:
            self._create_report(*_POINTERS.unpack(ctypes.string_at(address, _POINTERS.size)))
        elif number == _VERIFY_REPORT:
            self._verify_report(ctypes.string_at(address, _REPORT))
        elif number == _GET_DCAP_QUOTE_SIZE:
            _write(address, _U32.pack(self._size if self.told_size is None else self.told_size))
        elif number == _GEN_DCAP_QUOTE:
            self._gen_quote(*_POINTERS.unpack(ctypes.string_at(address, _POINTERS.size)))
        else:
            raise self._error(errno.EINVAL)

    def _create_report(self, target_info: int, report_data: int, report: int) -> None:
        if not report:
            raise self._error(errno.EINVAL)
        target = ctypes.string_at(target_info, _TARGET_INFO) if target_info else self._enclave.target_info()
        data = ctypes.string_at(report_data, _REPORT_DATA) if report_data else bytes(_REPORT_DATA)
        _write(report, self.changes(self._enclave.local_report(target, data))[:_REPORT])

    def _verify_report(self, report: bytes) -> None:
        try:
            self._enclave.check(report)
        except SignatureError as error:
            raise self._error(errno.EINVAL) from error

    def _gen_quote(self, report_data: int, quote_size: int, quote_buf: int) -> None:
        if not (report_data and quote_size and quote_buf):
            raise self._error(errno.EINVAL)
        (size,) = _U32.unpack(ctypes.string_at(quote_size, _U32.size))
        if size < self._size:
            raise self._error(errno.EINVAL)
        quote = self.changes(self._enclave.quote(ctypes.string_at(report_data, _REPORT_DATA)))
        _write(quote_buf, quote[:size])
        if self.made_size is not None:
            _write(quote_size, _U32.pack(self.made_size))

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), self.path)


def _write(address: int, data: bytes) -> None:
    ctypes.memmove(address, data, len(data))
