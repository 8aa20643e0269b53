"""What the manifest asserts of real SGX and TDX evidence, through the whole appraisal."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import SgxClaims, TcbStatus, TdxClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    TcbLevelError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of, make_appraiser, user_anchors
from support.intel import PHALA_SGX, PHALA_TDX, SGX_TEST_ROOT, SPR_E4, IntelVector, load
from support.paths import VECTORS
from support.policies import default_policy

CONFIGURATION = TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
ADVISORIES = ("INTEL-SA-00289", "INTEL-SA-00615")
COLLATERAL = {
    EndorsementKind.INTEL_ROOT_CRL,
    EndorsementKind.INTEL_PCK_CRL,
    EndorsementKind.INTEL_TCB_INFO,
    EndorsementKind.INTEL_QE_IDENTITY,
}


def appraise(vector: IntelVector, **policy: Any) -> AttestationResult:
    policy_ = default_policy(claims_of(vector.evidence.data), **policy)
    return make_appraiser(policy_, vector.endorsements).appraise_evidence(vector.evidence, now=vector.now)


def fields_of(error: AppraisalError) -> set[str]:
    return {mismatch.field for mismatch in error.mismatches}


def ids(error: RatsTlsError, verdict: Verdict) -> set[str]:
    return {check.id for check in error.checks if check.verdict is verdict}


def without_endorsements(prefix: str) -> set[str]:
    """Every check that needs no Endorsement."""
    own = {"quote", "qe_binding", "qe_report_signature", "pck_chain", "pck_dates"}
    return {f"{prefix}.quote_signature", *(f"intel.{name}" for name in own)}


class TestPhalaSgx:
    def test_accepted_with_status_and_exactly_the_advisories(self) -> None:
        result = appraise(load(PHALA_SGX), tcb_statuses=CONFIGURATION, advisories=ADVISORIES)
        assert result.verdict == "accepted"
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
        mismatches = {mismatch.field: mismatch.got for mismatch in caught.value.mismatches}
        assert mismatches == {"tcb_statuses": CONFIGURATION.value, "advisories": ", ".join(ADVISORIES)}
        assert caught.value.refusal is Refusal.POLICY
        assert caught.value.refusal.exit_code is ExitCode.POLICY
        assert caught.value.authenticated
        with pytest.raises(AppraisalError) as status_alone:
            appraise(load(PHALA_SGX), advisories=ADVISORIES)
        assert fields_of(status_alone.value) == {"tcb_statuses"}

    def test_expired_one_second_after_the_window(self) -> None:
        vector = load(PHALA_SGX).at("2025-07-19T10:01:19+00:00")
        with pytest.raises(ExpiredError, match="intel-qe-identity has expired") as caught:
            appraise(vector, tcb_statuses=CONFIGURATION, advisories=ADVISORIES)
        assert caught.value.refusal is Refusal.ENDORSEMENTS_EXPIRED
        assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS

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
        assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS
        assert ids(caught.value, Verdict.PASSED) >= without_endorsements("sgx")
        assert ids(caught.value, Verdict.FAILED) == set()
        assert {item.kind for item in caught.value.missing} == COLLATERAL

    def test_debug_refused_by_policy_with_the_missing_listed(self) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(self.ID))
        assert fields_of(caught.value) == {"allow_debug"}
        assert caught.value.refusal.exit_code is ExitCode.POLICY
        assert not caught.value.authenticated
        assert {item.kind for item in caught.value.missing} == COLLATERAL
        assert all(str(item) in caught.value.message for item in caught.value.missing)
        assert "tcb_statuses" in caught.value.not_done
        assert "not authenticated" in caught.value.message


class TestOpenEnclave:
    ID = "sgx_ecdsa/openenclave-evidence-endorsements"

    def test_accepted_where_its_status_is(self) -> None:
        vector = load(self.ID)
        assert TcbInfo.from_json(vector.item(EndorsementKind.INTEL_TCB_INFO).data).version == 2
        result = appraise(vector, allow_debug=True, tcb_statuses=TcbStatus.SW_HARDENING_NEEDED)
        assert result.verdict == "accepted"
        assert isinstance(result.claims, SgxClaims)
        assert result.claims.debug
        assert result.claims.tcb is not None
        assert result.claims.tcb.status is TcbStatus.SW_HARDENING_NEEDED

    def test_refused_by_every_other_policy(self) -> None:
        others = [status for status in TcbStatus if status not in {TcbStatus.SW_HARDENING_NEEDED, TcbStatus.REVOKED}]
        for statuses in ((), *((status,) for status in others), tuple(others)):
            written = {"tcb_statuses": statuses} if statuses else {}
            with pytest.raises(AppraisalError) as caught:
                appraise(load(self.ID), allow_debug=True, **written)
            (mismatch,) = caught.value.mismatches
            assert (mismatch.field, mismatch.got) == ("tcb_statuses", "SWHardeningNeeded")
            assert caught.value.refusal is Refusal.POLICY


class TestQvlSample:
    def test_refused_under_the_intel_anchor(self) -> None:
        with pytest.raises(CertificateChainError, match="not a trust anchor for intel") as caught:
            appraise(load(SGX_TEST_ROOT))
        assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
        assert ids(caught.value, Verdict.FAILED) == {"intel.pck_chain"}

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
        assert result.verdict == "accepted"
        claims = result.claims
        assert isinstance(claims, TdxClaims)
        assert claims.tcb is not None
        assert (claims.tcb.status, claims.tcb.advisories) == (TcbStatus.UP_TO_DATE, ())
        covered = next(check for check in result.not_checked if "70" in (check.note or ""))
        assert "not covered" in (covered.note or "")

    def test_expired_one_second_after_the_window(self) -> None:
        with pytest.raises(ExpiredError, match="intel-pck-crl has expired") as caught:
            appraise(load(PHALA_TDX).at("2025-07-19T10:00:36+00:00"))
        assert caught.value.refusal is Refusal.ENDORSEMENTS_EXPIRED
        assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS

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
    with pytest.raises(TcbLevelError, match="no TCB level matches: SGX components") as caught:
        appraise(load(vector_id), require_sept_ve_disable=False)
    assert caught.value.refusal is Refusal.TCB_NO_LEVEL
    assert caught.value.refusal.exit_code is ExitCode.POLICY
    assert ids(caught.value, Verdict.FAILED) == {"intel.tcb_level"}
    assert "tdx.module" in ids(caught.value, Verdict.PASSED)


def test_padding_that_is_not_zero_is_reported_as_not_covered() -> None:
    vector = load(SPR_E4)
    assert all(vector.evidence.data[-39:])
    with pytest.raises(TcbLevelError) as caught:
        appraise(vector, require_sept_ve_disable=False)
    (note,) = (check.note for check in caught.value.checks if check.id == "evidence.trailing_bytes")
    assert note is not None
    assert note.startswith("39 bytes behind the Evidence are not covered")


@pytest.mark.parametrize("vector_id", ["tdx_ecdsa/go-tdx-guest-cos113-ccel", "tdx_ecdsa/dstack-ra-tls-quote"])
def test_missing_endorsements_after_all_that_needs_none(vector_id: str) -> None:
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(load(vector_id, collateral=None))
    assert ids(caught.value, Verdict.PASSED) >= without_endorsements("tdx")
    assert ids(caught.value, Verdict.FAILED) == set()
    assert {item.kind for item in caught.value.missing} == COLLATERAL


class TestRelaunch:
    ID = "tdx_ecdsa/openenclave-v5-td-relaunch"

    STATUS = TcbStatus.TD_RELAUNCH_ADVISED
    ADVISORIES = ("INTEL-SA-01036", "INTEL-SA-01099")

    def test_accepted_with_status_and_both_advisories(self) -> None:
        result = appraise(load(self.ID), tcb_statuses=self.STATUS, advisories=self.ADVISORIES)
        assert result.verdict == "accepted"
        assert isinstance(result.claims, TdxClaims)
        assert result.claims.tcb is not None
        assert (result.claims.tcb.status, result.claims.tcb.advisories) == (self.STATUS, self.ADVISORIES)

    @pytest.mark.parametrize(
        ("written", "refused"),
        [
            ({}, ("tcb_statuses", "advisories")),
            ({"advisories": ADVISORIES}, ("tcb_statuses",)),
            ({"tcb_statuses": STATUS}, ("advisories",)),
            ({"tcb_statuses": STATUS, "advisories": ADVISORIES[:1]}, ("advisories",)),
            ({"tcb_statuses": STATUS, "advisories": ADVISORIES[1:]}, ("advisories",)),
            ({"tcb_statuses": TcbStatus.OUT_OF_DATE, "advisories": ADVISORIES}, ("tcb_statuses",)),
        ],
    )
    def test_refused_with_less(self, written: dict[str, Any], refused: tuple[str, ...]) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(self.ID), **written)
        assert fields_of(caught.value) == set(refused)
        assert caught.value.refusal is Refusal.POLICY


def test_sept_ve_disable_off_is_refused_unless_allowed() -> None:
    vector = load("tdx_ecdsa/openenclave-v4")
    with pytest.raises(AppraisalError) as caught:
        appraise(vector)
    assert fields_of(caught.value) == {"require_sept_ve_disable"}
    assert caught.value.authenticated
    result = appraise(vector, require_sept_ve_disable=False)
    assert result.verdict == "accepted"
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.tcb is not None
    assert result.claims.tcb.status is TcbStatus.UP_TO_DATE
    assert result.claims.tee_tcb_svn[1] == 0
    assert result.claims.tcb.module_status is None


def test_debug_trust_domain_is_refused_unless_allowed_and_shows_the_expected_claims() -> None:
    vector = load("tdx_ecdsa/trustee-v4-debug-ccel")
    with pytest.raises(AppraisalError) as caught:
        appraise(vector)
    assert fields_of(caught.value) == {"allow_debug"}
    assert caught.value.authenticated
    result = appraise(vector, allow_debug=True)
    assert result.verdict == "accepted"
    claims = result.claims
    assert isinstance(claims, TdxClaims)
    assert claims.tcb is not None
    assert claims.tcb.status is TcbStatus.UP_TO_DATE
    expected = json.loads((VECTORS / vector.id / "parse_tdx_claims_expected.json").read_text())
    found = {
        "mr_td": claims.mr_td,
        "mr_seam": claims.mr_seam,
        "mrsigner_seam": claims.mr_signer_seam,
        "mr_config_id": claims.mr_config_id,
        "mr_owner": claims.mr_owner,
        "mr_owner_config": claims.mr_owner_config,
        "rtmr_0": claims.rtmr0,
        "rtmr_1": claims.rtmr1,
        "rtmr_2": claims.rtmr2,
        "rtmr_3": claims.rtmr3,
        "report_data": claims.report_data,
        "tcb_svn": claims.tee_tcb_svn,
        "seam_attributes": claims.seam_attributes.to_bytes(8, "little"),
        "td_attributes": claims.td_attributes.to_bytes(8, "little"),
        "xfam": claims.xfam.to_bytes(8, "little"),
    }
    # The whole body; what else the file holds are the event log and what the header and single bits say.
    assert {name: value.hex() for name, value in found.items()} == expected["quote"]["body"]
    assert (expected["report_data"], expected["init_data"]) == (claims.report_data.hex(), claims.mr_config_id.hex())
    bits = {"debug": 0, "septve_disable": 28, "protection_keys": 30, "key_locker": 31, "perfmon": 63}
    assert {name: bool(claims.td_attributes >> bit & 1) for name, bit in bits.items()} == expected["td_attributes"]


def test_dstack_quote_report_is_up_to_date() -> None:
    result = appraise(load("tdx_ecdsa/dstack-quote-report"))
    assert result.verdict == "accepted"
    assert isinstance(result.claims, TdxClaims)
    assert result.claims.tcb is not None
    assert (result.claims.tcb.status, result.claims.tcb.advisories) == (TcbStatus.UP_TO_DATE, ())


def test_dstack_lite_has_a_pck_certificate_from_the_future() -> None:
    vector = load("tdx_ecdsa/dstack-tdx-lite")
    with pytest.raises(ExpiredError, match="PCK certificate is not yet valid") as caught:
        appraise(vector, mr_config_id=claims_of(vector.evidence.data).mr_config_id)  # type: ignore[union-attr]
    assert caught.value.refusal is Refusal.CERTIFICATE_NOT_IN_DATE
    assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS
    assert ids(caught.value, Verdict.FAILED) == {"intel.pck_dates"}


def test_a_tdreport_is_refused_by_name() -> None:
    report = (VECTORS / "tdx_ecdsa/tdreport-raw/report.dat").read_bytes()
    with pytest.raises(
        UnsupportedError, match="TDREPORT: a MAC for its own platform, not verifiable remotely"
    ) as caught:
        detect_evidence(report)
    assert caught.value.refusal.exit_code is ExitCode.NO_INSTANCE
    vector = load(PHALA_TDX)
    appraiser = make_appraiser(default_policy(claims_of(vector.evidence.data)), vector.endorsements)
    with pytest.raises(UnsupportedError, match="TDREPORT: local evidence") as caught:
        appraiser.appraise_evidence(Evidence.of(TeeType.TDX_ECDSA, report), now=vector.now)
    assert caught.value.refusal.exit_code is ExitCode.NO_INSTANCE


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
