"""How results and refusals look to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum

from rats_tls.cli.screen import Cell, Part, Screen, Styled
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import UNPROVED_CHECK, Check, Verdict
from rats_tls.core.claims import (
    CsvClaims,
    IntelTcb,
    MeasuredEvent,
    NullClaims,
    SevClaims,
    SgxClaims,
    SgxReportClaims,
    SnpClaims,
    SnpTcb,
    TdxClaims,
    TeeClaims,
)
from rats_tls.core.errors import AppraisalError, CertificateChainError, EndorsementMissingError, RatsTlsError
from rats_tls.core.evidence import NAMES_BY_TEE
from rats_tls.core.results import ACCEPTED, AttestationResult
from rats_tls.inspection.tree import Node

Rows = list[tuple[str, Cell]]

VERDICT_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_CHECKED: "yellow"}
_NOT_BOUND = "key binding: not checked: "
_WORDS = frozenset(
    {
        *("attributes", "xfrm", "miscselect", "seam_attributes", "td_attributes", "xfam", "policy", "platform_info"),
        *("key_info", "launch_mit_vector", "current_mit_vector"),
    }
)
"""Claims that are words of bits: shown in hexadecimal, as policies write masks."""
_FROM_ENDORSEMENTS = frozenset({"platform", "tcb"})
"""Parts that Evidence of Intel's lacks until its Endorsements were verified."""
UNKNOWN_ROOT_HELP = "only vendors' own roots are trusted without --trust-anchors FILE, which simulated TEEs need"
_MOST_EVENTS = 128
_MOST_EVENT_BYTES = 256
_VERSIONS = frozenset({"current_version", "committed_version"})


def show_result(
    screen: Screen, result: AttestationResult, *, title: str, checks: bool = False, claims: bool = False
) -> None:
    """Print a result: a heading and what matters; all checks and all claims where asked."""
    style = "black on green" if result.verdict == ACCEPTED else "white on red"
    screen.line(Styled(f" {result.verdict} ", style), " ", Styled(title, "bold"))
    screen.columns(_result_rows(result))
    if claims:
        unproved = any(check.id == UNPROVED_CHECK for check in result.checks)
        show_claims(screen, result.claims, note="signed, but not proved to be these" if unproved else "verified")
    if checks:
        show_checks(screen, result.checks)


def show_refusal(screen: Screen, error: RatsTlsError, *, title: str, checks: bool = False) -> None:
    """Print a refusal: its reason, or every mismatch with its field, got and expected; all checks where asked."""
    reported = error.reported if isinstance(error, AppraisalError) else None
    screen.line(Styled(f" {error.verdict} ", "white on red"), " ", Styled(title, "bold"), f"  {error.refusal.label}")
    if isinstance(error, AppraisalError):
        for mismatch in error.mismatches:
            screen.line("  ", Styled(f"{mismatch.entry}: {mismatch.field}", "bold"), hanging=4)
            screen.columns([("got", mismatch.got), ("expected", mismatch.expected)], indent=4)
        rows: Rows = [("missing", str(missing)) for missing in error.missing]
        if not error.authenticated:
            rows.append(("note", "the Evidence is not authenticated"))
        if reported is not None:
            rows.append(("report-only", f"all else that entry {reported.policy_entry!r} demands holds"))
        screen.columns(rows)
    else:
        screen.columns([("reason", error.message)])
    if isinstance(error, EndorsementMissingError) and not error.why:
        screen.columns(
            [("help", "give Endorsements by --endorsements-file or --store, or have them fetched by --fetch")]
        )
    if names_unknown_root(error):
        screen.columns([("help", UNKNOWN_ROOT_HELP)])
    if checks:
        show_checks(screen, error.checks)


def names_unknown_root(error: RatsTlsError) -> bool:
    """Whether it is that a chain leads to no trust anchor at hand."""
    return isinstance(error, CertificateChainError) and error.unknown_root


def show_failure(screen: Screen, error: RatsTlsError, *, title: str) -> None:
    """Print that a connection failed before anybody could be judged."""
    screen.line(Styled(" failed ", "black on yellow"), " ", Styled(title, "bold"), f"  {error.refusal.label}")
    screen.columns([("reason", error.message)])


def show_checks(screen: Screen, checks: tuple[Check, ...]) -> None:
    """Print every check with its verdict and source."""
    if checks:
        screen.line("  ", Styled("checks", "bold"))
        screen.columns(
            [
                (check.id, Styled(check.verdict.value, VERDICT_STYLES[check.verdict]), _note(check) or check.source)
                for check in checks
            ]
        )


def show_claims(screen: Screen, claims: TeeClaims, *, note: str) -> None:
    """Print every claim under its name in JSON results, which is that of the policy's field for most."""
    screen.line("  ", Styled("claims", "bold"), f" ({note})")
    screen.columns([("tee", str(claims.tee_type)), *claim_rows(claims)])


def claim_rows(claims: object, prefix: str = "") -> list[tuple[str, str]]:
    """Give all claims, those of a part behind its name and a dot."""
    if not is_dataclass(claims):
        return []
    rows: list[tuple[str, str]] = []
    for field in fields(claims):
        value = getattr(claims, field.name)
        name = prefix + field.name
        if value is None and field.name in _FROM_ENDORSEMENTS:
            continue
        if field.name == "events" and value is not None:
            rows += _event_rows(name, value)
        elif is_dataclass(value) and not isinstance(value, SnpTcb):
            rows += claim_rows(value, f"{name}.")
        else:
            rows.append((name, _claim_text(field.name, value)))
    if hasattr(claims, "debug"):
        rows.append((f"{prefix}debug", _claim_text("debug", claims.debug)))
    return rows


def _event_rows(name: str, events: Sequence[MeasuredEvent]) -> list[tuple[str, str]]:
    rows = [(name, f"{len(events)}, replayed to the registers")]
    for event in events[:_MOST_EVENTS]:
        about = f" {event.name}" if event.name else ""
        data = f", data {_event_data(event.data)}" if event.data else ""
        rows.append((f"{name} {event.register} {event.type}", f"{event.digest.hex()}{about}{data}"))
    if len(events) > _MOST_EVENTS:
        rows.append((name, f"{len(events) - _MOST_EVENTS} more; --json lists them"))
    return rows


def _event_data(data: bytes) -> str:
    shown = data[:_MOST_EVENT_BYTES]
    return (_readable(shown) or shown.hex()) + ("…" if len(data) > len(shown) else "")


def show_tree(screen: Screen, nodes: Sequence[Node], *, indent: int = 2) -> None:
    """Print a tree of fields; neighbours without fields of their own share their columns."""
    rows: Rows = []
    for node in nodes:
        if node.fields:
            screen.columns(rows, indent=indent)
            rows = []
            heading: list[Part] = [" " * indent, Styled(node.name, "bold")]
            heading += [f"  {text}" for text in (node.meaning, _size(node)) if text]
            screen.line(*heading, hanging=indent + 2)
            show_tree(screen, node.fields, indent=indent + 2)
        else:
            rows.append((node.name, _node_cell(node)))
    screen.columns(rows, indent=indent)


def _node_cell(node: Node) -> Cell:
    value = _claim_text(node.name, node.value) if node.value is not None else ""
    notes = [text for text in (node.meaning, _size(node)) if text]
    parts: list[Part] = [value, *(Styled(f"{'  ' if value or n else ''}{text}", "dim") for n, text in enumerate(notes))]
    return parts


def _size(node: Node) -> str:
    return f"{node.size} bytes" if node.size is not None else ""


def _claim_text(name: str, value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name in _WORDS:
        return f"{value:#x}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, SnpTcb):
        return _snp_tcb(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, tuple):
        return ("." if name in _VERSIONS else ", ").join(map(str, value))
    return str(value)


def _result_rows(result: AttestationResult) -> Rows:
    claims = result.claims
    rows: Rows = [("TEE", _tee_title(claims)), *_claims_that_matter(claims)]
    rows.append(("bound by", f"{result.binding.value}: {result.binding_note}"))
    if result.anchor is not None:
        mark = {
            AnchorKind.VENDOR: Styled("vendor root", "green"),
            AnchorKind.USER: Styled("given by the user", "yellow"),
            AnchorKind.SIMULATED: Styled("SIMULATED: proves nothing", "bold yellow"),
        }[result.anchor.kind]
        rows.append(("anchor", (f"{result.anchor.name}, ", mark)))
    if result.issued_at is not None:
        rows.append(("evidence of", f"{_time(result.issued_at)} (the attester's own claim)"))
    if result.valid_until is not None:
        rows.append(("valid until", _time(result.valid_until)))
    rows += [(f"claim {name}", _readable(value)) for name, value in result.custom_claims.items()]
    rows.append(("policy", f"entry {result.policy_entry!r}, digest {result.policy_digest.hex()[:16]}"))
    if result.connection is not None:
        tls = result.connection.tls
        group = f", {tls.group}" if tls.group else ""
        rows.append(("channel", f"{tls.version} {tls.cipher}{group}".strip()))
    passed = sum(check.verdict is Verdict.PASSED for check in result.checks)
    rows.append(("checks", f"{passed} passed, {len(result.not_checked)} not checked"))
    rows += [
        ("waived by policy", (Styled(check.id, "yellow"), f": got {check.got or _note(check)}"))
        for check in result.checks
        if check.verdict is Verdict.FAILED
    ]
    rows += [("not checked", f"{check.id}: {_note(check)}") for check in result.not_checked]
    return rows


def _note(check: Check) -> str | None:
    """Give a check's note; what its verdict says already is left out."""
    return check.note.removeprefix(_NOT_BOUND) if check.note is not None else None


def _tee_title(claims: TeeClaims) -> Cell:
    if isinstance(claims, NullClaims):
        return Styled("none: nothing is proved", "bold yellow")
    product = f" ({claims.product})" if isinstance(claims, SnpClaims | SevClaims) and claims.product else ""
    title = f"{NAMES_BY_TEE[claims.tee_type].title}{product}"
    return (title, ", ", Styled("DEBUG", "bold red")) if claims.debug else title


def _claims_that_matter(claims: TeeClaims) -> Rows:
    if isinstance(claims, SgxReportClaims):
        tcb = _intel_tcb_rows(claims.tcb) if isinstance(claims, SgxClaims) else [("CPUSVN", claims.cpu_svn.hex())]
        return [
            ("MRENCLAVE", claims.mr_enclave.hex()),
            ("MRSIGNER", claims.mr_signer.hex()),
            ("product, SVN", f"{claims.isv_prod_id}, {claims.isv_svn}"),
            *tcb,
        ]
    if isinstance(claims, TdxClaims):
        rtmrs = (claims.rtmr0, claims.rtmr1, claims.rtmr2, claims.rtmr3)
        return [
            ("MRTD", claims.mr_td.hex()),
            *((f"RTMR{i}", rtmr.hex()) for i, rtmr in enumerate(rtmrs)),
            *([("event log", f"{len(claims.events)} events, replayed")] if claims.events is not None else []),
            *_intel_tcb_rows(claims.tcb),
        ]
    if isinstance(claims, SnpClaims):
        return [
            ("measurement", claims.measurement.hex()),
            ("host data", claims.host_data.hex()),
            ("VMPL", str(claims.vmpl)),
            ("TCB", _snp_tcb(claims.reported_tcb) if claims.reported_tcb is not None else "unknown"),
        ]
    if isinstance(claims, SevClaims):
        return [
            ("launch digest", claims.launch_digest.hex()),
            ("guest policy", f"{claims.policy:#x}"),
            ("CEK", claims.cek_sha256.hex() if claims.cek_sha256 is not None else "unknown"),
        ]
    if isinstance(claims, CsvClaims):
        return [
            ("measurement", claims.measurement.hex()),
            ("VM id, version", f"{claims.vm_id.hex()}, {claims.vm_version.hex()}"),
            *((f"RTMR{i}", rtmr.hex()) for i, rtmr in enumerate(claims.rtmrs or ())),
            *([("host data", claims.host_data.hex())] if claims.host_data is not None else []),
            ("report version", str(claims.report_version)),
            *([("build", str(claims.build))] if claims.build is not None else []),
        ]
    return []


def _intel_tcb_rows(tcb: IntelTcb | None) -> Rows:
    if tcb is None:
        return []
    rows: Rows = [("TCB status", f"{tcb.status.value} (level of {tcb.tcb_date:%Y-%m-%d})")]
    if tcb.advisories:
        rows.append(("advisories", ", ".join(tcb.advisories)))
    return rows


def _snp_tcb(tcb: SnpTcb) -> str:
    fmc = f"fmc {tcb.fmc}, " if tcb.fmc is not None else ""
    return f"{fmc}bootloader {tcb.bootloader}, tee {tcb.tee}, snp {tcb.snp}, microcode {tcb.microcode}"


def _readable(value: bytes) -> str:
    """Give a custom claim as text where it is some, else in hexadecimal."""
    text = value.rstrip(b"\0").decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else value.hex()


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
