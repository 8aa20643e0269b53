"""Floors: how new an Endorsement must be, by what this side has seen before.

A vendor's older document may still be in date. Whoever serves it hides what the vendor has corrected or revoked since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from rats_tls.core.checks import time_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The newest that was seen of one series.

    Attributes:
        number: highest tcbEvaluationDataNumber or cRLNumber.
        issued: latest issueDate or thisUpdate, aware.
    """

    number: int
    issued: datetime

    def raised_to(self, other: Floor) -> Floor:
        """Give the higher of both, number and date each for itself."""
        return Floor(number=max(self.number, other.number), issued=max(self.issued, other.issued))


Series = tuple[bytes, str]
"""Fingerprint of the trust anchor (32 bytes), and what is issued again and again under it: a document, of a FMSPC or
an enclave, or a revocation list."""


class Floors:
    """Floors by series, at one time. Immutable."""

    __slots__ = ("_by_series", "digest")

    def __init__(self, by_series: Mapping[Series, Floor] = MappingProxyType({})) -> None:
        self._by_series = dict(by_series)
        h = hashlib.sha256()
        for (anchor, series), floor in sorted(self._by_series.items(), key=lambda pair: pair[0]):
            for part in (anchor, series.encode(), str(floor.number).encode(), floor.issued.isoformat().encode()):
                h.update(len(part).to_bytes(4, "big"))
                h.update(part)
        self.digest = h.digest() if self._by_series else b""
        """SHA-256 over all of them; empty where there are none."""

    def __len__(self) -> int:
        return len(self._by_series)

    def items(self) -> Iterable[tuple[Series, Floor]]:
        """Give each series with its floor."""
        return self._by_series.items()

    def raised(self, seen: Iterable[tuple[Series, Floor]]) -> Floors:
        """Give these with what was seen; the same object where nothing rises."""
        by_series = dict(self._by_series)
        for series, floor in seen:
            known = by_series.get(series)
            by_series[series] = floor if known is None else known.raised_to(floor)
        return self if by_series == self._by_series else Floors(by_series)

    def problem(self, series: Series, seen: Floor) -> str | None:
        """Say in which respect an Endorsement is older than its floor, or None."""
        floor = self._by_series.get(series)
        if floor is None:
            return None
        if seen.number < floor.number:
            return f"number: got {seen.number}, expected at least {floor.number}, which was seen before"
        if seen.issued < floor.issued:
            return f"issued: got {time_text(seen.issued)}, expected at least {time_text(floor.issued)}, as seen before"
        return None

    @property
    def latest(self) -> datetime | None:
        """The latest issue date that was seen: no clock that is right is behind it. None where there are none."""
        return max((floor.issued for floor in self._by_series.values()), default=None)


NO_FLOORS = Floors()
