"""How an explanation looks in a terminal: the TCB part by part, then every check under its stage."""

from __future__ import annotations

from rats_tls.cli.render import VERDICT_STYLES
from rats_tls.cli.screen import Part, Screen, Styled
from rats_tls.core.checks import Check
from rats_tls.explanation import Explanation, TcbTable


def show_explanation(screen: Screen, explanation: Explanation) -> None:
    """Print what a result or refusal rests on; its verdict and reason stand above it."""
    if explanation.not_done:
        screen.columns([("not done", ", ".join(explanation.not_done))])
    for table in explanation.tcb:
        _show_tcb(screen, table)
    screen.line("  ", Styled("checks", "bold"), f"  {explanation.counts}")
    for stage in explanation.stages:
        heading: list[Part] = ["    ", Styled(stage.title, "bold")]
        if stage.why_none is not None:
            heading += ["  ", Styled(stage.why_none, "yellow")]
        screen.line(*heading, hanging=6)
        for check in stage.checks:
            _show_check(screen, check)


def _show_tcb(screen: Screen, table: TcbTable) -> None:
    screen.line("  ", Styled("TCB", "bold"), f"  {table.title}", *([] if table.behind else [": not behind"]))
    screen.columns(table.facts, indent=4)
    if table.rows:
        head = [Styled(column, "dim") for column in table.columns]
        screen.columns([head, *table.rows], indent=4)


def _show_check(screen: Screen, check: Check) -> None:
    screen.line("      ", Styled(f"{check.verdict.value:<11}", VERDICT_STYLES[check.verdict]), f"  {check.id}")
    told = (("expected", check.expected), ("got", check.got), ("source", check.source), ("note", check.note))
    screen.columns([(name, text) for name, text in told if text is not None], indent=19)
