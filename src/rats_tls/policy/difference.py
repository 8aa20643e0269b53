"""What one policy accepts that another does not: by entry name and field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any as Anything

from rats_tls.policy.entry import Entry
from rats_tls.policy.file_form import Mode
from rats_tls.policy.policy import Policy
from rats_tls.policy.rules import Rule, rule_of
from rats_tls.policy.values import ANY, Json
from rats_tls.policy.width import list_covers


class Accepts(Enum):
    """How much the second policy accepts, measured by the first.

    Values:
        SAME: neither more nor less.
        MORE: all that the first does, and more.
        LESS: nothing that the first does not, and less.
        OTHER: something that the first does not, and not all that it does; or that is not known.
    """

    SAME = "same"
    MORE = "more"
    LESS = "less"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """A field that differs.

    Attributes:
        field: its name.
        accepts: what that changes, if nothing else did.
        a: value in the first policy, in its written form.
        b: value in the second.
        added: of lists, what the second has and the first has not.
        removed: of lists, the other way round.
    """

    field: str
    accepts: Accepts
    a: Json
    b: Json
    added: tuple[Json, ...] = ()
    removed: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDifference:
    """An entry that differs.

    Attributes:
        entry: its name.
        tee: its TEE type.
        change: "added", "removed" or "changed".
        accepts: what that changes, if nothing else did; "same" where `covered_by` makes an addition or a removal void.
        covered_by: of an added entry, an entry of the first policy that accepts all that it does; of a removed one,
            such an entry of the second.
        fields: of a changed entry, what differs.
    """

    entry: str
    tee: str
    change: str
    accepts: Accepts
    covered_by: str | None = None
    fields: tuple[FieldDifference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDifference:
    """What differs between two policies.

    Attributes:
        entries: in the order of the second policy, removed ones behind.
        reordered: whether entries of both stand in another order: the result then names another entry where two accept.
        a_mode: mode of the first policy: what its refusals mean.
        b_mode: mode of the second.
    """

    entries: tuple[EntryDifference, ...]
    reordered: bool
    a_mode: Mode
    b_mode: Mode

    @property
    def accepts(self) -> Accepts:
        """What all differences together change: an upper bound, since one entry may make up for another."""
        return _together([entry.accepts for entry in self.entries])


def compare(a: Policy, b: Policy) -> PolicyDifference:
    """Compare two policies, entry by entry of the same name and TEE type."""
    before = {(entry.name, entry.tee): entry for entry in a.entries}
    after = {(entry.name, entry.tee): entry for entry in b.entries}
    found: list[EntryDifference] = []
    for key, entry in after.items():
        if key in before:
            found += _changed(before[key], entry)
        else:
            found.append(_alone(entry, "added", Accepts.MORE, a.entries))
    found += [_alone(entry, "removed", Accepts.LESS, b.entries) for key, entry in before.items() if key not in after]
    kept = [key for key in before if key in after]
    return PolicyDifference(
        entries=tuple(found),
        reordered=kept != [key for key in after if key in before],
        a_mode=a.mode,
        b_mode=b.mode,
    )


def _alone(entry: Entry, change: str, accepts: Accepts, others: Sequence[Entry]) -> EntryDifference:
    covering = next((other.name for other in others if other.covers(entry)), None)
    return EntryDifference(
        entry=entry.name,
        tee=entry.tee.value,
        change=change,
        accepts=accepts if covering is None else Accepts.SAME,
        covered_by=covering,
    )


def _changed(a: Entry, b: Entry) -> list[EntryDifference]:
    differences = [
        _field(rule_of(declared), declared.name, a, b)
        for declared in fields(a)
        if getattr(a, declared.name) != getattr(b, declared.name)
    ]
    if not differences:
        return []
    return [
        EntryDifference(
            entry=b.name,
            tee=b.tee.value,
            change="changed",
            accepts=_together([difference.accepts for difference in differences]),
            fields=tuple(differences),
        )
    ]


def _field(rule: Rule, name: str, a: Entry, b: Entry) -> FieldDifference:
    was, now = getattr(a, name), getattr(b, name)
    added, removed = _items(rule, now, was), _items(rule, was, now)
    return FieldDifference(
        field=name,
        accepts=_ACCEPTS[b.field_covers(name, a), a.field_covers(name, b)],
        a=_written(rule, was),
        b=_written(rule, now),
        added=added,
        removed=removed,
    )


_ACCEPTS = {
    (True, True): Accepts.SAME,
    (True, False): Accepts.MORE,
    (False, True): Accepts.LESS,
    (False, False): Accepts.OTHER,
}
"""By whether the second covers the first, and the other way round."""


def _written(rule: Rule, value: Anything) -> Json:
    return "any" if value is ANY else rule.form.dump(value)


def _items(rule: Rule, of: Anything, without: Anything) -> tuple[Json, ...]:
    if rule.width is not list_covers or ANY in (of, without):
        return ()
    written = rule.form.dump(tuple(item for item in of if item not in without))
    return tuple(written) if isinstance(written, list) else ()


def _together(parts: Sequence[Accepts]) -> Accepts:
    told = {part for part in parts if part is not Accepts.SAME}
    if not told:
        return Accepts.SAME
    return told.pop() if len(told) == 1 else Accepts.OTHER
