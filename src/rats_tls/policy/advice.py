"""What may be said against a policy that is well formed: where, why it matters, and what to write."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a policy accepts too much.

    Values:
        DANGER: it accepts peers about which next to nothing is proved.
        WARNING: it accepts what a strict policy refuses, or does not do what it seems to say.
        NOTE: it accepts no more than is common; know that it does.
    """

    DANGER = "danger"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing said against a policy.

    Attributes:
        level: how much it matters.
        entry: name of the entry, or "" for the policy as a whole.
        field: the field, or "" for the entry as a whole.
        why: why it matters.
        write: what to write.
    """

    level: Level
    entry: str
    field: str
    why: str
    write: str

    @property
    def place(self) -> str:
        """Entry and field, for people."""
        return ".".join(part for part in (self.entry, self.field) if part) or "policy"
