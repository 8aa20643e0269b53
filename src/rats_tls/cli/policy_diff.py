"""`rats-tls policy diff`: what one policy accepts that another does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.core.documents import Json, to_json
from rats_tls.files import load_policy
from rats_tls.policy import Accepts, EntryDifference, FieldDifference, PolicyDifference, compare

DIFF_SCHEMA = "rats-tls/policy-diff/1"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_STYLES = {Accepts.SAME: "dim", Accepts.MORE: "yellow", Accepts.LESS: "green", Accepts.OTHER: "yellow"}
_WORDS = {
    Accepts.SAME: "accepts the same",
    Accepts.MORE: "accepts more",
    Accepts.LESS: "accepts less",
    Accepts.OTHER: "accepts other peers",
}


@click.command(
    short_help="Say what one policy accepts that another does not.",
    epilog=examples(
        "rats-tls policy diff old.toml new.toml",
        "rats-tls policy diff --json old.toml new.toml",
    ),
)
@click.argument("a", type=_FILE, metavar="A")
@click.argument("b", type=_FILE, metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Say what the policy in B accepts that the one in A does not, and the other way round.

    Entries are compared by name and TEE type, every effective value of them: a default that is written out is no
    difference. An entry that another one of the other policy makes up for changes nothing, and is named with it.

    The exit code is 0 whether they differ or not; "accepts" in the JSON document is "same" where neither accepts more.
    """
    first, second = load_policy(a), load_policy(b)
    found = compare(first, second)
    screen = Screen()
    if as_json:
        document = to_json(found)
        screen.document(
            {
                "schema": DIFF_SCHEMA,
                "a": {"file": str(a), "digest": first.digest.hex()},
                "b": {"file": str(b), "digest": second.digest.hex()},
                "accepts": found.accepts.value,
                **(document if isinstance(document, dict) else {}),
            }
        )
        return
    _show(screen, found, a.name, b.name)


def _show(screen: Screen, found: PolicyDifference, a: str, b: str) -> None:
    for entry in found.entries:
        style = _STYLES[entry.accepts]
        screen.line(Styled(f" {entry.change} ", "reverse"), " ", Styled(entry.entry, "bold"), f"  {entry.tee}")
        screen.columns([("", Styled(_standing(entry), style))])
        for field in entry.fields:
            screen.line("  ", Styled(field.field, "bold"), "  ", Styled(_WORDS[field.accepts], _STYLES[field.accepts]))
            screen.columns(list(_values(field)), indent=4)
    if found.a_mode is not found.b_mode:
        screen.line("mode: was ", found.a_mode.value, ", is ", Styled(found.b_mode.value, "bold"))
    if found.reordered:
        screen.line("entries of both stand in another order: where two accept, results name the other one")
    than = " as " if found.accepts is Accepts.SAME else " than "
    screen.line(Styled(b, "bold"), " ", Styled(_WORDS[found.accepts], _STYLES[found.accepts]), than, Styled(a, "bold"))


def _standing(entry: EntryDifference) -> str:
    if entry.covered_by is not None:
        other = "the first" if entry.change == "added" else "the second"
        return f"accepts the same: entry {entry.covered_by!r} of {other} accepts all that it does"
    return _WORDS[entry.accepts]


def _values(field: FieldDifference) -> Iterator[tuple[Cell, Cell]]:
    if field.added or field.removed:
        yield from (("+", _text(item)) for item in field.added)
        yield from (("-", _text(item)) for item in field.removed)
    else:
        yield "was", _text(field.a)
        yield "is", _text(field.b)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
