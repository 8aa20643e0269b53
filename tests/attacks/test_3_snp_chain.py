"""Omissions in the verification of AMD's chains and lists (3.20 to 3.29). Numbers are those of docs/attacks.md.

One part of a chain is changed at a time, in what the simulated vendor issues or in a decoded certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    ExpiredError,
    RatsTlsError,
    RevokedError,
    UnsupportedError,
)
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.x509 import Certificate, Extension, RevocationList
from rats_tls.simulation import amd_report, amd_vendor, der, pki
from rats_tls.simulation.amd_report import TCB
from rats_tls.simulation.amd_vendor import SimulatedAmdVendor
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.amd_chain import (
    anchors_of_product,
    load_p384,
    verify_revocation_list,
    verify_root,
    verify_signer,
    verify_vek,
)
from rats_tls.verifiers.amd_report import require_name
from support.channels import CRYPTO
from support.judged import REPORT_DATA, appraise, collected
from support.sides import SNP, policy_for
from support.simulated import NOW, world

K = EndorsementKind
UNKNOWN = {"1.2.3.4": Extension(critical=True, value=b"\5\0")}
PKCS1 = SignatureAlgorithm.RSA_PKCS1_SHA384


def milan() -> tuple[TrustAnchor, ...]:
    world().amd("Milan")
    return anchors_of_product(world().trust_anchors, "Milan")


def der_of(kind: EndorsementKind, **state: Any) -> bytes:
    (found,) = collected(SNP, **state)[1].of_kind(kind)
    return found.data


def certificate(kind: EndorsementKind, **state: Any) -> Certificate:
    return Certificate.from_der(der_of(kind, **state))


def vek(**changes: Any) -> VekCertificate:
    made = VekCertificate.from_der(der_of(K.AMD_VEK))
    return replace(made, certificate=replace(made.certificate, **changes))


def spki_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def other_key(bits: int) -> bytes:
    return spki_of(rsa.generate_private_key(65537, bits))


def mismatches(written: dict[str, Any], **state: Any) -> set[str]:
    evidence, endorsements = collected(SNP, **state)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(SNP, **written))
    return {mismatch.field for mismatch in caught.value.mismatches}


# --- 3.20 to 3.22 -----------------------------------------------------------------------------------------------------
def test_3_20_the_reported_tcb_has_a_floor_apart_from_that_of_the_launch() -> None:
    tcb = TCB["Milan"]
    floor = {"min_tcb": {"bootloader": 0, "tee": 0, "snp": tcb.snp, "microcode": 0}}
    older = replace(tcb, snp=tcb.snp - 1)
    assert mismatches(floor, reported_tcb=older, launch_tcb=tcb) == {"min_tcb"}
    assert mismatches(floor, reported_tcb=tcb, launch_tcb=older) == {"min_tcb"}


def test_3_21_an_unknown_processors_report_is_refused_though_its_key_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_for(SNP)
    monkeypatch.setitem(amd_report.CPUID, "Milan", (0x30, 0x01, 0x01))
    evidence, endorsements = collected(SNP)
    with pytest.raises((UnsupportedError, CertificateChainError), match=r"no product that is known|issuer"):
        appraise(evidence, endorsements, policy)


def test_3_21_a_chip_id_of_turin_is_eight_bytes_on_both_sides() -> None:
    evidence, endorsements = collected(SNP, product="Turin", chip_id=b"\1" * 64, vek_hwid=b"\1" * 64)
    with pytest.raises(CertificateChainError, match="expected 8 bytes and zeros"):
        appraise(evidence, endorsements, policy_for(SNP))


def test_3_22_a_vcek_that_the_signer_of_vleks_issued_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reverse: a provider's signer vouches for no chip. Name and chip are right, and all signatures."""
    for own, other in (("VCEK", "asvk"), ("VLEK", "ask")):
        with monkeypatch.context() as patch:
            patch.setitem(amd_vendor._SIGNERS, own, other)
            evidence, endorsements = collected(SNP, key_type=own)
        with pytest.raises(CertificateChainError, match="VEK certificate issuer"):
            appraise(evidence, endorsements, policy_for(SNP, csp_ids="rats-tls-simulation"))
    report = AttestationReport.from_bytes(collected(SNP)[0].data)
    assert require_name(report, vek(), "Milan") == "SEV-VCEK"
    with pytest.raises(CertificateChainError, match="issuer"):
        require_name(report, vek(), "Genoa")
    with pytest.raises(CertificateChainError, match="common name"):
        require_name(report, VekCertificate.from_der(der_of(K.AMD_VEK, key_type="VLEK")), "Milan")
    for key_type, name in (("VLEK", "SEV-Milan"), ("VCEK", "SEV-VLEK-Milan")):
        with pytest.raises(CertificateChainError, match="signer common name"):
            verify_signer(certificate(K.AMD_SIGNER, key_type=key_type), milan(), name, CRYPTO)


# --- 3.24 lists -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [K.AMD_VEK, K.AMD_SIGNER, K.AMD_ROOT])
def test_3_24_every_certificate_of_the_chain_is_looked_up(kind: EndorsementKind) -> None:
    evidence, endorsements = collected(SNP)
    day = timedelta(days=1)
    validity = pki.Validity(start=NOW - day, end=NOW + day)
    crl = world().amd("Milan")._authority("ark").revoke((certificate(kind).serial,), 9, validity)
    (own,) = endorsements.of_kind(K.AMD_CRL)
    others = [item for item in endorsements if item is not own]
    with pytest.raises(RevokedError, match="revocation list of ARK-Milan"):
        appraise(evidence, Endorsements((*others, replace(own, data=crl))), policy_for(SNP))


def test_3_24_a_list_that_is_not_the_roots_or_that_nobody_understands_does_not_count() -> None:
    crl = RevocationList.from_der(der_of(K.AMD_CRL))
    verify_revocation_list(crl, milan()[0], CRYPTO)
    with pytest.raises(CertificateChainError, match="unknown critical extension"):
        verify_revocation_list(replace(crl, unknown_critical=("2.5.29.28",)), milan()[0], CRYPTO)
    with pytest.raises(CertificateChainError, match="signature by ARK-Milan"):
        verify_revocation_list(replace(crl, signature=bytes(512)), milan()[0], CRYPTO)


# --- 3.25 root and signer ---------------------------------------------------------------------------------------------
def test_3_25_anchors_of_other_products_do_not_come_into_question() -> None:
    collected(SNP, product="Genoa")
    both = [anchor for anchor in world().trust_anchors if anchor.name in ("ARK-Genoa", *(a.name for a in milan()))]
    assert len(both) == 2
    assert [anchor.name for anchor in anchors_of_product(both, "Genoa")] == ["ARK-Genoa"]
    assert anchors_of_product(both, "Milan") == milan()
    with pytest.raises(CertificateChainError, match="none of the"):
        anchors_of_product(milan(), "Genoa")


ROOT_CHANGES: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"is_ca": False}, "no CA flag"),
    (lambda: {"signature_algorithm": PKCS1}, "expected RSASSA-PSS with SHA-384"),
    (lambda: {"extensions": UNKNOWN}, "unknown critical extension"),
    (lambda: {"signature": bytes(512)}, "signature"),
    (lambda: {"spki": other_key(4096)}, "not a trust anchor"),
    (lambda: {"subject": certificate(K.AMD_SIGNER).subject}, "not a trust anchor"),
]


@pytest.mark.parametrize("number", range(len(ROOT_CHANGES)))
def test_3_25_a_root_at_hand_is_the_anchor_in_name_key_and_signature(number: int) -> None:
    root = certificate(K.AMD_ROOT)
    assert verify_root(root, milan(), CRYPTO) == milan()[0]
    changes, message = ROOT_CHANGES[number]
    with pytest.raises(CertificateChainError, match=message):
        verify_root(replace(root, **changes()), milan(), CRYPTO)


def test_3_25_a_root_of_the_right_name_and_another_key_is_refused_whole() -> None:
    evidence, endorsements = collected(SNP)
    elsewhere = Endorsements(SimulatedWorld(clock=lambda: NOW).attester(SNP).collect(REPORT_DATA).endorsements)
    others = [item for item in endorsements if item.kind is not K.AMD_ROOT]
    assert appraise(evidence, Endorsements(tuple(others)), policy_for(SNP)).verdict == "accepted"
    with pytest.raises(CertificateChainError, match="not a trust anchor"):
        appraise(evidence, Endorsements((*others, *elsewhere.of_kind(K.AMD_ROOT))), policy_for(SNP))


def test_3_25_a_root_at_hand_is_in_date(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimulatedWorld(clock=lambda: NOW)
    ended = pki.Validity(start=NOW - timedelta(days=9), end=NOW - timedelta(days=1))
    with monkeypatch.context() as patch:
        patch.setattr(amd_vendor, "CA_VALIDITY", ended)
        other.amd("Milan")
    made = other.attester(SNP).collect(REPORT_DATA)
    with pytest.raises(ExpiredError, match="ARK-Milan certificate has expired"):
        appraise(made.evidence, Endorsements(made.endorsements), policy_for(SNP), anchors=other.trust_anchors)


SIGNER_CHANGES: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"is_ca": False}, "no CA flag"),
    (lambda: {"spki": other_key(2048)}, "got 2048 RSA bits, expected 4096"),
    (lambda: {"spki": spki_of(ec.generate_private_key(ec.SECP384R1()))}, "got no RSA bits"),
    (lambda: {"signature_algorithm": None}, "expected RSASSA-PSS with SHA-384"),
    (lambda: {"signature_algorithm": PKCS1}, "expected RSASSA-PSS with SHA-384"),
    (lambda: {"extensions": UNKNOWN}, "unknown critical extension"),
    (lambda: {"signature": bytes(512)}, "signature by ARK-Milan"),
    (lambda: {"issuer": certificate(K.AMD_SIGNER).subject}, "not the trust anchor"),
]


@pytest.mark.parametrize("number", range(len(SIGNER_CHANGES)))
def test_3_25_a_signer_is_the_roots_in_amds_form(number: int) -> None:
    signer = certificate(K.AMD_SIGNER)
    assert verify_signer(signer, milan(), "SEV-Milan", CRYPTO) == milan()[0]
    changes, message = SIGNER_CHANGES[number]
    with pytest.raises(CertificateChainError, match=message):
        verify_signer(replace(signer, **changes()), milan(), "SEV-Milan", CRYPTO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_ca": True}, "has the CA flag"),
        ({"signature_algorithm": PKCS1}, "expected RSASSA-PSS"),
        ({"extensions": UNKNOWN}, "unknown critical extension"),
        ({"signature": bytes(512)}, "signature by SEV-Milan"),
    ],
)
def test_3_25_a_vek_is_the_signers_in_amds_form(changes: dict[str, Any], message: str) -> None:
    signer = certificate(K.AMD_SIGNER)
    verify_vek(vek(), signer, CRYPTO)
    with pytest.raises(CertificateChainError, match=message):
        verify_vek(vek(**changes), signer, CRYPTO)


def test_3_25_a_vek_has_a_p384_key() -> None:
    assert load_p384(vek(), CRYPTO).algorithm is KeyAlgorithm.EC_P384
    with pytest.raises(CertificateChainError, match="expected ec-p384"):
        load_p384(vek(spki=spki_of(ec.generate_private_key(ec.SECP256R1()))), CRYPTO)


# --- 3.28, 3.29 -------------------------------------------------------------------------------------------------------
def test_3_28_a_product_that_the_vek_contradicts_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"min_report_version": 2, "products": ("Milan", "Genoa")}
    evidence, endorsements = collected(SNP, report_version=2)
    assert appraise(evidence, endorsements, policy_for(SNP, **written)).verdict == "accepted"
    issued = SimulatedAmdVendor._vek_extensions

    def of_genoa(self: SimulatedAmdVendor, subject: Any) -> Any:
        return tuple({**dict(issued(self, subject)), "1.3.6.1.4.1.3704.1.2": der.ia5_string("Genoa-B0")}.items())

    monkeypatch.setattr(SimulatedAmdVendor, "_vek_extensions", of_genoa)
    evidence, endorsements = collected(SNP, report_version=2)
    with pytest.raises(RatsTlsError, match="productName: got 'Genoa-B0', expected Milan"):
        appraise(evidence, endorsements, policy_for(SNP, **written))


def test_3_29_chips_can_be_listed_and_fixed_firmware_demanded() -> None:
    """Milan's keys can be had by software alone: then only a chip that is known counts."""
    chip = world().amd_chip("Milan").chip_id
    evidence, endorsements = collected(SNP)
    listed = policy_for(SNP, identity={"hardware_ids": [chip]})
    assert appraise(evidence, endorsements, listed).verdict == "accepted"
    assert mismatches({"identity": {"hardware_ids": [chip]}}, machine=1) == {"identity"}
    fixed = {"bootloader": 0, "tee": 0, "snp": 0, "microcode": TCB["Milan"].microcode + 1}
    assert mismatches({"min_tcb": fixed}) == {"min_tcb"}
    vectors: dict[str, Any] = {"report_version": 5, "launch_mit_vector": 3, "current_mit_vector": 1}
    assert mismatches({"required_mitigations": 2}, **vectors) == {"required_mitigations"}
