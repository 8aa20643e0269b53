"""Every state of a simulated Intel platform yields, in the package's own Verifiers, the outcome that it promises."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.claims import SgxClaims, TcbStatus, TdxClaims
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.interfaces import Verifier
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.simulation.intel_levels import MODULE_LEVELS, TCB_LEVELS, ModuleIdentity, TcbLevel
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.simulated import NOW, REPORT_DATA, world

SGX = "simulated_sgx_ecdsa"
TDX = "simulated_tdx_ecdsa"
BOTH = pytest.mark.parametrize("name", [SGX, TDX])
CRYPTO = OpensslCryptoWrapper()


def verify(name: str, *, anchors: tuple[TrustAnchor, ...] | None = None, **settings: object) -> Verification:
    collected = world().attester(name, **settings).collect(REPORT_DATA)
    verifier: Verifier = SgxEcdsaVerifier() if name == SGX else TdxEcdsaVerifier()
    decoded = verifier.decode(collected.evidence)
    assert decoded.report_data == REPORT_DATA
    return verifier.verify(
        decoded,
        Endorsements(collected.endorsements),
        anchors=world().trust_anchors if anchors is None else anchors,
        crypto=CRYPTO,
        now=NOW,
    )


def claims_of(verification: Verification) -> Any:
    assert isinstance(verification.claims, SgxClaims | TdxClaims)
    return verification.claims


def status(name: str, **settings: object) -> TcbStatus:
    verification = verify(name, **settings)
    assert verification.problems == ()
    return claims_of(verification).tcb.status


def refusal(name: str, **settings: object) -> Refusal:
    (problem,) = verify(name, **settings).problems
    return problem.error.refusal


@pytest.mark.parametrize(
    ("name", "settings", "version", "body_version"),
    [
        (SGX, {"quote_version": 3}, 3, None),
        (SGX, {"quote_version": 4}, 4, None),
        (SGX, {"quote_version": 5}, 5, None),
        (TDX, {"quote_version": 4}, 4, "1.0"),
        (TDX, {"quote_version": 5}, 5, "1.0"),
        (TDX, {"quote_version": 5, "body_version": "1.5"}, 5, "1.5"),
    ],
)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"certificate_authority": "processor"},
        {"certification_data_type": 1},
        {"certification_data_type": 3},
        {"levels_reversed": True},
        {"qe_auth": b""},
    ],
)
def test_every_quote_version_verifies(
    name: str, settings: dict[str, object], version: int, body_version: str | None, more: dict[str, object]
) -> None:
    verification = verify(name, **settings, **more)
    assert verification.problems == ()
    claims = claims_of(verification)
    assert claims.quote_version == version
    assert getattr(claims, "body_version", None) == body_version
    assert claims.tcb.status is TcbStatus.UP_TO_DATE
    assert claims.tcb.advisories == ()
    assert claims.platform.fmspc == b"SIM\0\0\0"
    assert claims.platform.ppid == world().intel_platform.ppid
    assert claims.debug is False
    assert verification.anchor is not None
    assert verification.anchor.kind is AnchorKind.SIMULATED


def test_tcb_info_version_2_serves_sgx() -> None:
    assert status(SGX, tcb_info_version=2) is TcbStatus.UP_TO_DATE
    assert status(SGX, tcb_info_version=2, tcb_status=TcbStatus.OUT_OF_DATE) is TcbStatus.OUT_OF_DATE


def test_every_claim_of_an_enclave_arrives() -> None:
    settings: dict[str, object] = {
        "mr_enclave": b"e" * 32,
        "mr_signer": b"s" * 32,
        "isv_prod_id": 0x0102,
        "isv_svn": 0x0304,
        "attributes": 0x85,
        "xfrm": 0x207,
        "miscselect": 1,
        "isv_ext_prod_id": b"x" * 16,
        "isv_family_id": b"f" * 16,
        "config_id": b"c" * 64,
        "config_svn": 0x0506,
        "cpu_svn": b"v" * 16,
    }
    claims = claims_of(verify(SGX, **settings))
    assert {name: getattr(claims, name) for name in settings} == settings
    assert claims_of(verify(SGX, debug=True)).attributes == 0x07


def test_every_claim_of_a_trust_domain_arrives() -> None:
    settings: dict[str, object] = {
        name: name.encode().ljust(48, b".")
        for name in (
            "mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config",
            "mr_service_td", "mr_seam",
        )
    }  # fmt: skip
    settings |= {"td_attributes": 1 << 63 | 1 << 28, "xfam": 0x7, "quote_version": 5, "body_version": "1.5"}
    claims = claims_of(verify(TDX, **settings))
    assert {name: getattr(claims, name) for name in settings} == settings
    assert claims_of(verify(TDX, debug=True)).debug is True


def test_flags_of_the_pck_certificate_arrive() -> None:
    flags = {"dynamic_platform": False, "cached_keys": True, "smt_enabled": False, "sgx_type": 2, "pce_svn": 300}
    platform = claims_of(verify(SGX, **flags)).platform
    assert {name: getattr(platform, name) for name in flags} == flags
    processor = claims_of(verify(SGX, certificate_authority="processor")).platform
    assert processor.dynamic_platform is None
    assert processor.platform_instance_id is None


@BOTH
@pytest.mark.parametrize("asked", [level.status for level in TCB_LEVELS])
def test_platform_stands_at_the_status_asked_for(name: str, asked: TcbStatus) -> None:
    verification = verify(name, tcb_status=asked)
    tcb = claims_of(verification).tcb
    assert (tcb.status, tcb.platform_status, tcb.qe_status) == (asked, asked, TcbStatus.UP_TO_DATE)
    assert tcb.advisories == (() if asked is TcbStatus.UP_TO_DATE else ("INTEL-SA-00837", "INTEL-SA-01036"))


@BOTH
def test_parts_converge(name: str) -> None:
    out_of_date = TcbStatus.OUT_OF_DATE
    assert status(name, qe_status=out_of_date) is out_of_date
    assert status(name, qe_status=TcbStatus.REVOKED) is TcbStatus.REVOKED
    configured = status(name, qe_status=out_of_date, tcb_status=TcbStatus.CONFIGURATION_NEEDED)
    assert configured is TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED


def test_module_status() -> None:
    tcb = claims_of(verify(TDX, module_status=TcbStatus.OUT_OF_DATE)).tcb
    assert (tcb.status, tcb.module_status) == (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE)
    assert tcb.platform_status is TcbStatus.UP_TO_DATE
    assert tcb.advisories == ("INTEL-SA-01099",)
    assert status(TDX, module_status=TcbStatus.REVOKED) is TcbStatus.REVOKED
    assert status(TDX, module_version=3) is TcbStatus.UP_TO_DATE
    without_identity = claims_of(verify(TDX, module_version=0)).tcb
    assert (without_identity.status, without_identity.module_status) == (TcbStatus.UP_TO_DATE, None)


def test_relaunch_advised() -> None:
    assert status(TDX, relaunch_advised=True) is TcbStatus.TD_RELAUNCH_ADVISED
    configuration = status(TDX, relaunch_advised=True, tcb_status=TcbStatus.CONFIGURATION_NEEDED)
    assert configuration is TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    # The module that is loaded now is no newer: a relaunch would not help.
    same = {"quote_version": 5, "body_version": "1.5", "module_status": TcbStatus.OUT_OF_DATE}
    assert status(TDX, **same) is TcbStatus.OUT_OF_DATE
    assert status(TDX, relaunch_advised=True, qe_status=TcbStatus.OUT_OF_DATE) is TcbStatus.OUT_OF_DATE


def latest_with_tdx(*first: int) -> tuple[TcbLevel, ...]:
    """Give TCB levels of which the newest asks for TDX components that begin with `first`."""
    newest = TCB_LEVELS[0]
    components = (*first, *newest.tdx_components[len(first) :])
    return (
        TcbLevel(status=newest.status, sgx_components=newest.sgx_components, tdx_components=components),
        *TCB_LEVELS[1:],
    )


def test_module_components_are_not_compared_for_a_module_with_a_version() -> None:
    """Intel QVL: with tee_tcb_svn[1] > 0 the module has levels of its own, and components 0 and 1 count no more."""
    levels = latest_with_tdx(200, 200)
    assert status(TDX, tcb_levels=levels) is TcbStatus.UP_TO_DATE
    assert status(TDX, tcb_levels=levels, module_version=0) is TcbStatus.SW_HARDENING_NEEDED
    third = latest_with_tdx(5, 0, 4)
    assert status(TDX, tcb_levels=third) is TcbStatus.SW_HARDENING_NEEDED


@BOTH
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"revoked": {SignedItem.INTEL_PCK}}, Refusal.REVOKED),
        ({"revoked": {SignedItem.INTEL_INTERMEDIATE}}, Refusal.REVOKED),
        ({"revoked": {SignedItem.INTEL_TCB_SIGNING}}, Refusal.REVOKED),
        ({"expired": {SignedItem.INTEL_ROOT_CRL}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"expired": {SignedItem.INTEL_PCK_CRL}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"expired": {SignedItem.INTEL_TCB_INFO}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"expired": {SignedItem.INTEL_QE_IDENTITY}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"not_yet_valid": {SignedItem.INTEL_PCK_CRL}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"not_yet_valid": {SignedItem.INTEL_TCB_INFO}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"expired": {SignedItem.INTEL_PCK}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"expired": {SignedItem.INTEL_INTERMEDIATE}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"expired": {SignedItem.INTEL_TCB_SIGNING}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"not_yet_valid": {SignedItem.INTEL_PCK}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"forged": {SignedItem.INTEL_PCK}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_INTERMEDIATE}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_TCB_SIGNING}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_ROOT_CRL}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_PCK_CRL}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_TCB_INFO}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.INTEL_QE_IDENTITY}}, Refusal.CERTIFICATE_CHAIN),
        ({"missing": {Kind.INTEL_ROOT_CRL}}, Refusal.ENDORSEMENTS_MISSING),
        ({"missing": {Kind.INTEL_PCK_CRL}}, Refusal.ENDORSEMENTS_MISSING),
        ({"missing": {Kind.INTEL_TCB_INFO}}, Refusal.ENDORSEMENTS_MISSING),
        ({"missing": {Kind.INTEL_QE_IDENTITY}}, Refusal.ENDORSEMENTS_MISSING),
        ({"certification_data_type": 1, "missing": {Kind.INTEL_PCK_CHAIN}}, Refusal.ENDORSEMENTS_MISSING),
        ({"tcb_info_fmspc": b"OTHER!"}, Refusal.ENDORSEMENTS_MISSING),
        ({"qe_mr_signer": b"\1" * 32}, Refusal.CERTIFICATE_CHAIN),
        ({"qe_isv_prod_id": 7}, Refusal.CERTIFICATE_CHAIN),
        ({"qe_miscselect": 1}, Refusal.CERTIFICATE_CHAIN),
        ({"qe_attributes": 0x17}, Refusal.CERTIFICATE_CHAIN),
        ({"tcb_status": None}, Refusal.TCB_NO_LEVEL),
        ({"pce_svn": 12}, Refusal.TCB_NO_LEVEL),
        ({"qe_status": None}, Refusal.TCB_NO_LEVEL),
    ],
    ids=repr,
)
def test_what_is_wrong_is_refused_for_its_reason(name: str, settings: dict[str, object], expected: Refusal) -> None:
    problems = verify(name, **settings).problems
    assert {problem.error.refusal for problem in problems} == {expected}


def test_documents_of_the_other_tee_are_no_endorsements() -> None:
    assert refusal(SGX, qe_identity_id="TD_QE") is Refusal.ENDORSEMENTS_MISSING
    assert refusal(TDX, qe_identity_id="QE") is Refusal.ENDORSEMENTS_MISSING
    assert refusal(TDX, tcb_info_id="SGX") is Refusal.ENDORSEMENTS_MISSING
    assert refusal(TDX, tcb_info_version=2) is Refusal.ENDORSEMENTS_MISSING


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mr_signer_seam": b"\1" * 48}, Refusal.CERTIFICATE_CHAIN),
        ({"seam_attributes": 1}, Refusal.CERTIFICATE_CHAIN),
        ({"module_version": 9}, Refusal.TCB_NO_LEVEL),
        ({"module_status": None}, Refusal.TCB_NO_LEVEL),
        (
            {"module_identities": (ModuleIdentity(id="TDX_01", levels=MODULE_LEVELS, mr_signer=b"\1" * 48),)},
            Refusal.CERTIFICATE_CHAIN,
        ),
    ],
)
def test_wrong_module_is_refused(settings: dict[str, object], expected: Refusal) -> None:
    assert refusal(TDX, **settings) is expected


@BOTH
def test_evaluation_numbers_and_dates_arrive(name: str) -> None:
    issued = NOW.replace(day=1, hour=0, minute=0)
    tcb = claims_of(verify(name, tcb_evaluation_data_number=21, qe_evaluation_data_number=20, issue_date=issued)).tcb
    assert tcb.tcb_evaluation_data_number == 20
    assert tcb.issue_date == issued


@BOTH
def test_vendor_anchors_refuse_simulated_evidence(name: str) -> None:
    (problem,) = verify(name, anchors=VENDOR_ROOTS).problems
    assert problem.error.refusal is Refusal.CERTIFICATE_CHAIN


@BOTH
def test_trailing_bytes_are_no_evidence(name: str) -> None:
    collected = world().attester(name, trailing=b"\1" * 39).collect(REPORT_DATA)
    verifier = SgxEcdsaVerifier() if name == SGX else TdxEcdsaVerifier()
    assert verifier.decode(collected.evidence).not_covered == 39
    assert verify(name, trailing=b"\1" * 39).problems == ()
