"""Each link of AMD's chain before SEV-SNP by itself: whatever is signed rightly, its usage and algorithm count."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rats_tls.core.errors import CertificateChainError, DecodeError, SignatureError
from rats_tls.formats.amd.sev_certificate import SevCertificate
from rats_tls.formats.amd.sev_report import SevReport
from rats_tls.formats.amd.sev_signer import SevSignerCertificate
from rats_tls.simulation import sev_structure
from rats_tls.verifiers import amd_sev_chain as chain
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.intel import CRYPTO
from support.judged import REPORT_DATA
from support.simulated import world
from support.tampering import flipped

CEK, PEK, PDH = 0x1004, 0x1002, 0x1003
ECDSA, ECDH = 2, 3
KEY, CHILD = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())


def signer() -> SevSignerCertificate:
    return SevSignerCertificate.from_bytes(world().sev("Naples").signer())


def cek(usage: int = CEK, algorithm: int = ECDSA) -> SevCertificate:
    body = sev_structure.certificate_body(usage, algorithm, KEY.public_key())
    return SevCertificate.from_bytes(body + world().sev("Naples").certified(body))


def child(usage: int, algorithm: int, signed_as: int) -> SevCertificate:
    body = sev_structure.certificate_body(usage, algorithm, CHILD.public_key())
    return SevCertificate.from_bytes(
        body + sev_structure.ecdsa_slot(KEY, signed_as, ECDSA, body) + sev_structure.NO_SIGNATURE
    )


def pek_signing() -> SevCertificate:
    """A PEK certificate over the key that signs children here."""
    body = sev_structure.certificate_body(PEK, ECDSA, KEY.public_key())
    return SevCertificate.from_bytes(body + 2 * sev_structure.NO_SIGNATURE)


def test_a_root_names_itself() -> None:
    key = rsa.generate_private_key(65537, 2048)
    for certifying_id in (bytes(16), bytes(15) + b"\1"):
        body = sev_structure.signer_body(bytes(16), certifying_id, sev_structure.ARK, key.public_key())
        root = SevSignerCertificate.from_bytes(body + sev_structure.rsa_signature(key, body))
        if certifying_id == root.key_id:
            chain.verify_root(root, CRYPTO)
            continue
        with pytest.raises(CertificateChainError, match="certifying_id"):
            chain.verify_root(root, CRYPTO)


def test_a_cek() -> None:
    chain.verify_cek(cek(), signer(), CRYPTO)
    with pytest.raises(CertificateChainError, match=r"CEK certificate usage: got 0x1002 \(PEK\)"):
        chain.verify_cek(cek(usage=PEK), signer(), CRYPTO)
    with pytest.raises(CertificateChainError, match="CEK certificate pubkey_algo: got ECDH"):
        chain.verify_cek(cek(algorithm=ECDH), signer(), CRYPTO)


def test_a_pek() -> None:
    chain.verify_pek(child(PEK, ECDSA, CEK), cek(), CRYPTO)
    with pytest.raises(CertificateChainError, match="PEK certificate usage: got 0x1003"):
        chain.verify_pek(child(PDH, ECDSA, CEK), cek(), CRYPTO)
    with pytest.raises(CertificateChainError, match="PEK certificate pubkey_algo: got ECDH"):
        chain.verify_pek(child(PEK, ECDH, CEK), cek(), CRYPTO)


def test_a_pdh() -> None:
    chain.verify_pdh(child(PDH, ECDH, PEK), pek_signing(), CRYPTO)
    with pytest.raises(CertificateChainError, match="PDH certificate usage: got 0x1001"):
        chain.verify_pdh(child(0x1001, ECDSA, PEK), pek_signing(), CRYPTO)


def test_a_key_that_agrees_on_secrets_signs_no_report() -> None:
    data = world().attester("simulated_sev").collect(REPORT_DATA).evidence.data[:208]
    report = SevReport.from_bytes(data[:56] + ECDH.to_bytes(4, "little") + data[60:])
    with pytest.raises(SignatureError, match="pubkey_algo: got ECDH"):
        chain.require_report_form(report, child(PEK, ECDH, CEK))


def test_an_ark_stands_in_for_no_ask() -> None:
    root = SevSignerCertificate.from_bytes(world().sev("Naples").root_certificate)
    with pytest.raises(CertificateChainError, match=r"ASK certificate usage: got 0x0 \(ARK\)"):
        chain.verify_signer(root, world().trust_anchors, CRYPTO)


def test_a_signature_is_made_as_its_key_signs() -> None:
    body = sev_structure.certificate_body(PEK, ECDSA, CHILD.public_key())
    slot = sev_structure.ecdsa_slot(KEY, CEK, 258, body)
    pek = SevCertificate.from_bytes(body + slot + sev_structure.NO_SIGNATURE)
    with pytest.raises(CertificateChainError, match="got ECDSA with SHA-384, expected that of its key"):
        chain.verify_pek(pek, cek(), CRYPTO)


def test_anchors_in_x509_are_of_another_form() -> None:
    assert [anchor.name for anchor in chain.sev_anchors(VENDOR_ROOTS)] == [
        *("SEV ARK-Naples", "SEV ARK-Rome", "SEV ARK-Milan")
    ]


@pytest.mark.parametrize("offset", [1572, 1800, 2083])
def test_a_signature_that_is_not_there_is_zeros(offset: int) -> None:
    with pytest.raises(DecodeError, match="must be zero"):
        SevCertificate.from_bytes(flipped(cek().data, offset, 1))
