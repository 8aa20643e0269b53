"""Checks: what was looked at, where the rule stands, what was expected and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as declare
from datetime import UTC, datetime
from enum import Enum, IntEnum
from functools import lru_cache


class Stage(IntEnum):
    """The order in which failures are reported, for every TEE (`docs/architecture.md`, appraisal)."""

    DECODE = 1
    EVIDENCE_SIGNATURE = 2
    KEY_BINDING = 3
    VENDOR_CHAIN = 4
    REVOCATION = 5
    TCB = 6
    FRESHNESS = 7
    POLICY = 8


class Verdict(Enum):
    """Outcome of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of an appraisal.

    Attributes:
        id: stable, dotted and lower case, for example `sgx.quote_signature`.
        stage: its place in the order of judgement.
        source: document and section that demand it, for example `Intel QVL 4.1.2.4.12`.
        verdict: passed, failed or not checked.
        expected: what had to be, for people; hex for bytes.
        got: what was, for people; hex for bytes.
        note: why it was not checked, or what else the reader should know.
    """

    id: str
    stage: Stage
    source: str
    verdict: Verdict = Verdict.PASSED
    expected: str | None = None
    got: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One policy condition that did not hold.

    Attributes:
        entry: name of the policy entry.
        field: name of the policy field, for example `mr_enclave`.
        got: the claim, for people.
        expected: what the policy accepts, for people.
        softened: whether a policy in report-only mode passes over it.
    """

    entry: str
    field: str
    got: str
    expected: str
    softened: bool = declare(default=False, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.entry}.{self.field}: got {self.got}, expected {self.expected}"


def shorten(data: bytes, digits: int = 64) -> str:
    """Give `data` as hex, cut at `digits` hex digits with its length behind."""
    text = data.hex()
    return text if len(text) <= digits else f"{text[:digits]}… ({len(data)} bytes)"


GRACE_CHECK = "endorsements.grace"
"""Id of the check that says which Endorsements had expired and counted by a policy's grace."""


UNPROVED_CHECK = "claims.proved"
"""Id of the check that says that claims may not be what was signed, and count because the policy says so."""


@lru_cache(maxsize=1024)
def time_text(time: datetime) -> str:
    """Give a time in UTC (RFC 3339, whole seconds)."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
