"""ttrpc: calls of services over one stream, as containerd and confidential-computing agents make them.

Only calls with one answer. Source: containerd ttrpc, PROTOCOL.md and request.proto; google.rpc.Status.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.text import printable
from rats_tls.formats.devices.protobuf import Message, integer_field, octets_field

HEADER_SIZE = 10
MOST_DATA = 4_194_304
"""Most bytes behind a header, by the protocol."""
REQUEST, RESPONSE = 1, 2

_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What stands before each message (10 bytes; integers are big-endian).

    Attributes:
        length: bytes of the message.
        stream_id: of the call; odd, as clients begin them.
        type: 1 request, 2 response.
    """

    length: int
    stream_id: int
    type: int

    @classmethod
    def from_bytes(cls, data: bytes, *, most: int = MOST_DATA) -> FrameHeader:
        """Decode.

        Args:
            data: 10 bytes.
            most: most bytes that the message may have.

        Raises:
            DecodeError: another size, flags (no message here has any), or a message that is too long.
        """
        if len(data) != HEADER_SIZE:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected {HEADER_SIZE}")
        length, stream_id = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        if length > most:
            raise DecodeError(cls.__name__, "length", 0, f"got {length}, at most {most} are read")
        if data[9]:
            raise DecodeError(cls.__name__, "flags", 9, f"got {data[9]:#04x}, expected none")
        return cls(length=length, stream_id=stream_id, type=data[8])

    def to_bytes(self) -> bytes:
        """Encode."""
        return self.length.to_bytes(4, "big") + self.stream_id.to_bytes(4, "big") + bytes((self.type, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call.

    Attributes:
        service: full name of the service.
        method: name of the method.
        payload: its argument, a message.
        timeout_nano: how long it may take, in nanoseconds; 0 is for ever.
    """

    service: str
    method: str
    payload: bytes
    timeout_nano: int = 0

    def to_bytes(self) -> bytes:
        """Encode."""
        return b"".join(
            (
                octets_field(1, self.service.encode()),
                octets_field(2, self.method.encode()),
                octets_field(3, self.payload),
                integer_field(4, self.timeout_nano),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Request:
        """Decode. Raises DecodeError: malformed."""
        message = Message(data, "TtrpcRequest")
        return cls(
            service=message.text(1, "service"),
            method=message.text(2, "method"),
            payload=message.octets(3, "payload"),
            timeout_nano=message.integer(4, "timeout_nano", maximum=(1 << 63) - 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came of a call.

    Attributes:
        code: status; 0 is success.
        message: what the service says of it.
        payload: the result, a message.
    """

    code: int
    message: str
    payload: bytes

    @property
    def status(self) -> str:
        """The status in words, in one line: the service may be hostile."""
        name = _CODES[self.code] if self.code < len(_CODES) else "not known"
        return f"{self.code} ({name}){f': {printable(self.message[:256])}' if self.message else ''}"

    @classmethod
    def from_bytes(cls, data: bytes) -> Response:
        """Decode. Raises DecodeError: malformed."""
        message = Message(data, "TtrpcResponse")
        # Details of a status may be several, and are not read.
        status = Message(message.octets(1, "status"), "TtrpcStatus", repeated=(3,))
        return cls(
            code=status.integer(1, "code", maximum=_U64),
            message=status.text(2, "message"),
            payload=message.octets(2, "payload"),
        )

    def to_bytes(self) -> bytes:
        """Encode."""
        status = integer_field(1, self.code) + octets_field(2, self.message.encode())
        return octets_field(1, status) + octets_field(2, self.payload)


def request_frame(stream_id: int, request: Request) -> bytes:
    """Give a call as it stands on the stream."""
    data = request.to_bytes()
    return FrameHeader(length=len(data), stream_id=stream_id, type=REQUEST).to_bytes() + data
