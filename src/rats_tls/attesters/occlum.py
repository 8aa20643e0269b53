"""Occlum's SGX device, by which a process in an enclave gets quotes and local reports."""

from __future__ import annotations

import ctypes
import os

from rats_tls.attesters.device import Argument, CharacterDevice, Device, failure
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices import occlum as abi
from rats_tls.formats.intel.local_report import LOCAL_REPORT_SIZE, TARGET_INFO_SIZE, TargetInfo

_MOST_QUOTE = 64 * 1024


class Occlum:
    """The device.

    Args:
        device: makes the calls.
    """

    def __init__(self, device: Device | None = None) -> None:
        self._device = device if device is not None else CharacterDevice(abi.DEVICE, os.O_RDONLY)

    @property
    def path(self) -> str:
        """Where the device is."""
        return self._device.path

    def is_there(self) -> bool:
        """Whether there is a device of that name; another driver may be behind it."""
        return self._device.is_there()

    def obstacle(self) -> str:
        """Say why this process cannot open it; "" where it can."""
        return self._device.obstacle()

    def own_target_info(self) -> bytes:
        """Give the TARGETINFO (512 bytes) of the enclave around this process.

        Raises:
            CollectionError: the call failed, or told of no enclave: the device is not Occlum's.
        """
        argument = (ctypes.c_uint8 * TARGET_INFO_SIZE)()
        self._call("SGXIOC_SELF_TARGET", abi.SELF_TARGET, argument)
        try:
            known = any(TargetInfo.from_bytes(bytes(argument)).mr_enclave)
        except DecodeError as error:
            raise CollectionError(f"{self.path}: SGXIOC_SELF_TARGET: {error.message}") from error
        if not known:
            raise CollectionError(
                f"{self.path}: SGXIOC_SELF_TARGET: got an enclave of zeros: the device is not Occlum's"
            )
        return bytes(argument)

    def quote(self, report_data: bytes) -> bytes:
        """Get a quote that carries `report_data` (64 bytes); there may be zeros behind it.

        Raises:
            CollectionError: a call failed, or told a size that no quote has.
        """
        most = ctypes.c_uint32()
        self._call("SGXIOC_GET_DCAP_QUOTE_SIZE", abi.GET_QUOTE_SIZE, _one(most))
        size = ctypes.c_uint32(self._bounded("SGXIOC_GET_DCAP_QUOTE_SIZE", _one(most)[0]))
        data = (ctypes.c_uint8 * 64).from_buffer_copy(report_data)
        quote = (ctypes.c_uint8 * size.value)()
        argument = abi.GenQuote(
            report_data=ctypes.addressof(data), quote_len=ctypes.addressof(size), quote_buf=ctypes.addressof(quote)
        )
        self._call("SGXIOC_GEN_DCAP_QUOTE", abi.GEN_QUOTE, argument)
        if size.value > len(quote):
            raise CollectionError(
                f"{self.path}: SGXIOC_GEN_DCAP_QUOTE: got {size.value} bytes, expected at most {len(quote)}"
            )
        return bytes(quote)[: size.value]

    def local_report(self, target_info: bytes, report_data: bytes) -> bytes:
        """Get a local report (432 bytes) for another enclave.

        Args:
            target_info: its TARGETINFO (512 bytes).
            report_data: 64 bytes.

        Raises:
            CollectionError: the call failed.
        """
        target = (ctypes.c_uint8 * TARGET_INFO_SIZE).from_buffer_copy(target_info)
        data = (ctypes.c_uint8 * 64).from_buffer_copy(report_data)
        report = (ctypes.c_uint8 * LOCAL_REPORT_SIZE)()
        argument = abi.CreateReport(
            target_info=ctypes.addressof(target), report_data=ctypes.addressof(data), report=ctypes.addressof(report)
        )
        self._call("SGXIOC_CREATE_REPORT", abi.CREATE_REPORT, argument)
        return bytes(report)

    def _bounded(self, call: str, size: int) -> int:
        if not 0 < size <= _MOST_QUOTE:
            raise CollectionError(f"{self.path}: {call}: got {size} bytes, expected 1 to {_MOST_QUOTE}")
        return size

    def _call(self, name: str, number: int, argument: Argument) -> None:
        try:
            self._device.ioctl(number, argument)
        except OSError as error:
            raise failure(self.path, name, error) from error


def _one(word: ctypes.c_uint32) -> ctypes.Array[ctypes.c_uint32]:
    """Give a word as an array over the same memory: what an ioctl takes."""
    return (ctypes.c_uint32 * 1).from_buffer(word)
