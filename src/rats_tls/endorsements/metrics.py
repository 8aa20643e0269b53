"""When Endorsements expire, for monitoring: text in the OpenMetrics form (version 1.0.0 of its specification)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.text import printable
from rats_tls.endorsements.listing import Listed, listed
from rats_tls.endorsements.refresh import Freshness
from rats_tls.endorsements.store import StoredEndorsement

MOST_CERTIFICATES = 1000
"""Certificates of single platforms that have series: of those there may be any number."""

_PREFIX = "rats_tls_endorsement"
_FAMILIES: tuple[tuple[str, str, str, Callable[[Listed], int | None]], ...] = (
    # name, unit, help, value
    ("expiry_timestamp_seconds", "seconds", "When the Endorsement expires.", lambda line: _seconds(line.expires)),
    ("issue_timestamp_seconds", "seconds", "When the Endorsement was issued.", lambda line: _seconds(line.issued)),
    ("refresh_failures", "", "How often refreshing has failed in a row.", lambda line: line.failures),
)


def openmetrics(entries: Iterable[Listed | StoredEndorsement | Freshness], anchors: Iterable[TrustAnchor] = ()) -> str:
    """Give gauges of when each Endorsement was issued and expires, and how often refreshing it has failed in a row.

    Labels are kind, key, update channel, name of the trust anchor, and its kind: vendor, user, simulated or unknown.
    Of several with the same labels, the one that expires first counts. A certificate that is found by several keys has
    one series, by the first of them; of certificates of single platforms the 1,000 that expire first have one.

    Args:
        entries: entries of a store, `EndorsementService.freshness`, or lines.
        anchors: those that are known, to name them.

    Returns:
        Text whose media type is `application/openmetrics-text; version=1.0.0`.
    """
    lines: list[Listed] = []
    others: list[StoredEndorsement | Freshness] = []
    for entry in entries:
        if isinstance(entry, Listed):
            lines.append(entry)
        else:
            others.append(entry)
    by_labels: dict[str, Listed] = {}
    for line in _one_each(sorted((*lines, *listed(others, anchors)), key=lambda line: (line.expires, str(line.item)))):
        by_labels.setdefault(_labels(line), line)
    text: list[str] = []
    for name, unit, meaning, value_of in _FAMILIES:
        values = [(labels, value) for labels, line in by_labels.items() if (value := value_of(line)) is not None]
        if not values:
            continue
        family = f"{_PREFIX}_{name}"
        text.append(f"# TYPE {family} gauge")
        if unit:
            text.append(f"# UNIT {family} {unit}")
        text.append(f"# HELP {family} {meaning}")
        text += [f"{family}{{{labels}}} {value}" for labels, value in values]
    return "\n".join((*text, "# EOF")) + "\n"


def _one_each(lines: Iterable[Listed]) -> Iterator[Listed]:
    """Give one line for each certificate, and no more than so many of platforms."""
    seen: set[tuple[bytes, str]] = set()
    certificates = 0
    for line in lines:
        if line.digest and not line.item.kind.is_reissued:
            if (line.digest, line.anchor) in seen:
                continue
            seen.add((line.digest, line.anchor))
        if line.item.kind.is_of_one_platform:
            certificates += 1
            if certificates > MOST_CERTIFICATES:
                continue
        yield line


def _labels(line: Listed) -> str:
    labels = {
        "kind": line.item.kind.value,
        "key": ", ".join(f"{name} {value}" for name, value in line.item.key),
        "channel": line.channel,
        "anchor": line.anchor,
        "anchor_kind": line.anchor_kind.value if line.anchor_kind is not None else "unknown",
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return printable(value).replace("\\", "\\\\").replace('"', '\\"')


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
