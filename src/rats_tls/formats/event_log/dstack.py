"""The event log of dstack's guests: a JSON list of what firmware and guest extended, by number of the RTMR.

Events of firmware stand there as CCEL has them, perhaps without their data. The guest's own are extended into RTMR3:
SHA-384 over type (little-endian), name and payload, with colons between. Their digest may be left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.event_log.event_data import LONGEST_NAME, EventContent, Reading, event_content
from rats_tls.formats.event_log.event_types import DSTACK_RUNTIME_EVENT, EV_NO_ACTION, event_type_name
from rats_tls.formats.json_document import JsonObject, objects_from_bytes

_STRUCTURE = "DstackEventLog"
_LAST_RTMR = 3
_SHA384_SIZE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackEvent:
    """One event.

    Attributes:
        rtmr: number of the register.
        type: its type.
        sha384: what was extended; made of type, name and payload where the log leaves it out.
        name: `event` of the log; "" of firmware's events, mostly.
        data: `event_payload` of the log.
    """

    rtmr: int
    type: int
    sha384: bytes
    name: str
    data: bytes

    @property
    def mr_index(self) -> int:
        """Number of the register in logs of the TCG's form."""
        return self.rtmr + 1

    @property
    def type_name(self) -> str:
        """Name of its type."""
        return event_type_name(self.type)

    @property
    def content(self) -> EventContent:
        """What it says. Of the guest's own events name and payload both are under the digest."""
        if self.type == DSTACK_RUNTIME_EVENT:
            return EventContent(name=self.name, text=_text(self.data), readings=(_runtime(self.name, self.data),))
        said = event_content(self.type, self.data)
        return EventContent(name=self.name or said.name, text=said.text, readings=said.readings)

    @property
    def is_extended(self) -> bool:
        """Whether its digest is extended into a register."""
        return self.type != EV_NO_ACTION

    def digest(self, algorithm: HashAlgorithm) -> bytes | None:
        """Give its digest of that hash, or None."""
        return self.sha384 if algorithm is HashAlgorithm.SHA384 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DstackEventLog:
    """A log.

    Attributes:
        events: its events.
        size: bytes of the log.
    """

    events: tuple[DstackEvent, ...]
    size: int

    @classmethod
    def from_bytes(cls, data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> DstackEventLog:
        """Decode.

        Raises:
            DecodeError: malformed, too large, or too many events.
        """
        if len(data) > limits.event_log:
            raise DecodeError(_STRUCTURE, "", None, f"got {len(data)} bytes, at most {limits.event_log} are read")
        items = objects_from_bytes(data, _STRUCTURE, most=limits.event_log_events)
        return cls(events=tuple(map(_event, items)), size=len(data))


def is_dstack_log(data: bytes) -> bool:
    """Whether `data` begins like such a log."""
    start = data[:64].lstrip()
    return start[:1] == b"[" and start[1:].lstrip()[:1] in {b"{", b"]"}


def _event(item: JsonObject) -> DstackEvent:
    kind = item.integer("event_type", maximum=0xFFFF_FFFF)
    name, data = item.text("event"), item.octets("event_payload")
    if len(name) > LONGEST_NAME:
        raise item.error("event", f"got {len(name)} characters, at most {LONGEST_NAME} are read")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):  # lone surrogates
        raise item.error("event", "not UTF-8")
    digest = item.octets("digest")
    if not digest and kind == DSTACK_RUNTIME_EVENT:
        digest = hashlib.sha384(_runtime(name, data).measured).digest()
    if len(digest) != _SHA384_SIZE:
        raise item.error("digest", f"got {len(digest)} bytes, expected {_SHA384_SIZE}")
    return DstackEvent(rtmr=item.integer("imr", maximum=_LAST_RTMR), type=kind, sha384=digest, name=name, data=data)


def _runtime(name: str, payload: bytes) -> Reading:
    start = DSTACK_RUNTIME_EVENT.to_bytes(4, "little")
    return Reading(b":".join((start, name.encode(), payload)), payload)


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex()
    return text if text.isprintable() else data.hex()
