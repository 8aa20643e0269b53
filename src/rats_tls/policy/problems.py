"""What is wrong with a policy file, each problem with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rats_tls.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    """One problem of a policy file.

    Attributes:
        entry: `entry` and the entry's name as it is written, or its number; "" for what is outside entries.
        field: the field, or "" where the problem is no field's.
        problem: what is wrong.
    """

    entry: str = ""
    field: str = ""
    problem: str

    def __str__(self) -> str:
        place = ".".join(part for part in (self.entry, self.field) if part)
        return f"{place}: {self.problem}" if place else self.problem


class EntryError(ConfigurationError):
    """Values of an entry that its fields do not take, or that do not go together.

    Attributes:
        problems: each as `field: problem`.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type[EntryError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class PolicyFileError(ConfigurationError):
    """A file that is no policy.

    Attributes:
        where: what the file is called.
        problems: all that is wrong with it, in the order of the file.
    """

    def __init__(self, where: str, problems: Iterable[FileProblem]) -> None:
        self.where = where
        self.problems = tuple(problems)
        super().__init__(f"{where}: " + "; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[PolicyFileError], tuple[str, tuple[FileProblem, ...]]]:
        return type(self), (self.where, self.problems)
