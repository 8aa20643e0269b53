"""Events of an event log."""

from __future__ import annotations

from rats_tls import registry
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import DecodeError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.text import printable
from rats_tls.formats.event_log.dstack import DstackEventLog
from rats_tls.formats.event_log.reading import EventLog, LoggedEvent, read_event_log
from rats_tls.inspection.tree import Node, group, octets

MOST_EVENTS = 256
"""Events that are listed; of others the number is."""
_LONGEST_TEXT = 120
_TDX = {index: f"rtmr{index - 1}" for index in range(1, 5)}
_CSV = {index: f"rtmr{index}" for index in range(1, 5)}


def event_log_title(data: bytes) -> str:
    """Say which form a log has, for people."""
    log = read_event_log(data)
    return "event log (dstack)" if isinstance(log, DstackEventLog) else "event log (TCG crypto-agile)"


def event_log_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the events of a log, and the registers to which it replays. What it stands beside is not looked at.

    Raises:
        DecodeError: malformed.
    """
    log = read_event_log(data)
    algorithm = _algorithm(log)
    crypto = registry.crypto_wrapper("openssl")
    names = _CSV if algorithm is HashAlgorithm.SM3 else _TDX
    events: tuple[LoggedEvent, ...] = log.events
    listed = [_event(number, event, names, algorithm, crypto) for number, event in enumerate(events, 1)]
    nodes = [group("events", listed[:MOST_EVENTS], meaning=f"{len(events)}, digests of {algorithm.value}")]
    if len(events) > MOST_EVENTS:
        nodes.append(Node(name="more events", value=len(events) - MOST_EVENTS, meaning="they are not listed"))
    replayed = _replayed(events, names, algorithm, crypto)
    nodes.append(group("replayed", replayed, meaning="what the registers are if this log is true and complete"))
    nodes.append(Node(name="padding", value=len(data) - log.size, meaning="bytes behind the log"))
    return tuple(nodes)


def event_log_group(data: bytes) -> Node:
    """Give the same as one structure; what cannot be read is said in its place."""
    try:
        return group("event_log", event_log_nodes(data), meaning=event_log_title(data), size=len(data))
    except DecodeError as error:
        return octets("event_log", data, meaning=error.message)


def _algorithm(log: EventLog) -> HashAlgorithm:
    """Give the hash whose digests are shown: SHA-384 of TDX before SM3 of CSV before any other."""
    events: tuple[LoggedEvent, ...] = log.events
    extended = [event for event in events if event.is_extended]
    for algorithm in (HashAlgorithm.SHA384, HashAlgorithm.SM3, HashAlgorithm.SHA256, HashAlgorithm.SHA512):
        if extended and all(event.digest(algorithm) is not None for event in extended):
            return algorithm
    return HashAlgorithm.SHA384


def _event(
    number: int, event: LoggedEvent, names: dict[int, str], algorithm: HashAlgorithm, crypto: CryptoWrapper
) -> Node:
    content = event.content
    about = printable(" ".join(part for part in (content.name, content.text) if part))
    about = about if len(about) <= _LONGEST_TEXT else f"{about[:_LONGEST_TEXT]}…"
    register = names.get(event.mr_index, f"register {event.mr_index}")
    digest = event.digest(algorithm)
    if not event.is_extended:
        how = "not extended"
    elif digest is None:
        how = f"no {algorithm.value} digest"
    else:
        try:
            found = any(crypto.digest(algorithm, reading.measured) == digest for reading in content.readings)
            how = "recomputed from its data" if found else "not of its data"
        except (RatsTlsError, ValueError):  # a hash that the library at hand does not have
            how = "not recomputed"
    return Node(
        name=f"{number} {register} {event.type_name}",
        value=digest if event.is_extended else None,
        meaning=f"{how}: {about}" if about else how,
    )


def _replayed(
    events: tuple[LoggedEvent, ...], names: dict[int, str], algorithm: HashAlgorithm, crypto: CryptoWrapper
) -> list[Node]:
    registers: dict[int, bytes] = {}
    try:
        for event in events:
            digest = event.digest(algorithm)
            if event.is_extended and digest is not None:
                before = registers.get(event.mr_index, bytes(algorithm.size))
                registers[event.mr_index] = crypto.digest(algorithm, before + digest)
    except (RatsTlsError, ValueError):  # as above
        return []
    return [octets(names.get(index, f"register {index}"), registers[index]) for index in sorted(registers)]
