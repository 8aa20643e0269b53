"""What `rats-tls collect` writes, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rats_tls.cli.endorsements_output import items
from rats_tls.cli.render import UNKNOWN_ROOT_HELP, names_unknown_root
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.cli.standard_streams import Place
from rats_tls.core.documents import Json, to_json
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import NAMES_BY_TEE, TeeType
from rats_tls.core.interfaces import Attester, Collected
from rats_tls.endorsements.bundle import Bundle, bundle_to_bytes
from rats_tls.files import remove_file, write_files
from rats_tls.gathering import Gathered

SCHEMA = "rats-tls/collected/1"
CHANNEL = "standard"
"""Update channel of Intel's documents in the bundle."""

_UNWRITTEN = {TeeType.CSV: "HSK and CEK are in the Evidence"}
"""Why no Endorsements stand beside Evidence of a TEE, where none are wanting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedReport:
    """What was collected, and where it goes.

    Attributes:
        attester: who collected it.
        collected: Evidence, and what came along.
        report_data: None of Evidence that carries none.
        is_raw: whether `report_data` was given as it is.
        data: what it was collected for; None where that is nothing.
        gathered: Endorsements; None where nobody asked for them.
        output: where the Evidence goes.
        event_log_output: where the event log goes, if anywhere.
        endorsements_output: where the bundle goes, if anywhere.
    """

    attester: Attester
    collected: Collected
    report_data: bytes | None
    is_raw: bool
    data: bytes | None
    gathered: Gathered | None
    output: Place
    event_log_output: Path | None
    endorsements_output: Path | None

    @property
    def _event_log(self) -> bytes:
        return self.collected.evidence.event_log

    @property
    def _places(self) -> dict[str, Path]:
        """The files that are written."""
        places = {"evidence": self.output} if isinstance(self.output, Path) else {}
        if self._event_log and self.event_log_output is not None:
            places["event_log"] = self.event_log_output
        if self.gathered is not None and self.gathered.good and self.endorsements_output is not None:
            places["endorsements"] = self.endorsements_output
        return places

    @property
    def _unwritten(self) -> dict[str, str]:
        """What was asked for and is not written, and why."""
        why: dict[str, str] = {}
        if self.event_log_output is not None and not self._event_log:
            why["event_log"] = "none came with it"
        if self.gathered is not None and not self.gathered.good:
            beside = _UNWRITTEN.get(self.attester.tee_type, "none are needed")
            why["endorsements"] = "all are wanting" if self.gathered.shortcomings else beside
        return why

    def write(self, now: datetime) -> tuple[str, ...]:
        """Write the files, all or none, and then to standard output.

        Returns:
            The names of what was there of other Evidence and did not come with this: it is removed.
        """
        places = self._places
        files: dict[Path | str, bytes] = {}
        if "evidence" in places:
            files[places["evidence"]] = self.collected.evidence.data
        if "event_log" in places:
            files[places["event_log"]] = self._event_log
        if "endorsements" in places and self.gathered is not None:
            carried = tuple(item.carried for item in self.gathered.good if item.carried is not None)
            files[places["endorsements"]] = bundle_to_bytes(Bundle(made=now, channel=CHANNEL, items=carried))
        asked = {"event_log": self.event_log_output, "endorsements": self.endorsements_output}
        removed = tuple(
            name for name, path in asked.items() if path is not None and name not in places and remove_file(path)
        )
        write_files(files)
        if "evidence" not in places:
            Screen().binary(self.collected.evidence.data)
        return removed

    def tell(self, removed: tuple[str, ...], *, as_json: bool) -> None:
        """Tell of it: where the Evidence is on standard output, on standard error."""
        is_file = isinstance(self.output, Path)
        screen = Screen(stderr=not is_file)
        if as_json:
            screen.document(self._document(removed))
            return
        title = self.output.name if isinstance(self.output, Path) else "standard output"
        screen.line(Styled(" collected ", "black on green"), " ", Styled(title, "bold"))
        screen.columns(self._rows(title if not is_file else str(self.output), removed))
        for each in self.gathered.shortcomings if self.gathered is not None else ():
            screen.line("  ", Styled("wanting", "red"), f"  {each.what}: {each.error}", hanging=4)
        if self.gathered is not None and any(names_unknown_root(each.error) for each in self.gathered.shortcomings):
            screen.columns([("help", UNKNOWN_ROOT_HELP)])

    def _rows(self, where: str, removed: tuple[str, ...]) -> list[tuple[str, Cell]]:
        gone = dict.fromkeys(removed, "; the file of other Evidence is removed")
        unwritten = {name: f"not written: {why}{gone.get(name, '')}" for name, why in self._unwritten.items()}
        evidence = self.collected.evidence
        rows: list[tuple[str, Cell]] = [
            ("TEE", f"{NAMES_BY_TEE[self.attester.tee_type].title}, by attester {self.attester.name}"),
            (
                "report_data",
                self.report_data.hex() if self.report_data is not None else "not carried: bound to nothing",
            ),
        ]
        if self.data is not None:
            size = f"{len(self.data)} byte{'' if len(self.data) == 1 else 's'} of data"
            rows.append(("for", f"{size}: verify it with the same --data or --data-file"))
        elif not self.is_raw and self.report_data is not None:
            rows.append(
                (
                    "for",
                    Styled("nothing: whoever has it can show it again as new; --data, a nonce, prevents it", "yellow"),
                )
            )
        rows.append(("Evidence", f"{where}, {len(evidence.data)} bytes"))
        if self._event_log:
            place = self._places.get("event_log", "not written: see --event-log-output")
            rows.append(("event log", f"{place}, {len(self._event_log)} bytes"))
        elif "event_log" in unwritten:
            rows.append(("event log", unwritten["event_log"]))
        if "endorsements" in unwritten:
            rows.append(("Endorsements", unwritten["endorsements"]))
        elif self.gathered is not None:
            rows.append(("Endorsements", f"{self._places['endorsements']}, {items(len(self.gathered.good))}"))
        return rows

    def _document(self, removed: tuple[str, ...]) -> dict[str, Json]:
        wanting = self.gathered.shortcomings if self.gathered is not None else ()
        return {
            "schema": SCHEMA,
            "attester": self.attester.name,
            "tee": self.attester.tee_type.value,
            "media_type": self.collected.evidence.media_type,
            "report_data": self.report_data.hex() if self.report_data is not None else None,
            "data_size": len(self.data) if self.data is not None else None,
            "size": len(self.collected.evidence.data),
            "event_log_size": len(self._event_log),
            "written": to_json({name: str(path) for name, path in self._places.items()}),
            "not_written": to_json(self._unwritten),
            "removed": to_json(removed),
            "wanting": to_json([{"what": each.what, "why": each.error.message} for each in wanting]),
        }


def failure_document(error: RatsTlsError) -> dict[str, Json]:
    """Give the document of Evidence that was not got: the members of a refusal's that are about no judgement."""
    return {
        "schema": SCHEMA,
        "verdict": "failed",
        "reason": error.refusal.label,
        "exit_code": int(error.refusal.exit_code),
        "message": error.message,
    }
