"""The checks that a refusal carries: the one that failed is there once, at its own stage."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import RatsTlsError
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of, make_appraiser
from support.judged import appraise, appraiser, collected, judge, presented
from support.policies import default_policy
from support.sides import SGX, SNP, TDX, policy_for
from support.simulated import NOW, REPORT_DATA, world


def failed_checks(
    name: str, settings: dict[str, Any], *, vendor_roots: bool = False, report_data: bytes | None = None
) -> list[tuple[str, Stage]]:
    """Appraise simulated evidence in that state; give the failed checks of the refusal."""
    error = refused(name, settings, vendor_roots=vendor_roots, report_data=report_data)
    return [(check.id, check.stage) for check in error.checks if check.verdict is Verdict.FAILED]


def refusal(name: str, settings: dict[str, Any]) -> str:
    """Appraise simulated evidence in that state; give the label of the refusal."""
    return refused(name, settings).refusal.label


def refused(
    name: str, settings: dict[str, Any], *, vendor_roots: bool = False, report_data: bytes | None = None
) -> RatsTlsError:
    """Appraise simulated evidence in that state; give the error."""
    collected = world().attester(name, **settings).collect(REPORT_DATA)
    appraiser = make_appraiser(
        default_policy(claims_of(collected.evidence.data)),
        Endorsements(collected.endorsements),
        anchors=VENDOR_ROOTS if vendor_roots else world().trust_anchors,
    )
    with pytest.raises(RatsTlsError) as caught:
        appraiser.appraise_evidence(collected.evidence, now=NOW, expected_report_data=report_data)
    return caught.value


@pytest.mark.parametrize("name", [SGX, TDX])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"forged": {SignedItem.INTEL_TCB_INFO}}, ("intel.tcb_info_signature", Stage.VENDOR_CHAIN)),
        ({"forged": {SignedItem.INTEL_PCK_CRL}}, ("intel.pck_crl", Stage.REVOCATION)),
        ({"expired": {SignedItem.INTEL_QE_IDENTITY}}, ("intel.qe_identity_dates", Stage.TCB)),
    ],
    ids=repr,
)
def test_intels_verifiers(name: str, settings: dict[str, Any], expected: tuple[str, Stage]) -> None:
    assert failed_checks(name, settings) == [expected]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"forged": {SignedItem.AMD_SIGNER}}, ("amd.signer", Stage.VENDOR_CHAIN)),
        ({"forged": {SignedItem.AMD_VEK}}, ("amd.vek_chain", Stage.VENDOR_CHAIN)),
        ({"chip_id": b"c" * 64}, ("snp.vek_identity", Stage.VENDOR_CHAIN)),
        ({"mask_chip_key": True}, ("snp.signing_key", Stage.EVIDENCE_SIGNATURE)),
    ],
    ids=repr,
)
def test_amds_verifier(settings: dict[str, Any], expected: tuple[str, Stage]) -> None:
    assert failed_checks(SNP, settings) == [expected]


@pytest.mark.parametrize(
    ("name", "expected"), [(SGX, "intel.pck_chain"), (TDX, "intel.pck_chain"), (SNP, "amd.signer")]
)
def test_foreign_anchors(name: str, expected: str) -> None:
    assert failed_checks(name, {}, vendor_roots=True) == [(expected, Stage.VENDOR_CHAIN)]


def test_what_the_appraisal_itself_finds() -> None:
    assert failed_checks(SGX, {}, report_data=bytes(64)) == [("binding", Stage.KEY_BINDING)]
    assert failed_checks(SGX, {"debug": True}) == [("policy", Stage.POLICY)]


def test_a_stale_list_beside_what_the_appraisal_finds() -> None:
    """A list that is out of date may be waived, so the Verifier goes on; the failure reported comes from elsewhere."""
    settings = {"expired": {SignedItem.INTEL_PCK_CRL}}
    assert failed_checks(SGX, settings, report_data=bytes(64)) == [
        ("intel.pck_crl", Stage.REVOCATION),
        ("binding", Stage.KEY_BINDING),
    ]


def test_missing_endorsements_are_not_failed_checks() -> None:
    assert failed_checks(SGX, {"missing": {EndorsementKind.INTEL_TCB_INFO}}) == []


@pytest.mark.parametrize(
    ("name", "item"),
    [
        (SGX, SignedItem.INTEL_TCB_INFO),
        (TDX, SignedItem.INTEL_QE_IDENTITY),
        (TDX, SignedItem.INTEL_PCK_CRL),
        (SNP, SignedItem.AMD_SIGNER),
    ],
)
def test_each_refusal_has_its_own_checks(name: str, item: SignedItem) -> None:
    """What a Verifier remembers of bad Endorsements serves many appraisals; what one of them saw is not shown again."""
    attester = world().attester(name, forged={item})
    first = attester.collect(REPORT_DATA)
    appraiser = make_appraiser(
        default_policy(claims_of(first.evidence.data)),
        Endorsements(first.endorsements),
        anchors=world().trust_anchors,
    )
    errors = []
    for report_data in (REPORT_DATA, REPORT_DATA[::-1]):
        evidence = attester.collect(report_data).evidence
        with pytest.raises(RatsTlsError) as caught:
            appraiser.appraise_evidence(evidence, now=NOW, expected_report_data=report_data)
        errors.append(caught.value)
        (binding,) = (check for check in caught.value.checks if check.id == "binding.report_data")
        assert (binding.got or "").startswith(report_data.hex()[:16])
    assert errors[0] is not errors[1]
    assert errors[0].message == errors[1].message


@pytest.mark.parametrize("name", [SGX, TDX])
def test_what_comes_first_is_reported_whatever_was_found_first(name: str) -> None:
    """A quoting enclave below every level is of stage TCB; a revoked certificate comes before it, a chain first."""
    below = {"qe_status": None}
    assert failed_checks(name, below) == [("intel.qe_tcb_level", Stage.TCB)]
    revoked = {**below, "revoked": {SignedItem.INTEL_PCK}}
    assert refusal(name, revoked) == "revoked"
    both = {"revoked": {SignedItem.INTEL_TCB_SIGNING}, "forged": {SignedItem.INTEL_QE_IDENTITY}}
    assert refusal(name, both) == "certificate_chain"
    assert refusal(name, {"revoked": {SignedItem.INTEL_TCB_SIGNING}}) == "revoked"


@pytest.mark.parametrize("name", [SGX, TDX, SNP])
def test_every_check_says_what_it_expects_and_what_it_got(name: str) -> None:
    evidence, endorsements = collected(name)
    bare = appraise(evidence, endorsements, policy_for(name))
    certificate, endorsements = presented(name)
    whole = judge(appraiser(endorsements, policy_for(name)), certificate)
    for result in (bare, whole):
        assert [check.id for check in result.checks if not check.source or not check.expected] == []
        assert [check.id for check in result.checks if check.verdict is Verdict.PASSED and not check.got] == []
        assert [check.id for check in result.not_checked if not check.note] == []
    assert whole.not_checked == ()
    error = refused(name, {"debug": True})
    assert [check.id for check in error.checks if not check.source or not check.expected] == []
