"""What the manifest asserts of real SGX and TDX evidence, through the whole appraisal."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.claims import SgxClaims, TcbStatus, TdxClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    SignatureError,
    TcbLevelError,
    UnsupportedError,
)
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.formats.detect import detect_evidence
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of, make_appraiser, user_anchors
from support.intel import PHALA_SGX, PHALA_TDX, SGX_TEST_ROOT, SPR_E4, IntelVector, load
from support.paths import VECTORS
from support.policies import default_policy

CONFIGURATION = TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
ADVISORIES = ("INTEL-SA-00289", "INTEL-SA-00615")


def appraise(vector: IntelVector, **policy: Any) -> AttestationResult:
    policy_ = default_policy(claims_of(vector.evidence.data), **policy)
    return make_appraiser(policy_, vector.endorsements).appraise_evidence(vector.evidence, now=vector.now)


def fields_of(error: AppraisalError) -> set[str]:
    return {mismatch.field for mismatch in error.mismatches}


class TestPhalaSgx:
    def test_accepted_with_status_and_exactly_the_advisories(self) -> None:
        result = appraise(load(PHALA_SGX), tcb_statuses=CONFIGURATION, advisories=ADVISORIES)
        claims = result.claims
        assert isinstance(claims, SgxClaims)
        assert claims.tcb is not None
        assert (claims.tcb.status, claims.tcb.advisories) == (CONFIGURATION, ADVISORIES)
        assert result.anchor is not None
        assert result.anchor.name == "Intel SGX Root CA"
        assert result.policy_entry == "pinned"
        assert [check.id for check in result.not_checked] == ["binding.key", "freshness.evidence_age"]

    @pytest.mark.parametrize("advisories", [(), ADVISORIES[:1], ADVISORIES[1:]])
    def test_each_advisory_is_needed(self, advisories: tuple[str, ...]) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(PHALA_SGX), tcb_statuses=CONFIGURATION, advisories=advisories)
        assert fields_of(caught.value) == {"advisories"}

    def test_refused_by_a_policy_of_up_to_date_only(self) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(PHALA_SGX))
        assert fields_of(caught.value) == {"tcb_statuses", "advisories"}
        assert caught.value.refusal.exit_code is ExitCode.POLICY
        assert caught.value.authenticated

    def test_expired_one_second_after_the_window(self) -> None:
        vector = load(PHALA_SGX).at("2025-07-19T10:01:19+00:00")
        with pytest.raises(ExpiredError) as caught:
            appraise(vector, tcb_statuses=CONFIGURATION, advisories=ADVISORIES)
        assert caught.value.refusal is Refusal.ENDORSEMENTS_EXPIRED

    def test_expected_report_data(self) -> None:
        vector = load(PHALA_SGX)
        policy = default_policy(
            claims_of(vector.evidence.data), tcb_statuses=CONFIGURATION, advisories=ADVISORIES, bindings="certificate"
        )
        appraiser = make_appraiser(policy, vector.endorsements)
        expected = b"Hello, world!".ljust(64, b"\0")
        result = appraiser.appraise_evidence(vector.evidence, now=vector.now, expected_report_data=expected)
        assert result.binding.value == "report-data"
        with pytest.raises(AppraisalError) as caught:
            appraiser.appraise_evidence(vector.evidence, now=vector.now)
        assert fields_of(caught.value) == {"bindings"}


class TestOcclum:
    ID = "sgx_ecdsa/trustee-occlum-v3"

    def test_debug_allowed_ends_in_missing_endorsements(self) -> None:
        with pytest.raises(EndorsementMissingError) as caught:
            appraise(load(self.ID), allow_debug=True)
        passed = {check.id for check in caught.value.checks if check.verdict.value == "passed"}
        assert {"sgx.quote_signature", "intel.qe_binding", "intel.qe_report_signature", "intel.pck_chain"} <= passed
        assert {item.kind for item in caught.value.missing} == {
            EndorsementKind.INTEL_ROOT_CRL,
            EndorsementKind.INTEL_PCK_CRL,
            EndorsementKind.INTEL_TCB_INFO,
            EndorsementKind.INTEL_QE_IDENTITY,
        }

    def test_debug_refused_by_policy_with_the_missing_listed(self) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(self.ID))
        assert fields_of(caught.value) == {"allow_debug"}
        assert not caught.value.authenticated
        assert len(caught.value.missing) == 4
        assert "tcb_statuses" in caught.value.not_done
        assert "not authenticated" in caught.value.message


class TestOpenEnclave:
    ID = "sgx_ecdsa/openenclave-evidence-endorsements"

    def test_status_of_tcb_info_v2(self) -> None:
        vector = load(self.ID)
        with pytest.raises(AppraisalError) as caught:
            appraise(vector, allow_debug=True)
        assert fields_of(caught.value) == {"tcb_statuses"}
        result = appraise(vector, allow_debug=True, tcb_statuses=TcbStatus.SW_HARDENING_NEEDED)
        assert isinstance(result.claims, SgxClaims)
        assert result.claims.debug


class TestQvlSample:
    def test_refused_under_the_intel_anchor(self) -> None:
        with pytest.raises((CertificateChainError, SignatureError)) as caught:
            appraise(load(SGX_TEST_ROOT))
        assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC

    def test_outcome_under_its_test_anchor(self) -> None:
        """At the manifest's time the sample's PCK certificate has expired (2026-09-05).

        While it is in date everything authenticates, and the policy refuses: the sample's report has an attributes
        word of zero, which no enclave that ran has. A policy that asks for no attribute accepts it.
        """
        vector = load(SGX_TEST_ROOT)
        anchors = user_anchors((VECTORS / SGX_TEST_ROOT / "trustedRootCaCert.pem").read_bytes())
        in_date = vector.at("2024-01-01T00:00:00+00:00").now

        def judge(now: datetime, **policy: Any) -> AttestationResult:
            pinned = default_policy(claims_of(vector.evidence.data), **policy)
            appraiser = make_appraiser(pinned, vector.endorsements, anchors=anchors)
            return appraiser.appraise_evidence(vector.evidence, now=now)

        with pytest.raises(ExpiredError, match="PCK certificate has expired"):
            judge(vector.now)
        with pytest.raises(AppraisalError) as caught:
            judge(in_date)
        assert fields_of(caught.value) == {"required_attributes"}
        result = judge(in_date, required_attributes=0)
        assert result.anchor is not None
        assert result.anchor.kind is AnchorKind.USER


class TestPhalaTdx:
    def test_accepted_up_to_date_without_advisories(self) -> None:
        result = appraise(load(PHALA_TDX))
        claims = result.claims
        assert isinstance(claims, TdxClaims)
        assert claims.tcb is not None
        assert (claims.tcb.status, claims.tcb.advisories) == (TcbStatus.UP_TO_DATE, ())
        covered = next(check for check in result.not_checked if "70" in (check.note or ""))
        assert "not covered" in (covered.note or "")

    def test_expired_one_second_after_the_window(self) -> None:
        with pytest.raises(ExpiredError) as caught:
            appraise(load(PHALA_TDX).at("2025-07-19T10:00:36+00:00"))
        assert caught.value.refusal is Refusal.ENDORSEMENTS_EXPIRED

    def test_measurements_are_compared(self) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(PHALA_TDX), mr_td=bytes(48), rtmr1=bytes(48))
        assert fields_of(caught.value) == {"mr_td", "rtmr1"}


@pytest.mark.parametrize(
    "vector_id",
    [
        "tdx_ecdsa/phala-tdx-v5-outdated",
        "tdx_ecdsa/phala-tappd-v4",
        "tdx_ecdsa/phala-tdx-hex-v4",
        SPR_E4,
        "tdx_ecdsa/dstack-ra-tls-quote",
    ],
)
def test_no_tcb_level_matches(vector_id: str) -> None:
    with pytest.raises(TcbLevelError) as caught:
        appraise(load(vector_id), require_sept_ve_disable=False)
    assert caught.value.refusal.exit_code is ExitCode.POLICY
    assert "SGX" in caught.value.message or "component" in caught.value.message


@pytest.mark.parametrize("vector_id", ["tdx_ecdsa/go-tdx-guest-cos113-ccel", "tdx_ecdsa/dstack-ra-tls-quote"])
def test_missing_endorsements_after_all_that_needs_none(vector_id: str) -> None:
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(load(vector_id, collateral=None))
    passed = {check.id for check in caught.value.checks if check.verdict.value == "passed"}
    assert {"tdx.quote_signature", "intel.qe_binding", "intel.qe_report_signature", "intel.pck_chain"} <= passed


class TestRelaunch:
    ID = "tdx_ecdsa/openenclave-v5-td-relaunch"

    def test_accepted_only_with_status_and_both_advisories(self) -> None:
        vector = load(self.ID)
        with pytest.raises(AppraisalError) as caught:
            appraise(vector)
        mismatches = {mismatch.field: mismatch.got for mismatch in caught.value.mismatches}
        assert mismatches["tcb_statuses"] == "TDRelaunchAdvised"
        advisories = tuple(mismatches["advisories"].split(", "))
        assert len(advisories) == 2
        for fewer in ((), advisories[:1], advisories[1:]):
            with pytest.raises(AppraisalError):
                appraise(vector, tcb_statuses=TcbStatus.TD_RELAUNCH_ADVISED, advisories=fewer)
        with pytest.raises(AppraisalError):
            appraise(vector, advisories=advisories)
        assert appraise(vector, tcb_statuses=TcbStatus.TD_RELAUNCH_ADVISED, advisories=advisories).verdict == "accepted"


def test_sept_ve_disable_off_is_refused_unless_allowed() -> None:
    vector = load("tdx_ecdsa/openenclave-v4")
    with pytest.raises(AppraisalError) as caught:
        appraise(vector)
    assert fields_of(caught.value) == {"require_sept_ve_disable"}
    result = appraise(vector, require_sept_ve_disable=False)
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.tcb is not None
    assert result.claims.tcb.status is TcbStatus.UP_TO_DATE
    assert result.claims.tcb.module_status is None


def test_debug_trust_domain_is_refused_unless_allowed_and_shows_the_expected_claims() -> None:
    vector = load("tdx_ecdsa/trustee-v4-debug-ccel")
    with pytest.raises(AppraisalError) as caught:
        appraise(vector)
    assert fields_of(caught.value) == {"allow_debug"}
    result = appraise(vector, allow_debug=True)
    claims = result.claims
    assert isinstance(claims, TdxClaims)
    body = json.loads((VECTORS / vector.id / "parse_tdx_claims_expected.json").read_text())["quote"]["body"]
    expected = {
        "mr_td": "mr_td",
        "mr_seam": "mr_seam",
        "mr_signer_seam": "mrsigner_seam",
        "mr_config_id": "mr_config_id",
        "mr_owner": "mr_owner",
        "mr_owner_config": "mr_owner_config",
        "rtmr0": "rtmr_0",
        "rtmr1": "rtmr_1",
        "rtmr2": "rtmr_2",
        "rtmr3": "rtmr_3",
        "report_data": "report_data",
    }
    assert {name: getattr(claims, name).hex() for name in expected} == {n: body[k] for n, k in expected.items()}
    assert claims.td_attributes.to_bytes(8, "little").hex() == body["td_attributes"]
    assert claims.xfam.to_bytes(8, "little").hex() == body["xfam"]


def test_dstack_quote_report_is_up_to_date() -> None:
    result = appraise(load("tdx_ecdsa/dstack-quote-report"))
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.tcb is not None
    assert result.claims.tcb.status is TcbStatus.UP_TO_DATE


def test_dstack_lite_has_a_pck_certificate_from_the_future() -> None:
    vector = load("tdx_ecdsa/dstack-tdx-lite")
    with pytest.raises(ExpiredError) as caught:
        appraise(vector, mr_config_id=claims_of(vector.evidence.data).mr_config_id)  # type: ignore[union-attr]
    assert caught.value.refusal is Refusal.CERTIFICATE_NOT_IN_DATE
    assert "not yet valid" in caught.value.message


def test_a_tdreport_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="TDREPORT"):
        detect_evidence((VECTORS / "tdx_ecdsa/tdreport-raw/report.dat").read_bytes())


def test_simulated_or_user_anchors_do_not_stand_in_for_intels() -> None:
    vector = load(PHALA_TDX)
    policy = default_policy(claims_of(vector.evidence.data))
    foreign = user_anchors((VECTORS / SGX_TEST_ROOT / "trustedRootCaCert.pem").read_bytes())
    with pytest.raises(CertificateChainError):
        make_appraiser(policy, vector.endorsements, anchors=foreign).appraise_evidence(vector.evidence, now=vector.now)
    both = make_appraiser(policy, vector.endorsements, anchors=(*foreign, *VENDOR_ROOTS))
    assert both.appraise_evidence(vector.evidence, now=vector.now).verdict == "accepted"


def test_a_result_says_until_when_it_holds() -> None:
    vector = load(PHALA_TDX)
    result = appraise(vector)
    assert result.valid_until is not None
    assert vector.now < result.valid_until <= vector.now + timedelta(seconds=2)
    assert len(result.endorsements) >= 4
    assert Endorsements().digest != vector.endorsements.digest
