"""Event logs, written down field by field: right ones, and any that are wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SHA1, SHA256, SHA384, SM3 = 0x0004, 0x000B, 0x000C, 0x0012
SIZES = {SHA1: 20, SHA256: 32, SHA384: 48, SM3: 32}
NO_ACTION, SEPARATOR, EVENT_TAG, IPL, ACTION = 3, 4, 6, 13, 0x80000007
RUNTIME = 0x08000001


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


@dataclass(frozen=True, kw_only=True)
class Logged:
    """One event; its SHA-384 digest is of `measured`, or of `data` where that is None."""

    data: bytes = b"Calling EFI Application from Boot Option"
    index: int = 2
    type: int = ACTION
    measured: bytes | None = None
    digests: tuple[tuple[int, bytes], ...] | None = None
    count: int | None = None
    size: int | None = None

    @property
    def digest(self) -> bytes:
        return sha384(self.data if self.measured is None else self.measured)

    def to_bytes(self) -> bytes:
        digests = self.digests if self.digests is not None else ((SHA384, self.digest),)
        listed = b"".join(u16(number) + digest for number, digest in digests)
        count = len(digests) if self.count is None else self.count
        size = len(self.data) if self.size is None else self.size
        return u32(self.index) + u32(self.type) + u32(count) + listed + u32(size) + self.data


def specification(
    algorithms: Sequence[tuple[int, int]] = ((SHA384, 48),), *, signature: bytes = b"Spec ID Event03\0", **changes: Any
) -> bytes:
    """Write the first event; `changes` are `count`, `vendor`, `type`, `digest`, `size`."""
    listed = b"".join(u16(number) + u16(size) for number, size in algorithms)
    vendor = changes.get("vendor", b"")
    data = signature + bytes(4) + bytes((0, 2, 0, 2)) + u32(changes.get("count", len(algorithms))) + listed
    data += bytes([len(vendor)]) + vendor
    head = u32(1) + u32(changes.get("type", NO_ACTION)) + changes.get("digest", bytes(20))
    return head + u32(changes.get("size", len(data))) + data


def log(*events: Logged, head: bytes | None = None, padding: bytes = b"") -> bytes:
    """Write a log."""
    return (specification() if head is None else head) + b"".join(event.to_bytes() for event in events) + padding


def replay(events: Sequence[Logged], index: int) -> bytes:
    """Replay the events of one register."""
    value = bytes(48)
    for event in events:
        if event.index == index and event.type != NO_ACTION:
            value = sha384(value + event.digest)
    return value


def variable(name: str, value: bytes, guid: bytes = bytes(range(16))) -> bytes:
    """Write UEFI_VARIABLE_DATA."""
    sizes = len(name).to_bytes(8, "little") + len(value).to_bytes(8, "little")
    return guid + sizes + name.encode("utf-16-le") + value


def runtime_digest(name: str, payload: bytes) -> bytes:
    """Give what dstack's guest extends."""
    return sha384(bytes.fromhex("01000008") + b":" + name.encode() + b":" + payload)


def dstack_event(name: str = "app-id", payload: bytes = b"\1\2", **changes: Any) -> dict[str, Any]:
    """Write one event of dstack's guest; `changes` replace members."""
    return {
        "imr": 3,
        "event_type": RUNTIME,
        "digest": runtime_digest(name, payload).hex(),
        "event": name,
        "event_payload": payload.hex(),
        **changes,
    }


def dstack_log(*events: dict[str, Any]) -> bytes:
    """Write dstack's log."""
    return json.dumps(list(events)).encode()


def changed(event: Logged, **changes: Any) -> Logged:
    """Give an event with other fields."""
    return replace(event, **changes)
