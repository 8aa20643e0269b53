"""The one table of refusals: number, label, error class, wire code, exit code.

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
    """One row.

    Attributes:
        number: stable, never reused.
        label: stable; of logs, results and metrics.
        error: name of the class in `rats_tls.core.errors` that carries it.
        wire_code: what the peer is told.
        exit_code: what the command line exits with.
    """

    number: int
    label: str
    error: str
    wire_code: WireCode
    exit_code: ExitCode


class Refusal(Enum):
    """Every reason for which this package refuses something."""

    CONFIGURATION = RefusalRow(1, "configuration", "ConfigurationError", WireCode.INTERNAL, ExitCode.USAGE)
    MALFORMED_EVIDENCE = RefusalRow(2, "malformed_evidence", "DecodeError", WireCode.APPRAISAL, ExitCode.MALFORMED)
    UNSUPPORTED_EVIDENCE = RefusalRow(
        3, "unsupported_evidence", "UnsupportedError", WireCode.APPRAISAL, ExitCode.NO_INSTANCE
    )
    NO_EVIDENCE = RefusalRow(4, "no_evidence", "NoEvidenceError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    EVIDENCE_SIGNATURE = RefusalRow(
        5, "evidence_signature", "SignatureError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC
    )
    KEY_BINDING = RefusalRow(6, "key_binding", "BindingError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    CERTIFICATE_CHAIN = RefusalRow(
        7, "certificate_chain", "CertificateChainError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC
    )
    REVOKED = RefusalRow(8, "revoked", "RevokedError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    FRESHNESS = RefusalRow(9, "freshness", "FreshnessError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)
    ENDORSEMENTS_MISSING = RefusalRow(
        10, "endorsements_missing", "EndorsementMissingError", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS
    )
    ENDORSEMENTS_EXPIRED = RefusalRow(
        11, "endorsements_expired", "ExpiredError", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS
    )
    CERTIFICATE_NOT_IN_DATE = RefusalRow(
        12, "certificate_not_in_date", "ExpiredError", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS
    )
    TCB_NO_LEVEL = RefusalRow(13, "tcb_no_level", "TcbLevelError", WireCode.APPRAISAL, ExitCode.POLICY)
    POLICY = RefusalRow(14, "policy", "AppraisalError", WireCode.APPRAISAL, ExitCode.POLICY)
    VERIFIER_FAILED = RefusalRow(15, "verifier_failed", "InternalError", WireCode.APPRAISAL, ExitCode.INTERNAL)
    NO_INSTANCE = RefusalRow(16, "no_instance", "NoInstanceError", WireCode.INTERNAL, ExitCode.NO_INSTANCE)
    COLLECTION = RefusalRow(17, "collection", "CollectionError", WireCode.INTERNAL, ExitCode.NO_INSTANCE)
    TLS = RefusalRow(18, "tls", "TlsError", WireCode.INTERNAL, ExitCode.CONNECTION)
    CONNECTION = RefusalRow(19, "connection", "ConnectionFailedError", WireCode.INTERNAL, ExitCode.CONNECTION)
    TIMEOUT = RefusalRow(20, "timeout", "HandshakeTimeoutError", WireCode.TIMEOUT, ExitCode.CONNECTION)
    PROTOCOL_VERSION = RefusalRow(21, "protocol_version", "ProtocolError", WireCode.VERSION, ExitCode.CONNECTION)
    PROTOCOL_PROFILE = RefusalRow(22, "protocol_profile", "ProtocolError", WireCode.PROFILE, ExitCode.CONNECTION)
    PROTOCOL_BINDING = RefusalRow(23, "protocol_binding", "ProtocolError", WireCode.BINDING, ExitCode.CONNECTION)
    PROTOCOL_ATTESTS_FIRST = RefusalRow(
        24, "protocol_attests_first", "ProtocolError", WireCode.ATTESTS_FIRST, ExitCode.CONNECTION
    )
    PROTOCOL_MALFORMED = RefusalRow(25, "protocol_malformed", "ProtocolError", WireCode.MALFORMED, ExitCode.CONNECTION)
    PREAMBLE_REQUIRED = RefusalRow(26, "preamble_required", "ProtocolError", WireCode.VERSION, ExitCode.CONNECTION)
    EARLY_DATA = RefusalRow(27, "early_data", "ProtocolError", WireCode.MALFORMED, ExitCode.CONNECTION)
    CLOSED_BEFORE_ACCEPTED = RefusalRow(
        28, "closed_before_accepted", "PeerRefusedError", WireCode.INTERNAL, ExitCode.REFUSED_BY_PEER
    )
    REFUSED_BY_PEER = RefusalRow(29, "refused_by_peer", "PeerRefusedError", WireCode.INTERNAL, ExitCode.REFUSED_BY_PEER)
    BUSY = RefusalRow(30, "busy", "ProtocolError", WireCode.BUSY, ExitCode.CONNECTION)
    INTERNAL = RefusalRow(31, "internal", "InternalError", WireCode.INTERNAL, ExitCode.INTERNAL)
    NOT_CONFIRMED = RefusalRow(32, "not_confirmed", "NotConfirmedError", WireCode.APPRAISAL, ExitCode.POLICY)
    ENDORSEMENTS_ROLLED_BACK = RefusalRow(
        33, "endorsements_rolled_back", "RolledBackError", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS
    )
    CLOCK_BEHIND = RefusalRow(34, "clock_behind", "ClockError", WireCode.APPRAISAL, ExitCode.ENDORSEMENTS)
    EVENT_LOG = RefusalRow(35, "event_log", "EventLogError", WireCode.APPRAISAL, ExitCode.NOT_AUTHENTIC)

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
