"""A fake of Intel's quote generation service, on a Unix socket.

Written apart from `rats_tls.formats.devices.qgs`, so that each is a check on the other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from rats_tls.simulation.devices.unix_service import StreamFaults, UnixService
from rats_tls.simulation.trust_domain import SimulatedTrustDomain

_HEADER = struct.Struct("<HHIII")
_SIZES = struct.Struct("<II")
_REQUEST, _RESPONSE = 0, 1
_UNEXPECTED, _INVALID_PARAMETER, _INVALID_VERSION, _INVALID_TYPE, _INVALID_SIZE = (
    0x12001, 0x12003, 0x12004, 0x12005, 0x12006,
)  # fmt: skip
_MOST = 16_384


class SimulatedQgs(UnixService):
    """Makes quotes of the TDREPORTs of one simulated trust domain, and refuses any others.

    Args:
        path: of the socket.
        domain: makes the quotes.
        error: error code of every answer; 0 is none.
        minor_version: of the messages that it sends.
        selected_id: id of the attestation key, in its answers: 16 bytes or none.
        changes: changes each message before its length is put before it.
        faults: what is wrong with the stream.
    """

    def __init__(
        self,
        path: str | Path,
        domain: SimulatedTrustDomain,
        *,
        error: int = 0,
        minor_version: int = 1,
        selected_id: bytes = b"",
        changes: Callable[[bytes], bytes] = bytes,
        faults: StreamFaults | None = None,
    ) -> None:
        super().__init__(path, faults=faults)
        self._domain = domain
        self._error = error
        self._minor_version = minor_version
        self._selected_id = selected_id
        self._changes = changes

    def converse(self, receive: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        """Answer requests until the other end goes."""
        while True:
            size = int.from_bytes(receive(4), "big")
            if size > _MOST:
                return
            message = self._changes(self._answer(receive(size)))
            send(len(message).to_bytes(4, "big") + message)

    def _answer(self, request: bytes) -> bytes:
        error, quote = self._error, b""
        if not error:
            error = self._problem(request)
        if not error:
            made = self._domain.quote(request[_HEADER.size + _SIZES.size :])
            error, quote = (_UNEXPECTED, b"") if made is None else (0, made)
        selected = b"" if error else self._selected_id
        size = _HEADER.size + _SIZES.size + len(selected) + len(quote)
        header = _HEADER.pack(1, self._minor_version, _RESPONSE, size, error)
        return header + _SIZES.pack(len(selected), len(quote)) + selected + quote

    def _problem(self, request: bytes) -> int:
        """Give the error code that a request deserves, in the order in which the service looks at it."""
        if len(request) < _HEADER.size + _SIZES.size:
            return _INVALID_PARAMETER
        major, _, kind, size, error = _HEADER.unpack_from(request)
        report_size, id_size = _SIZES.unpack_from(request, _HEADER.size)
        if major != 1:
            return _INVALID_VERSION
        if kind != _REQUEST:
            return _INVALID_TYPE
        if size != len(request) or size != _HEADER.size + _SIZES.size + report_size + id_size:
            return _INVALID_SIZE
        return _INVALID_PARAMETER if error or report_size != 1024 or id_size else 0
