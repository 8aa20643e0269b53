"""`rats-tls verify`: judge Evidence, or a certificate that carries it, from a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.explanation import show_explanation
from rats_tls.cli.file_appraiser import FileAppraiser
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import LookupOptions, lookup_options
from rats_tls.cli.options import (
    crypto_option,
    event_log_option,
    explaining_options,
    judging_options,
    parse_time,
    verifier_option,
)
from rats_tls.cli.render import show_claims, show_refusal, show_result
from rats_tls.cli.report_data import data_options, given_data, parse_report_data
from rats_tls.cli.screen import Screen
from rats_tls.cli.standard_streams import Place, PlaceType, input_name, read_place, require_one_stream
from rats_tls.cli.verifiers import chosen_verifiers
from rats_tls.core.binding import collect_report_data
from rats_tls.core.documents import refusal_document, result_document, to_json
from rats_tls.core.errors import AppraisalError, BindingError, ConfigurationError, RatsTlsError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE
from rats_tls.core.results import AttestationResult
from rats_tls.explanation import (
    Explanation,
    SigningKey,
    explain_refusal,
    explain_result,
    html_page,
    refusal_ear,
    result_ear,
    sign_ear,
)
from rats_tls.files import (
    Presented,
    decoded_claims,
    evidence_from_bytes,
    evidence_report_data,
    load_policy,
    read_file,
    write_file,
)
from rats_tls.policy import Policy

_HOW_TO_BIND = (
    "bare Evidence is bound by --data or --data-file, what `collect` was given, or by --report-data HEX, the bytes "
    "that it must carry"
)


@click.command(
    epilog=examples(
        "rats-tls verify quote.bin --policy policy.toml --explain \\",
        "    --endorsements-file collateral.json --report-data 0123...ef",
        "rats-tls verify certificate.pem --policy policy.toml --json",
        "rats-tls verify - --data 8f14e45fceea --policy policy.toml < report.bin",
        "rats-tls verify quote.bin --policy policy.toml --ear key.pem > ear.jwt",
    )
)
@click.argument("evidence_file", type=PlaceType(exists=True), metavar="FILE")
@judging_options
@verifier_option
@crypto_option
@lookup_options
@event_log_option
@click.option("--report-data", metavar="HEX", help="The 64 bytes that bare Evidence must carry.")
@data_options
@click.option("--at", "at_time", metavar="TIME", help="Judge as of this time (RFC 3339) instead of now.")
@explaining_options
def verify(
    evidence_file: Place,
    policy_file: Path | None,
    trust_anchors: tuple[Path, ...],
    endorsements_files: tuple[Path, ...],
    simulated_target_enclave: Path | None,
    verifier: str | None,
    crypto: str,
    as_json: bool,
    event_log: Path | None,
    report_data: str | None,
    data: str | None,
    data_file: Place | None,
    at_time: str | None,
    checks: bool,
    explain: bool,
    claims: bool,
    html_file: Path | None,
    ear_key: Path | None,
    **parameters: Any,  # noqa: ANN401  # click's
) -> None:
    """Judge the Evidence in FILE: a quote, a report, or a certificate that carries one.

    - is standard input. Of dstack's JSON answer quote and event log are taken.

    Give Endorsements by --endorsements-file, --store or --fetch. With --at, what was seen before of Endorsements does
    not count, and nothing is kept in the store. A certificate from a file proves no possession of
    its key, and bare Evidence without --report-data is bound to nothing: the policy must then list binding "none". Of
    what `collect` wrote, --data or --data-file say what it must have been collected for.
    """
    if policy_file is None:
        raise click.UsageError("give --policy FILE: Evidence is judged against a policy or not at all")
    if ear_key is not None and (as_json or checks or explain or claims):
        raise click.UsageError("--ear prints the EAR alone: leave out --json, --checks, --explain, --claims")
    if report_data is not None and (data is not None or data_file is not None):
        raise click.UsageError("--report-data is instead of --data and --data-file")
    require_one_stream(**{"FILE": evidence_file, "--data-file": data_file})
    now = parse_time(at_time)
    expected = _expected(report_data, given_data(data, data_file))
    policy, verifiers = chosen_verifiers(load_policy(policy_file), verifier, simulated_target_enclave)
    report = _Report(
        title=evidence_file.name if isinstance(evidence_file, Path) else input_name(evidence_file),
        policy=policy,
        now=now,
        as_json=as_json,
        checks=checks,
        explain=explain,
        claims=claims,
        html_file=html_file,
        for_data=data is not None or data_file is not None,
        key=SigningKey.from_pem(read_file(ear_key), where=str(ear_key)) if ear_key is not None else None,
    )
    file_appraiser = FileAppraiser.of(
        policy,
        LookupOptions.taken_from(parameters),
        verifiers=verifiers,
        crypto_name=crypto,
        trust_anchors=trust_anchors,
        endorsements_files=endorsements_files,
        now=now,
        explicit_time=at_time is not None,
    )
    presented: Presented | None = None
    try:
        presented = evidence_from_bytes(read_place(evidence_file), where=input_name(evidence_file), event_log=event_log)
        if expected is not None and presented.evidence is None:
            raise click.UsageError(
                "--report-data and --data are for bare Evidence; a certificate says itself what it is bound to"
            )
        result = file_appraiser.judge(presented, expected_report_data=expected)
    except ConfigurationError:
        raise
    except RatsTlsError as error:
        report.refused(error, presented)
        Screen(stderr=True).traceback(error)
        raise click.exceptions.Exit(int(error.refusal.exit_code)) from error
    report.accepted(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """Tells a verdict in the forms that were asked for."""

    title: str
    policy: Policy
    now: datetime
    as_json: bool
    checks: bool
    explain: bool
    claims: bool
    html_file: Path | None
    key: SigningKey | None
    for_data: bool

    def accepted(self, result: AttestationResult) -> None:
        explanation = explain_result(result, subject=self.title, policy=self.policy)
        self._write_page(explanation)
        screen = Screen()
        if self.key is not None:
            screen.verbatim(sign_ear(result_ear(result, self.policy), self.key))
        elif self.as_json:
            screen.document(result_document(result))
        else:
            show_result(screen, result, title=self.title, checks=self.checks and not self.explain)
            if self.explain:
                show_explanation(screen, explanation)
            if self.claims:
                show_claims(screen, result.claims, note="verified")

    def refused(self, error: RatsTlsError, presented: Presented | None) -> None:
        explanation = explain_refusal(error, subject=self.title, judged_at=self.now, policy=self.policy)
        self._write_page(explanation)
        screen = Screen()
        known = decoded_claims(presented) if self.claims and presented is not None else None
        if self.key is not None:
            names = NAMES_BY_MEDIA_TYPE.get(presented.evidence.media_type) if presented and presented.evidence else None
            tee_type = names.tee_type if names is not None else None
            ear = refusal_ear(error, judged_at=self.now, policy=self.policy, tee_type=tee_type)
            screen.verbatim(sign_ear(ear, self.key))
        elif self.as_json:
            screen.document({**refusal_document(error), **({"claims": to_json(known)} if known is not None else {})})
        else:
            show_refusal(screen, error, title=self.title, checks=self.checks and not self.explain)
            if self.for_data and isinstance(error, BindingError):
                screen.columns([("help", _other_data(presented))])
            elif _is_unbound(error) and presented is not None and presented.evidence is not None:
                screen.columns([("help", _HOW_TO_BIND)])
            if self.explain:
                show_explanation(screen, explanation)
            if known is not None:
                show_claims(screen, known, note=_standing(error))

    def _write_page(self, explanation: Explanation) -> None:
        if self.html_file is not None:
            write_file(self.html_file, html_page(explanation).encode())


def _other_data(presented: Presented | None) -> str:
    """Say what it is that Evidence is not for the data that was given."""
    evidence = presented.evidence if presented is not None else None
    if evidence is not None and evidence_report_data(evidence) is None:
        return "Evidence of this TEE carries no report_data: it is for nobody's data"
    return "the Evidence was collected for other data than --data or --data-file give, or not by `rats-tls collect`"


def _is_unbound(error: RatsTlsError) -> bool:
    return isinstance(error, AppraisalError) and any(mismatch.field == "bindings" for mismatch in error.mismatches)


def _standing(error: RatsTlsError) -> str:
    """Say what the decoded claims of refused Evidence are worth: only the policy is judged of authentic ones."""
    if isinstance(error, AppraisalError) and error.authenticated:
        return "those in the Evidence itself; authentic, refused by the policy"
    return "those in the Evidence itself; not authenticated"


def _expected(report_data: str | None, data: bytes | None) -> bytes | None:
    """Give the 64 bytes that bare Evidence must carry; None where the user does not say."""
    if report_data is None:
        return collect_report_data(data) if data is not None else None
    return parse_report_data(report_data, "--report-data")
