"""`rats-tls policy test`: judge pieces of Evidence against a policy, and compare with what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.file_appraiser import FileAppraiser
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import LookupOptions, lookup_options
from rats_tls.cli.options import (
    debug_option,
    endorsements_file_option,
    event_log_option,
    parse_time,
    simulated_target_enclave_option,
    trust_anchors_option,
)
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.cli.verifiers import chosen_verifiers
from rats_tls.core.documents import Json, refusal_document, result_document
from rats_tls.core.errors import AppraisalError, ConfigurationError, RatsTlsError
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.files import evidence_report_data, load_evidence, load_policy

TEST_SCHEMA = "rats-tls/policy-test/1"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LABELS = [refusal.label for refusal in Refusal if refusal.wire_code == Refusal.POLICY.wire_code]
"""Reasons for which a judgement refuses: they all look the same to a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One file with its verdict: a result, or an error."""

    path: Path
    result: AttestationResult | None
    error: RatsTlsError | None

    def is_as_expected(self, expect: str, reason: str | None) -> bool:
        if self.error is None:
            return expect == "accept"
        return expect == "refuse" and reason in {None, self.error.refusal.label}


@click.command(
    short_help="Judge Evidence against a policy, and compare with a verdict.",
    epilog=examples(
        "rats-tls policy test policy.toml good/*.bin \\",
        "    --endorsements-file collateral.json",
        "rats-tls policy test policy.toml debug.bin --expect refuse \\",
        "    --reason policy --endorsements-file collateral.json",
        "rats-tls policy test policy.toml good/*.bin --fetch --store endorsements/",
        "rats-tls policy test policy.toml old.pem --at 2026-01-31T12:00:00Z \\",
        "    --endorsements-file collateral.json",
    ),
)
@click.argument("policy_file", type=_FILE, metavar="POLICY")
@click.argument("evidence_files", nargs=-1, required=True, type=_FILE, metavar="EVIDENCE...")
@endorsements_file_option
@trust_anchors_option
@lookup_options
@event_log_option
@simulated_target_enclave_option
@click.option("--at", "at_time", metavar="TIME", help="Judge as of this time (RFC 3339) instead of now.")
@click.option(
    "--expect",
    type=click.Choice(("accept", "refuse")),
    default="accept",
    show_default=True,
    help="The verdict that every file must get.",
)
@click.option(
    "--reason",
    type=click.Choice(_LABELS),
    metavar="LABEL",
    help="The reason that every refusal must have, such as policy; goes with --expect refuse.",
)
@click.option("--unbound", is_flag=True, help='Judge as "verify" does: nobody proved to hold the key.')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def test(
    policy_file: Path,
    evidence_files: tuple[Path, ...],
    endorsements_files: tuple[Path, ...],
    trust_anchors: tuple[Path, ...],
    event_log: Path | None,
    simulated_target_enclave: Path | None,
    at_time: str | None,
    expect: str,
    reason: str | None,
    unbound: bool,
    as_json: bool,
    **parameters: Any,  # noqa: ANN401  # click's
) -> None:
    """Judge each EVIDENCE, a quote, a report or a certificate that carries one, against POLICY.

    Nothing connects: the peer is assumed to hold the key that its Evidence is bound to, as in a handshake, so that the
    policy of a server or client can be tried as it is. A certificate must be as young as the policy says: judge an
    older one --at the time at which it was made. Endorsements are looked up as "verify" does.

    A refusal for another reason than the one that is to be tested, such as missing Endorsements, is no success: name
    the --reason. The exit code is 0 only if every verdict is as expected, else 5.
    """
    if reason is not None and expect != "refuse":
        raise click.UsageError("--reason goes with --expect refuse")
    now = parse_time(at_time)
    policy, verifiers = chosen_verifiers(load_policy(policy_file), None, simulated_target_enclave)
    file_appraiser = FileAppraiser.of(
        policy,
        LookupOptions.taken_from(parameters),
        verifiers=verifiers,
        trust_anchors=trust_anchors,
        endorsements_files=endorsements_files,
        now=now,
        explicit_time=at_time is not None,
    )
    judged = [_judge(file_appraiser, path, event_log, unbound=unbound) for path in evidence_files]
    failed = [each for each in judged if not each.is_as_expected(expect, reason)]
    screen = Screen()
    if as_json:
        screen.document(
            {
                "schema": TEST_SCHEMA,
                "policy": {"file": str(policy_file), "digest": policy.digest.hex()},
                "expect": expect,
                "reason": reason,
                "passed": not failed,
                "judged": [_document(each, as_expected=each not in failed) for each in judged],
            }
        )
    else:
        screen.columns([row for each in judged for row in _rows(each, wrong=each in failed)], style="")
        wanted = expect if reason is None else f"{expect} ({reason})"
        screen.line(
            Styled(" failed ", "white on red") if failed else Styled(" passed ", "black on green"),
            f" {len(judged) - len(failed)} of {len(judged)} as expected: {wanted}",
            "; ! marks the others" if failed else "",
        )
    error_screen = Screen(stderr=True)
    for each in judged:
        if each.error is not None:
            error_screen.traceback(each.error)
    if failed:
        raise click.exceptions.Exit(int(ExitCode.POLICY))


def _judge(file_appraiser: FileAppraiser, path: Path, event_log: Path | None, *, unbound: bool) -> _Judged:
    try:
        presented = load_evidence(path, event_log=event_log)
        expected = None
        if presented.evidence is not None and not unbound:
            expected = evidence_report_data(presented.evidence)
        result = file_appraiser.judge(presented, expected_report_data=expected, possession_proved=not unbound)
    except ConfigurationError:
        raise
    except RatsTlsError as error:
        return _Judged(path=path, result=None, error=error)
    return _Judged(path=path, result=result, error=None)


def _rows(judged: _Judged, *, wrong: bool) -> Iterator[tuple[Cell, Cell, Cell]]:
    """Give the rows of one file: verdict and what it rests on, then every mismatch."""
    verdict = Styled("accepted", "green") if judged.error is None else Styled(judged.error.verdict, "red")
    mark: Cell = (verdict, Styled(" !", "bold yellow")) if wrong else verdict
    if judged.result is not None:
        yield mark, judged.path.name, f"entry {judged.result.policy_entry!r}"
        return
    error = judged.error
    if error is None:
        return
    if isinstance(error, AppraisalError):
        yield mark, judged.path.name, error.refusal.label
        yield from (("", "", str(mismatch)) for mismatch in error.mismatches)
        yield from (("", "", f"missing: {missing}") for missing in error.missing)
        if not error.authenticated:
            yield "", "", "the Evidence is not authenticated"
        return
    yield mark, judged.path.name, f"{error.refusal.label}: {error.message}"


def _document(judged: _Judged, *, as_expected: bool) -> dict[str, Json]:
    document: dict[str, Json] = {"file": str(judged.path), "as_expected": as_expected}
    if judged.result is not None:
        return {**document, **result_document(judged.result)}
    return {**document, **(refusal_document(judged.error) if judged.error is not None else {})}
