"""EAT Attestation Results (draft-ietf-rats-ear-03, JSON) of results and refusals.

One submodule for each TEE, labelled by its TEE type. The whole result document goes along in a claim of its own, so
that nothing is lost.
"""

from __future__ import annotations

import base64
from datetime import datetime

from rats_tls._version import __version__
from rats_tls.core.documents import Json, refusal_document, result_document
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.explanation.trustworthiness import Tier, Vector, of_refusal, of_result
from rats_tls.policy import Policy

EAR_PROFILE = "tag:ietf.org,2026:rats/ear#03"
RESULT_CLAIM = "rats_tls_result"
"""The unregistered claim (section 4.1) that holds the result document."""
UNKNOWN_TEE = "unknown"
"""Label of the submodule of a refusal that came before the type of the Evidence was known."""
_DEVELOPER = "rats-tls"


def result_ear(result: AttestationResult, policy: Policy) -> dict[str, Json]:
    """Give the EAR of a result; that of a report-only one refuses, as its verdict does.

    Args:
        result: the result.
        policy: the policy that judged.
    """
    entry = next((entry for entry in policy.entries if entry.name == result.policy_entry), None)
    tier, vector = of_result(result, entry)
    appraisal = _appraisal(tier, vector, _policy_id(result.policy_digest))
    ear = _ear(result.judged_at, f"{__version__} with {result.crypto}", result_document(result))
    if result.valid_until is not None and not result.mismatches:
        ear["exp"] = int(result.valid_until.timestamp())
    ear["submods"] = dict.fromkeys(result.submodules, appraisal)
    return ear


def refusal_ear(
    error: RatsTlsError, *, judged_at: datetime, policy: Policy, tee_type: TeeType | None = None
) -> dict[str, Json]:
    """Give the EAR of a refusal.

    Args:
        error: what an appraisal raised, or the reading of what it was given.
        judged_at: the time of the judgement.
        policy: the policy that judged.
        tee_type: type of the Evidence, where it is known and the error does not say it.
    """
    known = error.claims.tee_type if error.claims is not None else tee_type
    tier, vector = of_refusal(error)
    ear = _ear(judged_at, __version__, refusal_document(error))
    label = known.value if known is not None else UNKNOWN_TEE
    ear["submods"] = {label: _appraisal(tier, vector, _policy_id(policy.digest))}
    return ear


def _ear(judged_at: datetime, build: str, document: dict[str, Json]) -> dict[str, Json]:
    return {
        "eat_profile": EAR_PROFILE,
        "iat": int(judged_at.timestamp()),
        "ear_verifier_id": {"developer": _DEVELOPER, "build": build},
        RESULT_CLAIM: document,
    }


def _appraisal(tier: Tier, vector: Vector, policy_id: str) -> dict[str, Json]:
    return {
        "ear_status": tier.value,
        "ear_trustworthiness_vector": dict(vector),
        "ear_appraisal_policy_ids": [policy_id],
    }


def _policy_id(digest: bytes) -> str:
    """Name a policy by its digest (RFC 6920); the entry that accepted is in the result document."""
    return "ni:///sha-256;" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
