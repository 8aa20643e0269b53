"""From Evidence to what a Verifier says of it: who may judge it, and that a Verifier's defects are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rats_tls.appraisal_checks import policy_error
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Mismatch
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, InternalError, NoEvidenceError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import EVENT_LOG_TEE_TYPES, NAMES_BY_MEDIA_TYPE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, Verifier
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.policy import Policy


def tee_type_of(evidence: Evidence | None) -> TeeType:
    """Give the TEE type of Evidence, `null` of none. Raises UnsupportedError."""
    if evidence is None:
        return TeeType.NULL
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
    if names is None:
        raise UnsupportedError(f"Evidence media type {evidence.media_type!r} is not known")
    return names.tee_type


def choose_verifier(
    policy: Policy, verifiers: Mapping[TeeType, Verifier], tee_type: TeeType, evidence: Evidence | None
) -> Verifier:
    """Choose the Verifier by the type of the Evidence, among those that the policy names. Never replaced.

    Raises:
        NoEvidenceError: no Evidence, and the policy names no `null` entry.
        AppraisalError: of one that the policy does not name.
    """
    if evidence is None and TeeType.NULL not in policy.tee_types:
        raise NoEvidenceError("peer certificate carries no Evidence: got none, expected an Evidence extension")
    if tee_type not in policy.tee_types:
        named = " or ".join(sorted(str(tee) for tee in policy.tee_types))
        mismatch = Mismatch(entry="policy", field="tee", got=str(tee_type), expected=named)
        raise policy_error((mismatch,), authenticated=False)
    return verifiers[tee_type]


def verify_with(
    verifier: Verifier,
    evidence: Evidence | None,
    endorsements: Endorsements,
    *,
    anchors: Sequence[TrustAnchor],
    crypto: CryptoWrapper,
    now: datetime,
    limits: Limits,
) -> tuple[DecodedEvidence | None, Verification]:
    """Decode and verify Evidence.

    Raises:
        DecodeError: malformed, or too large.
        UnsupportedError: a form that `verifier` does not judge, or an event log beside Evidence without registers.
        InternalError: it failed in a way of its own.
    """
    if evidence is not None and len(evidence.data) > limits.evidence:
        raise DecodeError("Evidence", "", None, f"got {len(evidence.data)} bytes, at most {limits.evidence} are read")
    if evidence is not None and evidence.event_log and verifier.tee_type not in EVENT_LOG_TEE_TYPES:
        raise UnsupportedError(f"event log: Evidence of type {verifier.tee_type} has no register that one replays to")
    decoded = _decode(verifier, evidence)
    try:
        verification = verifier.verify(decoded, endorsements, anchors=anchors, crypto=crypto, now=now)
    except RatsTlsError:
        raise
    except Exception as error:
        if interrupts(error):
            raise
        raise InternalError(
            f"Verifier {verifier.name} failed: {type(error).__name__}: {error}", refusal=Refusal.VERIFIER_FAILED
        ) from error
    return (decoded if evidence is not None else None), verification


def _decode(verifier: Verifier, evidence: Evidence | None) -> DecodedEvidence:
    if evidence is None:
        return DecodedEvidence(claims=NullClaims(), report_data=b"", structure=None)
    try:
        return verifier.decode(evidence)
    except RatsTlsError:
        raise
    except Exception as error:
        if interrupts(error):
            raise
        raise InternalError(
            f"Verifier {verifier.name} failed to decode: {type(error).__name__}: {error}",
            refusal=Refusal.VERIFIER_FAILED,
        ) from error
