"""`rats-tls collect`: Evidence of the TEE that this process runs in, into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.endorsements_output import items
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import SourceOptions, sources_options
from rats_tls.cli.main import Tidily
from rats_tls.cli.options import attester_options, debug_option, simulation_options, trust_anchors_option
from rats_tls.cli.report_data import data_options, given_data, parse_report_data
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.cli.sides import make_attester
from rats_tls.collecting import collect as collect_for
from rats_tls.collecting import insecure_collect
from rats_tls.core.binding import collect_report_data
from rats_tls.core.documents import Json, to_json
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import BINDS_NOTHING, NAMES_BY_TEE
from rats_tls.core.interfaces import Attester, Collected
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.bundle import Bundle, bundle_to_bytes
from rats_tls.files import load_trust_anchors, remove_file, write_files
from rats_tls.gathering import Gathered, gather_for
from rats_tls.provisioning import anchors_with

SCHEMA = "rats-tls/collected/1"
_CHANNEL = "standard"
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog=examples(
        "rats-tls collect --output quote.bin --data 8f14e45fceea",
        "rats-tls collect -o report.bin --endorsements-output bundle.zip --fetch",
        "rats-tls collect --attester tdx_ecdsa --attester-option qgs=vsock:2:4050 \\",
        "    --output quote.bin --event-log-output ccel.bin",
    )
)
@click.option("--output", "-o", required=True, type=_FILE, metavar="FILE", help="Where the Evidence is written.")
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
    output: Path,
    data: str | None,
    data_file: Path | None,
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
    given = given_data(data, data_file)
    if raw is not None and given is not None:
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
    raw_data = parse_report_data(raw, "--insecure-raw-report-data") if raw is not None else None
    now = datetime.now(UTC)
    sources = options.sources(_CHANNEL) if fetch else ()
    anchors = anchors_with(load_trust_anchors(*trust_anchors, now=now))
    made = make_attester(attester or "auto", attester_options, simulation, states)
    if made is None:
        raise ConfigurationError("attester: none is named")
    if made.tee_type in BINDS_NOTHING and (given or raw_data is not None):
        title = NAMES_BY_TEE[made.tee_type].title
        raise click.UsageError(
            f"Evidence of {title} carries no report_data and is for nobody's data: leave out --data, --data-file and "
            "--insecure-raw-report-data"
        )
    with Screen(stderr=True).status("collecting") as tell:
        with Tidily():  # so that the Attester puts away what it has made, such as an entry in configfs
            collected = collect_for(made, given or b"") if raw_data is None else insecure_collect(made, raw_data)
        gathered = None
        if endorsements_output is not None:
            gathered = gather_for(collected, str(output), sources, anchors=anchors, now=now, tell=tell)
    report = _Report(
        attester=made,
        collected=collected,
        report_data=_carried(made, collect_report_data(given or b"") if raw_data is None else raw_data),
        gathered=gathered,
        output=output,
        event_log_output=event_log_output,
        endorsements_output=endorsements_output,
    )
    report.tell(report.write(now), as_json=as_json)
    if gathered is not None and gathered.shortcomings:
        raise click.exceptions.Exit(int(ExitCode.ENDORSEMENTS))


def _require_apart(*, outputs: dict[str, Path | None], inputs: Iterable[tuple[str, Path | str | None]]) -> None:
    """Require that no file is written twice, or in place of one that is read. Raises click.UsageError."""
    taken = {os.path.realpath(path): option for option, path in inputs if path}
    for option, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(os.path.realpath(path), option)
        if other != option:
            raise click.UsageError(f"{other} and {option} name the same file, {path}")


def _carried(attester: Attester, report_data: bytes) -> bytes | None:
    return None if attester.tee_type in BINDS_NOTHING else report_data


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What was collected, and where it goes.

    Attributes:
        report_data: None of Evidence that carries none.
    """

    attester: Attester
    collected: Collected
    report_data: bytes | None
    gathered: Gathered | None
    output: Path
    event_log_output: Path | None
    endorsements_output: Path | None

    @property
    def _event_log(self) -> bytes:
        return self.collected.evidence.event_log

    @property
    def _places(self) -> dict[str, Path]:
        """The files that are written."""
        places = {"evidence": self.output}
        if self._event_log and self.event_log_output is not None:
            places["event_log"] = self.event_log_output
        if self.gathered is not None and self.gathered.good and self.endorsements_output is not None:
            places["endorsements"] = self.endorsements_output
        return places

    def write(self, now: datetime) -> tuple[str, ...]:
        """Write the files, all or none.

        Returns:
            The names of what was there of other Evidence and did not come with this: it is removed.
        """
        places = self._places
        files: dict[Path | str, bytes] = {places["evidence"]: self.collected.evidence.data}
        if "event_log" in places:
            files[places["event_log"]] = self._event_log
        if "endorsements" in places and self.gathered is not None:
            carried = tuple(item.carried for item in self.gathered.good if item.carried is not None)
            files[places["endorsements"]] = bundle_to_bytes(Bundle(made=now, channel=_CHANNEL, items=carried))
        asked = {"event_log": self.event_log_output, "endorsements": self.endorsements_output}
        removed = tuple(
            name for name, path in asked.items() if path is not None and name not in places and remove_file(path)
        )
        write_files(files)
        return removed

    def tell(self, removed: tuple[str, ...], *, as_json: bool) -> None:
        screen = Screen()
        if as_json:
            screen.document(self._document(removed))
            return
        screen.line(Styled(" collected ", "black on green"), " ", Styled(self.output.name, "bold"))
        screen.columns(self._rows(removed))
        for each in self.gathered.shortcomings if self.gathered is not None else ():
            screen.line("  ", Styled("wanting", "red"), f"  {each.what}: {each.error}", hanging=4)

    def _rows(self, removed: tuple[str, ...]) -> list[tuple[str, Cell]]:
        gone = dict.fromkeys(removed, "; the file of other Evidence is removed")
        evidence = self.collected.evidence
        rows: list[tuple[str, Cell]] = [
            ("TEE", f"{NAMES_BY_TEE[self.attester.tee_type].title}, by attester {self.attester.name}"),
            (
                "report_data",
                self.report_data.hex() if self.report_data is not None else "not carried: bound to nothing",
            ),
            ("Evidence", f"{self.output}, {len(evidence.data)} bytes"),
        ]
        if self._event_log:
            place = self._places.get("event_log", "not written: see --event-log-output")
            rows.append(("event log", f"{place}, {len(self._event_log)} bytes"))
        elif self.event_log_output is not None:
            rows.append(("event log", f"none came with it{gone.get('event_log', '')}"))
        if self.gathered is not None:
            place = self._places.get("endorsements", f"not written{gone.get('endorsements', '')}")
            rows.append(("Endorsements", f"{place}, {items(len(self.gathered.good))}"))
        return rows

    def _document(self, removed: tuple[str, ...]) -> dict[str, Json]:
        wanting = self.gathered.shortcomings if self.gathered is not None else ()
        return {
            "schema": SCHEMA,
            "attester": self.attester.name,
            "tee": self.attester.tee_type.value,
            "media_type": self.collected.evidence.media_type,
            "report_data": self.report_data.hex() if self.report_data is not None else None,
            "size": len(self.collected.evidence.data),
            "event_log_size": len(self._event_log),
            "written": to_json({name: str(path) for name, path in self._places.items()}),
            "removed": to_json(removed),
            "wanting": to_json([{"what": each.what, "why": each.error.message} for each in wanting]),
        }
