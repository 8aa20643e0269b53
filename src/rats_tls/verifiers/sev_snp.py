"""The Verifier of SEV-SNP attestation reports, versions 2 to 5, signed by a VCEK or VLEK."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import SnpClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.verifiers.amd_endorsements import Judge, Memory, Pool
from rats_tls.verifiers.amd_report import claims_of
from rats_tls.verifiers.amd_run import SnpRun
from rats_tls.verifiers.check_log import Stop
from rats_tls.verifiers.known_keys import LastTrust


class SevSnpVerifier:
    """Verifies SEV-SNP attestation reports; what it remembers belongs to the instance (`Memory`)."""

    name = TeeType.SEV_SNP.value
    tee_type = TeeType.SEV_SNP

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._memory = Memory(limits)
        self._trust_in = LastTrust()
        self._last: tuple[Endorsements, Pool] | None = None

    def _pool_of(self, endorsements: Endorsements) -> Pool:
        """Give the readable Endorsements among `endorsements`; read anew where they are not the very ones of before."""
        last = self._last
        if last is None or last[0] is not endorsements:
            last = self._last = (endorsements, Pool.read(endorsements, self._memory))
        return last[1]

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode a report. TCB values are decoded when it names its product (version 3 and later).

        Raises:
            DecodeError: malformed.
            UnsupportedError: other Evidence, or a version or signature algorithm that is not judged.
        """
        names = NAMES_BY_TEE[self.tee_type]
        if evidence.media_type != names.media_type:
            raise UnsupportedError(f"verifier {self.name}: got {evidence.media_type}, expected {names.media_type}")
        if len(evidence.data) > self._limits.evidence:
            problem = f"{len(evidence.data)} bytes, at most {self._limits.evidence} are read"
            raise DecodeError("AttestationReport", "", 0, problem)
        report = AttestationReport.from_bytes(evidence.data)
        return DecodedEvidence(
            claims=claims_of(report), report_data=report.report_data, structure=report, not_covered=report.trailing
        )

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        """Verify a decoded report. Problems are returned, not raised.

        Args:
            decoded: what `decode` gave.
            endorsements: those at hand, of any platforms.
            anchors: trust anchors of any vendors.
            crypto: crypto wrapper.
            now: time of judgement, with a time zone.

        Raises:
            TypeError: `decoded` is not of a report.
        """
        if not isinstance(decoded.structure, AttestationReport) or not isinstance(decoded.claims, SnpClaims):
            raise TypeError(f"verifier {self.name}: not a decoded report")
        given = tuple(anchors)
        judge = Judge(
            anchors=given,
            crypto=crypto,
            now=now,
            trust=self._trust_in(given, crypto),
            memory=self._memory,
        )
        run = SnpRun(
            report=decoded.structure,
            claims=decoded.claims,
            judge=judge,
            pool=self._pool_of(endorsements),
            floors=endorsements.floors,
        )
        with contextlib.suppress(Stop):  # noted in the log
            run.verify()
        return run.verification()
