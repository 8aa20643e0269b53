"""How results and refusals look to a person. Colour and width are rich's: NO_COLOR and pipes are respected."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Check, Verdict
from rats_tls.core.claims import IntelTcb, NullClaims, SgxClaims, SnpClaims, SnpTcb, TdxClaims, TeeClaims
from rats_tls.core.errors import AppraisalError, RatsTlsError
from rats_tls.core.evidence import NAMES_BY_TEE
from rats_tls.core.results import AttestationResult

_VERDICT_MARK = {
    Verdict.PASSED: "[green]passed[/]",
    Verdict.FAILED: "[red]failed[/]",
    Verdict.NOT_CHECKED: "[yellow]not checked[/]",
}


def show_result(console: Console, result: AttestationResult, *, title: str, checks: bool = False) -> None:
    """Print an accepted result: a heading and a table of what matters."""
    console.print(Text.assemble((" accepted ", "black on green"), " ", (title, "bold")), highlight=False)
    table = _facts_table()
    for name, value in _result_rows(result):
        table.add_row(name, value)
    console.print(table)
    if checks:
        show_checks(console, result.checks)


def show_refusal(console: Console, error: RatsTlsError, *, title: str, checks: bool = False) -> None:
    """Print a refusal: its reason, and every mismatch on a line of its own."""
    heading = Text.assemble((" refused ", "white on red"), " ", (title, "bold"), f"  {error.refusal.label}")
    console.print(heading, highlight=False)
    table = _facts_table()
    if isinstance(error, AppraisalError):
        for mismatch in error.mismatches:
            table.add_row(
                escape(f"{mismatch.entry}: {mismatch.field}"),
                escape(f"got {mismatch.got}") + "\n" + escape(f"expected {mismatch.expected}"),
            )
        for missing in error.missing:
            table.add_row("missing", escape(str(missing)))
        if not error.authenticated:
            table.add_row("note", "the Evidence is not authenticated")
    else:
        table.add_row("reason", escape(error.message))
    console.print(table)
    if checks and error.checks:
        show_checks(console, error.checks)


def show_checks(console: Console, checks: tuple[Check, ...]) -> None:
    """Print every check with its verdict and source."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("source", overflow="fold")
    for check in checks:
        table.add_row(escape(check.id), _VERDICT_MARK[check.verdict], escape(check.note or check.source))
    console.print(table)


def _facts_table() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _result_rows(result: AttestationResult) -> list[tuple[str, str]]:
    claims = result.claims
    rows = [("TEE", _tee_title(claims)), *_claims_rows(claims)]
    rows.append(("bound by", f"{result.binding.value}: {result.binding_note}"))
    if result.anchor is not None:
        mark = {
            AnchorKind.VENDOR: "[green]vendor root[/]",
            AnchorKind.USER: "[yellow]given by the user[/]",
            AnchorKind.SIMULATED: "[bold yellow]SIMULATED: proves nothing[/]",
        }[result.anchor.kind]
        rows.append(("anchor", f"{escape(result.anchor.name)}, {mark}"))
    if result.issued_at is not None:
        rows.append(("evidence of", f"{_time(result.issued_at)} (the attester's own claim)"))
    if result.valid_until is not None:
        rows.append(("valid until", _time(result.valid_until)))
    for name, value in result.custom_claims.items():
        rows.append((f"claim {escape(name)}", escape(_printable(value))))
    rows.append(("policy", f"entry {escape(repr(result.policy_entry))}, digest {result.policy_digest.hex()[:16]}"))
    if result.connection is not None:
        tls = result.connection.tls
        group = f", {tls.group}" if tls.group else ""
        rows.append(("channel", escape(f"{tls.version} {tls.cipher}{group}".strip())))
    passed = sum(check.verdict is Verdict.PASSED for check in result.checks)
    rows.append(("checks", f"{passed} passed, {len(result.not_checked)} not checked"))
    rows.extend(("not checked", escape(f"{check.id}: {check.note}")) for check in result.not_checked)
    return rows


def _tee_title(claims: TeeClaims) -> str:
    if isinstance(claims, NullClaims):
        return "[bold yellow]none: nothing is proved[/]"
    title = NAMES_BY_TEE[claims.tee_type].title
    debug = ", [bold red]DEBUG[/]" if claims.debug else ""
    product = f" ({claims.product})" if isinstance(claims, SnpClaims) and claims.product else ""
    return f"{title}{product}{debug}"


def _claims_rows(claims: TeeClaims) -> list[tuple[str, str]]:
    if isinstance(claims, SgxClaims):
        return [
            ("MRENCLAVE", claims.mr_enclave.hex()),
            ("MRSIGNER", claims.mr_signer.hex()),
            ("product, SVN", f"{claims.isv_prod_id}, {claims.isv_svn}"),
            *_intel_tcb_rows(claims.tcb),
        ]
    if isinstance(claims, TdxClaims):
        return [
            ("MRTD", claims.mr_td.hex()),
            *(
                (f"RTMR{i}", rtmr.hex())
                for i, rtmr in enumerate((claims.rtmr0, claims.rtmr1, claims.rtmr2, claims.rtmr3))
            ),
            *_intel_tcb_rows(claims.tcb),
        ]
    if isinstance(claims, SnpClaims):
        return [
            ("measurement", claims.measurement.hex()),
            ("host data", claims.host_data.hex()),
            ("VMPL", str(claims.vmpl)),
            ("TCB", _snp_tcb(claims.reported_tcb)),
        ]
    return []


def _intel_tcb_rows(tcb: IntelTcb | None) -> list[tuple[str, str]]:
    if tcb is None:
        return []
    rows = [("TCB status", f"{tcb.status.value} (level of {tcb.tcb_date:%Y-%m-%d})")]
    if tcb.advisories:
        rows.append(("advisories", ", ".join(tcb.advisories)))
    return rows


def _snp_tcb(tcb: SnpTcb | None) -> str:
    if tcb is None:
        return "unknown"
    fmc = f"fmc {tcb.fmc}, " if tcb.fmc is not None else ""
    return f"{fmc}bootloader {tcb.bootloader}, tee {tcb.tee}, snp {tcb.snp}, microcode {tcb.microcode}"


def _printable(value: bytes) -> str:
    text = value.rstrip(b"\0").decode("utf-8", "replace")
    return text if text.isprintable() else value.hex()


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
