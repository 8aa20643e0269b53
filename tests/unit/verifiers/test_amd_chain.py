"""Chains and lists of AMD's PKI: every demand on their form."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import CertificateChainError, ExpiredError, RatsTlsError, UnsupportedError
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.x509 import Certificate, Extension, RevocationList
from rats_tls.simulation import amd_report, amd_vendor, der, pki
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
from support.intel import CRYPTO
from support.judged import REPORT_DATA, appraise, collected
from support.sides import SNP, policy_for
from support.simulated import NOW, world

K = EndorsementKind
UNKNOWN = {"1.2.3.4": Extension(critical=True, value=b"\5\0")}
PKCS1 = SignatureAlgorithm.RSA_PKCS1_SHA384


def milan() -> tuple[TrustAnchor, ...]:
    """Give the anchor; its key is made on first use."""
    world().amd("Milan")
    return anchors_of_product(world().trust_anchors, "Milan")


def item(kind: EndorsementKind, **state: Any) -> bytes:
    (found,) = collected(SNP, **state)[1].of_kind(kind)
    return found.data


def signer(**changes: Any) -> Certificate:
    return replace(Certificate.from_der(item(K.AMD_SIGNER)), **changes)


def root(**changes: Any) -> Certificate:
    return replace(Certificate.from_der(item(K.AMD_ROOT)), **changes)


def vek(**changes: Any) -> VekCertificate:
    made = VekCertificate.from_der(item(K.AMD_VEK))
    return replace(made, certificate=replace(made.certificate, **changes))


def spki(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made


def test_chain_in_order() -> None:
    anchors = milan()
    assert verify_signer(signer(), anchors, "SEV-Milan", CRYPTO) == anchors[0]
    assert verify_root(root(), anchors, CRYPTO) == anchors[0]
    verify_vek(vek(), signer(), CRYPTO)
    verify_revocation_list(RevocationList.from_der(item(K.AMD_CRL)), anchors[0], CRYPTO)
    assert load_p384(vek(), CRYPTO).algorithm.value == "ec-p384"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_ca": False}, "no CA flag"),
        ({"spki": spki(rsa.generate_private_key(65537, 2048))}, "got 2048 RSA bits, expected 4096"),
        ({"spki": spki(ec.generate_private_key(ec.SECP384R1()))}, "got no RSA bits"),
        ({"signature_algorithm": PKCS1}, "expected RSASSA-PSS with SHA-384"),
        ({"signature_algorithm": None}, "expected RSASSA-PSS with SHA-384"),
        ({"extensions": UNKNOWN}, "unknown critical extension"),
        ({"signature": bytes(512)}, "signature by ARK-Milan"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_signer_not_in_order(changes: dict[str, Any], message: str) -> None:
    anchors = milan()
    with pytest.raises(CertificateChainError, match=message):
        verify_signer(signer(**changes), anchors, "SEV-Milan", CRYPTO)


def test_signer_of_another_name_or_root() -> None:
    anchors = milan()
    with pytest.raises(CertificateChainError, match="common name"):
        verify_signer(signer(), anchors, "SEV-VLEK-Milan", CRYPTO)
    with pytest.raises(CertificateChainError, match="not the trust anchor"):
        verify_signer(signer(issuer=signer().subject), anchors, "SEV-Milan", CRYPTO)
    item(K.AMD_ROOT, product="Genoa")
    with pytest.raises(CertificateChainError, match="none of the"):
        anchors_of_product(anchors, "Genoa")
    assert [anchor.name for anchor in anchors_of_product(world().trust_anchors, "Genoa")] == ["ARK-Genoa"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_ca": True}, "has the CA flag"),
        ({"signature_algorithm": PKCS1}, "expected RSASSA-PSS"),
        ({"extensions": UNKNOWN}, "unknown critical extension"),
        ({"signature": bytes(512)}, "signature by SEV-Milan"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vek_not_in_order(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CertificateChainError, match=message):
        verify_vek(vek(**changes), signer(), CRYPTO)


def test_a_vek_has_a_p384_key() -> None:
    with pytest.raises(CertificateChainError, match="expected ec-p384"):
        load_p384(vek(spki=spki(ec.generate_private_key(ec.SECP256R1()))), CRYPTO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_ca": False}, "no CA flag"),
        ({"signature_algorithm": PKCS1}, "expected RSASSA-PSS"),
        ({"extensions": UNKNOWN}, "unknown critical extension"),
        ({"signature": bytes(512)}, "signature"),
        ({"spki": spki(rsa.generate_private_key(65537, 2048))}, "not a trust anchor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_root_not_in_order(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CertificateChainError, match=message):
        verify_root(root(**changes), milan(), CRYPTO)


def test_list_not_in_order() -> None:
    (anchor,) = milan()
    good = RevocationList.from_der(item(K.AMD_CRL))
    with pytest.raises(CertificateChainError, match="unknown critical extension"):
        verify_revocation_list(replace(good, unknown_critical=("2.5.29.28",)), anchor, CRYPTO)
    with pytest.raises(CertificateChainError, match="signature by ARK-Milan"):
        verify_revocation_list(replace(good, signature=bytes(512)), anchor, CRYPTO)


def test_name_and_issuer_of_a_vek_are_those_of_the_reports_key() -> None:
    report = AttestationReport.from_bytes(collected(SNP)[0].data)
    assert require_name(report, vek(), "Milan") == "SEV-VCEK"
    with pytest.raises(CertificateChainError, match="common name"):
        require_name(report, VekCertificate.from_der(item(K.AMD_VEK, key_type="VLEK")), "Milan")
    with pytest.raises(CertificateChainError, match="issuer"):
        require_name(report, vek(), "Genoa")


# --- judged whole ----------------------------------------------------------------------------------------------------
def test_a_root_at_hand_is_the_anchor_itself() -> None:
    """Of the same name, with another key: whoever handed it out is not whom he seems."""
    evidence, endorsements = collected(SNP)
    elsewhere = Endorsements(SimulatedWorld(clock=lambda: NOW).attester(SNP).collect(REPORT_DATA).endorsements)
    others = [own for own in endorsements if own.kind is not K.AMD_ROOT]
    assert appraise(evidence, Endorsements(tuple(others)), policy_for(SNP)).verdict == "accepted"
    with pytest.raises(CertificateChainError, match="not a trust anchor"):
        appraise(evidence, Endorsements((*others, *elsewhere.of_kind(K.AMD_ROOT))), policy_for(SNP))


def test_a_root_at_hand_is_in_date(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimulatedWorld(clock=lambda: NOW)
    ended = pki.Validity(start=NOW - timedelta(days=9), end=NOW - timedelta(days=1))
    with monkeypatch.context() as patch:
        patch.setattr(amd_vendor, "CA_VALIDITY", ended)
        other.amd("Milan")
    made = other.attester(SNP).collect(REPORT_DATA)
    with pytest.raises(ExpiredError, match="ARK-Milan certificate has expired"):
        appraise(made.evidence, Endorsements(made.endorsements), policy_for(SNP), anchors=other.trust_anchors)


def test_a_signed_report_of_an_unknown_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_for(SNP)
    monkeypatch.setitem(amd_report.CPUID, "Milan", (0x30, 0x01, 0x01))
    evidence, endorsements = collected(SNP)
    with pytest.raises((UnsupportedError, CertificateChainError)):
        appraise(evidence, endorsements, policy)


def test_a_chip_id_of_turin_is_eight_bytes_on_both_sides() -> None:
    long_id = b"\1" * 64
    evidence, endorsements = collected(SNP, product="Turin", chip_id=long_id, vek_hwid=long_id)
    with pytest.raises(CertificateChainError, match="expected 8 bytes and zeros"):
        appraise(evidence, endorsements, policy_for(SNP))


def test_a_version_2_report_takes_its_product_from_chain_and_vek_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"min_report_version": 2, "products": ("Milan", "Genoa")}
    evidence, endorsements = collected(SNP, report_version=2)
    assert appraise(evidence, endorsements, policy_for(SNP, **written)).verdict == "accepted"
    original = SimulatedAmdVendor._vek_extensions

    def of_genoa(self: SimulatedAmdVendor, subject: Any) -> Any:
        named = {**dict(original(self, subject)), "1.3.6.1.4.1.3704.1.2": der.ia5_string("Genoa-B0")}
        return tuple(named.items())

    monkeypatch.setattr(SimulatedAmdVendor, "_vek_extensions", of_genoa)
    evidence, endorsements = collected(SNP, report_version=2)
    with pytest.raises(RatsTlsError, match="productName: got 'Genoa-B0', expected Milan"):
        appraise(evidence, endorsements, policy_for(SNP, **written))
