"""The file form of a policy: TOML in and out, made from the fields of the entries."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields

from rats_tls.core.errors import ConfigurationError
from rats_tls.policy.entry import Entry
from rats_tls.policy.rules import is_required, rule_of
from rats_tls.policy.values import ANY, Json, ValueProblem, shown

MAX_POLICY_BYTES = 1_048_576
_MAX_ENTRIES = 256
_LONGEST_KEY = 64


def entries_from_toml(
    text: str | bytes, classes: Mapping[str, type[Entry]], version: int, *, where: str
) -> tuple[Entry, ...]:
    """Read the entries of a policy file.

    Raises:
        ConfigurationError: every problem of the file in one message.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise ConfigurationError(f"{where}: larger than {MAX_POLICY_BYTES} bytes")
    try:
        document = tomllib.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, not TOML, or a number of absurd length
        raise ConfigurationError(f"{where}: not TOML: {error}") from error
    problems = [_unknown(key, ("version", "entry"), "") for key in document if key not in ("version", "entry")]
    if type(document.get("version")) is not int or document["version"] != version:
        problems.append(f"version: got {shown(document.get('version'))}, expected {version}")
    tables = document.get("entry", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        got = "none" if "entry" not in document else "[entry]" if isinstance(tables, dict) else shown(tables)
        problems.append(f"entry: got {got}, expected at least one [[entry]] table, in double brackets")
        tables = []
    if len(tables) > _MAX_ENTRIES:
        problems.append(f"entry: got {len(tables)}, at most {_MAX_ENTRIES} are read")
        tables = []
    entries: list[Entry] = []
    for index, table in enumerate(tables):
        made = _entry_from_table(table, classes, index, problems)
        if made is not None:
            entries.append(made)
    problems += repeated_names(table["name"] for table in tables if isinstance(table.get("name"), str))
    if problems:
        raise ConfigurationError(f"{where}: " + "; ".join(problems))
    return tuple(entries)


def _entry_from_table(
    table: Mapping[str, object], classes: Mapping[str, type[Entry]], index: int, problems: list[str]
) -> Entry | None:
    given = table.get("name")
    label = f"entry {shown(given)}" if isinstance(given, str) else f"entry {index + 1}"
    tee = table.get("tee")
    chosen = classes.get(tee) if isinstance(tee, str) else None
    if chosen is None:
        problems.append(f"{label}.tee: got {shown(tee)}, expected one of {', '.join(repr(name) for name in classes)}")
        return None
    known = [declared.name for declared in fields(chosen)]
    found = [_unknown(key, (*known, "tee"), f"{label}.") for key in table if key not in (*known, "tee")]
    found += [
        f"{label}.{declared.name}: not written; it has no default: write {rule_of(declared).form.text}"
        for declared in fields(chosen)
        if is_required(declared) and declared.name not in table
    ]
    for declared in fields(chosen):
        if declared.name in table:
            try:
                rule_of(declared).form.parse(table[declared.name])
            except ValueProblem as problem:
                found.append(f"{label}.{declared.name}: {problem}")
    if not found:
        try:
            make: Callable[..., Entry] = chosen
            return make(**{key: value for key, value in table.items() if key != "tee"})
        except ConfigurationError as error:
            found.append(f"{label}.{error.message}")
    problems.extend(found)
    return None


def _unknown(key: str, known: tuple[str, ...], prefix: str) -> str:
    close = difflib.get_close_matches(key[:_LONGEST_KEY], known, n=1)
    name = key if key.isidentifier() and len(key) <= _LONGEST_KEY else shown(key)
    return f"{prefix}{name}: unknown key" + (f", did you mean {close[0]!r}?" if close else "")


def repeated_names(names: Iterable[str]) -> list[str]:
    """Give a problem for each entry name that is used more than once."""
    counts = Counter(names)
    return [
        f"entry {shown(name)}: name used by {count} entries, expected one"
        for name, count in counts.items()
        if count > 1
    ]


def entry_document(entry: Entry, *, defaults: bool = True) -> dict[str, Json]:
    """Give an entry as JSON; without the fields at their default when `defaults` is false."""
    document: dict[str, Json] = {"tee": entry.tee.value}
    for declared in fields(entry):
        value = getattr(entry, declared.name)
        if defaults or is_required(declared) or value != _default(declared.default, entry, declared.name):
            document[declared.name] = rule_of(declared).form.dump(value)
    return document


def _default(default: object, entry: Entry, name: str) -> object:
    form = next(rule_of(declared).form for declared in fields(entry) if declared.name == name)
    return ANY if default is ANY else form.parse(default)


def entries_to_toml(entries: tuple[Entry, ...], version: int) -> str:
    """Write the file form."""
    lines = [f"version = {version}"]
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
