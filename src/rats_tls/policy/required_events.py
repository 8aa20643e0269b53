"""Events that an event log must have: a field of entries whose TEE has registers that logs replay to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any as Anything

from rats_tls.core.checks import shorten
from rats_tls.core.claims import MeasuredEvent
from rats_tls.policy.rules import Facts, Finding, Rule, custom
from rats_tls.policy.values import Form, ValueProblem, choice, octets, octets_or_text, several, table, text

_SHOWN_EVENTS = 4
"""How many events a mismatch lists of each requirement."""

TDX_EVENT_REGISTERS = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredEvent:
    """One event that must be in the log. What is None is not looked at.

    Attributes:
        register: the register that it was extended into.
        type: its type, as results call it.
        name: what it is about, as the log says.
        digest: accepted digests.
        data: what was measured: counts only where the event's digest was recomputed from just that.
    """

    register: str
    type: str
    name: str | None = None
    digest: tuple[bytes, ...] | None = None
    data: bytes | None = None

    @property
    def is_proved(self) -> bool:
        """Whether an event that is accepted was measured, and not only named by its log."""
        return self.digest is not None or self.data is not None

    def accepts(self, event: MeasuredEvent) -> bool:
        """Whether `event` is such an event."""
        return (
            self._is_about(event)
            and (self.digest is None or event.digest in self.digest)
            and (self.data is None or event.data == self.data)
        )

    def covers(self, narrow: RequiredEvent) -> bool:
        """Whether every event that `narrow` accepts is accepted here."""
        return (
            (self.register, self.type) == (narrow.register, narrow.type)
            and self.name in {None, narrow.name}
            and (self.digest is None or (narrow.digest is not None and set(narrow.digest) <= set(self.digest)))
            and self.data in {None, narrow.data}
        )

    def _is_about(self, event: MeasuredEvent) -> bool:
        return (event.register, event.type) == (self.register, self.type) and self.name in {None, event.name}

    def finding(self, events: Sequence[MeasuredEvent]) -> Finding:
        """Say what is there of its register, type and name, and what was to be."""
        alike = [_shown(event) for event in events if self._is_about(event)]
        more = len(alike) - _SHOWN_EVENTS
        listed = ", ".join(alike[:_SHOWN_EVENTS]) + (f" and {more} more" if more > 0 else "")
        about = f"{self.register} {self.type}" + (f" {self.name!r}" if self.name is not None else "")
        wanted = " or ".join(shorten(digest, 96) for digest in self.digest or ())
        if self.data is not None:
            wanted = f"{wanted} of data {_data(self.data)}".removeprefix(" of ")
        return Finding(f"{about}: {listed or 'none'}", f"{about}: {wanted or 'any'}")


def required_events_rule(registers: tuple[str, ...], digest_size: int) -> Rule:
    """Give the rule of `required_events` for a TEE with these registers and digests of that many bytes."""
    event = _with_one_kind_of_value(
        table(
            {
                "register": choice(registers),
                "type": text(expected="the type of an event, such as EV_IPL"),
                "name": text(expected="what the event is about"),
                "digest": several(octets(digest_size)),
                "data": octets_or_text(),
            },
            RequiredEvent,
            required=("register", "type"),
        )
    )
    return custom(
        several(event, empty=True),
        _hold,
        "Events that the event log must have, each by register and type, and by digest or by data.",
        width=_cover,
        reference_value=True,
    )


def _with_one_kind_of_value(form: Form) -> Form:
    def parse(value: object) -> RequiredEvent:
        required: RequiredEvent = form.parse(value)
        if required.digest is not None and required.data is not None:
            raise ValueProblem("got digest and data, expected one of them: data counts by its digest")
        return required

    return replace(form, parse=parse)


def _hold(value: Sequence[RequiredEvent], claims: Anything, _: Facts) -> Finding | None:
    if not value:
        return None
    events: tuple[MeasuredEvent, ...] | None = claims.events
    if events is None:
        return Finding("no event log", f"an event log with {len(value)} required event{'s' if len(value) > 1 else ''}")
    absent = [required.finding(events) for required in value if not any(required.accepts(event) for event in events)]
    if not absent:
        return None
    return Finding("; ".join(f.got for f in absent), "; ".join(f.expected for f in absent))


def _cover(wide: Sequence[RequiredEvent], narrow: Sequence[RequiredEvent]) -> bool:
    """Of lists of required events: the one that demands nothing that the other does not."""
    return all(any(required.covers(other) for other in narrow) for required in wide)


def _shown(event: MeasuredEvent) -> str:
    said = f" {event.name!r}" if event.name else ""
    data = f" of data {_data(event.data)}" if event.data else ""
    return f"{shorten(event.digest, 96)}{said}{data}"


def _data(data: bytes) -> str:
    try:
        written = data.decode()
    except UnicodeDecodeError:
        return shorten(data, 64)
    if not written.isprintable():
        return shorten(data, 64)
    return repr(written) if len(written) <= 64 else f"{written[:64]!r}… ({len(data)} bytes)"
