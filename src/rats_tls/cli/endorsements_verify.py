"""`rats-tls endorsements verify`: verify what a store, bundle or file holds."""

from __future__ import annotations

from pathlib import Path

import click

from rats_tls.cli.endorsements_output import (
    finish,
    items,
    json_option,
    show_verified,
    summary_document,
    tell_documents,
)
from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option, parse_time, trust_anchors_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.endorsements.store import EndorsementStore, is_store
from rats_tls.files import load_trust_anchors
from rats_tls.provisioning import (
    anchors_with,
    exit_code,
    items_of,
    load_carried,
    verify_items,
    verify_store,
)


@click.command(
    short_help="Verify what a store, bundle or file holds.",
    epilog=examples(
        "rats-tls endorsements verify bundle.zip",
        "rats-tls endorsements verify bundle.zip --at 2026-01-31T12:00:00Z",
        "rats-tls endorsements verify endorsements/ --json",
    ),
)
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="PATH")
@trust_anchors_option
@click.option("--at", "at_time", metavar="TIME", help="Verify as of this time (RFC 3339) instead of now.")
@json_option
@debug_option
def verify(path: Path, trust_anchors: tuple[Path, ...], at_time: str | None, as_json: bool) -> None:
    """Verify each item in PATH by itself: a store, a bundle, another file with Endorsements, or a directory.

    Good is what leads to a vendor's root (or to one of --trust-anchors), is in date, not on a revocation list among
    the items, and in a store not older than what was seen before. That is less than an appraisal asks: whether an item
    is of given Evidence is seen there.

    Exit code 0 if everything is good, 3 if something is not authentic or revoked, else 4.
    """
    now = parse_time(at_time)
    anchors = anchors_with(load_trust_anchors(*trust_anchors, now=now))
    with Screen(stderr=True).status("verifying"):
        if is_store(path):
            store = EndorsementStore.existing(path)
            outcomes = verify_store(store, str(path), anchors=anchors, now=now, with_floors=at_time is None)
        else:
            outcomes = verify_items(items_of(load_carried(path)), anchors=anchors, now=now)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    code = exit_code(errors)
    screen = Screen()
    if as_json:
        good = len(outcomes) - len(errors)
        summary = summary_document("verify", code, path=str(path), items=len(outcomes), good=good, refused=len(errors))
        tell_documents(screen, outcomes, summary)
    else:
        show_verified(screen, outcomes, good_word="good", now=now)
        style = "white on red" if errors else "black on green"
        screen.line(
            Styled(f" {'refused' if errors else 'good'} ", style),
            " ",
            Styled(path.name, "bold"),
            f"  {items(len(outcomes))}: {len(outcomes) - len(errors)} good, {len(errors)} refused",
        )
    finish(code)
