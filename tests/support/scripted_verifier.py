"""A Verifier that says what a test wants it to say, and certificates whose Evidence it judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rats_tls.appraisal import Appraiser
from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.binding import certificate_report_data
from rats_tls.core.checks import Check, Stage
from rats_tls.core.claims import TeeClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements, MissingEndorsement
from rats_tls.core.errors import EndorsementMissingError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.verification import DecodedEvidence, EndorsementUse, Problem, Verification
from rats_tls.policy import Policy
from support.channels import CRYPTO, key
from support.claims import SGX
from support.policies import default_policy
from support.simulated import NOW, REPORT_DATA

CHECK = Check(id="scripted.signature", stage=Stage.EVIDENCE_SIGNATURE, source="a test")
USE = EndorsementUse(
    kind=EndorsementKind.INTEL_TCB_INFO,
    sha256=bytes(32),
    origin="local",
    issued=NOW - timedelta(days=1),
    expires=NOW + timedelta(days=10),
    description="scripted",
)


def no_call(*_: object) -> None:
    """Do nothing."""


@dataclass
class ScriptedVerifier:
    """Decodes any bytes to fixed claims and gives a fixed verification; counts its calls."""

    claims: TeeClaims = SGX
    report_data: bytes = REPORT_DATA
    problems: tuple[Problem, ...] = ()
    not_covered: int = 0
    used: tuple[EndorsementUse, ...] = (USE,)
    anchor: TrustAnchor | None = None
    valid_until: datetime | None = NOW + timedelta(days=10)
    in_decode: Callable[[Evidence], object] = no_call
    in_verify: Callable[[DecodedEvidence], object] = no_call
    name: str = "scripted"
    calls: list[str] = field(default_factory=list)
    given: list[Endorsements] = field(default_factory=list)

    @property
    def tee_type(self) -> TeeType:
        return self.claims.tee_type

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        self.calls.append("decode")
        self.in_decode(evidence)
        return DecodedEvidence(
            claims=self.claims, report_data=self.report_data, structure=None, not_covered=self.not_covered
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
        self.calls.append("verify")
        self.given.append(endorsements)
        self.in_verify(decoded)
        return Verification(
            claims=self.claims,
            checks=(CHECK,),
            problems=self.problems,
            anchor=self.anchor,
            endorsements_used=self.used,
            valid_until=self.valid_until,
        )


def problem(stage: Stage, error: RatsTlsError, *, waived: bool = False) -> Problem:
    """Something that is there and wrong."""
    return Problem(stage=stage, error=error, waived_by_revocation=waived)


def missing(kind: EndorsementKind, stage: Stage = Stage.TCB, *, waived: bool = False) -> Problem:
    """Something that is not there."""
    what = MissingEndorsement(kind=kind, key=(("fmspc", "00"),))
    error = EndorsementMissingError(f"{kind.value} is missing", missing=(what,))
    return Problem(stage=stage, error=error, missing=what, waived_by_revocation=waived)


def appraiser(verifier: ScriptedVerifier, policy: Policy | None = None, **settings: Any) -> Appraiser:
    """An Appraiser that knows the one Verifier, with a policy that pins its claims."""
    common: dict[str, Any] = {"verifiers": {verifier.tee_type: verifier}, "anchors": (), "crypto": CRYPTO}
    return Appraiser(policy or default_policy(verifier.claims), **{**common, **settings})


def evidence(data: bytes = b"\3\0\2\0 evidence") -> Evidence:
    """Evidence of SGX, for the certificate format too."""
    return Evidence.of(TeeType.SGX_ECDSA, data)


def certificate(*, issued_at: datetime | None = NOW, custom: dict[str, bytes] | None = None) -> tuple[bytes, bytes]:
    """Make a certificate with Evidence. Returns DER, and the report_data that binds it."""
    own = key(KeyAlgorithm.EC_P256)
    buffer = make_claims_buffer(own.public_key.spki, CRYPTO, issued_at=issued_at, custom_claims=custom)
    made = make_certificate(own, evidence(), buffer, CRYPTO, now=NOW, lifetime_seconds=86_400 * 30)
    return made.der, certificate_report_data(buffer)
