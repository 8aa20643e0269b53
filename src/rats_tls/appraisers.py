"""Makes the one who judges, with the instances and anchors that are used when none are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rats_tls import registry
from rats_tls.appraisal import Appraiser
from rats_tls.combinations import Needs, require_combination
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import CryptoWrapper, Verifier
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.policy import Policy
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS


def make_appraiser(
    policy: Policy,
    *,
    verifiers: Mapping[TeeType, Verifier] | None = None,
    crypto: CryptoWrapper | str = "openssl",
    trust_anchors: Sequence[TrustAnchor] = (),
    vendor_roots: bool = True,
    endorsements: Endorsements | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Appraiser:
    """Make an Appraiser, to judge certificates and Evidence outside a connection too.

    Args:
        policy: the Appraisal Policy.
        verifiers: by TEE type; the built-in ones that the policy names by default.
        crypto: crypto wrapper, instance or name.
        trust_anchors: anchors to use beside the vendors' pinned roots.
        vendor_roots: whether the vendors' pinned roots are anchors too.
        endorsements: local Endorsements.
        limits: sizes and counts.

    Raises:
        ConfigurationError: the policy names a TEE type without a Verifier; something else than TrustAnchors; a crypto
            wrapper that verifies nothing, where something is to be verified.
        NoInstanceError: a named instance that is not there.
    """
    if not all(isinstance(anchor, TrustAnchor) for anchor in trust_anchors):
        raise ConfigurationError("trust_anchors: expected TrustAnchors; load_trust_anchors reads them from files")
    crypto = registry.crypto_wrapper(crypto) if isinstance(crypto, str) else crypto
    if policy.tee_types - {TeeType.NULL}:
        require_combination(Needs(judges=True), registry.tls_wrapper("null"), crypto)  # whatever TLS is used, if any
    return Appraiser(
        policy,
        verifiers=registry.verifiers(policy.tee_types) if verifiers is None else verifiers,
        anchors=(*(VENDOR_ROOTS if vendor_roots else ()), *trust_anchors),
        crypto=crypto,
        endorsements=endorsements,
        limits=limits,
    )
