"""Messages of Intel's quote generation service (QGS), which makes quotes of TDREPORTs on the host.

Only GET_QUOTE. Integers are little-endian, but the length before each message on a stream, which is big-endian.
Source: Intel SGX DCAP, qgs_msg_lib.h and libtdx_attest.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.devices.tdx_guest import TDREPORT_SIZE

LENGTH_SIZE = 4
MOST_QUOTE = 65_536
"""Largest quote that is taken; peers read no larger Evidence."""

MAJOR_VERSION, MINOR_VERSION = 1, 0
"""What is sent. Services answer with 1.0 or 1.1, and look at the major version alone."""
GET_QUOTE_REQ, GET_QUOTE_RESP = 0, 1
ERRORS = {
    0x12001: "unexpected error",
    0x12002: "out of memory",
    0x12003: "invalid parameter",
    0x12004: "invalid version",
    0x12005: "invalid type",
    0x12006: "invalid size",
    0x12007: "invalid code",
}
"""Words for error codes (QGS_MSG_ERROR_...)."""

_HEADER_SIZE = 16
_FIXED_SIZE = _HEADER_SIZE + 8
_ID_SIZE = 16
_MOST_MESSAGE = _FIXED_SIZE + _ID_SIZE + MOST_QUOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class GetQuoteRequest:
    """Asks for the quote of a TDREPORT.

    Attributes:
        report: TDREPORT (1024 bytes).
    """

    report: bytes

    def to_bytes(self) -> bytes:
        """Encode, without ids of attestation keys: the service uses the one that it has."""
        return _message(GET_QUOTE_REQ, 0, (len(self.report), 0), self.report)

    @classmethod
    def from_bytes(cls, data: bytes) -> GetQuoteRequest:
        """Decode. Raises DecodeError: malformed, or with anything but one TDREPORT."""
        reader = Reader(data, cls.__name__)
        if error := _header(reader, len(data), GET_QUOTE_REQ):
            raise reader.error("error_code", f"got {error:#x} in a request, expected 0")
        sizes = reader.u32("report_size"), reader.u32("id_list_size")
        if sizes != (TDREPORT_SIZE, 0):
            raise reader.error("report_size", f"got {sizes[0]} and {sizes[1]} of ids, expected {TDREPORT_SIZE} and 0")
        report = reader.take("report", TDREPORT_SIZE)
        reader.end()
        return cls(report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetQuoteResponse:
    """The answer.

    Attributes:
        error_code: 0, or why there is no quote.
        quote: the quote; empty where there is an error.
    """

    error_code: int
    quote: bytes

    @property
    def error(self) -> str:
        """The error code, with words where they are known."""
        return f"{self.error_code:#x} ({ERRORS.get(self.error_code, 'not known')})"

    def to_bytes(self) -> bytes:
        """Encode."""
        return _message(GET_QUOTE_RESP, self.error_code, (0, len(self.quote)), self.quote)

    @classmethod
    def from_bytes(cls, data: bytes) -> GetQuoteResponse:
        """Decode.

        Raises:
            DecodeError: malformed: another version or type, sizes that are not those of the message, no quote or one
                that is too large.
        """
        reader = Reader(data, cls.__name__)
        error_code = _header(reader, len(data), GET_QUOTE_RESP)
        if error_code:
            return cls(error_code=error_code, quote=b"")
        id_size, quote_size = reader.u32("selected_id_size"), reader.u32("quote_size")
        if id_size not in {0, _ID_SIZE}:
            raise reader.error("selected_id_size", f"got {id_size}, expected 0 or {_ID_SIZE}")
        if not 0 < quote_size <= MOST_QUOTE:
            raise reader.error("quote_size", f"got {quote_size}, expected 1 to {MOST_QUOTE}")
        reader.take("selected_id", id_size)
        quote = reader.take("quote", quote_size)
        reader.end()
        return cls(error_code=0, quote=quote)


def with_length(message: bytes) -> bytes:
    """Give a message as it stands on a stream."""
    return len(message).to_bytes(LENGTH_SIZE, "big") + message


def read_length(data: bytes) -> int:
    """Read the 4 bytes before a message.

    Raises:
        DecodeError: no message here has that length.
    """
    length = int.from_bytes(data, "big")
    if len(data) != LENGTH_SIZE or not _HEADER_SIZE <= length <= _MOST_MESSAGE:
        problem = f"got {length} in {len(data)} bytes, expected {_HEADER_SIZE} to {_MOST_MESSAGE} in {LENGTH_SIZE}"
        raise DecodeError("QgsMessage", "length", 0, problem)
    return length


def _message(kind: int, error_code: int, sizes: tuple[int, int], data: bytes) -> bytes:
    version = MAJOR_VERSION.to_bytes(2, "little") + MINOR_VERSION.to_bytes(2, "little")
    words = (kind, _FIXED_SIZE + len(data), error_code, *sizes)
    return version + b"".join(word.to_bytes(4, "little") for word in words) + data


def _header(reader: Reader, size: int, kind: int) -> int:
    """Read a header; gives the error code."""
    version = reader.u16("major_version"), reader.u16("minor_version")
    if version[0] != MAJOR_VERSION:
        raise reader.error("major_version", f"got {version[0]}.{version[1]}, expected {MAJOR_VERSION}")
    got = reader.u32("type")
    if got != kind:
        raise reader.error("type", f"got {got}, expected {kind}")
    stated = reader.u32("size")
    if stated != size:
        raise reader.error("size", f"got {stated}, the message has {size} bytes")
    return reader.u32("error_code")
