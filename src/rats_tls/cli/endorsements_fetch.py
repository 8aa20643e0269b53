"""`rats-tls endorsements fetch`: get what Evidence, families of platforms and chips need."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.chips import wanted_of
from rats_tls.cli.endorsements_output import (
    ROOTS_ARE_NOT_KEPT,
    channel_option,
    finish,
    item_document,
    items,
    json_option,
    minute,
    missing_document,
    show_verified,
    store_option,
    summary_document,
    verdict_document,
)
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import SourceOptions, open_or_make_store, sources_options
from rats_tls.cli.options import debug_option, trust_anchors_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.floors import NO_FLOORS
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.bundle import Bundle, write_bundle
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.files import load_trust_anchors
from rats_tls.gathering import Gathered, Gatherer, subject_of, wanted_of_family
from rats_tls.provisioning import anchors_with, exit_code, floors_in, keep_items, require_clock

_TEES = {"sgx": ("SGX",), "tdx": ("TDX",), "both": ("SGX", "TDX")}
_FMSPC = re.compile(r"[0-9A-Fa-f]{12}")


@click.command(
    short_help="Fetch what Evidence, FMSPCs and chips need.",
    epilog=examples(
        "rats-tls endorsements fetch quote.bin report.bin --output bundle.zip",
        "rats-tls endorsements fetch --fmspc 50806f000000 --tee tdx \\",
        "    --store endorsements/",
        "rats-tls endorsements fetch --chip Milan:$HWID:4,0,24,219 \\",
        "    --output chip.zip --wait 1800",
    ),
)
@click.argument(
    "evidence_files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[EVIDENCE]..."
)
@click.option("--fmspc", "fmspcs", multiple=True, metavar="HEX", help="Family of Intel platforms; may be given again.")
@click.option(
    "--tee", type=click.Choice(tuple(_TEES)), default="both", show_default=True, help="Which documents of an --fmspc."
)
@click.option(
    "--chip",
    "chips",
    multiple=True,
    metavar="PRODUCT:HWID:TCB",
    help="AMD chip: Milan, Genoa or Turin, chip id in hexadecimal, and the SVNs bl,tee,snp,ucode of its reported TCB "
    "(Turin: fmc first); or HYGON:SERIAL; may be given again.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="BUNDLE", help="Write it into a bundle."
)
@store_option(
    required=False,
    meaning="Keep it in this store, made when it is not there; certificates in it are not fetched again.",
)
@trust_anchors_option
@channel_option
@sources_options
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait in all for services that throttle, as AMD's does after a few requests.  [default: 0]",
)
@click.option("--partial", is_flag=True, help="Write what was got though something is wanting.")
@json_option
@debug_option
def fetch(
    evidence_files: tuple[Path, ...],
    fmspcs: tuple[str, ...],
    tee: str,
    chips: tuple[str, ...],
    output: Path | None,
    store_directory: Path | None,
    trust_anchors: tuple[Path, ...],
    channel: str,
    wait_seconds: float,
    partial: bool,
    as_json: bool,
    **services: Any,  # noqa: ANN401  # click's
) -> None:
    """Fetch what judges EVIDENCE, --fmspc and --chip, verify it, and write it into a bundle or a store, or both.

    EVIDENCE are quotes, reports, and certificates that carry them; their Verifiers say what they need. Only what is
    authentic and in date is written. If anything is wanting, nothing is written (but see --partial) and the exit code
    is 4, or 3 for Evidence that is not authentic.

    A mirror given by --pcs is asked for the root CA's revocation list too, at /IntelSGXRootCA.der.
    """
    wanted = [item for text in fmspcs for item in wanted_of_family(_fmspc(text), _TEES[tee])]
    wanted += [item for text in chips for item in wanted_of(text)]
    if not wanted and not evidence_files:
        raise click.UsageError("give EVIDENCE, --fmspc or --chip: what is to be judged")
    if output is None and store_directory is None:
        raise click.UsageError("give --output BUNDLE or --store DIR: where it is to be written")
    if output is not None and not output.absolute().parent.is_dir():
        raise click.UsageError(f"--output {output}: there is no such directory to write into")
    now = datetime.now(UTC)
    anchors = anchors_with(load_trust_anchors(*trust_anchors, now=now))
    subjects = [subject_of(path) for path in evidence_files]
    sources = SourceOptions(**services).sources(channel)
    store = open_or_make_store(store_directory) if store_directory is not None else None
    if store is not None:
        require_clock(store, channel, now)
    screen, error_screen = Screen(), Screen(stderr=True)
    with error_screen.status("reading") as tell:
        gatherer = Gatherer(
            Fetcher(sources),
            anchors=anchors,
            now=now,
            floors=floors_in(store, channel) if store is not None else NO_FLOORS,
            at_hand=_certificates_in(store, anchors, now),
            tell=(lambda _: None) if as_json else tell,
            wait_seconds=wait_seconds,
        )
        gathered = gatherer.gather(wanted, subjects)
    written = bool(gathered.good) and (partial or not gathered.shortcomings)
    if written and store is not None:
        gathered = gathered.after(keep_items(store, gathered.good, channel=channel, now=now, whole=not partial))
        written = partial or not gathered.shortcomings
    if written and output is not None:
        carried = tuple(item.carried for item in gathered.good if item.carried is not None)
        write_bundle(output, Bundle(made=now, channel=channel, items=carried))
    report = _Report(gathered=gathered, written=written, output=output, store=store_directory, now=now)
    if as_json:
        report.documents(screen)
    else:
        report.show(screen)
    for shortcoming in gathered.shortcomings:
        error_screen.traceback(shortcoming.error)
    finish(report.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """Tells what came of it."""

    gathered: Gathered
    written: bool
    output: Path | None
    store: Path | None
    now: datetime

    @property
    def code(self) -> ExitCode:
        """4 where an Endorsement is wanting, whatever is wrong with the one that was got; else the Evidence's own."""
        if any(shortcoming.item is not None for shortcoming in self.gathered.shortcomings):
            return ExitCode.ENDORSEMENTS
        return exit_code(shortcoming.error for shortcoming in self.gathered.shortcomings)

    @property
    def _kept(self) -> int:
        """How many items went into the store: all that is good but for roots."""
        return sum(bool(item.keys) for item in self.gathered.good) if self.written and self.store is not None else 0

    def documents(self, screen: Screen) -> None:
        for good in self.gathered.good:
            screen.document(item_document(good))
        for shortcoming in self.gathered.shortcomings:
            item = shortcoming.item
            named = missing_document(item.kind if item is not None else None, item)
            file = shortcoming.what if item is None else None
            screen.document({**named, "file": file, **verdict_document(shortcoming.error)})
        screen.document(
            summary_document(
                "fetch",
                self.code,
                output=str(self.output) if self.written and self.output is not None else None,
                store=str(self.store) if self.written and self.store is not None else None,
                good=len(self.gathered.good),
                kept=self._kept,
                wanting=len(self.gathered.shortcomings),
            )
        )

    def show(self, screen: Screen) -> None:
        good, wanting = self.gathered.good, self.gathered.shortcomings
        show_verified(screen, good, good_word="good", now=self.now)
        for shortcoming in wanting:
            screen.line("  ", Styled("wanting", "red"), f"  {shortcoming.what}", hanging=4)
            screen.columns([("why", f"{shortcoming.error.refusal.label}: {shortcoming.error}")], indent=4)
        places = [str(place) for place in (self.output, self.store) if place is not None]
        if not self.written:
            why = "something is wanting; --partial writes the rest" if good else "nothing was got"
            if not good and not wanting:
                why = "nothing is wanting: the Evidence brings all that judges it"
            screen.line(Styled(" not written ", "white on red"), " ", Styled(", ".join(places), "bold"), f"  {why}")
            return
        ends = [item.verified.use.expires for item in good if item.verified is not None]
        first = f"; the first expires {minute(min(ends))}" if ends else ""
        screen.line(
            Styled(" written ", "black on yellow" if wanting else "black on green"),
            " ",
            Styled(", ".join(places), "bold"),
            f"  {items(len(good))}, {len(wanting)} wanting{first}",
        )
        if self.store is not None and self._kept < len(good):
            rows = [("kept", items(self._kept)), ("not kept", f"{items(len(good) - self._kept)}: {ROOTS_ARE_NOT_KEPT}")]
            screen.columns(rows)


def _certificates_in(
    store: EndorsementStore | None, anchors: Sequence[TrustAnchor], now: datetime
) -> Callable[[MissingEndorsement], tuple[Endorsement, ...]]:
    """Give what finds certificates in a store; documents and lists are fetched anew."""
    fingerprints = [anchor.fingerprint for anchor in anchors]

    def at_hand(item: MissingEndorsement) -> tuple[Endorsement, ...]:
        if store is None or item.kind.is_reissued:
            return ()
        if item.kind.is_named_by_request:
            return ()  # a service that was wrong once would be believed for ever: only Evidence shows it
        return tuple(found.endorsement for found in store.find(item, fingerprints) if now < found.expires)

    return at_hand


def _fmspc(text: str) -> bytes:
    if not _FMSPC.fullmatch(text):
        raise click.BadParameter(f"got {text[:40]!r}, expected 12 hexadecimal digits", param_hint="--fmspc")
    return bytes.fromhex(text)
