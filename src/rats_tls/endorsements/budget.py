"""How much is fetched for Evidence that nobody has authenticated.

Whoever can connect can send Evidence with any chip id, and each would be a request to a vendor that throttles. What
is fetched for authenticated Evidence, and to refresh, has nothing to do with this budget; and what is about a platform
that was proved before has a part of its own, which no stranger can spend.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.source import FetchError, FetchProblem

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_PLATFORM_PARTS = ("hwid", "chip", "fmspc", "encrypted_ppid", "ppid")
_CHIP_ID_DIGITS, _SHORT_CHIP_ID_DIGITS = 128, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often: `burst` at once, and one more every `seconds_each` seconds.

    Raises:
        ConfigurationError: less than one at once, or no time between two.
    """

    burst: int
    seconds_each: float

    def __post_init__(self) -> None:
        if self.burst < 1 or not self.seconds_each > 0:
            raise ConfigurationError(
                f"rate: got burst {self.burst}, one each {self.seconds_each} seconds; expected at least 1, more than 0"
            )


TOTAL_RATE = Rate(burst=30, seconds_each=10.0)
SOURCE_RATE = Rate(burst=20, seconds_each=15.0)
SOURCE_RATES: Mapping[str, Rate] = {
    # KDS has been seen to throttle at the fifth request within ten minutes; one is left for refreshing.
    "amd-kds": Rate(burst=3, seconds_each=180.0),
}
KNOWN_RATES: Mapping[str, Rate] = {"amd-kds": Rate(burst=2, seconds_each=300.0)}
SHARED_RATES: Mapping[str, Rate] = {"amd-kds": Rate(burst=1, seconds_each=600.0)}
"""What is about no platform, such as the signers of a product, of which there are few."""
PLATFORM_RATE = Rate(burst=1, seconds_each=3600.0)
"""A platform that is known has one new certificate when its TCB changes, which is seldom; who shows its id with levels
that it does not have spends no more than this."""


class _Use(Enum):
    """What a request is about: each has a bucket of its own at each source."""

    STRANGER = "a platform that nobody has proved"
    SHARED = "no platform"
    KNOWN = "a platform that was proved"


class _Bucket:
    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def seconds_until_next(self, now: float) -> float:
        """Fill up to `now`; give the seconds until there is a token, 0 if there is one."""
        added = max(now - self._at, 0.0) / self._rate.seconds_each
        self._tokens = min(self._tokens + added, float(self._rate.burst))
        self._at = now
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) * self._rate.seconds_each

    def take(self) -> None:
        self._tokens -= 1.0


class FetchBudget:
    """Grants requests for Evidence that nobody has authenticated. Thread-safe; bounded.

    Args:
        total: requests to all sources together.
        per_source: requests to one source, by its name; `other_sources` for one that is not named.
        other_sources: see there.
        shared_per_source: requests to one source about no platform, beside the others; as `per_source`.
        known_per_source: requests to one source about platforms that are known, beside the others; as `per_source`.
        per_platform: of these, requests about one platform.
        known_chips_only: grant only what is about a platform that is known, or about none (revocation lists, chains,
            identities of quoting enclaves, of which there are few).
        known_chips: platforms known from the start, in lower-case hexadecimal: AMD chip ids (64 bytes, or the first
            8), Intel FMSPCs (6 bytes), PPIDs as they stand in the item's key; Hygon chips by their serial numbers.
        learned_limit: most platforms that are learned, and whose requests are counted; the longest not seen go first.
        clock: seconds of a monotonic clock.

    Raises:
        ConfigurationError: a known chip that is not hexadecimal.
    """

    def __init__(
        self,
        *,
        total: Rate = TOTAL_RATE,
        per_source: Mapping[str, Rate] = SOURCE_RATES,
        other_sources: Rate = SOURCE_RATE,
        shared_per_source: Mapping[str, Rate] = SHARED_RATES,
        known_per_source: Mapping[str, Rate] = KNOWN_RATES,
        per_platform: Rate = PLATFORM_RATE,
        known_chips_only: bool = False,
        known_chips: Iterable[str] = (),
        learned_limit: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._total = _Bucket(total, clock())
        self._rates = {
            _Use.STRANGER: dict(per_source),
            _Use.SHARED: dict(shared_per_source),
            _Use.KNOWN: dict(known_per_source),
        }
        self._other_sources = other_sources
        self._per_platform = per_platform
        self._buckets: dict[tuple[str, int, _Use], _Bucket] = {}
        self._platforms: OrderedDict[str, _Bucket] = OrderedDict()
        self._known_chips_only = known_chips_only
        self._known = frozenset(form for chip in known_chips for form in _forms(chip))
        self._learned: OrderedDict[str, None] = OrderedDict()
        self._learned_limit = learned_limit
        self.renew_in_child()
        renew_in_children(self)

    def renew_in_child(self) -> None:
        """Make a new lock: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()

    def learn(self, item: MissingEndorsement) -> None:
        """Take the platform that `item` is about for known: Evidence of it was authenticated."""
        platform = platform_of(item)
        if platform is None:
            return
        with self._lock:
            self._learned[platform] = None
            self._learned.move_to_end(platform)
            while len(self._learned) > self._learned_limit:
                self._learned.popitem(last=False)

    def spend(self, source: str, item: MissingEndorsement, *, number: int = 0, proved: bool = False) -> None:
        """Spend one request to `source` for `item`.

        Args:
            source: the source's name; names are the user's own, and few.
            item: what it would be asked for.
            number: which one of the sources of that name: each has its own.
            proved: whether something about the platform of `item` was proved before, and is kept.

        Raises:
            FetchError: BUDGET, with the seconds until there is one, or without when the platform is not known.
        """
        with self._lock:
            platform = platform_of(item)
            known = platform is not None and (proved or self._is_known(platform))
            if self._known_chips_only and platform is not None and not known:
                raise FetchError(
                    f"{source}: not asked for {item.kind.value} of platform {platform[:32]}, which is not a known one",
                    problem=FetchProblem.BUDGET,
                )
            now = self._clock()
            ways = [(self._total, self._bucket(source, number, now, _Use.STRANGER))]
            if platform is None:
                ways.insert(0, (self._total, self._bucket(source, number, now, _Use.SHARED)))
            elif known:
                ways.insert(0, (self._of_platform(platform, now), self._bucket(source, number, now, _Use.KNOWN)))
            waits = [max(bucket.seconds_until_next(now) for bucket in way) for way in ways]
            if 0.0 in waits:
                for bucket in ways[waits.index(0.0)]:
                    bucket.take()
                return
            raise FetchError(
                f"{source}: not asked for {item.kind.value}, the budget for Evidence that nobody has authenticated "
                f"is spent; more in {math.ceil(min(waits))} seconds",
                problem=FetchProblem.BUDGET,
                retry_after=min(waits),
            )

    def _bucket(self, source: str, number: int, now: float, use: _Use) -> _Bucket:
        key = (source, number, use)
        if key not in self._buckets:
            self._buckets[key] = _Bucket(self._rates[use].get(source, self._other_sources), now)
        return self._buckets[key]

    def _of_platform(self, platform: str, now: float) -> _Bucket:
        bucket = self._platforms.pop(platform, None) or _Bucket(self._per_platform, now)
        self._platforms[platform] = bucket
        while len(self._platforms) > self._learned_limit:
            self._platforms.popitem(last=False)
        return bucket

    def _is_known(self, platform: str) -> bool:
        return platform in self._known or platform in self._learned


def platform_of(item: MissingEndorsement) -> str | None:
    """Give the platform that `item` is about, as its key names it; None when it is about no certain one."""
    parts = dict(item.key)
    return next((parts[name] for name in _PLATFORM_PARTS if parts.get(name)), None)


def about_platform(item: MissingEndorsement) -> str | None:
    """Give how the text of all items of its kind and platform begins; None as `platform_of`."""
    names = [name for name, value in item.key if value]
    end = next((number for number, name in enumerate(names, 1) if name in _PLATFORM_PARTS), None)
    return str(MissingEndorsement(kind=item.kind, key=item.key[:end]))[:-1] if end is not None else None


def _forms(chip: str) -> tuple[str, ...]:
    """Give the forms in which keys name a chip: that of Turin by the first 8 bytes of its id."""
    if not isinstance(chip, str):
        raise ConfigurationError(f"known chip: got {type(chip).__name__}, expected its id in hexadecimal digits")
    lower = chip.lower()
    if not _HEX.fullmatch(lower):
        raise ConfigurationError(f"known chip {chip[:64]!r}: expected hexadecimal digits")
    return (lower, lower[:_SHORT_CHIP_ID_DIGITS]) if len(lower) == _CHIP_ID_DIGITS else (lower,)
