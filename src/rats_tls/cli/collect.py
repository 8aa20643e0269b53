"""`rats-tls collect`: Evidence of the TEE that this process runs in, into a file or to standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.collected import CHANNEL, CollectedReport, failure_document
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import SourceOptions, sources_options
from rats_tls.cli.main import Tidily
from rats_tls.cli.options import attester_options, debug_option, simulation_options, trust_anchors_option
from rats_tls.cli.report_data import data_options, given_data, parse_report_data
from rats_tls.cli.screen import Screen
from rats_tls.cli.sides import make_attester
from rats_tls.cli.standard_streams import OutputFile, Place, PlaceType, Standard, require_no_terminal
from rats_tls.collecting import collect as collect_for
from rats_tls.collecting import insecure_collect
from rats_tls.core.binding import collect_report_data
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.evidence import BINDS_NOTHING, NAMES_BY_TEE, WITHOUT_ENDORSEMENTS
from rats_tls.core.interfaces import Attester
from rats_tls.core.refusals import ExitCode
from rats_tls.files import load_trust_anchors
from rats_tls.gathering import gather_for
from rats_tls.provisioning import anchors_with

_FILE = OutputFile()


@click.command(
    epilog=examples(
        "rats-tls collect --output quote.bin --data 8f14e45fceea",
        "rats-tls collect -o report.bin --endorsements-output bundle.zip --fetch",
        "rats-tls collect -o - --data 8f14e45fceea | xxd",
        "rats-tls collect --attester tdx_ecdsa --attester-option qgs=vsock:2:4050 \\",
        "    --output quote.bin --event-log-output ccel.bin",
    )
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=PlaceType(exists=False),
    metavar="FILE",
    help="Where the Evidence is written; - is standard output, and all else is then told on standard error.",
)
@data_options
@click.option(
    "--insecure-raw-report-data",
    "raw",
    metavar="HEX",
    help="Put these 64 bytes into the Evidence as they are. Whoever chooses them chooses what this TEE says of itself.",
)
@click.option("--event-log-output", type=_FILE, metavar="FILE", help="Write the event log that came with it here.")
@click.option(
    "--endorsements-output",
    type=_FILE,
    metavar="BUNDLE",
    help="Write the Endorsements that came with it into this bundle; with --fetch all that judges it.",
)
@click.option("--fetch", is_flag=True, help="Fetch Endorsements from the services of Intel, AMD and Hygon.")
@sources_options
@attester_options
@simulation_options
@trust_anchors_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def collect(
    output: Place,
    data: str | None,
    data_file: Place | None,
    raw: str | None,
    event_log_output: Path | None,
    endorsements_output: Path | None,
    fetch: bool,
    attester: str | None,
    attester_options: tuple[str, ...],
    simulation: Path | None,
    states: tuple[str, ...],
    trust_anchors: tuple[Path, ...],
    as_json: bool,
    **services: Any,  # noqa: ANN401  # click's
) -> None:
    """Collect Evidence of the TEE that this process runs in, and write it to a file.

    Its report_data is SHA-512 over "rats-tls collect/1" and the data behind it, so that nobody gets Evidence here that
    means something elsewhere. `verify` with the same --data or --data-file tells whether Evidence is for that data.

    Without a TEE it says so, and ends with exit code 6; 4 if Endorsements were asked for and some are wanting.
    """
    options = SourceOptions(**services)
    if raw is not None and (data is not None or data_file is not None):
        raise click.UsageError("--insecure-raw-report-data is instead of --data and --data-file")
    if options.is_given and not fetch:
        raise click.UsageError("--pcs, --pccs, --kds, --hygon and --services-ca go with --fetch")
    if fetch and endorsements_output is None:
        raise click.UsageError("--fetch goes with --endorsements-output BUNDLE, where what it fetches is written")
    _require_apart(
        outputs={
            "--output": output,
            "--event-log-output": event_log_output,
            "--endorsements-output": endorsements_output,
        },
        inputs=[
            *(("--data-file", data_file), ("--services-ca", options.services_ca)),
            *(("--trust-anchors", path) for path in trust_anchors),
            *(("--attester-option", setting.partition("=")[2]) for setting in attester_options),
        ],
    )
    if not isinstance(output, Path):
        if as_json:
            raise click.UsageError("--json goes with a file: standard output is for the Evidence alone (--output -)")
        require_no_terminal(Screen())
    given = given_data(data, data_file)
    raw_data = parse_report_data(raw, "--insecure-raw-report-data") if raw is not None else None
    now = datetime.now(UTC)
    sources = options.sources(CHANNEL) if fetch else ()
    anchors = anchors_with(load_trust_anchors(*trust_anchors, now=now))
    try:
        made = make_attester("auto" if attester is None else attester, attester_options, simulation, states)
        _require_fit(made, bound=given is not None or raw_data is not None, endorsed=endorsements_output is not None)
        with Screen(stderr=True).status("collecting") as tell:
            with Tidily():  # so that the Attester puts away what it has made, such as an entry in configfs
                collected = collect_for(made, given or b"") if raw_data is None else insecure_collect(made, raw_data)
            gathered = None
            if endorsements_output is not None:
                gathered = gather_for(collected, str(output), sources, anchors=anchors, now=now, tell=tell)
    except ConfigurationError:
        raise
    except RatsTlsError as error:
        if as_json:
            Screen().document(failure_document(error))
        raise
    report = CollectedReport(
        attester=made,
        collected=collected,
        report_data=None
        if made.tee_type in BINDS_NOTHING
        else collect_report_data(given or b"")
        if raw_data is None
        else raw_data,
        is_raw=raw_data is not None,
        data=given,
        gathered=gathered,
        output=output,
        event_log_output=event_log_output,
        endorsements_output=endorsements_output,
    )
    report.tell(report.write(now), as_json=as_json)
    if gathered is not None and gathered.shortcomings:
        raise click.exceptions.Exit(int(ExitCode.ENDORSEMENTS))


def _require_fit(attester: Attester, *, bound: bool, endorsed: bool) -> None:
    """Require that its Evidence can have what was asked for. Raises click.UsageError."""
    tee = attester.tee_type
    if tee in BINDS_NOTHING and bound:
        raise click.UsageError(
            f"Evidence of {NAMES_BY_TEE[tee].title} carries no report_data and is for nobody's data: leave out --data, "
            "--data-file and --insecure-raw-report-data"
        )
    if tee in WITHOUT_ENDORSEMENTS and endorsed:
        raise click.UsageError(
            f"no Endorsements exist for {NAMES_BY_TEE[tee].title}, whose reports only another enclave of the same "
            "machine checks: leave out --endorsements-output"
        )


def _require_apart(*, outputs: dict[str, Place | None], inputs: Iterable[tuple[str, Place | str | None]]) -> None:
    """Require that no file is written twice, or in place of one that is read. Raises click.UsageError."""
    taken = {os.path.realpath(path): option for option, path in inputs if path and not isinstance(path, Standard)}
    for option, path in outputs.items():
        if not isinstance(path, Path):
            continue
        other = taken.setdefault(os.path.realpath(path), option)
        if other != option:
            raise click.UsageError(f"{other} and {option} name the same file, {path}")
