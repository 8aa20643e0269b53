"""Requires that event logs replay to the registers that a TEE has signed.

No signature covers a log: what does not replay is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rats_tls.core.checks import Stage, shorten
from rats_tls.core.claims import MeasuredEvent
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.formats.event_log.reading import EventLog
from rats_tls.formats.event_log.replay import ExtendedEvent, RegisterMap, replay
from rats_tls.verifiers.check_log import CheckLog, Step

_SOURCE = "TCG PFP 1.06, 10.2; UEFI 2.10, 38.4.1"
_WHOLE_LOG = Step(
    "event_log.registers", Stage.EVIDENCE_SIGNATURE, _SOURCE, "events of registers that this TEE has, with its digests"
)


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
    try:
        replayed = replay(events, registers, of, crypto.digest)
        measured = tuple(_measured(event, of, crypto) for event in replayed.events)
    except RatsTlsError as error:
        raise log.failed(_WHOLE_LOG, error) from error
    for name, value in registers.items():
        step = _step(name)
        contradiction = replayed.contradiction(name, value)
        if contradiction is not None:
            raise log.failed(step, contradiction)
        if replayed.values[name] == value:
            log.passed(step, f"{shorten(value)}, {replayed.count(name)}")
        else:
            log.not_checked(step, "the log has no event of it, and it is not zero")
    return measured


def _measured(extended: ExtendedEvent, of: RegisterMap, crypto: CryptoWrapper) -> MeasuredEvent:
    event, digest = extended.event, extended.digest
    content = event.content
    data = next(
        (reading.data for reading in content.readings if crypto.digest(of.algorithm, reading.measured) == digest),
        None,
    )
    return MeasuredEvent(register=extended.register, type=event.type_name, digest=digest, name=content.name, data=data)


@lru_cache(maxsize=16)
def _step(register: str) -> Step:
    return Step(
        f"event_log.{register}", Stage.EVIDENCE_SIGNATURE, _SOURCE, f"the events of {register} replay to its value"
    )
