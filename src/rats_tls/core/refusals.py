"""The one table of refusals: number, label, wire code, exit code.

Append-only: numbers and labels are cited by logs, metrics and results, and are never reused.
The error classes that carry them are in `rats_tls.core.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class WireCode(IntEnum):
    """What a peer is told in a *refused* message.

    Every judgement about Evidence shares `APPRAISAL`: the reason stays local, so that a peer learns nothing
    about the policy. The others only tell that the two sides disagree about the protocol.
    """

    APPRAISAL = 1
    VERSION = 2
    PROFILE = 3
    BINDING = 4
    ATTESTS_FIRST = 5
    MALFORMED = 6
    TIMEOUT = 7
    BUSY = 8
    INTERNAL = 9


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    USAGE = 1
    MALFORMED = 2
    NOT_AUTHENTIC = 3
    ENDORSEMENTS = 4
    POLICY = 5
    NO_INSTANCE = 6
    CONNECTION = 7
    REFUSED_BY_PEER = 8
    INTERNAL = 70


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One row: `number` and `label` are stable; `label` is also the metric label."""

    number: int
    label: str
    wire_code: WireCode
    exit_code: ExitCode


class Refusal(Enum):
    """Every reason for which this package refuses something."""

    CONFIGURATION = RefusalRow(1, "configuration", WireCode.INTERNAL, ExitCode.USAGE)
    MALFORMED_EVIDENCE = RefusalRow(2, "malformed_evidence", WireCode.APPRAISAL, ExitCode.MALFORMED)
    UNSUPPORTED_EVIDENCE = RefusalRow(3, "unsupported_evidence", WireCode.APPRAISAL, ExitCode.NO_INSTANCE)
    NO_EVIDENCE = RefusalRow(4, "no_evidence", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    EVIDENCE_SIGNATURE = RefusalRow(5, "evidence_signature", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    KEY_BINDING = RefusalRow(6, "key_binding", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    CERTIFICATE_CHAIN = RefusalRow(7, "certificate_chain", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    REVOKED = RefusalRow(8, "revoked", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    FRESHNESS = RefusalRow(9, "freshness", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    ENDORSEMENTS_MISSING = RefusalRow(10, "endorsements_missing", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS)
    ENDORSEMENTS_EXPIRED = RefusalRow(11, "endorsements_expired", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS)
    CERTIFICATE_NOT_IN_DATE = RefusalRow(12, "certificate_not_in_date", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS)
    TCB_NO_LEVEL = RefusalRow(13, "tcb_no_level", WireCode.APPRAISAL, ExitCode.POLICY)
    POLICY = RefusalRow(14, "policy", WireCode.APPRAISAL, ExitCode.POLICY)
    VERIFIER_FAILED = RefusalRow(15, "verifier_failed", WireCode.APPRAISAL, ExitCode.INTERNAL)
    NO_INSTANCE = RefusalRow(16, "no_instance", WireCode.INTERNAL, ExitCode.NO_INSTANCE)
    COLLECTION = RefusalRow(17, "collection", WireCode.INTERNAL, ExitCode.NO_INSTANCE)
    TLS = RefusalRow(18, "tls", WireCode.INTERNAL, ExitCode.CONNECTION)
    CONNECTION = RefusalRow(19, "connection", WireCode.INTERNAL, ExitCode.CONNECTION)
    TIMEOUT = RefusalRow(20, "timeout", WireCode.TIMEOUT, ExitCode.CONNECTION)
    PROTOCOL_VERSION = RefusalRow(21, "protocol_version", WireCode.VERSION, ExitCode.CONNECTION)
    PROTOCOL_PROFILE = RefusalRow(22, "protocol_profile", WireCode.PROFILE, ExitCode.CONNECTION)
    PROTOCOL_BINDING = RefusalRow(23, "protocol_binding", WireCode.BINDING, ExitCode.CONNECTION)
    PROTOCOL_ATTESTS_FIRST = RefusalRow(24, "protocol_attests_first", WireCode.ATTESTS_FIRST, ExitCode.CONNECTION)
    PROTOCOL_MALFORMED = RefusalRow(25, "protocol_malformed", WireCode.MALFORMED, ExitCode.CONNECTION)
    PREAMBLE_REQUIRED = RefusalRow(26, "preamble_required", WireCode.VERSION, ExitCode.CONNECTION)
    EARLY_DATA = RefusalRow(27, "early_data", WireCode.MALFORMED, ExitCode.CONNECTION)
    CLOSED_BEFORE_ACCEPTED = RefusalRow(28, "closed_before_accepted", WireCode.INTERNAL, ExitCode.REFUSED_BY_PEER)
    REFUSED_BY_PEER = RefusalRow(29, "refused_by_peer", WireCode.INTERNAL, ExitCode.REFUSED_BY_PEER)
    BUSY = RefusalRow(30, "busy", WireCode.BUSY, ExitCode.CONNECTION)
    INTERNAL = RefusalRow(31, "internal", WireCode.INTERNAL, ExitCode.INTERNAL)

    @property
    def label(self) -> str:
        """Stable label for logs, metrics and results."""
        return self.value.label

    @property
    def wire_code(self) -> WireCode:
        """What the peer is told."""
        return self.value.wire_code

    @property
    def exit_code(self) -> ExitCode:
        """What the command line exits with."""
        return self.value.exit_code
