"""Evidence of SEV and SEV-ES guests, by the attestation evidence broker on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rats_tls.attesters.dialing import Address
from rats_tls.attesters.host_stream import HostStream
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices.evidence_broker import (
    MOST_EVIDENCE,
    RETRIEVE,
    RETRIEVE_SIZE,
    SERVICE,
    EvidenceRequest,
    EvidenceResponse,
    EvidenceSizeRequest,
    EvidenceSizeResponse,
)
from rats_tls.formats.devices.ttrpc import HEADER_SIZE, RESPONSE, FrameHeader, Request, Response, request_frame

_MOST_ANSWER = MOST_EVIDENCE + 4096
_NANOSECONDS = 1_000_000_000
T = TypeVar("T")


def retrieve_evidence(address: Address, guest_handle: int, *, seconds: float) -> bytes:
    """Ask for the Evidence of a guest, by two calls over one connection.

    Args:
        address: of the broker.
        guest_handle: which guest.
        seconds: how long all of it may take.

    Returns:
        JSON of at most 256 KiB; what it says is not looked at.

    Raises:
        CollectionError: the broker cannot be reached, failed, took too long, or answered something else.
    """
    with HostStream(address, seconds) as stream:
        broker = _Broker(address, stream)
        asked = EvidenceSizeRequest(guest_handle=guest_handle).to_bytes()
        size = broker.call(RETRIEVE_SIZE, asked, EvidenceSizeResponse.from_bytes)
        broker.require(RETRIEVE_SIZE, size.error_code, guest_handle)
        asked = EvidenceRequest(guest_handle=guest_handle, evidence_size=size.evidence_size).to_bytes()
        given = broker.call(RETRIEVE, asked, EvidenceResponse.from_bytes)
        broker.require(RETRIEVE, given.error_code, guest_handle)
    return given.evidence


class _Broker:
    """The broker at the other end of a stream."""

    def __init__(self, address: Address, stream: HostStream) -> None:
        self._address = address
        self._stream = stream
        self._next_id = 1  # clients' ids are odd

    def call(self, method: str, payload: bytes, decode: Callable[[bytes], T]) -> T:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        timeout = int(self._stream.left * _NANOSECONDS)
        request = Request(service=SERVICE, method=method, payload=payload, timeout_nano=timeout)
        self._stream.send(request_frame(stream_id, request), method)
        try:
            header = FrameHeader.from_bytes(self._stream.receive(HEADER_SIZE, method), most=_MOST_ANSWER)
            if (header.type, header.stream_id) != (RESPONSE, stream_id):
                got = f"got type {header.type} of stream {header.stream_id}"
                raise self._error(method, f"malformed answer: {got}, expected {RESPONSE} of {stream_id}")
            response = Response.from_bytes(self._stream.receive(header.length, method))
            if response.code:
                raise self._error(method, f"the call failed: status {response.status}")
            return decode(response.payload)
        except DecodeError as error:
            raise self._error(method, f"malformed answer: {error.message}") from error

    def require(self, method: str, error_code: int, guest_handle: int) -> None:
        if error_code:
            raise self._error(method, f"the broker gives no Evidence of guest {guest_handle}: error {error_code}")

    def _error(self, method: str, problem: str) -> CollectionError:
        return CollectionError(f"{self._address}: {method}: {problem}")
