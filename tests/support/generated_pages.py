"""Tables of pages that are made from the code. Run it to write them into `docs/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.interfaces import CryptoCapabilities
from rats_tls.core.refusals import Refusal
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.policy import ANY, CsvEntry, Entry, NullEntry, SevEntry, SgxEntry, SgxLocalEntry, SnpEntry, TdxEntry
from rats_tls.policy.intel_entry import IntelEntry
from rats_tls.policy.rules import is_required, rule_of
from rats_tls.policy.sgx_entry import SgxReportEntry
from rats_tls.registry import BUILT_IN
from support.instances import CRYPTO_WRAPPERS, TLS_WRAPPERS

POLICY_MARK = "<!-- Below here: made from the fields of the entries by `make docs`. -->"
WRAPPERS_MARK = "<!-- Below here: made from what the wrappers declare by `make docs`. -->"
REFUSALS_MARK = "<!-- Below here: made from `rats_tls.core.refusals` by `make docs`. -->"
_OWN = tuple(key for key in KeyAlgorithm if key is not KeyAlgorithm.RSA)
TABLES: tuple[tuple[str, str, type[Entry], tuple[type[Entry], ...]], ...] = (
    (
        "Fields of every entry",
        'Besides `tee`: `"sgx_ecdsa"`, `"tdx_ecdsa"`, `"sgx_la"`, `"sev_snp"`, `"sev"`, `"csv"` or `"null"`.',
        Entry,
        (),
    ),
    ("Fields of `sgx_ecdsa` and `tdx_ecdsa`", "", IntelEntry, (Entry,)),
    ("Fields of `sgx_ecdsa` and `sgx_la`", "", SgxReportEntry, (Entry,)),
    ("Fields of `sgx_ecdsa`", "", SgxEntry, (IntelEntry, SgxReportEntry)),
    ("Fields of `tdx_ecdsa`", "", TdxEntry, (IntelEntry,)),
    ("Fields of `sgx_la`", "", SgxLocalEntry, (SgxReportEntry,)),
    ("Fields of `sev_snp`", "", SnpEntry, (Entry,)),
    ("Fields of `sev`", "", SevEntry, (Entry,)),
    ("Fields of `csv`", "", CsvEntry, (Entry,)),
    (
        "Fields of `null`",
        "Accepts a peer without Evidence: nothing about it is proved. It has the fields of every entry and no others.",
        NullEntry,
        (Entry,),
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


def _rows(entry: type[Entry], bases: tuple[type[Entry], ...]) -> Iterator[str]:
    inherited = {declared.name for base in bases for declared in fields(base)}
    for declared in fields(entry):
        if declared.name not in inherited:
            rule = rule_of(declared)
            value = rule.form.text.replace("|", "\\|")
            yield f"| `{declared.name}` | {value} | {_default(declared)} | {rule.meaning} |"


def render_policy() -> str:
    """Give everything from the mark to the end of `docs/policy.md`."""
    parts = [POLICY_MARK]
    for title, note, entry, bases in TABLES:
        rows = list(_rows(entry, bases))
        table = ["| field | value | default | meaning |", "|---|---|---|---|", *rows] if rows else []
        parts += ["", f"## {title}", *(["", note] if note else []), *(["", *table] if table else [])]
    return "\n".join(parts) + "\n"


def render_refusals() -> str:
    """Give everything from the mark to the end of `docs/refusals.md`."""
    rows = [
        f"| {row.number} | `{row.label}` | `{row.error}` | {int(row.wire_code)} | {int(row.exit_code)} |"
        for row in sorted((refusal.value for refusal in Refusal), key=lambda row: row.number)
    ]
    head = ["| number | label | error class | wire code | exit code |", "|---|---|---|---|---|"]
    return "\n".join([REFUSALS_MARK, "", *head, *rows]) + "\n"


def render_wrappers() -> str:
    """Give everything from the mark to the end of `docs/tls-and-crypto.md`."""
    by_name = {each.name: each for each in TLS_WRAPPERS}  # of openssl the one with its faster calls, which is the later
    shown = [by_name[name] for name in BUILT_IN["tls_wrappers"]]
    made = {each.name: each for each in (*CRYPTO_WRAPPERS, NullCryptoWrapper())}
    crypto = [made[name] for name in BUILT_IN["crypto_wrappers"]]
    rows: list[tuple[str, list[str]]] = [
        ("client", [_yes(each.capabilities.clients) for each in shown]),
        ("mutual server", [_yes(each.capabilities.mutual_server) for each in shown]),
        ("exporter with context", [_yes(each.capabilities.exporter_with_context) for each in shown]),
        ("ALPN", [_yes(each.capabilities.alpn) for each in shown]),
        ("TLS 1.2", [_yes(each.capabilities.tls12) for each in shown]),
        ("alerts of choice", [_yes(each.capabilities.chosen_alerts) for each in shown]),
        ("in memory", [_yes(each.capabilities.memory) for each in shown]),
        ("over sockets by itself", [_yes(each.capabilities.sockets) for each in shown]),
        ("largest certificate", [f"{each.capabilities.largest_certificate:,}" for each in shown]),
        *((f"{key.value} keys", [_yes(key in each.capabilities.key_algorithms) for each in shown]) for key in _OWN),
    ]
    keys = [(f"{key.value} keys", [_uses_of(each.capabilities, key) for each in crypto]) for key in _OWN]
    return "\n".join(
        [
            WRAPPERS_MARK,
            "",
            "## What TLS wrappers declare",
            "",
            *_table([each.name for each in shown], rows),
            "",
            "## What crypto wrappers declare",
            "",
            *_table([each.name for each in crypto], keys),
            "",
        ]
    )


def _table(names: list[str], rows: list[tuple[str, list[str]]]) -> list[str]:
    head = ["| |" + "".join(f" `{name}` |" for name in names), "|---|" + "---|" * len(names)]
    return [*head, *(f"| {label} | {' | '.join(cells)} |" for label, cells in rows)]


def _uses_of(able: CryptoCapabilities, key: KeyAlgorithm) -> str:
    uses = (
        ("makes", able.generates),
        ("certifies", able.certificates),
        ("verifies", able.verifies),
    )
    return ", ".join(name for name, keys in uses if key in keys) or "-"


def _yes(able: bool) -> str:
    return "yes" if able else "-"


if __name__ == "__main__":
    from support.pairs import PAIRS_MARK, all_pairs, render_pairs
    from support.paths import REPOSITORY

    for name, mark, rendered in (
        ("policy.md", POLICY_MARK, render_policy()),
        ("refusals.md", REFUSALS_MARK, render_refusals()),
        ("tls-and-crypto.md", WRAPPERS_MARK, render_wrappers()),
        ("pairs.md", PAIRS_MARK, render_pairs(all_pairs())),
    ):
        page = REPOSITORY / "docs" / name
        head = page.read_text(encoding="utf-8").partition(mark)[0]
        page.write_text(head + rendered, encoding="utf-8")
