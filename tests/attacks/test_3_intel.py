"""Omissions of verifiers of SGX and TDX. Numbers are those of docs/attacks.md.

Every case is one healthy simulated platform with one thing changed, judged whole.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.core.claims import IntelPlatform, TcbStatus
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    ConfigurationError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    TcbLevelError,
)
from rats_tls.core.refusals import Refusal
from rats_tls.policy import ANY, Policy
from rats_tls.policy.intel_entry import TDX_ATTRIBUTES
from rats_tls.policy.sgx_entry import SGX_ATTRIBUTES
from rats_tls.simulation.intel_levels import OLD_ADVISORIES
from rats_tls.simulation.vendor_state import SignedItem
from support.judged import appraise, collected
from support.sides import SGX, TDX, policy_for
from support.simulated import NOW

BOTH = pytest.mark.parametrize("name", [SGX, TDX])
INFO, IDENTITY = EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY
SECOND = timedelta(seconds=1)


def mismatches(name: str, policy: dict[str, Any] | None = None, **state: Any) -> set[str]:
    """Give the fields for which a platform in `state` is refused by the policy for a healthy one."""
    evidence, endorsements = collected(name, **state)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(name, **(policy or {})))
    assert caught.value.authenticated
    return {mismatch.field for mismatch in caught.value.mismatches}


def accepted(name: str, policy: dict[str, Any] | None = None, **state: Any) -> Any:
    evidence, endorsements = collected(name, **state)
    return appraise(evidence, endorsements, policy_for(name, **(policy or {}))).claims


def refused(name: str, error: type[RatsTlsError], message: str, **state: Any) -> RatsTlsError:
    evidence, endorsements = collected(name, **state)
    with pytest.raises(error, match=message) as caught:
        appraise(evidence, endorsements, policy_for(name))
    return caught.value


# --- 3.1 the quoting enclave -----------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"forged": {SignedItem.INTEL_QE_IDENTITY}}, "signature"),
        ({"qe_mr_signer": b"\1" * 32}, "mrsigner"),
        ({"qe_isv_prod_id": 7}, "isvprodid"),
        ({"qe_miscselect": 1}, "miscselect"),
        ({"qe_attributes": 0x17}, "attributes"),  # debug
    ],
    ids=repr,
)
def test_3_1_another_quoting_enclave_is_refused(name: str, state: dict[str, Any], message: str) -> None:
    refused(name, CertificateChainError, message, **state)


@BOTH
def test_3_1_the_quoting_enclaves_svn_counts(name: str) -> None:
    assert mismatches(name, qe_status=TcbStatus.OUT_OF_DATE) >= {"tcb_statuses"}
    refused(name, TcbLevelError, "below every TCB level", qe_status=None)


@BOTH
def test_3_1_the_identity_of_the_other_tees_quoting_enclave_does_not_count(name: str) -> None:
    other = {SGX: "TD_QE", TDX: "QE"}[name]
    missing = refused(name, EndorsementMissingError, "intel-qe-identity", qe_identity_id=other)
    assert missing.refusal is Refusal.ENDORSEMENTS_MISSING


# --- 3.2 to 3.5 documents --------------------------------------------------------------------------------------------
@BOTH
def test_3_2_tcb_info_of_another_platform_does_not_count(name: str) -> None:
    refused(name, EndorsementMissingError, "intel-tcb-info", tcb_info_fmspc=b"SIM\0\0\7")
    # The documents of a platform that differs in its PCE id alone.
    evidence, endorsements = collected(name)
    (foreign,) = collected(name, pce_id=b"\1\0")[1].of_kind(INFO)
    others = [item for item in endorsements if item.kind is not INFO]
    with pytest.raises(EndorsementMissingError, match="intel-tcb-info"):
        appraise(evidence, Endorsements((*others, foreign)), policy_for(name))


@BOTH
def test_3_3_tcb_info_of_the_other_tee_does_not_count(name: str) -> None:
    evidence, endorsements = collected(name)
    (foreign,) = collected(SGX if name == TDX else TDX)[1].of_kind(INFO)
    others = [item for item in endorsements if item.kind is not INFO]
    with pytest.raises(EndorsementMissingError, match="intel-tcb-info"):
        appraise(evidence, Endorsements((*others, foreign)), policy_for(name))


def test_3_3_tcb_info_of_version_2_is_of_sgx_alone() -> None:
    assert accepted(SGX, tcb_info_version=2).tcb.status is TcbStatus.UP_TO_DATE
    evidence, endorsements = collected(TDX)
    (older,) = collected(SGX, tcb_info_version=2)[1].of_kind(INFO)
    others = [item for item in endorsements if item.kind is not INFO]
    with pytest.raises(EndorsementMissingError, match="intel-tcb-info"):
        appraise(evidence, Endorsements((*others, older)), policy_for(TDX))


@BOTH
@pytest.mark.parametrize("lower", ["tcb_evaluation_data_number", "qe_evaluation_data_number"])
def test_3_4_the_lower_number_of_both_documents_is_held_against_the_floor(name: str, lower: str) -> None:
    floor = {"min_tcb_evaluation_data_number": 18}
    numbers = {"tcb_evaluation_data_number": 18, "qe_evaluation_data_number": 18}
    assert accepted(name, floor, **numbers).tcb.tcb_evaluation_data_number == 18
    assert mismatches(name, floor, **{**numbers, lower: 17}) == {"min_tcb_evaluation_data_number"}


@BOTH
@pytest.mark.parametrize("kind", [INFO, IDENTITY])
def test_3_4_the_newest_copy_counts(name: str, kind: EndorsementKind) -> None:
    evidence, newer = collected(name, tcb_evaluation_data_number=19)
    _, older = collected(name, tcb_evaluation_data_number=18, issue_date=NOW - SECOND)
    (old,) = older.of_kind(kind)
    pool = Endorsements((replace(old, origin=Origin.PEER), old, *newer))
    claims: Any = appraise(evidence, pool, policy_for(name)).claims
    assert claims.tcb.tcb_evaluation_data_number == 19


@BOTH
@pytest.mark.parametrize("item", [SignedItem.INTEL_TCB_INFO, SignedItem.INTEL_QE_IDENTITY])
def test_3_5_dates_count_both_ways(name: str, item: SignedItem) -> None:
    for state in ({"expired": {item}}, {"not_yet_valid": {item}}):
        assert refused(name, ExpiredError, "expected", **state).refusal is Refusal.ENDORSEMENTS_EXPIRED
    issued, ends = NOW - SECOND, NOW + SECOND
    evidence, endorsements = collected(name, issue_date=issued, next_update=ends)
    for now in (issued, ends - SECOND):
        assert appraise(evidence, endorsements, policy_for(name), now=now).verdict == "accepted"
    for now in (issued - SECOND, ends):
        with pytest.raises(ExpiredError):
            appraise(evidence, endorsements, policy_for(name), now=now)


@BOTH
@pytest.mark.parametrize("item", [SignedItem.INTEL_PCK, SignedItem.INTEL_INTERMEDIATE, SignedItem.INTEL_TCB_SIGNING])
def test_3_5_certificates_out_of_date_either_way(name: str, item: SignedItem) -> None:
    for state in ({"expired": {item}}, {"not_yet_valid": {item}}):
        assert refused(name, ExpiredError, "valid|expired", **state).refusal is Refusal.CERTIFICATE_NOT_IN_DATE


@BOTH
@pytest.mark.parametrize("kind", [INFO, IDENTITY])
def test_3_5_a_documents_signature_is_of_64_bytes(name: str, kind: EndorsementKind) -> None:
    """A zero before the second integer leaves its value, and is another signature."""
    evidence, endorsements = collected(name)
    (own,) = endorsements.of_kind(kind)
    longer = replace(own, signature=own.signature[:32] + b"\0" + own.signature[32:])
    others = [item for item in endorsements if item is not own]
    with pytest.raises(CertificateChainError, match="got 65 bytes, expected 64"):
        appraise(evidence, Endorsements((*others, longer)), policy_for(name))


# --- 3.6 statuses ----------------------------------------------------------------------------------------------------
STATUSES = [status for status in TcbStatus if "Relaunch" not in status.value]


@BOTH
@pytest.mark.parametrize("status", STATUSES)
def test_3_6_only_up_to_date_is_accepted_unless_another_status_is_written_with_its_advisories(
    name: str, status: TcbStatus
) -> None:
    state = {"tcb_status": status}
    if status is TcbStatus.UP_TO_DATE:
        assert accepted(name, **state).tcb.status is status
        return
    fields = mismatches(name, **state)
    assert "tcb_statuses" in fields
    written = {"tcb_statuses": (status.value,)} if status is not TcbStatus.REVOKED else {}
    if status is TcbStatus.REVOKED:
        with pytest.raises(ConfigurationError, match="revoked"):
            policy_for(name, tcb_statuses=(status.value,))
        return
    claims = accepted(name, {**written, "advisories": OLD_ADVISORIES}, **state)
    assert claims.tcb.status is status
    if claims.tcb.advisories:
        for left_out in claims.tcb.advisories:
            some = [advisory for advisory in claims.tcb.advisories if advisory != left_out]
            assert mismatches(name, {**written, "advisories": some}, **state) == {"advisories"}


@BOTH
def test_3_6_below_every_level_is_refused(name: str) -> None:
    refused(name, TcbLevelError, "no TCB level matches", tcb_status=None)


# --- 3.7, 3.8 attributes ---------------------------------------------------------------------------------------------
def test_3_7_debug_is_refused_whatever_the_measurement() -> None:
    anything = {"mr_enclave": ANY, "mr_signer": ANY, "isv_prod_id": ANY, "min_isv_svn": ANY}
    assert mismatches(SGX, anything, debug=True) == {"allow_debug"}
    assert accepted(SGX, {**anything, "allow_debug": True}, debug=True).debug


@pytest.mark.parametrize("bit", range(8))
def test_3_7_every_bit_of_the_debug_byte_of_a_trust_domain(bit: int) -> None:
    state = {"td_attributes": 1 << 28 | 1 << bit}
    assert mismatches(TDX, **state) == {"allow_debug"}
    assert accepted(TDX, {"allow_debug": True}, **state).td_attributes == 1 << 28 | 1 << bit


@pytest.mark.parametrize("bit", range(64))
def test_3_7_sgx_attributes_bit_by_bit(bit: int) -> None:
    allowed = SGX_ATTRIBUTES >> bit & 1
    state = {"attributes": 0x05 | 1 << bit}
    if allowed:
        assert accepted(SGX, **state).attributes == 0x05 | 1 << bit
    else:
        assert mismatches(SGX, **state) == {"allow_debug" if bit == 1 else "allowed_attributes"}


@pytest.mark.parametrize("bit", range(8, 64))
def test_3_8_td_attributes_bit_by_bit(bit: int) -> None:
    if bit == 28:
        assert mismatches(TDX, td_attributes=0) == {"require_sept_ve_disable"}
        assert accepted(TDX, {"require_sept_ve_disable": False}, td_attributes=0).td_attributes == 0
        return
    word = 1 << 28 | 1 << bit
    if TDX_ATTRIBUTES >> bit & 1:
        assert accepted(TDX, td_attributes=word).td_attributes == word
        return
    assert mismatches(TDX, td_attributes=word) == {"allow_migratable" if bit == 29 else "allowed_td_attributes"}
    waived = {"allow_migratable": True} if bit == 29 else {"allowed_td_attributes": hex(TDX_ATTRIBUTES | 1 << bit)}
    assert accepted(TDX, waived, td_attributes=word).td_attributes == word


# --- 3.9, 3.12 configuration and owner -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        (TDX, "mr_config_id", b"\0" * 47 + b"\1"),
        (TDX, "mr_owner", b"\0" * 47 + b"\1"),
        (TDX, "mr_owner_config", b"\0" * 47 + b"\1"),
        (TDX, "mr_service_td", b"\0" * 47 + b"\1"),
        (SGX, "config_id", b"\0" * 63 + b"\1"),
        (SGX, "isv_ext_prod_id", b"\0" * 15 + b"\1"),
        (SGX, "isv_family_id", b"\0" * 15 + b"\1"),
    ],
)
def test_3_9_and_3_12_another_configuration_or_owner_is_refused_unless_pinned(
    name: str, field: str, value: bytes
) -> None:
    state: dict[str, Any] = {field: value}
    if field == "mr_service_td":
        state |= {"quote_version": 5, "body_version": "1.5"}
    assert mismatches(name, **state) == {field}
    assert getattr(accepted(name, {field: value}, **state), field) == value
    assert mismatches(name, {field: value}) == {field}


def test_3_9_processor_features_are_masked() -> None:
    assert mismatches(TDX, xfam=0x0618E7 | 1 << 8) == {"allowed_xfam"}
    assert mismatches(SGX, xfrm=0xE7 | 1 << 8) == {"allowed_xfrm"}
    assert mismatches(SGX, miscselect=1 << 1) == {"allowed_miscselect"}


def test_3_12_config_svn_has_a_floor() -> None:
    assert mismatches(SGX, {"min_config_svn": 2}, config_svn=1) == {"min_config_svn"}
    assert accepted(SGX, {"min_config_svn": 2}, config_svn=2).config_svn == 2


# --- 3.10, 3.11 the TDX module ---------------------------------------------------------------------------------------
def test_3_10_a_module_of_another_make_is_refused() -> None:
    refused(TDX, CertificateChainError, "mr_signer_seam", mr_signer_seam=b"\0" * 47 + b"\1")
    for bit in (0, 63):
        refused(TDX, CertificateChainError, "seam_attributes", seam_attributes=1 << bit)
    refused(TDX, TcbLevelError, "major version 9", module_version=9)
    assert mismatches(TDX, {"mr_seam": bytes(48)}) == {"mr_seam"}


def test_3_10_the_modules_own_level_counts() -> None:
    assert mismatches(TDX, module_status=TcbStatus.OUT_OF_DATE) >= {"tcb_statuses"}
    refused(TDX, TcbLevelError, "below every TCB level", module_status=None)


def test_3_11_a_td_older_than_its_module_is_told_to_relaunch() -> None:
    relaunch = TcbStatus.TD_RELAUNCH_ADVISED
    assert "tcb_statuses" in mismatches(TDX, relaunch_advised=True)
    claims = accepted(
        TDX, {"tcb_statuses": (relaunch.value,), "advisories": ("INTEL-SA-01099",)}, relaunch_advised=True
    )
    assert claims.tcb.status is relaunch


# --- 3.13 to 3.17 ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", ["isv_prod_id", "min_isv_svn"])
def test_3_13_a_signer_alone_is_a_configuration_error(field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{field}.*every enclave of that signer"):
        policy_for(SGX, mr_enclave=ANY, **{field: ANY})
    text = policy_for(SGX).to_toml()
    without = "\n".join(line for line in text.splitlines() if not line.startswith(f"{field} ="))
    with pytest.raises(ConfigurationError, match=f"{field}: not written"):
        Policy.from_toml(without)


def test_3_13_product_and_svn_are_held() -> None:
    by_signer = {"mr_enclave": ANY}
    assert mismatches(SGX, by_signer, isv_prod_id=2) == {"isv_prod_id"}
    assert mismatches(SGX, {**by_signer, "min_isv_svn": 2}, isv_svn=1) == {"min_isv_svn"}
    assert mismatches(SGX, by_signer, mr_signer=bytes(32)) == {"mr_signer"}


@BOTH
@pytest.mark.parametrize("origin", list(Origin))
def test_3_14_the_pck_chain_in_the_quote_counts_whatever_is_beside_it(name: str, origin: Origin) -> None:
    """This side may hold chains of many platforms; one that the peer sends is about this quote."""
    evidence, endorsements = collected(name)
    kind = EndorsementKind.INTEL_PCK_CHAIN
    (own,) = collected(name, certification_data_type=1)[1].of_kind(kind)
    (other,) = collected(name, certification_data_type=1, sgx_type=2)[1].of_kind(kind)
    own, other = replace(own, origin=origin), replace(other, origin=origin)
    for beside in ([own], [other, own], *([[other]] if origin is Origin.LOCAL else [])):
        result = appraise(evidence, endorsements.with_items(beside), policy_for(name))
        (used,) = (use for use in result.endorsements if use.kind is kind)
        assert used.origin == "evidence"
        assert result.claims.platform.sgx_type == 1  # type: ignore[union-attr]
    if origin is Origin.PEER:
        with pytest.raises(CertificateChainError, match="the quote carries"):
            appraise(evidence, endorsements.with_items([other]), policy_for(name))


@BOTH
def test_3_15_the_platform_is_shown_and_can_be_listed(name: str) -> None:
    platform = accepted(name).platform
    assert isinstance(platform, IntelPlatform)
    for value in (platform.ppid, platform.platform_instance_id):
        assert accepted(name, {"identity": {"hardware_ids": [value]}}).platform == platform
    assert mismatches(name, {"identity": {"hardware_ids": [b"\7" * 16]}}) == {"identity"}
    for flag in ("dynamic_platform", "cached_keys", "smt_enabled"):
        value = getattr(platform, flag)
        assert accepted(name, {flag: value}).platform == platform
        assert mismatches(name, {flag: not value}) == {flag}
    assert mismatches(name, {"fmspcs": [bytes(6)]}) == {"fmspcs"}


@BOTH
def test_3_15_flags_that_the_certificate_does_not_have_satisfy_nothing(name: str) -> None:
    assert mismatches(name, {"smt_enabled": True}, certificate_authority="processor") == {"smt_enabled"}


@BOTH
def test_3_17_no_environment_variable_relaxes_anything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (
        "ALLOW_OUTDATED_TCB",
        "ALLOW_DEBUG_ENCLAVE",
        "ALLOW_HW_CONFIG_NEEDED",
        "ALLOW_SW_HARDENING_NEEDED",
    ):
        for prefix in ("RA_TLS", "RATS_TLS"):
            monkeypatch.setenv(f"{prefix}_{variable}_INSECURE", "1")
    assert mismatches(name, debug=True, tcb_status=TcbStatus.OUT_OF_DATE) >= {"allow_debug", "tcb_statuses"}
