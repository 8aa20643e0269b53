"""The tables of `docs/policy.md`, made from the fields of the entries. Run it to write them into the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from rats_tls.policy import ANY, Entry, NullEntry, SgxEntry, SnpEntry, TdxEntry
from rats_tls.policy.intel_entry import IntelEntry
from rats_tls.policy.rules import is_required, rule_of

MARK = "<!-- Below here: made from the fields of the entries by `make docs`. -->"
TABLES: tuple[tuple[str, str, type[Entry], type[Entry] | None], ...] = (
    ("Fields of every entry", 'Besides `tee`: `"sgx_ecdsa"`, `"tdx_ecdsa"`, `"sev_snp"` or `"null"`.', Entry, None),
    ("Fields of `sgx_ecdsa` and `tdx_ecdsa`", "", IntelEntry, Entry),
    ("Fields of `sgx_ecdsa`", "", SgxEntry, IntelEntry),
    ("Fields of `tdx_ecdsa`", "", TdxEntry, IntelEntry),
    ("Fields of `sev_snp`", "", SnpEntry, Entry),
    (
        "Fields of `null`",
        "Accepts a peer without Evidence: nothing about it is proved. It has the fields of every entry and no others.",
        NullEntry,
        Entry,
    ),
)


def _default(declared: Any) -> str:
    if is_required(declared):
        return "**must be written**"
    if declared.default is ANY:
        return '`"any"`'
    written = rule_of(declared).form.dump(declared.default)
    if isinstance(written, list) and written and isinstance(written[0], str) and set(written[0]) == {"0"}:
        return "zeros"
    return f"`{str(written).lower() if isinstance(written, bool) else written}`".replace("'", '"')


def _rows(entry: type[Entry], base: type[Entry] | None) -> Iterator[str]:
    inherited = {declared.name for declared in fields(base)} if base is not None else set()
    for declared in fields(entry):
        if declared.name not in inherited:
            rule = rule_of(declared)
            value = rule.form.text.replace("|", "\\|")
            yield f"| `{declared.name}` | {value} | {_default(declared)} | {rule.meaning} |"


def render() -> str:
    """Give everything from the mark to the end of the page."""
    parts = [MARK]
    for title, note, entry, base in TABLES:
        rows = list(_rows(entry, base))
        table = ["| field | value | default | meaning |", "|---|---|---|---|", *rows] if rows else []
        parts += ["", f"## {title}", *(["", note] if note else []), *(["", *table] if table else [])]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    from support.paths import REPOSITORY

    page = REPOSITORY / "docs" / "policy.md"
    head = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text(head + render(), encoding="utf-8")
