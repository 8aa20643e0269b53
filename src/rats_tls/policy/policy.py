"""The Appraisal Policy: a list of entries, of which one whole entry must accept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from rats_tls.core.checks import Mismatch
from rats_tls.core.claims import TeeClaims
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.policy.csv_entry import CsvEntry
from rats_tls.policy.entry import Entry, NullEntry
from rats_tls.policy.file_form import (
    MAX_POLICY_BYTES,
    Mode,
    entry_document,
    policy_from_toml,
    policy_to_toml,
    repeated_names,
)
from rats_tls.policy.intel_entry import TdxEntry
from rats_tls.policy.rules import Facts
from rats_tls.policy.sev_entry import SevEntry
from rats_tls.policy.sgx_entry import SgxEntry, SgxLocalEntry
from rats_tls.policy.snp_entry import SnpEntry

POLICY_VERSION = 1
ENTRY_CLASSES: tuple[type[Entry], ...] = (SgxEntry, TdxEntry, SgxLocalEntry, SnpEntry, SevEntry, CsvEntry, NullEntry)
"""Every kind of entry; the file form, the schema and the documentation are made from their fields."""

JUDGED_TEE_TYPES = frozenset(entry.tee for entry in ENTRY_CLASSES)
"""TEE types that a policy can name."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Outcome of applying a policy.

    Attributes:
        accepted: the first entry that holds whole, or None.
        mismatches: every condition that failed, of every entry for this TEE; empty when one accepted.
        not_done: fields that could not be applied because claims need missing Endorsements.
        reported: when the policy is report-only, the first entry that would hold whole without the mismatches that this
            mode passes over; never one that accepts.
    """

    accepted: Entry | None
    mismatches: tuple[Mismatch, ...]
    not_done: tuple[str, ...]
    reported: Entry | None = None


@dataclass(frozen=True, init=False)
class Policy:
    """An Appraisal Policy.

    Attributes:
        entries: at least one, with unique names.
        mode: report-only softens mismatches of Reference Values and of the TCB status, and no others. The peer is
            refused even so, and its refusal tells what else was found; connections to it need a switch of `Context`.
        digest: SHA-256 over `canonical()` (32 bytes); cited by results, part of cache keys.
    """

    entries: tuple[Entry, ...]
    mode: Mode
    digest: bytes

    def __init__(self, entries: tuple[Entry, ...], mode: Mode = Mode.ENFORCE) -> None:
        if not entries:
            raise ConfigurationError("policy: no entries: an empty policy is an error")
        repeated = repeated_names(entry.name for entry in entries)
        if repeated:
            raise ConfigurationError("policy: " + "; ".join(repeated))
        object.__setattr__(self, "entries", tuple(entries))
        object.__setattr__(self, "mode", Mode(mode))
        object.__setattr__(self, "digest", hashlib.sha256(self.canonical()).digest())

    @classmethod
    def of(cls, *entries: Entry, mode: Mode = Mode.ENFORCE) -> Policy:
        """Make a policy of entries. Raises ConfigurationError."""
        return cls(entries, mode)

    @classmethod
    def from_toml(cls, text: str | bytes, *, where: str = "policy") -> Policy:
        """Read the file form.

        Args:
            text: TOML, UTF-8, at most 1 MiB.
            where: what to call it in errors.

        Raises:
            PolicyFileError: every problem of the file, each with entry and field.
        """
        classes = {entry.tee.value: entry for entry in ENTRY_CLASSES}
        return cls(*policy_from_toml(text, classes, POLICY_VERSION, where=where))

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """Read a policy file. Raises ConfigurationError."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror or error}") from error
        return cls.from_toml(data, where=str(path))

    def to_toml(self) -> str:
        """Give the file form; fields at their default are left out."""
        return policy_to_toml(self.entries, self.mode, POLICY_VERSION)

    def canonical(self) -> bytes:
        """Give the canonical form: JSON of every effective value, defaults too.

        Keys sorted, no white space, UTF-8, hex in lower case; entries in their order.
        """
        document = {
            "version": POLICY_VERSION,
            "mode": self.mode.value,
            "entry": [entry_document(entry) for entry in self.entries],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def tee_types(self) -> frozenset[TeeType]:
        """TEE types that some entry names."""
        return frozenset(entry.tee for entry in self.entries)

    def entries_for(self, tee_type: TeeType) -> tuple[Entry, ...]:
        """Give the entries for one TEE type, in order."""
        return tuple(entry for entry in self.entries if entry.tee is tee_type)

    def restricted_to(self, tee_type: TeeType) -> Policy:
        """Give the policy of the entries for one TEE type alone; its digest is its own.

        Raises:
            ConfigurationError: no entry is for it.
        """
        entries = self.entries_for(tee_type)
        if not entries:
            named = ", ".join(sorted(str(tee) for tee in self.tee_types))
            raise ConfigurationError(f"policy: no entry for {tee_type}; its entries are for {named}")
        return Policy(entries, self.mode)

    def fresh_entries(self, tee_type: TeeType, facts: Facts) -> tuple[Entry, ...]:
        """Give the entries for one TEE type for which the Evidence is young enough."""
        return tuple(entry for entry in self.entries_for(tee_type) if entry.fresh(facts))

    def evaluate(self, claims: TeeClaims, facts: Facts, *, verified: bool) -> Evaluation:
        """Apply the policy.

        Args:
            claims: what was decoded, and verified where it could be.
            facts: what is known beside them.
            verified: whether nothing was missing. If not, no entry can accept: fields whose claims are missing are
                `not_done`, and an entry without a mismatch only says that nothing speaks against it yet.

        Returns:
            The accepting entry, or all mismatches of all entries for this TEE.
        """
        candidates = self.entries_for(claims.tee_type)
        if not candidates:
            named = " or ".join(sorted(str(tee) for tee in self.tee_types))
            return Evaluation(
                None, (Mismatch(entry="policy", field="tee", got=str(claims.tee_type), expected=named),), ()
            )
        mismatches: list[Mismatch] = []
        not_done: list[str] = []
        reported: Entry | None = None
        for entry in candidates:
            found, skipped = entry.mismatches(claims, facts, verified=verified)
            if not found:
                return Evaluation(entry if verified else None, (), skipped)
            if self.mode is Mode.REPORT_ONLY and verified and all(mismatch.softened for mismatch in found):
                reported = reported or entry
            mismatches.extend(found)
            not_done.extend(name for name in skipped if name not in not_done)
        return Evaluation(None, tuple(mismatches), tuple(not_done), reported)
