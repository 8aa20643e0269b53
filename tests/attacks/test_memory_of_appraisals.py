"""Remembered appraisals (rule of trust 12, attack 4.3): never another verdict than one from nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.appraisal import Appraiser
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    ExpiredError,
    FreshnessError,
    RatsTlsError,
    UnsupportedError,
)
from rats_tls.core.limits import Limits
from rats_tls.core.results import ConnectionFacts
from rats_tls.core.tls import TlsFacts
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.policy import ANY
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.judged import appraiser, judge, presented
from support.policies import null_policy
from support.ratls_variants import GOOD, make, variants
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, attester, policy_for
from support.simulated import NOW, world

EVERY_TEE = pytest.mark.parametrize("name", ALL_SIMULATED)
SECOND = timedelta(seconds=1)
ANY_AGE: dict[str, Any] = {"max_evidence_age": ANY}


def good(**changes: Any) -> tuple[bytes, Endorsements]:
    return make(replace(GOOD, **changes)), world().attester(TDX).endorsements


def two(first: Appraiser, second: Appraiser) -> tuple[Appraiser, Appraiser]:
    """Give two appraisers that share one memory, as nobody may build them."""
    second._memory = first._memory
    return first, second


# --- accepted appraisals ---------------------------------------------------------------------------------------------
class TestAppraisals:
    def test_of_another_certificate(self) -> None:
        certificate, endorsements = good()
        judging = appraiser(endorsements, policy_for(TDX, **ANY_AGE))
        assert judge(judging, certificate).verdict == "accepted"
        with pytest.raises(CertificateChainError):
            judge(judging, make(variants()["bad_self_signature"]))

    @EVERY_TEE
    def test_under_other_anchors(self, name: str) -> None:
        """Results under simulated anchors never warm a context that trusts the vendors."""
        certificate, endorsements = presented(name)
        policy = policy_for(name)
        simulated, production = two(
            appraiser(endorsements, policy), appraiser(endorsements, policy, anchors=VENDOR_ROOTS)
        )
        assert judge(simulated, certificate).anchor.kind is AnchorKind.SIMULATED  # type: ignore[union-attr]
        with pytest.raises(CertificateChainError):
            judge(production, certificate)

    def test_by_another_crypto_wrapper(self) -> None:
        certificate, endorsements = presented()
        real, null = two(appraiser(endorsements), appraiser(endorsements, crypto=NullCryptoWrapper()))
        assert judge(real, certificate).verdict == "accepted"
        with pytest.raises(UnsupportedError):
            judge(null, certificate)

    def test_with_other_endorsements(self) -> None:
        certificate, endorsements = presented()
        judging = appraiser(None)

        def with_peers(items: Endorsements) -> Any:
            return judging.appraise_certificate(
                certificate, now=NOW, possession_proved=True, preamble=True, peer_endorsements=items
            )

        assert with_peers(endorsements).verdict == "accepted"
        for item in endorsements:
            with pytest.raises(RatsTlsError):
                with_peers(Endorsements(tuple(other for other in endorsements if other is not item)))

    def test_possession_and_preamble_are_of_each_connection(self) -> None:
        certificate, endorsements = presented()
        judging = appraiser(endorsements)
        assert judge(judging, certificate).binding is Binding.CERTIFICATE
        assert judge(judging, certificate, proved=False).binding is Binding.NONE
        with pytest.raises(AppraisalError) as caught:
            judging.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=False)
        assert [mismatch.field for mismatch in caught.value.mismatches] == ["preamble"]

    def test_are_of_this_connection(self) -> None:
        certificate, endorsements = presented()
        judging = appraiser(endorsements)
        tls = TlsFacts(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", group="", hash=HashAlgorithm.SHA256)
        for wrapper in ("one", "two"):
            facts = ConnectionFacts(tls=tls, tls_wrapper=wrapper)
            result = judging.appraise_certificate(certificate, now=NOW, possession_proved=True, connection=facts)
            assert result.connection == facts

    def test_begin_with_the_judgement_and_end_with_the_earliest_expiry(self) -> None:
        certificate, endorsements = good()
        judging = appraiser(endorsements, policy_for(TDX, **ANY_AGE))
        result = judge(judging, certificate)
        assert result.valid_from is not None
        assert result.valid_until is not None
        assert judge(judging, certificate, now=result.valid_until - SECOND).valid_until == result.valid_until
        for now in (result.valid_until, result.valid_until + SECOND):
            with pytest.raises(ExpiredError):
                judge(judging, certificate, now=now)
        # The clock was put back: what was not yet in date then is asked again.
        judge(judging, certificate)
        with pytest.raises(RatsTlsError):
            judge(judging, certificate, now=result.valid_from - SECOND)

    def test_end_with_the_certificate(self) -> None:
        certificate, endorsements = good(end=NOW + SECOND * 60)
        judging = appraiser(endorsements, policy_for(TDX, **ANY_AGE))
        assert judge(judging, certificate).valid_until == NOW + SECOND * 60
        skew = SECOND * Limits().clock_skew_seconds
        with pytest.raises(FreshnessError, match="validity"):
            judge(judging, certificate, now=NOW + SECOND * 61 + skew)

    def test_end_with_the_age_of_the_evidence(self) -> None:
        certificate, endorsements = presented()
        judging = appraiser(endorsements, policy_for(SGX, max_evidence_age=100))
        judge(judging, certificate)
        assert judge(judging, certificate, now=NOW + 100 * SECOND).verdict == "accepted"
        with pytest.raises(FreshnessError):
            judge(judging, certificate, now=NOW + 101 * SECOND)

    def test_of_nobody_are_not_kept(self) -> None:
        judging = appraiser(None, null_policy(**ANY_AGE))
        assert judge(judging, make(variants()["no_evidence"])).anchor is None
        assert len(judging._memory._remembered) == 0

    def test_wait_for_nobody(self) -> None:
        """A child that was forked while a thread held the memory judges all the same."""
        certificate, endorsements = presented()
        judging = appraiser(endorsements)
        judging._memory._lock.acquire()
        assert judge(judging, certificate).verdict == "accepted"
        assert judge(judging, certificate).verdict == "accepted"
        assert len(judging._memory._remembered) == 0


def test_a_changed_list_of_amd_ends_what_was_remembered() -> None:
    certificate, endorsements = presented(SNP)
    policy = policy_for(SNP)
    revoking = [
        item
        for item in attester(SNP, revoked={SignedItem.AMD_SIGNER}).endorsements  # type: ignore[attr-defined]
        if item.kind is EndorsementKind.AMD_CRL
    ]
    others = [item for item in endorsements if item.kind is not EndorsementKind.AMD_CRL]
    before, after = two(appraiser(endorsements, policy), appraiser(Endorsements((*others, *revoking)), policy))
    assert judge(before, certificate).verdict == "accepted"
    with pytest.raises(RatsTlsError) as caught:
        judge(after, certificate)
    assert caught.value.refusal.label == "revoked"
