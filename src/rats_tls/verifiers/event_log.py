"""Replays event logs to the registers that a TEE has signed.

A register begins as zeros, and extending a digest makes it H(register ‖ digest). Which register an event is of is told
by a number; what the number means differs between TEEs. No signature covers a log: what does not replay is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.checks import Stage, shorten
from rats_tls.core.claims import MeasuredEvent
from rats_tls.core.errors import EventLogError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.formats.event_log.reading import EventLog, LoggedEvent
from rats_tls.verifiers.check_log import CheckLog, Step

_SOURCE = "TCG PFP 1.06, 10.2; UEFI 2.10, 38.4.1"
_WHOLE_LOG = Step(
    "event_log.registers", Stage.EVIDENCE_SIGNATURE, _SOURCE, "events of registers that this TEE has, with its digests"
)


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


def replay_event_log(
    log: CheckLog, events: EventLog, registers: Mapping[str, bytes], of: RegisterMap, crypto: CryptoWrapper
) -> tuple[MeasuredEvent, ...]:
    """Require that a log replays to every register that it has events of.

    Of a register without events nothing is known unless it is zero: that is noted as not checked.

    Args:
        log: takes one check for each register.
        events: the decoded log.
        registers: what the verified Evidence says of each register, by the name of its claim.
        of: what the log's numbers mean.
        crypto: hashes.

    Returns:
        All events that were extended, in the log's order.

    Raises:
        Stop: it does not; noted in the log.
    """
    replayed = dict.fromkeys(registers, bytes(of.algorithm.size))
    counts = dict.fromkeys(registers, 0)
    measured: list[MeasuredEvent] = []
    try:
        logged: tuple[LoggedEvent, ...] = events.events
        for number, event in enumerate(logged, 1):
            if not event.is_extended:
                continue
            name, digest = _extended(number, event, of)
            replayed[name] = crypto.digest(of.algorithm, replayed[name] + digest)
            counts[name] += 1
            measured.append(_measured(event, name, digest, of, crypto))
    except RatsTlsError as error:
        raise log.failed(_WHOLE_LOG, error) from error
    for name, value in registers.items():
        step = _step(name)
        if replayed[name] == value:
            log.passed(step, f"{shorten(value)}, {_events(counts[name])}")
        elif not counts[name]:
            log.not_checked(step, "the log has no event of it, and it is not zero")
        else:
            problem = (
                f"event log: {_events(counts[name])} of {name} replay to {shorten(replayed[name], 128)}, "
                f"the register is {shorten(value, 128)}"
            )
            raise log.failed(step, EventLogError(problem))
    return tuple(measured)


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


def _measured(event: LoggedEvent, name: str, digest: bytes, of: RegisterMap, crypto: CryptoWrapper) -> MeasuredEvent:
    content = event.content
    data = next(
        (reading.data for reading in content.readings if crypto.digest(of.algorithm, reading.measured) == digest),
        None,
    )
    return MeasuredEvent(register=name, type=event.type_name, digest=digest, name=content.name, data=data)


@lru_cache(maxsize=16)
def _step(register: str) -> Step:
    return Step(
        f"event_log.{register}", Stage.EVIDENCE_SIGNATURE, _SOURCE, f"the events of {register} replay to its value"
    )


def _events(count: int) -> str:
    return f"{count} event{'s' if count != 1 else ''}"
