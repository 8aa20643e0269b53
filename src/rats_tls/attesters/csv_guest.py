"""Reports of Hygon's firmware for the guest that this process runs in, through `/dev/csv-guest`."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
from collections.abc import Callable

from rats_tls.attesters.device import CharacterDevice, Device, failure
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices import csv_guest as abi
from rats_tls.formats.hygon.report import AttestationReport

_SM3 = "sm3"


class CsvGuest:
    """The device.

    Args:
        device: makes the call.
        random: gives so many random bytes.
    """

    def __init__(self, device: Device | None = None, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._device = device if device is not None else CharacterDevice(abi.DEVICE)
        self._random = random

    @property
    def path(self) -> str:
        """Where the device is."""
        return self._device.path

    def is_there(self) -> bool:
        """Whether there is such a device; asking has no effect."""
        return self._device.is_there()

    def obstacle(self) -> str:
        """Say why this process cannot open it; "" where it can."""
        return self._device.obstacle()

    def report(self, user_data: bytes, *, version: int | None) -> bytes:
        """Get a report page (4096 bytes).

        Args:
            user_data: 64 bytes.
            version: 1, 2 or 3; None for version 2, or 1 where the guest is given no later one.

        Raises:
            CollectionError: the call failed; what came is no answer to it, was changed on its way through the host,
                or has another version; SM3 is not at hand.
        """
        nonce = self._random(abi.NONCE_SIZE)
        digest = self._sm3(user_data + nonce)
        request = abi.RequestPage(user_data=user_data, mnonce=nonce, digest=digest, version=version or 2)
        page = _page_aligned(request.to_bytes())
        argument = abi.ReportRequest(address=ctypes.addressof(page), size=abi.PAGE_SIZE)
        try:
            self._device.ioctl(abi.GET_REPORT, argument)
        except OSError as error:
            raise failure(self.path, "GET_REPORT", error) from error
        answer = bytes(page)
        # A hypercall that fails can end in a call that does not.
        if answer == request.to_bytes():
            raise CollectionError(f"{self.path}: GET_REPORT: the page came back as it was sent")
        try:
            report = AttestationReport.from_bytes(answer)
        except DecodeError as error:
            raise CollectionError(f"{self.path}: GET_REPORT: {error.message}") from error
        self._require_answer(report, nonce, version)
        return answer

    def _require_answer(self, report: AttestationReport, nonce: bytes, version: int | None) -> None:
        # (1) It answers this request.
        if report.mnonce != nonce:
            raise CollectionError(
                f"{self.path}: GET_REPORT: mnonce: got {report.mnonce.hex()}, expected {nonce.hex()}: not the "
                "answer to this request"
            )
        # (2) PEK and chip_id, which the report's signature does not cover, are as the firmware wrote them.
        code = hmac.new(nonce, report.protected_by_hmac, _SM3).digest()
        if not hmac.compare_digest(code, report.hmac):
            raise CollectionError(
                f"{self.path}: GET_REPORT: hmac: got {report.hmac.hex()}, expected {code.hex()}: changed on its way "
                "from the firmware"
            )
        # (3) It has the version that was asked for; one of version 3 whose host_data is zero looks like version 2.
        if version is not None and (report.version == 1) is not (version == 1):
            raise CollectionError(
                f"{self.path}: GET_REPORT: got a report of version {report.version}, expected {version}: guests "
                "without CSV3, and firmware before build 2337, give version 1 alone (report_version=1)"
            )

    def _sm3(self, data: bytes) -> bytes:
        try:
            return hashlib.new(_SM3, data).digest()
        except ValueError as error:
            raise CollectionError(
                f"{self.path}: a request needs SM3, which this Python's OpenSSL does not have"
            ) from error


def _page_aligned(data: bytes) -> ctypes.Array[ctypes.c_uint8]:
    """Give a copy of a page that lies on one page of memory, whose physical address some drivers hand on."""
    area = (ctypes.c_uint8 * (2 * abi.PAGE_SIZE))()
    offset = -ctypes.addressof(area) % abi.PAGE_SIZE
    page = (ctypes.c_uint8 * abi.PAGE_SIZE).from_buffer(area, offset)
    ctypes.memmove(page, data, abi.PAGE_SIZE)
    return page
