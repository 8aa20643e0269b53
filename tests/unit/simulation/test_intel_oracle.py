"""Simulated Intel Evidence and collateral, judged by an independent implementation (dcap-qvl)."""

from __future__ import annotations

import dcap_qvl
import pytest

from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.endorsements import Endorsements
from rats_tls.simulation import pki
from rats_tls.simulation.attesters import SimulatedAttester
from rats_tls.simulation.vendor_state import SignedItem
from support.simulated import NOW, REPORT_DATA, world


def collateral(endorsements: Endorsements) -> dcap_qvl.QuoteCollateralV3:
    info, identity, root_crl, pck_crl = (
        endorsements.of_kind(kind)[0]
        for kind in (Kind.INTEL_TCB_INFO, Kind.INTEL_QE_IDENTITY, Kind.INTEL_ROOT_CRL, Kind.INTEL_PCK_CRL)
    )
    return dcap_qvl.QuoteCollateralV3(
        pki.to_pem(pck_crl.issuer_chain).decode(),
        root_crl.data,
        pck_crl.data,
        pki.to_pem(info.issuer_chain).decode(),
        info.data.decode(),
        info.signature,
        pki.to_pem(identity.issuer_chain).decode(),
        identity.data.decode(),
        identity.signature,
    )


def judge(attester: SimulatedAttester) -> dcap_qvl.VerifiedReport:
    collected = attester.collect(REPORT_DATA)
    return dcap_qvl.verify_with_root_ca(
        collected.evidence.data,
        collateral(Endorsements(collected.endorsements)),
        world().intel.root_certificate,
        int(NOW.timestamp()),
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("simulated_sgx_ecdsa", {}),
        ("simulated_sgx_ecdsa", {"certificate_authority": "processor"}),
        ("simulated_sgx_ecdsa", {"trailing": b"\1" * 39}),
        ("simulated_tdx_ecdsa", {}),
        ("simulated_tdx_ecdsa", {"quote_version": 5}),
        ("simulated_tdx_ecdsa", {"quote_version": 5, "body_version": "1.5"}),
        ("simulated_tdx_ecdsa", {"module_version": 0}),
        ("simulated_tdx_ecdsa", {"module_version": 3}),
    ],
)
def test_healthy_evidence_is_up_to_date(name: str, settings: dict[str, object]) -> None:
    report = judge(world().attester(name, **settings))
    assert report.status == "UpToDate"
    assert report.advisory_ids == []


@pytest.mark.parametrize("name", ["simulated_sgx_ecdsa", "simulated_tdx_ecdsa"])
@pytest.mark.parametrize(
    "status",
    [
        TcbStatus.SW_HARDENING_NEEDED,
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    ],
)
def test_platform_stands_at_the_status_asked_for(name: str, status: TcbStatus) -> None:
    report = judge(world().attester(name, tcb_status=status))
    assert report.status == status.value
    assert report.advisory_ids == ["INTEL-SA-00837", "INTEL-SA-01036"]


def test_qe_and_module_status() -> None:
    assert judge(world().attester("simulated_sgx_ecdsa", qe_status=TcbStatus.OUT_OF_DATE)).status == "OutOfDate"
    assert judge(world().attester("simulated_tdx_ecdsa", qe_status=TcbStatus.OUT_OF_DATE)).status == "OutOfDate"
    assert judge(world().attester("simulated_tdx_ecdsa", module_status=TcbStatus.OUT_OF_DATE)).status == "OutOfDate"


def test_relaunch_advised() -> None:
    assert judge(world().attester("simulated_tdx_ecdsa", relaunch_advised=True)).status == "TDRelaunchAdvised"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"debug": True}, "Debug"),
        ({"tcb_status": TcbStatus.REVOKED}, "Revoked"),
        ({"tcb_status": None}, "No matching TCB level"),
        ({"revoked": {SignedItem.INTEL_PCK}}, "(?i)revoked"),
        ({"revoked": {SignedItem.INTEL_INTERMEDIATE}}, "(?i)revoked"),
        ({"revoked": {SignedItem.INTEL_TCB_SIGNING}}, "(?i)revoked"),
        ({"expired": {SignedItem.INTEL_TCB_INFO}}, "(?i)expired"),
        ({"expired": {SignedItem.INTEL_QE_IDENTITY}}, "(?i)expired"),
        ({"expired": {SignedItem.INTEL_PCK_CRL}}, "(?i)expired"),
        ({"expired": {SignedItem.INTEL_PCK}}, "(?i)expired"),
        ({"expired": {SignedItem.INTEL_INTERMEDIATE}}, "(?i)expired"),
        ({"expired": {SignedItem.INTEL_TCB_SIGNING}}, "(?i)expired"),
        ({"forged": {SignedItem.INTEL_TCB_INFO}}, "(?i)signature"),
        ({"forged": {SignedItem.INTEL_QE_IDENTITY}}, "(?i)signature"),
        ({"forged": {SignedItem.INTEL_PCK}}, "(?i)signature"),
        ({"qe_mr_signer": b"\1" * 32}, "(?i)mrsigner"),
        ({"qe_isv_prod_id": 7}, "(?i)prod"),
        ({"tcb_info_fmspc": b"OTHER!"}, "(?i)fmspc"),
    ],
)
@pytest.mark.parametrize("name", ["simulated_sgx_ecdsa", "simulated_tdx_ecdsa"])
def test_what_is_wrong_is_refused_for_its_reason(name: str, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        judge(world().attester(name, **settings))


def test_another_root_is_refused() -> None:
    collected = world().attester("simulated_sgx_ecdsa").collect(REPORT_DATA)
    with pytest.raises(ValueError, match=r"(?i)root|issuer"):
        dcap_qvl.verify(collected.evidence.data, collateral(Endorsements(collected.endorsements)), int(NOW.timestamp()))
