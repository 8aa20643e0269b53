"""Appraisers for tests: built-in verifiers, the vendors' roots, the default crypto wrapper."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rats_tls import registry
from rats_tls.appraisal import Appraiser
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import TeeClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, Verifier
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.detect import detect_evidence
from rats_tls.policy import Policy
from rats_tls.verifiers.explicit_anchors import anchors_from_pem
from rats_tls.verifiers.sgx_la import SgxLocalVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.simulated import NOW, world


def verifiers_for(policy: Policy) -> dict[TeeType, Verifier]:
    """Make Verifiers of their own for what a policy names; local reports are checked by the simulated world."""
    made = registry.verifiers(policy.tee_types)
    if TeeType.SGX_LA in made:
        made[TeeType.SGX_LA] = SgxLocalVerifier(world().target_enclave())
    return made


def make_appraiser(policy: Policy, endorsements: Endorsements | None = None, **changes: Any) -> Appraiser:
    """Make an appraiser with verifiers of its own, so that nothing is remembered from another test."""
    crypto: CryptoWrapper = OpensslCryptoWrapper()
    settings: dict[str, Any] = {
        "verifiers": verifiers_for(policy),
        "anchors": VENDOR_ROOTS,
        "crypto": crypto,
        "endorsements": endorsements,
    }
    return Appraiser(policy, **{**settings, **changes})


def claims_of(data: bytes) -> TeeClaims:
    """Give the claims that Evidence shows, unverified."""
    evidence: Evidence = detect_evidence(data)
    return registry.verifier(NAMES_BY_MEDIA_TYPE[evidence.media_type].tee_type.value).decode(evidence).claims


def user_anchors(pem: bytes, now: datetime = NOW) -> tuple[TrustAnchor, ...]:
    """Read anchors as a user gives them."""
    return anchors_from_pem(pem, crypto=OpensslCryptoWrapper(), now=now)
