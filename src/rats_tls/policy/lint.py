"""What a policy would accept too much, and entries that another entry makes needless or undoes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields

from rats_tls.policy.advice import Advice, Level
from rats_tls.policy.entry import Entry
from rats_tls.policy.file_form import Mode
from rats_tls.policy.lint_fields import entry_advice
from rats_tls.policy.policy import Policy
from rats_tls.policy.rules import rule_of
from rats_tls.policy.values import ANY
from rats_tls.policy.width import list_covers

_SHOWN_FIELDS = 4


def lint(policy: Policy, *, simulated: Collection[bytes | str] = ()) -> tuple[Advice, ...]:
    """Say what may be said against a policy, entry by entry. A policy of which nothing is said may still be wrong.

    Args:
        policy: the policy.
        simulated: values that simulated TEEs alone show.
    """
    found: list[Advice] = []
    if policy.mode is Mode.REPORT_ONLY:
        why = "connections to peers that it refuses may be opened even so, by insecure_report_only"
        found.append(Advice(level=Level.DANGER, entry="", field="mode", why=why, write='leave it out: "enforce"'))
    for number, entry in enumerate(policy.entries):
        found += entry_advice(entry, simulated)
        others = [*policy.entries[:number], *policy.entries[number + 1 :]]
        found += _beside(entry, others, before=policy.entries[:number])
    return tuple(found)


def _beside(entry: Entry, others: list[Entry], *, before: tuple[Entry, ...]) -> Iterator[Advice]:
    for other in others:
        if not isinstance(other, type(entry)):
            continue
        if other.covers(entry):
            if not entry.covers(other):
                stricter = _named(name for name in _field_names(entry) if not entry.field_covers(name, other))
                why = f"needless: entry {other.name!r} accepts all that it does, whatever it says of {stricter}"
                yield _of(entry, "", Level.WARNING, why, f"one of the two, or make {other.name!r} as strict")
            elif other in before:
                why = f"needless: entry {other.name!r} says the same"
                yield _of(entry, "", Level.WARNING, why, "one of the two")
            continue
        conditions = [name for name in _field_names(entry) if not _is_list(entry, name)]
        laxer = [name for name in conditions if not entry.field_covers(name, other)]
        if laxer and _same_code(entry, other) and all(other.field_covers(name, entry) for name in conditions):
            why = f"undone for some of the same code: entry {other.name!r} is less strict about it"
            write = f"in {other.name!r} the same as here, or other code"
            yield _of(entry, _named(laxer), Level.WARNING, why, write)


def _of(entry: Entry, field: str, level: Level, why: str, write: str) -> Advice:
    return Advice(level=level, entry=entry.name, field=field, why=why, write=write)


def _field_names(entry: Entry) -> list[str]:
    return [declared.name for declared in fields(entry)]


def _is_list(entry: Entry, name: str) -> bool:
    """Whether a field lists Reference Values of which the TEE shows one."""
    (rule,) = (rule_of(declared) for declared in fields(entry) if declared.name == name)
    return rule.reference_value and rule.width is list_covers


def _same_code(entry: Entry, other: Entry) -> bool:
    """Whether some code is on the lists of both."""
    for name in _field_names(entry):
        mine, others = getattr(entry, name), getattr(other, name)
        if _is_list(entry, name) and ANY not in (mine, others) and not set(mine) & set(others):
            return False
    return True


def _named(names: Iterator[str] | list[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN_FIELDS
    return ", ".join(listed[:_SHOWN_FIELDS]) + (f" and {more} more" if more > 0 else "")
