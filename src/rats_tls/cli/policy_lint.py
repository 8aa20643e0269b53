"""`rats-tls policy lint`: what a policy would accept too much."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from rats_tls import policy as policies
from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.documents import Json
from rats_tls.core.refusals import ExitCode
from rats_tls.files import load_policy
from rats_tls.policy import Advice, Level
from rats_tls.simulation.values import simulated_values

_STYLES = {Level.DANGER: "white on red", Level.WARNING: "black on yellow", Level.NOTE: "dim"}
_COUNTED = {Level.DANGER: ("danger", "dangers"), Level.WARNING: ("warning", "warnings"), Level.NOTE: ("note", "notes")}
LINT_SCHEMA = "rats-tls/policy-lint/1"


@click.command(
    short_help="Say what a policy accepts too much, and why.",
    epilog=examples(
        "rats-tls policy lint policy.toml",
        "rats-tls policy lint --strict policy.toml",
        "rats-tls policy lint --json policy.toml",
    ),
)
@click.argument("policy_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--strict", is_flag=True, help="End with exit code 5 where there are dangers or warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def lint(policy_file: Path, strict: bool, as_json: bool) -> None:
    """Say what the policy in FILE accepts too much, each with why it matters and what to write instead.

    A danger is that peers are accepted about which next to nothing is proved; a warning, that what a strict policy
    refuses is accepted, or that something does not do what it says; a note, that what is common is accepted.

    A policy of which nothing is said may still pin the wrong values: try it with "policy test". The exit code is 0
    whatever is said, unless --strict is given.
    """
    found = policies.lint(load_policy(policy_file), simulated=simulated_values())
    counts = Counter(advice.level for advice in found)
    screen = Screen()
    if as_json:
        screen.document(
            {
                "schema": LINT_SCHEMA,
                "file": str(policy_file),
                "counts": {level.value: counts[level] for level in Level},
                "findings": [_document(advice) for advice in found],
            }
        )
    else:
        for advice in found:
            _show(screen, advice)
        told = [f"{counts[level]} {_COUNTED[level][counts[level] != 1]}" for level in Level if counts[level]]
        screen.line(Styled(policy_file.name, "bold"), f": {', '.join(told) or 'nothing to say'}")
    if strict and (counts[Level.DANGER] or counts[Level.WARNING]):
        raise click.exceptions.Exit(int(ExitCode.POLICY))


def _document(advice: Advice) -> dict[str, Json]:
    return {
        "level": advice.level.value,
        "entry": advice.entry,
        "field": advice.field,
        "why": advice.why,
        "write": advice.write,
    }


def _show(screen: Screen, advice: Advice) -> None:
    level = Styled(f" {advice.level.value} ", _STYLES[advice.level])
    screen.line(level, " ", Styled(advice.place, "bold"), hanging=4)
    screen.columns([("why", advice.why), ("write", advice.write)], indent=4)
