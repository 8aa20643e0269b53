"""What an event log replays to.

A register begins as zeros, and extending a digest makes it H(register ‖ digest). Which register an event is of is told
by a number; what the number means differs between TEEs.

Sources: TCG PC Client Platform Firmware Profile 1.06, 10.2; UEFI 2.10, 38.4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.checks import shorten
from rats_tls.core.errors import EventLogError
from rats_tls.formats.event_log.reading import EventLog, LoggedEvent

Digest = Callable[[HashAlgorithm, bytes], bytes]
"""Hashes; raises UnsupportedError where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMap:
    """The registers of one kind of TEE that logs have events of.

    Attributes:
        algorithm: their hash.
        names: names of the claims, by the number that logs have for the register.
    """

    algorithm: HashAlgorithm
    names: Mapping[int, str]


TDX_REGISTERS = RegisterMap(algorithm=HashAlgorithm.SHA384, names={number + 1: f"rtmr{number}" for number in range(4)})
"""MR index 0 is MRTD, which nothing extends after the launch. Source: UEFI 2.10, 38.4.1 (Intel TDX)."""

CSV_REGISTERS = RegisterMap(algorithm=HashAlgorithm.SM3, names={number: f"rtmr{number}" for number in range(1, 5)})
"""Of rtmr0 logs have no events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedEvent:
    """An event that was extended into a register.

    Attributes:
        event: as the log has it.
        register: name of the register.
        digest: what it was extended by.
    """

    event: LoggedEvent
    register: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a log replays to.

    Attributes:
        events: all events that were extended, in the log's order.
        values: the value of each register, by name.
    """

    events: tuple[ExtendedEvent, ...]
    values: Mapping[str, bytes]

    def count(self, register: str) -> str:
        """Say how many events of a register there are."""
        count = sum(event.register == register for event in self.events)
        return f"{count} event{'s' if count != 1 else ''}"

    def has_events_of(self, register: str) -> bool:
        """Whether there are any; of a register without events a log says nothing, unless it is zero."""
        return any(event.register == register for event in self.events)

    def contradiction(self, register: str, value: bytes) -> EventLogError | None:
        """Give the error where the events of a register replay to another value than it has; else None."""
        replayed = self.values[register]
        if replayed == value or not self.has_events_of(register):
            return None
        return EventLogError(
            f"event log: {self.count(register)} of {register} replay to {shorten(replayed, 128)}, "
            f"the register is {shorten(value, 128)}"
        )


def replay(events: EventLog, registers: Iterable[str], of: RegisterMap, digest: Digest) -> Replay:
    """Replay a log.

    Args:
        events: the decoded log.
        registers: names of the registers.
        of: what the log's numbers mean.
        digest: hashes.

    Raises:
        EventLogError: an event of a register that this TEE has not, or without a digest of its hash.
        UnsupportedError: nothing at hand computes the hash.
    """
    values = dict.fromkeys(registers, bytes(of.algorithm.size))
    extended: list[ExtendedEvent] = []
    logged: tuple[LoggedEvent, ...] = events.events
    for number, event in enumerate(logged, 1):
        if not event.is_extended:
            continue
        name, by = _extended(number, event, of)
        values[name] = digest(of.algorithm, values[name] + by)
        extended.append(ExtendedEvent(event=event, register=name, digest=by))
    return Replay(events=tuple(extended), values=values)


def _extended(number: int, event: LoggedEvent, of: RegisterMap) -> tuple[str, bytes]:
    """Give the register of an event, and what was extended. Raises EventLogError."""
    where = f"event log: event {number} ({event.type_name})"
    name = of.names.get(event.mr_index)
    if name is None:
        known = ", ".join(map(str, of.names))
        raise EventLogError(f"{where}: got register {event.mr_index}, expected one of {known}")
    digest = event.digest(of.algorithm)
    if digest is None:
        raise EventLogError(f"{where}: got no {of.algorithm.value} digest, which is what {name} is extended by")
    return name, digest
