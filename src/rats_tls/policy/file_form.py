"""The file form of a policy: TOML in and out, made from the fields of the entries."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from enum import Enum

from rats_tls.core.text import did_you_mean
from rats_tls.policy.entry import Entry
from rats_tls.policy.problems import EntryError, FileProblem, PolicyFileError
from rats_tls.policy.rules import default_of, is_required, rule_of
from rats_tls.policy.values import Json, ValueProblem, shown

MAX_POLICY_BYTES = 1_048_576
_MAX_ENTRIES = 256
_LONGEST_KEY = 64


class Mode(str, Enum):
    """What a policy's refusals mean."""

    ENFORCE = "enforce"
    REPORT_ONLY = "report-only"  # see `Policy.mode`


_KEYS = ("version", "mode", "entry")


def policy_from_toml(
    text: str | bytes, classes: Mapping[str, type[Entry]], version: int, *, where: str
) -> tuple[tuple[Entry, ...], Mode]:
    """Read entries and mode of a policy file.

    Raises:
        PolicyFileError: every problem of the file.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise PolicyFileError(where, [FileProblem(problem=f"larger than {MAX_POLICY_BYTES} bytes")])
    try:
        document = tomllib.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, not TOML, or a number of absurd length
        raise PolicyFileError(where, [FileProblem(problem=f"not TOML: {error}")]) from error
    problems = [_unknown(key, _KEYS) for key in document if key not in _KEYS]
    if type(document.get("version")) is not int or document["version"] != version:
        got = shown(document.get("version"))
        problems.append(FileProblem(field="version", problem=f"got {got}, expected {version}"))
    mode = document.get("mode", Mode.ENFORCE.value)
    if mode not in [known.value for known in Mode]:
        expected = " or ".join(repr(known.value) for known in Mode)
        problems.append(FileProblem(field="mode", problem=f"got {shown(mode)}, expected {expected}"))
    tables = document.get("entry", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        got = "none" if "entry" not in document else "[entry]" if isinstance(tables, dict) else shown(tables)
        expected = "expected at least one [[entry]] table, in double brackets"
        problems.append(FileProblem(field="entry", problem=f"got {got}, {expected}"))
        tables = []
    if len(tables) > _MAX_ENTRIES:
        problems.append(FileProblem(field="entry", problem=f"got {len(tables)}, at most {_MAX_ENTRIES} are read"))
        tables = []
    entries: list[Entry] = []
    for index, table in enumerate(tables):
        made = _entry_from_table(table, classes, index, problems)
        if made is not None:
            entries.append(made)
    problems += _repeated(table["name"] for table in tables if isinstance(table.get("name"), str))
    if problems:
        raise PolicyFileError(where, problems)
    return tuple(entries), Mode(mode)


def _entry_from_table(
    table: Mapping[str, object], classes: Mapping[str, type[Entry]], index: int, problems: list[FileProblem]
) -> Entry | None:
    given = table.get("name")
    label = f"entry {shown(given)}" if isinstance(given, str) else f"entry {index + 1}"
    tee = table.get("tee")
    chosen = classes.get(tee) if isinstance(tee, str) else None
    if chosen is None:
        expected = ", ".join(repr(name) for name in classes)
        problems.append(FileProblem(entry=label, field="tee", problem=f"got {shown(tee)}, expected one of {expected}"))
        return None
    known = [declared.name for declared in fields(chosen)]
    found = [_unknown(key, (*known, "tee"), label) for key in table if key not in (*known, "tee")]
    found += [
        FileProblem(
            entry=label,
            field=declared.name,
            problem=f"not written; it has no default: write {rule_of(declared).form.text}",
        )
        for declared in fields(chosen)
        if is_required(declared) and declared.name not in table
    ]
    for declared in fields(chosen):
        if declared.name in table:
            try:
                rule_of(declared).form.parse(table[declared.name])
            except ValueProblem as problem:
                found.append(FileProblem(entry=label, field=declared.name, problem=str(problem)))
    if not found:
        try:
            make: Callable[..., Entry] = chosen
            return make(**{key: value for key, value in table.items() if key != "tee"})
        except EntryError as error:
            found += [_of_entry(label, problem, known) for problem in error.problems]
    problems.extend(found)
    return None


def _of_entry(label: str, text: str, known: Sequence[str]) -> FileProblem:
    """Give a problem of an entry, which begins with the field that it is of, with its place."""
    field, _, problem = text.partition(": ")
    if field in known:
        return FileProblem(entry=label, field=field, problem=problem)
    return FileProblem(entry=label, problem=text)


def _unknown(key: str, known: tuple[str, ...], label: str = "") -> FileProblem:
    name = key if key.isidentifier() and len(key) <= _LONGEST_KEY else shown(key)
    return FileProblem(entry=label, field=name, problem=f"unknown key{did_you_mean(key, known)}")


def repeated_names(names: Iterable[str]) -> list[str]:
    """Give a problem for each entry name that is used more than once."""
    return [str(problem) for problem in _repeated(names)]


def _repeated(names: Iterable[str]) -> list[FileProblem]:
    return [
        FileProblem(entry=f"entry {shown(name)}", problem=f"name used by {count} entries, expected one")
        for name, count in Counter(names).items()
        if count > 1
    ]


def entry_document(entry: Entry, *, defaults: bool = True) -> dict[str, Json]:
    """Give an entry as JSON; without the fields at their default when `defaults` is false."""
    document: dict[str, Json] = {"tee": entry.tee.value}
    for declared in fields(entry):
        value = getattr(entry, declared.name)
        if defaults or is_required(declared) or value != default_of(declared):
            document[declared.name] = rule_of(declared).form.dump(value)
    return document


def policy_to_toml(entries: tuple[Entry, ...], mode: Mode, version: int) -> str:
    """Write the file form."""
    lines = [f"version = {version}", *([f"mode = {_toml(mode.value)}"] if mode is not Mode.ENFORCE else [])]
    for entry in entries:
        document = entry_document(entry, defaults=False)
        lines += ["", "[[entry]]", f"name = {_toml(document.pop('name'))}"]
        lines += [f"{key} = {_toml(value)}" for key, value in document.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Json) -> str:
    """Write a value of an entry: texts, numbers, flags, lists, and inline tables of those."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # A basic string of TOML is written as JSON writes it, for the printable texts that entries hold.
    return json.dumps(value, ensure_ascii=False)
