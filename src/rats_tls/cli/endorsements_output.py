"""What the commands about Endorsements share: options, and how items look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.documents import Json, to_json
from rats_tls.core.endorsements import NO_EXPIRY, NO_ISSUE_DATE, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.bundle import CHANNELS
from rats_tls.provisioning import VerifiedItem

ITEM_SCHEMA = "rats-tls/endorsement/1"
SUMMARY_SCHEMA = "rats-tls/endorsements-summary/1"
ANCHOR_STYLES = {AnchorKind.VENDOR: "green", AnchorKind.USER: "yellow", AnchorKind.SIMULATED: "bold yellow"}
ROOTS_ARE_NOT_KEPT = "roots, which no judgement looks up"
_SHOWN_DIGITS = 16
_LONG_DIGITS = re.compile(r"[0-9a-f]{24,}")
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

_F = TypeVar("_F", bound=Callable[..., object])


def store_option(*, required: bool, meaning: str) -> Callable[[_F], _F]:
    """Add --store."""
    return click.option(
        "--store",
        "store_directory",
        required=required,
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help=meaning,
    )


def channel_option(command: _F) -> _F:
    """Add --channel."""
    return click.option(
        "--channel",
        type=click.Choice(CHANNELS),
        default=CHANNELS[0],
        show_default=True,
        help="Update channel of Intel's documents.",
    )(command)


def json_option(command: _F) -> _F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON documents, one a line.")(command)


# --- for people ----------------------------------------------------------------------------------------------------
def about(key: tuple[tuple[str, str], ...]) -> str:
    """Say what an item is about; long digits, which tell chips, are cut."""
    return ", ".join(f"{name} {_LONG_DIGITS.sub(_cut, value)}" for name, value in key)


def _cut(match: re.Match[str]) -> str:
    return f"{match[0][:_SHOWN_DIGITS]}..."


def items(count: int) -> str:
    """Say how many items: Endorsements with the certificates of their chains, each once however many keys it has."""
    return f"{count} item{'' if count == 1 else 's'}"


def duration(time: timedelta) -> str:
    """Say how long something is, in its largest unit."""
    seconds = abs(int(time.total_seconds()))
    size, unit = next((row for row in _UNITS if seconds >= row[0]), _UNITS[-1])
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def minute(time: datetime) -> str:
    """Give a time (UTC) to the minute; what has no dates never expires, and was issued at no known time."""
    if time in (NO_EXPIRY, NO_ISSUE_DATE):
        return "never" if time == NO_EXPIRY else "unknown"
    return f"{time:%Y-%m-%d %H:%M}"


def show_verified(screen: Screen, outcomes: Iterable[VerifiedItem], *, good_word: str, now: datetime) -> None:
    """Print a line for each item: good and until when, or why not. What nothing looks up, a root, is not kept."""
    rows: list[Sequence[Cell]] = []
    for outcome in outcomes:
        kind = outcome.source.endorsement.kind.value
        said = outcome.described
        keys = outcome.keys or (said.keys if said is not None else ())
        subject = f"{about(keys[0].key)}; " if keys else ""
        if outcome.verified is not None:
            use, anchor = outcome.verified.use, outcome.verified.anchor
            lasts = "" if use.expires == NO_EXPIRY else f"{duration(use.expires - now)}, "
            until = f"{subject}{lasts}until {minute(use.expires)}; "
            root = Styled(f"{anchor.name} ({anchor.kind.value})", ANCHOR_STYLES[anchor.kind])
            word = (
                Styled(good_word, "green") if keys else Styled("not kept" if good_word == "kept" else good_word, "dim")
            )
            rows.append((word, kind, (until, root)))
        elif outcome.error is not None:
            why = f"{subject}{outcome.error.refusal.label}: {outcome.error}"
            rows.append((Styled("left out" if good_word == "kept" else "refused", "red"), kind, why))
    screen.columns(rows, style="")


# --- for programs --------------------------------------------------------------------------------------------------
def item_document(outcome: VerifiedItem) -> dict[str, Json]:
    """Give the document of an item."""
    said = outcome.described
    verified = outcome.verified
    return {
        "schema": ITEM_SCHEMA,
        "file": outcome.source.where or None,
        "kind": outcome.source.endorsement.kind.value,
        "keys": keys_document(outcome.keys or (said.keys if said is not None else ())),
        "issued": to_json(said.issued) if said is not None else None,
        "expires": to_json(said.expires) if said is not None else None,
        "anchor": verified.anchor.name if verified is not None else None,
        "anchor_kind": verified.anchor.kind.value if verified is not None else None,
        **verdict_document(outcome.error),
    }


def verdict_document(error: RatsTlsError | None) -> dict[str, Json]:
    """Give the members that say whether something is good, and why not."""
    if error is None:
        return {"verdict": "good"}
    return {"verdict": "refused", "reason": error.refusal.label, "message": error.message}


def missing_document(kind: EndorsementKind | None, item: MissingEndorsement | None) -> dict[str, Json]:
    """Give the members that name an item; null where there is none."""
    return {
        "schema": ITEM_SCHEMA,
        "kind": kind.value if kind is not None else None,
        "keys": keys_document((item,) if item is not None else ()),
    }


def summary_document(command: str, code: ExitCode, **counts: Json) -> dict[str, Json]:
    """Give the document with which a command ends."""
    return {"schema": SUMMARY_SCHEMA, "command": command, "exit_code": int(code), **counts}


def tell_documents(screen: Screen, outcomes: Iterable[VerifiedItem], summary: dict[str, Json]) -> None:
    """Print the document of each item, then the one with which the command ends."""
    for outcome in outcomes:
        screen.document(item_document(outcome))
    screen.document(summary)


def keys_document(keys: Iterable[MissingEndorsement]) -> Json:
    """Give keys as a bundle's manifest has them."""
    return [dict(key.key) for key in keys if key.key]


def finish(code: ExitCode) -> None:
    """End the command with `code` unless that is success."""
    if code is not ExitCode.OK:
        raise click.exceptions.Exit(int(code))
