"""The Appraisal Policy: which peers are accepted. What has no safe default must be written, if only as "any"."""

from __future__ import annotations

from rats_tls.policy.advice import Advice, Level
from rats_tls.policy.csv_entry import CsvEntry
from rats_tls.policy.difference import Accepts, EntryDifference, FieldDifference, PolicyDifference, compare
from rats_tls.policy.entry import MEASUREMENT_ONLY, Entry, Identity, NullEntry
from rats_tls.policy.file_form import Mode
from rats_tls.policy.intel_entry import IntelMinimumTcb, TdxEntry
from rats_tls.policy.lint import lint
from rats_tls.policy.pinning import pinned_events, pinning_entry
from rats_tls.policy.policy import JUDGED_TEE_TYPES, Evaluation, Policy
from rats_tls.policy.problems import EntryError, FileProblem, PolicyFileError
from rats_tls.policy.required_events import RequiredEvent
from rats_tls.policy.rules import Facts
from rats_tls.policy.schema import policy_schema
from rats_tls.policy.sev_entry import SevEntry
from rats_tls.policy.sgx_entry import SgxEntry, SgxLocalEntry
from rats_tls.policy.snp_entry import SnpEntry, SnpMinimumTcb
from rats_tls.policy.values import ANY

__all__ = [
    "ANY",
    "JUDGED_TEE_TYPES",
    "MEASUREMENT_ONLY",
    "Accepts",
    "Advice",
    "CsvEntry",
    "Entry",
    "EntryDifference",
    "EntryError",
    "Evaluation",
    "Facts",
    "FieldDifference",
    "FileProblem",
    "Identity",
    "IntelMinimumTcb",
    "Level",
    "Mode",
    "NullEntry",
    "Policy",
    "PolicyDifference",
    "PolicyFileError",
    "RequiredEvent",
    "SevEntry",
    "SgxEntry",
    "SgxLocalEntry",
    "SnpEntry",
    "SnpMinimumTcb",
    "TdxEntry",
    "compare",
    "lint",
    "pinned_events",
    "pinning_entry",
    "policy_schema",
]
