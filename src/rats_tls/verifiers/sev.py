"""The Verifier of SEV and SEV-ES guests: reports of AMD's firmware before SEV-SNP."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import SevClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.amd.sev_report import SevEvidence
from rats_tls.verifiers.amd_endorsements import Judge, Memory
from rats_tls.verifiers.amd_sev_run import SevRun, claims_of
from rats_tls.verifiers.check_log import Stop
from rats_tls.verifiers.known_keys import trust_in


class SevVerifier:
    """Verifies reports of SEV and SEV-ES guests; what it remembers belongs to the instance (`Memory`)."""

    name = TeeType.SEV.value
    tee_type = TeeType.SEV

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._memory = Memory(limits)

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode report and certificates. There is no report_data: nothing in a report is the guest's.

        Raises:
            DecodeError: malformed.
            UnsupportedError: other Evidence, or an algorithm, curve or key size that is not known.
        """
        names = NAMES_BY_TEE[self.tee_type]
        if evidence.media_type != names.media_type:
            raise UnsupportedError(f"verifier {self.name}: got {evidence.media_type}, expected {names.media_type}")
        decoded = SevEvidence.from_bytes(evidence.data)
        return DecodedEvidence(claims=claims_of(decoded), report_data=None, structure=decoded)

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        """Verify decoded Evidence. Problems are returned, not raised.

        Args:
            decoded: what `decode` gave.
            endorsements: those at hand, of any platforms.
            anchors: trust anchors of any vendors.
            crypto: crypto wrapper.
            now: time of judgement, with a time zone; nothing here has dates.

        Raises:
            TypeError: `decoded` is not of such a report.
        """
        if not isinstance(decoded.structure, SevEvidence) or not isinstance(decoded.claims, SevClaims):
            raise TypeError(f"verifier {self.name}: not a decoded report")
        given = tuple(anchors)
        run = SevRun(
            evidence=decoded.structure,
            claims=decoded.claims,
            judge=Judge(anchors=given, crypto=crypto, now=now, trust=trust_in(given, crypto), memory=self._memory),
            endorsements=endorsements,
        )
        with contextlib.suppress(Stop):  # noted in the log
            run.verify()
        return run.verification()
