"""The Verifier for peers without Evidence. It verifies nothing; only a policy entry that names `null` accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.verification import DecodedEvidence, Verification


class NullVerifier:
    """Gives `NullClaims` for a peer without Evidence and refuses all Evidence."""

    name = TeeType.NULL.value
    tee_type = TeeType.NULL

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Refuse: there is no Evidence of type `null`.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"verifier null: got Evidence {evidence.media_type}, expected none")

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,  # noqa: ARG002  # the Protocol's argument
        *,
        anchors: Sequence[TrustAnchor],  # noqa: ARG002  # the Protocol's argument
        crypto: CryptoWrapper,  # noqa: ARG002  # the Protocol's argument
        now: datetime,  # noqa: ARG002  # the Protocol's argument
    ) -> Verification:
        """Give no claims, and the check that says so.

        Raises:
            TypeError: `decoded` is of real Evidence.
        """
        if not isinstance(decoded.claims, NullClaims):
            raise TypeError("verifier null: got Evidence, expected none")
        check = Check(
            id="null.evidence",
            stage=Stage.DECODE,
            source="Appraisal Policy, entry for `null`",
            verdict=Verdict.NOT_CHECKED,
            expected="nothing",
            note="the peer sent no Evidence; nothing about it is proved",
        )
        return Verification(claims=NullClaims(), checks=(check,))
