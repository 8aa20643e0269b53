"""What a result says besides its claims."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.errors import DecodeError
from rats_tls.policy import ANY
from support.judged import appraise, appraiser, collected
from support.ratls_variants import make, variants
from support.sides import SGX, TDX, context, policy_for
from support.simulated import NOW, world


@pytest.mark.parametrize(("preamble", "profile"), [(True, "rats-tls/1"), (False, "interoperable-ra-tls"), (None, None)])
def test_profile_is_what_the_peer_speaks(preamble: bool | None, profile: str | None) -> None:
    policy = policy_for(TDX, max_evidence_age=ANY, preamble="optional")
    judging = appraiser(world().attester(TDX).endorsements, policy)
    certificate = make(variants()["good"])
    result = judging.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=preamble)
    assert result.profile == profile


def test_a_result_reads_as_one_line() -> None:
    evidence, endorsements = collected(SGX)
    text = str(appraise(evidence, endorsements, policy_for(SGX)))
    assert text.startswith("sgx_ecdsa accepted by entry 'pinned', TCB UpToDate, bound by report-data, anchor Simulated")
    assert "(simulated), until 2026-" in text


def test_bare_evidence_has_no_profile() -> None:
    evidence, endorsements = collected(SGX)
    assert appraise(evidence, endorsements, policy_for(SGX)).profile is None


@pytest.mark.parametrize(("age", "seconds"), [(600, 600), (ANY, None)])
def test_valid_until_ends_with_the_evidences_age(age: object, seconds: int | None) -> None:
    certificate = context(SGX)._credentials.current().certificate
    assert certificate is not None
    judging = appraiser(world().attester(SGX).endorsements, policy_for(SGX, max_evidence_age=age))
    result = judging.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=True)
    assert result.valid_until is not None
    if seconds is not None:
        assert result.valid_until == NOW + timedelta(seconds=seconds)
    else:
        assert result.valid_until > NOW + timedelta(seconds=3600)


def test_a_malformed_certificate_is_a_failed_check() -> None:
    with pytest.raises(DecodeError) as caught:
        appraiser(world().attester(SGX).endorsements, policy_for(SGX)).appraise_certificate(
            b"0\x82 no certificate", now=NOW, possession_proved=True
        )
    assert [(check.stage, check.verdict) for check in caught.value.checks] == [(Stage.DECODE, Verdict.FAILED)]
