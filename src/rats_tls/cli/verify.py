"""`rats-tls verify`: judge Evidence, or a certificate that carries it, from a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from rats_tls.appraisal import Appraiser
from rats_tls.appraisers import make_appraiser
from rats_tls.cli.groups import examples
from rats_tls.cli.options import judging_options, parse_time
from rats_tls.cli.render import show_claims, show_refusal, show_result
from rats_tls.cli.screen import Screen
from rats_tls.core.binding import REPORT_DATA_SIZE
from rats_tls.core.documents import refusal_document, result_document, to_json
from rats_tls.core.errors import AppraisalError, ConfigurationError, RatsTlsError
from rats_tls.core.results import AttestationResult
from rats_tls.files import (
    Presented,
    decoded_claims,
    load_endorsements,
    load_evidence,
    load_policy,
    load_trust_anchors,
)


@click.command(
    epilog=examples(
        "rats-tls verify quote.bin --policy policy.toml --checks \\",
        "    --endorsements-file collateral.json --report-data 0123...ef",
        "rats-tls verify certificate.pem --policy policy.toml --json",
    )
)
@click.argument("evidence_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@judging_options
@click.option("--report-data", metavar="HEX", help="The 64 bytes that bare Evidence must carry.")
@click.option("--at", "at_time", metavar="TIME", help="Judge as of this time (RFC 3339) instead of now.")
@click.option("--checks", is_flag=True, help="List every check.")
@click.option(
    "--claims", is_flag=True, help="List every claim, of refused Evidence too: the values to pin in a policy."
)
def verify(
    evidence_file: Path,
    policy_file: Path | None,
    trust_anchors: tuple[Path, ...],
    endorsements_files: tuple[Path, ...],
    as_json: bool,
    report_data: str | None,
    at_time: str | None,
    checks: bool,
    claims: bool,
) -> None:
    """Judge the Evidence in FILE: a quote, a report, or a certificate that carries one.

    Nothing is fetched: give Endorsements by --endorsements-file. A certificate from a file proves no possession of
    its key, and bare Evidence without --report-data is bound to nothing: the policy must then list binding "none".
    """
    if policy_file is None:
        raise click.UsageError("give --policy FILE: Evidence is judged against a policy or not at all")
    now = parse_time(at_time)
    expected = _report_data(report_data)
    appraiser = make_appraiser(
        load_policy(policy_file),
        trust_anchors=load_trust_anchors(*trust_anchors, now=now),
        endorsements=load_endorsements(*endorsements_files),
    )
    screen = Screen()
    presented: Presented | None = None
    try:
        presented = load_evidence(evidence_file)
        result = _appraise(appraiser, presented, expected, now=now)
    except ConfigurationError:
        raise
    except RatsTlsError as error:
        known = decoded_claims(presented) if claims and presented is not None else None
        if as_json:
            screen.document({**refusal_document(error), **({"claims": to_json(known)} if known is not None else {})})
        else:
            show_refusal(screen, error, title=evidence_file.name, checks=checks)
            if known is not None:
                show_claims(screen, known, note=_standing(error))
        Screen(stderr=True).traceback(error)
        raise click.exceptions.Exit(int(error.refusal.exit_code)) from error
    if as_json:
        screen.document(result_document(result))
    else:
        show_result(screen, result, title=evidence_file.name, checks=checks, claims=claims)


def _standing(error: RatsTlsError) -> str:
    """Say what the decoded claims of refused Evidence are worth: only the policy is judged of authentic ones."""
    if isinstance(error, AppraisalError) and error.authenticated:
        return "those in the Evidence itself; authentic, refused by the policy"
    return "those in the Evidence itself; not authenticated"


def _appraise(
    appraiser: Appraiser, presented: Presented, expected: bytes | None, *, now: datetime
) -> AttestationResult:
    if presented.evidence is not None:
        return appraiser.appraise_evidence(presented.evidence, now=now, expected_report_data=expected)
    if expected is not None or presented.certificate is None:
        raise click.UsageError("--report-data is for bare Evidence; a certificate says itself what it is bound to")
    return appraiser.appraise_certificate(presented.certificate, now=now, possession_proved=False)


def _report_data(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter(f"got {text[:40]!r}, expected hex digits", param_hint="--report-data") from None
    if len(data) != REPORT_DATA_SIZE:
        raise click.BadParameter(f"got {len(data)} bytes, expected {REPORT_DATA_SIZE}", param_hint="--report-data")
    return data
