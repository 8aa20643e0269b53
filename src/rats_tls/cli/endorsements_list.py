"""`rats-tls endorsements list`: what is at hand, and what expires when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from rats_tls.cli.endorsements_output import (
    ANCHOR_STYLES,
    ITEM_SCHEMA,
    about,
    duration,
    items,
    json_option,
    keys_document,
    minute,
    summary_document,
)
from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option, parse_time, trust_anchors_option
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.documents import Json, to_json
from rats_tls.core.endorsements import NO_EXPIRY
from rats_tls.core.errors import DecodeError
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.listing import Listed, by_item, listed, listed_items
from rats_tls.endorsements.metrics import openmetrics
from rats_tls.endorsements.store import EndorsementStore, is_store
from rats_tls.files import load_trust_anchors
from rats_tls.provisioning import anchors_with, by_content, load_carried


@click.command(
    "list",
    short_help="Show what expires when, the first first.",
    epilog=examples(
        "rats-tls endorsements list endorsements/",
        "rats-tls endorsements list bundle.zip --json",
        "rats-tls endorsements list endorsements/ --metrics > endorsements.prom",
    ),
)
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="PATH")
@trust_anchors_option
@click.option("--at", "at_time", metavar="TIME", help="Say how long things hold from this time (RFC 3339) on.")
@json_option
@click.option("--metrics", is_flag=True, help="Print OpenMetrics text instead, for monitoring.")
@debug_option
def list_(path: Path, trust_anchors: tuple[Path, ...], at_time: str | None, as_json: bool, metrics: bool) -> None:
    """Show what PATH holds and what expires when: a store, a bundle, another file with Endorsements, or a directory.

    What is in a store was verified when it was kept: its trust anchor is named, also those of --trust-anchors. Of
    other files nothing is verified here ("verify" does). Red is what has expired, yellow what is in the last quarter
    of its validity.
    """
    if as_json and metrics:
        raise click.UsageError("--json and --metrics are two forms: choose one")
    now = parse_time(at_time)
    lines = _lines(path, anchors_with(load_trust_anchors(*trust_anchors)))
    screen = Screen()
    if metrics:
        screen.verbatim(openmetrics(lines))
    elif as_json:
        for item in by_item(lines):
            screen.document(_document(item, now))
        summary = summary_document("list", ExitCode.OK, path=str(path), items=_count(lines), expired=_count(lines, now))
        screen.document(summary)
    else:
        _show(screen, lines, now)


def _lines(path: Path, anchors: Sequence[TrustAnchor]) -> tuple[Listed, ...]:
    if is_store(path):
        return listed(EndorsementStore.existing(path).entries(), anchors)
    lines: list[Listed] = []
    for where, each in load_carried(path).items():
        try:
            lines += listed_items(map(by_content, each.items), each.channel)
        except DecodeError as error:
            raise DecodeError(where, "", None, error.message) from error
    return tuple(sorted(lines, key=lambda line: line.expires))


def _count(lines: Sequence[Listed], now: datetime | None = None) -> int:
    """Count items, each once however many keys it has; of those that have expired by `now` where it is given."""
    return len({line.digest for line in lines if now is None or line.expires <= now})


def _document(item: Sequence[Listed], now: datetime) -> dict[str, Json]:
    line = item[0]
    return {
        "schema": ITEM_SCHEMA,
        "kind": line.item.kind.value,
        "keys": keys_document(each.item for each in item),
        "channel": line.channel or None,
        "issued": to_json(line.issued),
        "expires": to_json(line.expires),
        "seconds_left": int((line.expires - now).total_seconds()),
        "anchor": line.anchor or None,
        "anchor_kind": line.anchor_kind.value if line.anchor_kind is not None else None,
    }


def _show(screen: Screen, lines: Sequence[Listed], now: datetime) -> None:
    rows: list[Sequence[Cell]] = []
    for item in by_item(lines):
        line = item[0]
        left = line.expires - now
        told = f"{duration(left)} left" if line.expires > now else f"expired {duration(left)} ago"
        if line.expires == NO_EXPIRY:
            told = ""
        style = "red" if line.expires <= now else "yellow" if line.is_ending(now) else "green"
        kind: Cell = "not verified"
        if line.anchor_kind is not None:
            kind = Styled(line.anchor_kind.value, ANCHOR_STYLES[line.anchor_kind])
        elif line.anchor:
            kind = Styled(f"unknown root {line.anchor}", "yellow")
        keys = "; or ".join(about(each.item.key) for each in item)
        subject = ", ".join(part for part in (keys, line.channel) if part)
        rows.append(
            (
                minute(line.expires),
                Styled(told, style),
                line.item.kind.value,
                kind,
                f"{subject or 'root certificate'}; issued {minute(line.issued)}",
            )
        )
    screen.columns(rows)
    if not rows:
        screen.line("nothing is kept there", hanging=0)
        return
    screen.line(f"{items(_count(lines))}, {_count(lines, now)} expired", hanging=0)
