"""`rats-tls endorsements export`, `import` and `prune`: what goes into a store and out of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from rats_tls.cli.chips import hygon_chip
from rats_tls.cli.endorsements_output import (
    ROOTS_ARE_NOT_KEPT,
    channel_option,
    finish,
    items,
    json_option,
    minute,
    show_verified,
    store_option,
    summary_document,
    tell_documents,
)
from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import open_or_make_store
from rats_tls.cli.options import debug_option, trust_anchors_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.documents import to_json
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.bundle import Bundle, write_bundle
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement
from rats_tls.files import load_trust_anchors
from rats_tls.provisioning import (
    anchors_with,
    exit_code,
    exported,
    floors_in,
    helpers_in,
    items_of,
    keep_items,
    load_carried,
    named,
    require_channel,
    require_clock,
    verify_items,
)

_FILE = click.Path(exists=True, path_type=Path)


@click.command(
    short_help="Write a store's items into a bundle.",
    epilog=examples(
        "rats-tls endorsements export --store endorsements/ --output bundle.zip",
        "rats-tls endorsements export --store endorsements/ --output milan.zip \\",
        "    --kind amd-vek --kind amd-signer --kind amd-crl",
    ),
)
@store_option(required=True, meaning="The store.")
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="BUNDLE",
    help="The bundle to write.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in EndorsementKind]),
    metavar="KIND",
    help="Only items of this kind, as `list` shows it; may be given again.",
)
@trust_anchors_option
@channel_option
@json_option
@debug_option
def export(
    store_directory: Path,
    output: Path,
    kinds: tuple[str, ...],
    trust_anchors: tuple[Path, ...],
    channel: str,
    as_json: bool,
) -> None:
    """Write what a store holds into a bundle, but for what has expired and documents of another update channel.

    Nothing is verified again: import does that. --trust-anchors only names more anchors than the vendors' in the
    bundle.
    """
    now = datetime.now(UTC)
    entries = EndorsementStore.existing(store_directory).entries()
    chosen = [entry for entry in entries if not kinds or entry.endorsement.kind.value in kinds]
    expired = _count(entry for entry in chosen if entry.expires <= now)
    carried = exported(chosen, anchors=anchors_with(load_trust_anchors(*trust_anchors)), channel=channel, now=now)
    others = _count(chosen) - expired - len(carried)
    left_out = f"{expired} expired" + (f", {others} of another update channel" if others else "")
    if not carried:
        raise ConfigurationError(f"store {store_directory}: there is nothing to export ({left_out})")
    write_bundle(output, Bundle(made=now, channel=channel, items=carried))
    first = min(item.expires for item in carried)
    screen = Screen()
    if as_json:
        counts = {"items": len(carried), "expired": expired, "other_channel": others, "first_expires": to_json(first)}
        screen.document(summary_document("export", ExitCode.OK, output=str(output), **counts))
        return
    screen.line(Styled(" written ", "black on green"), " ", Styled(output.name, "bold"))
    screen.columns([("written", items(len(carried))), ("left out", left_out), ("first expires", minute(first))])


def _count(entries: Iterable[StoredEndorsement]) -> int:
    """Count items, each once however many keys it has."""
    return len({entry.endorsement.digest for entry in entries})


@click.command(
    "import",
    short_help="Verify bundles and files, and keep what is good in a store.",
    epilog=examples(
        "rats-tls endorsements import bundle.zip --store endorsements/",
        "rats-tls endorsements import vcek.der cert_chain.pem --store endorsements/",
        "rats-tls endorsements import hsk_cek.cert --chip HYGON:NZA9T14052605 \\",
        "    --store endorsements/",
    ),
)
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option(
    "--chip",
    callback=hygon_chip,
    metavar="HYGON:SERIAL",
    help="The chip that Hygon's certificates in FILES are of; nothing in them says it.",
)
@store_option(required=True, meaning="The store; made when it is not there.")
@trust_anchors_option
@channel_option
@json_option
@debug_option
def import_(
    files: tuple[Path, ...],
    chip: MissingEndorsement | None,
    store_directory: Path,
    trust_anchors: tuple[Path, ...],
    channel: str,
    as_json: bool,
) -> None:
    """Verify what FILES hold, and keep what is good in a store: bundles, other files with Endorsements, directories.

    What is not authentic, expired, revoked or older than what was seen before is told and left out, and the exit code
    says so: 3 or 4, though the rest was kept. All that is good is kept in one step, or nothing. A bundle of another
    update channel than --channel is refused, as is a file that cannot be read: then nothing is kept.

    What is under a vendor's root counts as seen: older items are refused from then on.
    """
    now = datetime.now(UTC)
    anchors = anchors_with(load_trust_anchors(*trust_anchors, now=now))
    carried = {where: each for path in files for where, each in load_carried(path).items()}
    require_channel(carried, channel)
    store = open_or_make_store(store_directory)
    require_clock(store, channel, now)
    floors = floors_in(store, channel)
    with Screen(stderr=True).status("verifying"):
        outcomes = verify_items(
            named(items_of(carried), chip), anchors=anchors, now=now, floors=floors, helpers=helpers_in(store, anchors)
        )
    outcomes = keep_items(store, outcomes, channel=channel, now=now)
    kept = sum(bool(outcome.keys) for outcome in outcomes)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    not_kept = len(outcomes) - kept - len(errors)
    code = exit_code(errors)
    screen = Screen()
    if as_json:
        counts = {"items": len(outcomes), "kept": kept, "not_kept": not_kept, "refused": len(errors)}
        summary = summary_document("import", code, store=str(store_directory), **counts)
        tell_documents(screen, outcomes, summary)
    else:
        show_verified(screen, outcomes, good_word="kept", now=now)
        style = "black on green" if not errors else "black on yellow" if kept else "white on red"
        verb = "imported" if kept else "nothing imported"
        screen.line(Styled(f" {verb} ", style), " ", Styled(str(store_directory), "bold"))
        roots = [("not kept", f"{items(not_kept)}: {ROOTS_ARE_NOT_KEPT}")] if not_kept else []
        screen.columns([("kept", items(kept)), *roots, ("left out", items(len(errors)))])
    finish(code)


@click.command(
    short_help="Delete from a store what has expired.",
    epilog=examples("rats-tls endorsements prune --store endorsements/"),
)
@store_option(required=True, meaning="The store.")
@json_option
@debug_option
def prune(store_directory: Path, as_json: bool) -> None:
    """Delete what has expired from a store. What was seen of each series is not forgotten."""
    store = EndorsementStore.existing(store_directory)
    deleted = store.prune(datetime.now(UTC))
    left = _count(store.entries())
    screen = Screen()
    if as_json:
        screen.document(summary_document("prune", ExitCode.OK, store=str(store_directory), deleted=deleted, left=left))
    else:
        screen.columns([("deleted", items(deleted)), ("left", items(left))], indent=0)
