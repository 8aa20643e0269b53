"""A judgement as one HTML page that needs nothing but itself: no script, no network, light and dark, any width.

Everything that a peer, a file or a policy says is escaped here, and what it may take up is bounded.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from rats_tls._version import __version__
from rats_tls.core.checks import Check, Verdict, time_text
from rats_tls.core.text import printable
from rats_tls.explanation.model import Explanation
from rats_tls.explanation.style import STYLE
from rats_tls.explanation.tcb import TcbTable

MAX_PAGE = 300_000
"""Bytes of a page, whatever is on it."""
_MAX_ROWS = 200_000
_MAX_VALUE = 4_000
_CLASSES = {Verdict.PASSED: "passed", Verdict.FAILED: "failed", Verdict.NOT_CHECKED: "skipped"}
_CUT = "…"
# The page asks for nothing; should escaping ever fail, nothing that is injected can either.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html_page(explanation: Explanation) -> str:
    """Give the page, of at most `MAX_PAGE` bytes in UTF-8; what does not fit is counted at its end."""
    return _Page(explanation).text()


class _Page:
    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation
        self._left = _MAX_ROWS
        self._dropped = 0

    def text(self) -> str:
        shown = self._explanation
        title = f"{_value(shown.subject, 200)}: {shown.verdict}"
        body = "".join((self._head(), self._main(), self._foot()))
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )

    # --- parts ---------------------------------------------------------------------------------------------------
    def _head(self) -> str:
        shown = self._explanation
        kind = "accepted" if shown.accepted else "refused"
        label = f' <span class="label">{_value(shown.label)}</span>' if shown.label else ""
        return (
            f'<header class="{kind}">\n<h1><span class="verdict">{shown.verdict}</span> {_value(shown.subject, 200)}'
            f"{label}</h1>\n<p>{_value(shown.reason)}</p>\n</header>\n"
        )

    def _main(self) -> str:
        shown = self._explanation
        parts = [self._section("Mismatches with the policy", self._mismatches())]
        parts.append(self._section("Endorsements missing", self._list(shown.missing)))
        parts.append(self._section("Not done because of them", self._list(shown.not_done)))
        facts = (*shown.facts, ("judged at", time_text(shown.judged_at)))
        parts.append(self._section("Summary", self._facts(facts)))
        parts += [self._section(f"TCB: {_value(table.title)}", self._tcb(table)) for table in shown.tcb]
        parts.append(self._section("Not checked", self._not_checked()))
        parts.append(self._section(f"Checks: {shown.counts}", self._checks()))
        return f"<main>\n{''.join(parts)}</main>\n"

    def _foot(self) -> str:
        dropped = f"{self._dropped} rows are left out for their size; the JSON form has them. " if self._dropped else ""
        return f"<footer>{dropped}Written by rats-tls {_value(__version__)}.</footer>\n"

    def _section(self, title: str, content: str) -> str:
        return f"<section>\n<h2>{title}</h2>\n{content}</section>\n" if content else ""

    def _mismatches(self) -> str:
        rows = [((item.entry, item.field, item.got, item.expected), "") for item in self._explanation.mismatches]
        return self._table(("entry", "field", "got", "expected"), rows)

    def _list(self, items: Sequence[str]) -> str:
        rows = "".join(self._bounded(f"<li>{_value(item)}</li>\n" for item in items))
        return f"<ul>\n{rows}</ul>\n" if rows else ""

    def _facts(self, facts: Sequence[tuple[str, str]]) -> str:
        rows = "".join(
            self._bounded(f"<div><dt>{_value(name)}</dt><dd>{_value(value)}</dd></div>\n" for name, value in facts)
        )
        return f"<dl>\n{rows}</dl>\n" if rows else ""

    def _tcb(self, table: TcbTable) -> str:
        rows = [(row, "") for row in table.rows]
        newest = "" if table.behind else "<p>Not behind.</p>\n"
        return self._facts(table.facts) + newest + self._table(table.columns, rows, short=True)

    def _not_checked(self) -> str:
        rows = [
            ((stage.title, check.id, check.note or ""), "skipped")
            for stage in self._explanation.stages
            for check in stage.checks
            if check.verdict is Verdict.NOT_CHECKED
        ]
        rows += [
            ((stage.title, "every check", stage.why_none), "skipped")
            for stage in self._explanation.stages
            if stage.why_none is not None
        ]
        return self._table(("stage", "check", "why"), rows)

    def _checks(self) -> str:
        rows = [
            (_check_cells(stage.title, check), _CLASSES[check.verdict])
            for stage in self._explanation.stages
            for check in stage.checks
        ]
        return self._table(("stage", "check", "verdict", "expected", "got", "source"), rows)

    # --- what tables share ----------------------------------------------------------------------------------------
    def _table(self, columns: Sequence[str], rows: Iterable[tuple[Sequence[str], str]], *, short: bool = False) -> str:
        # The roles say what the narrow layout, which is none of a table's, would hide from screen readers.
        body = "".join(self._bounded(_row(columns, cells, kind) for cells, kind in rows))
        if not body:
            return ""
        head = "".join(f'<th scope="col" role="columnheader">{_value(column)}</th>' for column in columns)
        kind = _attribute("class", "short" if short else "")
        return (
            f'<table role="table"{kind}>\n<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
            f'<tbody role="rowgroup">\n{body}</tbody>\n</table>\n'
        )

    def _bounded(self, rows: Iterable[str]) -> Iterable[str]:
        """Give rows while there is room on the page; count the others."""
        for row in rows:
            size = len(row.encode())
            if size > self._left:
                self._dropped += 1
                continue
            self._left -= size
            yield row


def _check_cells(stage: str, check: Check) -> tuple[str, ...]:
    got = check.got if check.note is None else "\n".join(text for text in (check.got, f"Note: {check.note}") if text)
    return stage, check.id, check.verdict.value, check.expected or "", got or "", check.source


def _row(columns: Sequence[str], cells: Sequence[str], kind: str) -> str:
    made = "".join(
        f'<td role="cell" data-label="{_value(column)}"{_class(column, cell)}>{_lines(cell)}</td>'
        for column, cell in zip(columns, cells, strict=True)
    )
    return f'<tr role="row"{_attribute("class", kind)}>{made}</tr>\n'


def _class(column: str, cell: str) -> str:
    names = [name for name, given in (("verdict", column == "verdict"), ("empty", not cell)) if given]
    return _attribute("class", " ".join(names))


def _attribute(name: str, value: str) -> str:
    return f' {name}="{_value(value)}"' if value else ""


def _lines(text: str) -> str:
    return "<br>".join(_value(line) for line in text.split("\n"))


def _value(text: str, limit: int = _MAX_VALUE) -> str:
    """Make text safe to stand in an element or a quoted attribute, and cut it."""
    safe = printable(text[:limit])
    cut = safe if len(text) <= limit and len(safe) <= limit else safe[:limit] + _CUT
    return html.escape(cut)
