"""The Verifier of Hygon CSV attestation reports, versions 1 to 3."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.event_log.reading import EventLog, read_event_log
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.report import AttestationReport
from rats_tls.verifiers.check_log import Stop
from rats_tls.verifiers.csv_run import CsvRun
from rats_tls.verifiers.hygon_endorsements import Judge, Memory
from rats_tls.verifiers.known_keys import trust_in

_UNPROVED = (
    "in a report of version 1 nothing signs the mask (anonce), under which every word stands: without a comparison of "
    "user_data no word, the policy among them, is known to be what the chip signed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedCsv:
    """Decoded Evidence, and the event log beside it or None."""

    evidence: CsvEvidence
    event_log: EventLog | None


class CsvVerifier:
    """Verifies CSV attestation reports; what it remembers belongs to the instance (`Memory`)."""

    name = TeeType.CSV.value
    tee_type = TeeType.CSV

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._memory = Memory(limits)

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode a report, with the certificates of its chip or without.

        Raises:
            DecodeError: malformed.
            UnsupportedError: other Evidence.
        """
        names = NAMES_BY_TEE[self.tee_type]
        if evidence.media_type != names.media_type:
            raise UnsupportedError(f"verifier {self.name}: got {evidence.media_type}, expected {names.media_type}")
        if len(evidence.data) > self._limits.evidence:
            problem = f"{len(evidence.data)} bytes, at most {self._limits.evidence} are read"
            raise DecodeError("CsvEvidence", "", 0, problem)
        decoded = CsvEvidence.from_bytes(evidence.data)
        report = decoded.report
        event_log = read_event_log(evidence.event_log, limits=self._limits) if evidence.event_log else None
        return DecodedEvidence(
            claims=claims_of(report),
            report_data=report.user_data,
            structure=DecodedCsv(evidence=decoded, event_log=event_log),
            unproved_unbound=_UNPROVED if report.version == 1 else "",
        )

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,  # noqa: ARG002  # Hygon's certificates have no dates
    ) -> Verification:
        """Verify a decoded report. Problems are returned, not raised.

        Args:
            decoded: what `decode` gave.
            endorsements: those at hand, of any platforms.
            anchors: trust anchors of any vendors.
            crypto: crypto wrapper.
            now: time of judgement, with a time zone; nothing here has dates.

        Raises:
            TypeError: `decoded` is not of a report.
        """
        if not isinstance(decoded.structure, DecodedCsv) or not isinstance(decoded.claims, CsvClaims):
            raise TypeError(f"verifier {self.name}: not a decoded report")
        given = tuple(anchors)
        run = CsvRun(
            evidence=decoded.structure.evidence,
            event_log=decoded.structure.event_log,
            claims=decoded.claims,
            judge=Judge(anchors=given, crypto=crypto, trust=trust_in(given, crypto), memory=self._memory),
            endorsements=endorsements,
        )
        with contextlib.suppress(Stop):  # noted in the log
            run.verify()
        return run.verification()


def claims_of(report: AttestationReport) -> CsvClaims:
    """Give what a report says."""
    return CsvClaims(
        report_version=report.version,
        user_pubkey_digest=report.user_pubkey_digest,
        vm_id=report.vm_id,
        vm_version=report.vm_version,
        report_data=report.user_data,
        mnonce=report.mnonce,
        measurement=report.measure,
        policy=report.policy,
        unsigned_chip_id=report.chip_id,
        build=report.build,
        rtmr_version=report.rtmr_version,
        rtmrs=report.rtmrs,
        host_data=report.host_data,
    )
