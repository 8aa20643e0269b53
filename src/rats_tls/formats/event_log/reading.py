"""Tells which form an event log has, and reads it."""

from __future__ import annotations

from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.event_log.dstack import DstackEvent, DstackEventLog, is_dstack_log
from rats_tls.formats.event_log.tcg import TcgEvent, TcgEventLog, is_tcg_log

EventLog = TcgEventLog | DstackEventLog
LoggedEvent = TcgEvent | DstackEvent


def is_event_log(data: bytes) -> bool:
    """Whether `data` begins like an event log."""
    return is_tcg_log(data) or is_dstack_log(data)


def read_event_log(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> EventLog:
    """Read an event log of either form.

    Raises:
        DecodeError: neither form, malformed, too large, or too many events.
    """
    if is_dstack_log(data):
        return DstackEventLog.from_bytes(data, limits=limits)
    if is_tcg_log(data):
        return TcgEventLog.from_bytes(data, limits=limits)
    raise DecodeError(
        "EventLog",
        "",
        None,
        f"got {len(data)} bytes that begin with {data[:16].hex() or 'nothing'}, "
        "expected a log in the TCG's crypto-agile form (CCEL), or dstack's list in JSON",
    )


def without_padding(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Give an event log without the rest of the area that it stood in.

    Raises:
        DecodeError: as `read_event_log`.
    """
    return data[: read_event_log(data, limits=limits).size]
