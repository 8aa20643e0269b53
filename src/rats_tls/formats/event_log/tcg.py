"""Event logs in the crypto-agile form of the TCG, as CCEL holds them.

Sources: TCG PC Client Platform Firmware Profile 1.06, 10.2; for CCEL UEFI 2.10, 38.4.1, and ACPI 6.5, 5.2.34.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.reader import Reader
from rats_tls.formats.event_log.event_data import EventContent, event_content
from rats_tls.formats.event_log.event_types import EV_NO_ACTION, event_type_name

SIGNATURE = b"Spec ID Event03\0"
_SIGNATURES = frozenset({SIGNATURE, bytes(len(SIGNATURE))})
"""The second one is of logs that a guest begins itself, where its firmware left none."""

_STRUCTURE = "EventLog"
_SHA1_SIZE = 20
_SPECIFICATION = 32
"""Where the data of the first event begins: behind index, type, SHA-1 digest and size."""

# TCG Algorithm Registry. SHA-1 is no hash of any register here, and read so that what follows it can be.
SHA1 = 0x0004
_HASHES = {
    0x000B: HashAlgorithm.SHA256,
    0x000C: HashAlgorithm.SHA384,
    0x000D: HashAlgorithm.SHA512,
    0x0012: HashAlgorithm.SM3,
}
_SIZES = {SHA1: _SHA1_SIZE, **{number: hash_.size for number, hash_ in _HASHES.items()}}
_MOST_ALGORITHMS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TcgEvent:
    """TCG_PCR_EVENT2.

    Attributes:
        mr_index: which register, by the number that the log has for it.
        type: its type.
        digests: TCG algorithm number and digest of each, in the log's order.
        data: what the log says of it.
    """

    mr_index: int
    type: int
    digests: tuple[tuple[int, bytes], ...]
    data: bytes

    @property
    def type_name(self) -> str:
        """Name of its type."""
        return event_type_name(self.type)

    @property
    def content(self) -> EventContent:
        """What its data says."""
        return event_content(self.type, self.data)

    @property
    def is_extended(self) -> bool:
        """Whether its digest is extended into a register."""
        return self.type != EV_NO_ACTION

    def digest(self, algorithm: HashAlgorithm) -> bytes | None:
        """Give its digest of that hash, or None."""
        return next((digest for number, digest in self.digests if _HASHES.get(number) is algorithm), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcgEventLog:
    """A log.

    Attributes:
        algorithms: TCG algorithm number and digest size of each hash, as the first event declares them.
        events: the events behind the first one.
        size: bytes of the log, without the padding behind it.
    """

    algorithms: tuple[tuple[int, int], ...]
    events: tuple[TcgEvent, ...]
    size: int

    @classmethod
    def from_bytes(cls, data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> TcgEventLog:
        """Decode. Behind the last event there may be nothing but bytes 0xff, or zeros.

        Raises:
            DecodeError: malformed, too large, or too many events.
        """
        if len(data) > limits.event_log:
            raise DecodeError(_STRUCTURE, "", None, f"got {len(data)} bytes, at most {limits.event_log} are read")
        end = len(_without_padding(data))
        reader = Reader(data, _STRUCTURE)
        sizes = _specification(reader)
        events: list[TcgEvent] = []
        while reader.offset < end:
            if len(events) == limits.event_log_events:
                raise reader.error("events", f"more than {limits.event_log_events}")
            events.append(_event(reader, sizes))
        # The last event may end in bytes that look like padding: what it does not take is of one kind.
        return cls(algorithms=tuple(sizes.items()), events=tuple(events), size=reader.offset)


def is_tcg_log(data: bytes) -> bool:
    """Whether `data` begins like such a log."""
    return (
        data[4:28] == EV_NO_ACTION.to_bytes(4, "little") + bytes(_SHA1_SIZE)
        and data[_SPECIFICATION : _SPECIFICATION + len(SIGNATURE)] in _SIGNATURES
    )


def _without_padding(data: bytes) -> bytes:
    return data.rstrip(b"\xff") if data.endswith(b"\xff") else data.rstrip(b"\0")


def _specification(reader: Reader) -> dict[int, int]:
    """Read the first event, TCG_EfiSpecIDEvent in the form of SHA-1 logs; gives the digest sizes."""
    reader.u32("mr_index")
    kind = reader.u32("type")
    if kind != EV_NO_ACTION:
        raise reader.error("type", f"the first event is {event_type_name(kind)}, expected EV_NO_ACTION")
    reader.zeros("digest", _SHA1_SIZE)
    size = reader.u32("event_size")
    end = reader.offset + size
    if size > reader.remaining:
        raise reader.error("event_size", f"need {size} bytes, {reader.remaining} left")
    signature = reader.take("signature", len(SIGNATURE))
    if signature not in _SIGNATURES:
        raise reader.error("signature", f"got {signature!r}, expected {SIGNATURE!r}")
    reader.take("version", 8)  # platform class, specification version, size of UINTN
    count = reader.u32("number_of_algorithms")
    if not 1 <= count <= _MOST_ALGORITHMS:
        raise reader.error("number_of_algorithms", f"got {count}, expected 1 to {_MOST_ALGORITHMS}")
    sizes: dict[int, int] = {}
    for _ in range(count):
        number, digest_size = reader.u16("algorithm"), reader.u16("digest_size")
        if number not in _SIZES:
            raise reader.error("algorithm", f"got {number:#06x}, which no log here uses")
        if digest_size != _SIZES[number]:
            raise reader.error("digest_size", f"got {digest_size} for {number:#06x}, expected {_SIZES[number]}")
        if number in sizes:
            raise reader.error("algorithm", f"{number:#06x} twice")
        sizes[number] = digest_size
    reader.take("vendor_info", reader.u8("vendor_info_size"))
    if reader.offset != end:
        raise reader.error("event_size", f"got {size}, expected {size + reader.offset - end}")
    return sizes


def _event(reader: Reader, sizes: dict[int, int]) -> TcgEvent:
    mr_index, kind, count = reader.u32("mr_index"), reader.u32("type"), reader.u32("digest_count")
    if not 1 <= count <= len(sizes):
        raise reader.error("digest_count", f"got {count}, expected 1 to {len(sizes)}")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        number = reader.u16("algorithm")
        if number not in sizes:
            raise reader.error("algorithm", f"got {number:#06x}, which the first event does not declare")
        if number in digests:
            raise reader.error("algorithm", f"{number:#06x} twice in one event")
        digests[number] = reader.take("digest", sizes[number])
    data = reader.take("data", reader.u32("event_size"))
    return TcgEvent(mr_index=mr_index, type=kind, digests=tuple(digests.items()), data=data)
