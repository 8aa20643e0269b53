"""Omissions of verifiers of SEV-SNP. Numbers are those of docs/attacks.md.

Every case is one healthy simulated chip with one thing changed, judged whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    RevokedError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.policy import ANY
from rats_tls.policy.snp_entry import PLATFORM_INFO_BITS, POLICY_BITS
from rats_tls.simulation import amd_report
from rats_tls.simulation.amd_report import TCB
from rats_tls.simulation.states import PRODUCTS, Product
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.amd_report import require_identity, require_tcb
from support.judged import REPORT_DATA, appraise, collected
from support.sides import SNP, policy_for
from support.simulated import NOW, world

USUAL_POLICY = 0x30000
VLEK = {"csp_ids": "rats-tls-simulation"}
EVERY_PRODUCT = pytest.mark.parametrize("product", PRODUCTS)


def mismatches(written: dict[str, Any] | None = None, /, **state: Any) -> set[str]:
    """Give the fields for which a guest in `state` is refused by the policy for a healthy one."""
    evidence, endorsements = collected(SNP, **state)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(SNP, **(written or {})))
    assert caught.value.authenticated
    return {mismatch.field for mismatch in caught.value.mismatches}


def accepted(written: dict[str, Any] | None = None, /, **state: Any) -> Any:
    evidence, endorsements = collected(SNP, **state)
    return appraise(evidence, endorsements, policy_for(SNP, **(written or {}))).claims


def refused(error: type[RatsTlsError], message: str, written: dict[str, Any] | None = None, /, **state: Any) -> None:
    evidence, endorsements = collected(SNP, **state)
    with pytest.raises(error, match=message):
        appraise(evidence, endorsements, policy_for(SNP, **(written or {})))


# --- 3.18, 3.19 privilege level and guest policy ---------------------------------------------------------------------
@pytest.mark.parametrize("vmpl", [1, 2, 3])
def test_3_18_another_vmpl_than_0_is_refused_unless_written(vmpl: int) -> None:
    assert mismatches(vmpl=vmpl) == {"vmpl"}
    assert accepted({"vmpl": vmpl}, vmpl=vmpl).vmpl == vmpl
    assert mismatches({"vmpl": vmpl}) == {"vmpl"}


OWN_FIELDS = {16: "allow_smt", 18: "allow_migration_agent", 19: "allow_debug", 21: "allow_cxl"}


@pytest.mark.parametrize("bit", range(16, 64))
def test_3_19_guest_policy_bit_by_bit(bit: int) -> None:
    if bit == 17:
        assert mismatches(policy=1 << 16) == {"required_policy_bits"}
        return
    word = 1 << 17 | 1 << bit
    if bit == 16:
        assert accepted(policy=word).policy == word
        evidence, endorsements = collected(SNP, policy=word)
        with pytest.raises(AppraisalError, match="allow_smt"):
            appraise(evidence, endorsements, policy_for(SNP, allow_smt=False))
        return
    evidence, endorsements = collected(SNP, policy=word)
    if POLICY_BITS >> bit & 1:
        assert appraise(evidence, endorsements, policy_for(SNP)).verdict == "accepted"
        return
    field = OWN_FIELDS.get(bit, "allowed_policy_bits")
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(SNP))
    assert {mismatch.field for mismatch in caught.value.mismatches} == {field}
    waived: dict[str, Any] = {field: True} if bit in OWN_FIELDS else {field: hex(POLICY_BITS | 1 << bit)}
    assert appraise(evidence, endorsements, policy_for(SNP, **waived)).verdict == "accepted"


def test_3_19_the_firmware_abi_has_a_floor() -> None:
    evidence, endorsements = collected(SNP, policy=USUAL_POLICY | 0x0137)
    assert appraise(evidence, endorsements, policy_for(SNP, min_policy_abi=(1, 0x37))).verdict == "accepted"
    for floor in ((1, 0x38), (2, 0)):
        with pytest.raises(AppraisalError, match="min_policy_abi"):
            appraise(evidence, endorsements, policy_for(SNP, min_policy_abi=floor))


# --- 3.20, 3.21 TCB --------------------------------------------------------------------------------------------------
def components(product: Product) -> list[str]:
    return ["bootloader", "tee", "snp", "microcode", *(["fmc"] if product == "Turin" else [])]


@EVERY_PRODUCT
def test_3_20_the_vek_is_of_the_reported_tcb_component_by_component(product: Product) -> None:
    for name in components(product):
        other = replace(TCB[product], **{name: getattr(TCB[product], name) + 1})
        refused(CertificateChainError, "VEK TCB", product=product, vek_tcb=other)


@EVERY_PRODUCT
def test_3_20_each_component_has_its_own_floor(product: Product) -> None:
    """Compared as one number, a high component would make up for a low one."""
    none = dict.fromkeys(components(product), 0)
    for name in none:
        value = getattr(TCB[product], name)
        floor = {"min_tcb": {**none, name: value}}
        assert accepted(floor, product=product).product == product
        assert mismatches({"min_tcb": {**none, name: value + 1}}, product=product) == {"min_tcb"}
        if value:
            older = replace(TCB[product], **{name: value - 1})
            assert mismatches(floor, product=product, launch_tcb=older) == {"min_tcb"}


def test_3_20_provisional_and_impossible_firmware_is_refused() -> None:
    older = replace(TCB["Milan"], microcode=TCB["Milan"].microcode - 1)
    newer = replace(TCB["Milan"], microcode=TCB["Milan"].microcode + 1)
    field = {"allow_provisional_firmware"}
    assert mismatches(committed_tcb=older) == field
    assert mismatches(committed_version=(1, 55, 39)) == field
    waived = {"allow_provisional_firmware": True}
    assert accepted(waived, committed_tcb=older).committed_tcb == older
    # What no firmware reports is refused all the same.
    assert mismatches(waived, committed_tcb=newer) == field
    assert mismatches(waived, reported_tcb=newer) == field
    assert mismatches(waived, committed_version=(1, 55, 41)) == field
    assert mismatches({"min_firmware_version": (1, 55, 41)}) == {"min_firmware_version"}


def test_3_21_the_layout_is_that_of_the_product() -> None:
    """A report of Turin whose product says Milan has bytes where Milan's layout has reserved ones."""
    evidence, endorsements = collected(SNP, product="Turin")
    as_milan = bytearray(evidence.data)
    as_milan[0x188], as_milan[0x189] = 0x19, 0x01
    with pytest.raises(RatsTlsError, match=r"TcbVersion.*layout of Milan"):
        appraise(Evidence.of(TeeType.SEV_SNP, bytes(as_milan)), endorsements, policy_for(SNP))
    tcb = accepted(product="Turin").reported_tcb
    assert tcb == TCB["Turin"]
    assert tcb.fmc is not None
    assert isinstance(tcb, SnpTcb)
    # Eight bytes name a chip from Turin on; a longer hwID is another chip's.
    refused(CertificateChainError, "hwID", product="Turin", vek_hwid=world().amd_chip("Turin").chip_id[:8] + b"\1" * 56)


def test_3_21_an_unknown_processor_is_refused() -> None:
    evidence, endorsements = collected(SNP)
    unknown = bytearray(evidence.data)
    unknown[0x188], unknown[0x189] = 0x30, 0x01
    with pytest.raises((UnsupportedError, SignatureError, EndorsementMissingError)):
        appraise(Evidence.of(TeeType.SEV_SNP, bytes(unknown)), endorsements, policy_for(SNP))


# --- 3.22, 3.23 keys and chips ---------------------------------------------------------------------------------------
@EVERY_PRODUCT
def test_3_22_a_key_of_one_type_does_not_stand_in_for_the_other(product: Product) -> None:
    """The VEK of the other type, and the right one under the other signer."""
    for own, other in (("VCEK", "VLEK"), ("VLEK", "VCEK")):
        evidence, endorsements = collected(SNP, product=product, key_type=own)
        _, foreign = collected(SNP, product=product, key_type=other)
        policy = policy_for(SNP, **VLEK)
        assert appraise(evidence, endorsements.with_items(foreign), policy).claims.vek_type == own  # type: ignore[union-attr]
        for kind in (EndorsementKind.AMD_VEK, EndorsementKind.AMD_SIGNER):
            others = [item for item in endorsements if item.kind is not kind]
            with pytest.raises(RatsTlsError):
                appraise(evidence, Endorsements((*others, *foreign.of_kind(kind))), policy)


@pytest.mark.parametrize(("signed_by", "says"), [("VLEK", "VCEK"), ("VCEK", "VLEK")])
def test_3_22_the_report_itself_says_which_key_signed(
    signed_by: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A genuine key signs a report that names the other one: a provider's key is not its chip's, nor the reverse."""
    monkeypatch.setitem(amd_report.SIGNING_KEYS, signed_by, amd_report.SIGNING_KEYS[says])
    refused(
        CertificateChainError, rf"common name: got 'SEV-{signed_by}', expected 'SEV-{says}'", VLEK, key_type=signed_by
    )


def test_3_22_hwid_and_csp_id_exclude_each_other() -> None:
    evidence, endorsements = collected(SNP)
    report = AttestationReport.from_bytes(evidence.data)
    (item,) = endorsements.of_kind(EndorsementKind.AMD_VEK)
    vcek = VekCertificate.from_der(item.data)
    vlek = replace(vcek, certificate=replace(vcek.certificate, subject=vlek_name()))

    def with_ids(vek: VekCertificate, hwid: bytes | None, csp_id: str | None) -> VekCertificate:
        return replace(vek, extensions=replace(vek.extensions, hwid=hwid, csp_id=csp_id))

    chip = report.chip_id
    assert require_identity(report, with_ids(vcek, chip, None), "Milan").startswith("hwID")
    assert require_identity(report, with_ids(vlek, None, "cloud"), "Milan") == "CSP_ID cloud"
    for vek in (vcek, vlek):
        for hwid, csp_id in ((None, None), (chip, "cloud")):
            with pytest.raises(CertificateChainError, match="hwID"):
                require_identity(report, with_ids(vek, hwid, csp_id), "Milan")


def vlek_name() -> Any:
    _, endorsements = collected(SNP, key_type="VLEK")
    (item,) = endorsements.of_kind(EndorsementKind.AMD_VEK)
    return VekCertificate.from_der(item.data).certificate.subject


def test_3_20_reserved_components_of_a_vek_are_zero() -> None:
    evidence, endorsements = collected(SNP)
    report = AttestationReport.from_bytes(evidence.data)
    (item,) = endorsements.of_kind(EndorsementKind.AMD_VEK)
    vek = VekCertificate.from_der(item.data)
    assert require_tcb(report, vek, "Milan")
    with pytest.raises(CertificateChainError, match="spl4"):
        require_tcb(report, replace(vek, extensions=replace(vek.extensions, reserved_spls=(0, 0, 0, 1))), "Milan")


@pytest.mark.parametrize("signing_key", range(2, 8))
def test_3_22_reserved_signing_keys_are_refused(signing_key: int) -> None:
    evidence, endorsements = collected(SNP)
    changed = bytearray(evidence.data)
    changed[0x48] = signing_key << 2
    with pytest.raises(SignatureError, match=f"signing_key: got {signing_key}"):
        appraise(Evidence.of(TeeType.SEV_SNP, bytes(changed)), endorsements, policy_for(SNP))


@pytest.mark.parametrize("bit", [5, 31])
def test_3_22_unknown_bits_of_key_info_are_refused_unless_allowed(bit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(amd_report.SIGNING_KEYS, "VCEK", 1 << bit - 2)  # the simulator shifts it to bits 2 to 4
    assert mismatches() == {"allowed_key_info"}
    assert accepted({"allowed_key_info": hex(1 << bit)}).key_info == 1 << bit


def test_3_22_a_providers_key_needs_its_provider_listed() -> None:
    assert mismatches(key_type="VLEK") == {"csp_ids"}
    assert mismatches({"csp_ids": "another"}, key_type="VLEK") == {"csp_ids"}
    assert accepted(VLEK, key_type="VLEK").csp_id == "rats-tls-simulation"
    assert mismatches({**VLEK, "signing_keys": "VCEK"}, key_type="VLEK") == {"signing_keys"}
    assert mismatches({"signing_keys": "VLEK"}) == {"signing_keys"}


def test_3_22_another_chips_vcek_is_refused() -> None:
    refused(CertificateChainError, "hwID", vek_hwid=b"\1" * 64)
    refused(CertificateChainError, "hwID", chip_id=b"\1" * 64)


def test_3_23_a_masked_chip_id_is_refused_with_a_vcek() -> None:
    refused(CertificateChainError, "chip_id", mask_chip_id=True)
    refused(CertificateChainError, "chip_id", mask_chip_id=True, vek_hwid=bytes(64))
    assert accepted(VLEK, mask_chip_id=True, key_type="VLEK").chip_id == bytes(64)


# --- 3.24, 3.25 revocation and root ----------------------------------------------------------------------------------
@pytest.mark.parametrize("key_type", ["VCEK", "VLEK"])
def test_3_24_a_revoked_signer_is_refused_whatever_the_policy_waives(key_type: str) -> None:
    for policy in (VLEK, {**VLEK, "revocation": "not-checked"}):
        refused(RevokedError, "revocation list", policy, revoked={SignedItem.AMD_SIGNER}, key_type=key_type)


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("dates", [{}, {"expired": {SignedItem.AMD_CRL}}, {"not_yet_valid": {SignedItem.AMD_CRL}}])
def test_3_24_once_named_on_an_authentic_list_is_revoked(origin: Origin, dates: dict[str, Any]) -> None:
    evidence, endorsements = collected(SNP)
    (names_it,) = collected(SNP, revoked={SignedItem.AMD_SIGNER}, **dates)[1].of_kind(EndorsementKind.AMD_CRL)
    with pytest.raises(RevokedError):
        appraise(evidence, endorsements.with_items([replace(names_it, origin=origin)]), policy_for(SNP))


def test_3_24_a_list_is_there_authentic_and_in_date() -> None:
    refused(EndorsementMissingError, "amd-crl", missing={EndorsementKind.AMD_CRL})
    refused(ExpiredError, "revocation list", expired={SignedItem.AMD_CRL})
    refused(ExpiredError, "from the future", not_yet_valid={SignedItem.AMD_CRL})
    refused(CertificateChainError, "revocation list", forged={SignedItem.AMD_CRL})
    # Another root's list, by the same name, is forged too.
    evidence, endorsements = collected(SNP)
    others = [item for item in endorsements if item.kind is not EndorsementKind.AMD_CRL]
    elsewhere = Endorsements(SimulatedWorld(clock=lambda: NOW).attester(SNP).collect(REPORT_DATA).endorsements)
    (foreign,) = elsewhere.of_kind(EndorsementKind.AMD_CRL)
    with pytest.raises(CertificateChainError, match="revocation list"):
        appraise(evidence, Endorsements((*others, foreign)), policy_for(SNP))


@EVERY_PRODUCT
def test_3_25_the_root_is_the_products_own(product: Product) -> None:
    evidence, endorsements = collected(SNP, product=product)
    policy = policy_for(SNP)
    own = [anchor for anchor in world().trust_anchors if anchor.name == f"ARK-{product}"]
    assert appraise(evidence, endorsements, policy, anchors=own).anchor == own[0]
    for others in PRODUCTS:
        collected(SNP, product=others)
    others_alone = [anchor for anchor in world().trust_anchors if anchor.name != f"ARK-{product}"]
    assert len(others_alone) >= 2
    with pytest.raises(CertificateChainError, match=f"ARK-{product}"):
        appraise(evidence, endorsements, policy, anchors=others_alone)


@EVERY_PRODUCT
def test_3_25_a_peers_own_root_is_no_anchor(product: Product) -> None:
    """A whole chain of the same names under a root of the attacker's."""
    theirs = SimulatedWorld(clock=lambda: NOW).attester(SNP, product=product).collect(REPORT_DATA)
    own = collected(SNP, product=product)[1]
    peers = [replace(item, origin=Origin.PEER) for item in theirs.endorsements]
    for pool in (Endorsements(tuple(peers)), own.with_items(peers)):
        with pytest.raises(RatsTlsError):
            appraise(theirs.evidence, pool, policy_for(SNP))


@pytest.mark.parametrize("item", [SignedItem.AMD_SIGNER, SignedItem.AMD_VEK])
def test_3_25_every_certificate_is_genuine_and_in_date(item: SignedItem) -> None:
    refused(CertificateChainError, "signature", forged={item})
    refused(ExpiredError, "expired", expired={item})
    refused(ExpiredError, "not yet valid", not_yet_valid={item})


# --- 3.26 to 3.29 ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id_key_digest", b"\1" * 48),
        ("author_key_digest", b"\1" * 48),
        ("family_id", b"\1" * 16),
        ("image_id", b"\1" * 16),
        ("host_data", b"\0" * 31 + b"\1"),
        ("measurement", b"\1" * 48),
    ],
)
def test_3_26_and_3_27_each_field_of_the_owner_and_the_host_is_held_whole(field: str, value: bytes) -> None:
    assert mismatches(**{field: value}) == {field}
    assert getattr(accepted({field: value}, **{field: value}), field) == value
    assert mismatches({field: value}) == {field}


def test_3_26_guest_svn_has_a_floor() -> None:
    assert mismatches({"min_guest_svn": 3}, guest_svn=2) == {"min_guest_svn"}
    assert accepted({"min_guest_svn": 3}, guest_svn=3).guest_svn == 3


def test_3_28_version_2_only_with_its_product_written() -> None:
    assert mismatches(report_version=2) == {"min_report_version", "products"}
    assert mismatches({"min_report_version": 2}, report_version=2) == {"products"}
    assert mismatches({"products": "Milan"}, report_version=2) == {"min_report_version"}
    both = {"min_report_version": 2, "products": "Milan"}
    assert accepted(both, report_version=2).product == "Milan"
    assert mismatches({**both, "products": "Genoa"}, report_version=2) == {"products"}


def test_3_29_products_and_platforms_can_be_left_out() -> None:
    assert mismatches({"products": ("Genoa", "Turin")}) == {"products"}
    assert accepted({"products": ("Genoa", "Turin")}, product="Genoa").product == "Genoa"
    assert mismatches({"required_platform_info": "0x20"}, platform_info=0x05) == {"required_platform_info"}
    assert accepted({"required_platform_info": "0x20"}, platform_info=0x25).platform_info == 0x25
    vectors: dict[str, Any] = {"report_version": 5, "launch_mit_vector": 1, "current_mit_vector": 3}
    assert accepted({"required_mitigations": 1}, **vectors).current_mit_vector == 3
    assert mismatches({"required_mitigations": 2}, **vectors) == {"required_mitigations"}
    assert mismatches({"required_mitigations": 1}) == {"required_mitigations"}


@pytest.mark.parametrize("bit", range(64))
def test_3_29_platform_info_bit_by_bit(bit: int) -> None:
    if PLATFORM_INFO_BITS >> bit & 1:
        assert accepted(platform_info=1 << bit).platform_info == 1 << bit
    else:
        assert mismatches(platform_info=1 << bit) == {"allowed_platform_info"}
        waived = {"allowed_platform_info": hex(PLATFORM_INFO_BITS | 1 << bit)}
        assert accepted(waived, platform_info=1 << bit).platform_info == 1 << bit


def test_3_29_any_is_written_and_accepts() -> None:
    anything = dict.fromkeys(("measurement", "host_data", "id_key_digest", "author_key_digest"), ANY)
    assert accepted(anything, measurement=b"\1" * 48, host_data=b"\2" * 32).measurement == b"\1" * 48
