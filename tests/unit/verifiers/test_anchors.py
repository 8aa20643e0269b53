"""Trust anchors that a user gives explicitly."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.formats.amd.pem import join_pem
from rats_tls.formats.amd.sev_signer import SevSignerCertificate
from rats_tls.simulation import sev_structure
from rats_tls.verifiers.explicit_anchors import amd_sev_label, anchors_from_pem
from support.intel import CRYPTO
from support.intel_pki import END, ROOT, START, certificate, key
from support.simulated import NOW, world


def anchors(data: bytes, now: datetime = NOW) -> tuple[TrustAnchor, ...]:
    return anchors_from_pem(data, crypto=CRYPTO, now=now)


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def test_vendor_and_kind_are_told_by_the_name() -> None:
    root = certificate(ROOT, ROOT, ca=True)
    amd = certificate("ARK-Milan", "ARK-Milan", ca=True)
    found = anchors(pem(root, amd))
    assert [(anchor.vendor, anchor.kind) for anchor in found] == [
        (Vendor.INTEL, AnchorKind.USER),
        (Vendor.AMD, AnchorKind.USER),
    ]
    assert {anchor.kind for anchor in anchors(world().trust_anchors_pem)} == {AnchorKind.SIMULATED}


@pytest.mark.parametrize(
    "der",
    [
        certificate(ROOT, ROOT),  # no CA
        certificate(ROOT, "Another CA", ca=True),  # issued by another
        certificate("Another CA", "Another CA", ca=True),  # of no vendor
        certificate(ROOT, ROOT, ca=True, issuer_key=key("another")),
    ],
    ids=["no CA", "intermediate", "no vendor", "signed by another key"],
)
def test_what_is_no_root_of_a_vendor_is_refused(der: bytes) -> None:
    with pytest.raises(ConfigurationError):
        anchors(pem(der))


def test_a_root_is_in_date() -> None:
    root = pem(certificate(ROOT, ROOT, ca=True))
    for now in (START - timedelta(seconds=1), END + timedelta(seconds=1)):
        with pytest.raises(ConfigurationError, match=r"valid|expired"):
            anchors(root, now)


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\0" * 99])
def test_what_is_no_certificate_is_our_error(data: bytes) -> None:
    with pytest.raises(RatsTlsError):
        anchors(data)


# --- ARKs before SEV-SNP ----------------------------------------------------------------------------------------------
def sev_root(key_id: bytes, signed_by: rsa.RSAPrivateKey | None = None, *, certifying: bytes = b"") -> bytes:
    own = rsa.generate_private_key(65537, 2048)
    body = sev_structure.signer_body(key_id, certifying or key_id, sev_structure.ARK, own.public_key())
    return body + sev_structure.rsa_signature(signed_by or own, body)


def sev_pem(data: bytes, product: str = "Naples") -> bytes:
    return join_pem([data], label=amd_sev_label(product)).encode()


@pytest.mark.parametrize("product", ["Naples", "Rome", "Milan"])
def test_the_label_of_an_ark_in_amds_form_says_its_product(product: str) -> None:
    data = sev_root(b"0123456789abcdef")
    assert amd_sev_label(product) == f"AMD SEV ARK {product.upper()}"
    (found,) = anchors(sev_pem(data, product))
    assert (found.vendor, found.kind, found.name) == (Vendor.AMD, AnchorKind.USER, f"SEV ARK-{product}")
    root = SevSignerCertificate.from_bytes(data)
    assert (found.subject, found.spki) == (b"0123456789abcdef", root.key.spki)


def test_simulated_arks_are_known_by_their_key_id() -> None:
    (found,) = anchors(sev_pem(world().sev("Naples").root_certificate))
    assert found.kind is AnchorKind.SIMULATED
    assert (found.subject, found.spki) == (
        world().sev("Naples").trust_anchor.subject,
        world().sev("Naples").trust_anchor.spki,
    )
    (found,) = anchors(sev_pem(sev_root(b"rats-tls simulat")))
    assert found.kind is AnchorKind.SIMULATED


def test_forms_may_stand_beside_each_other() -> None:
    both = pem(certificate(ROOT, ROOT, ca=True)) + sev_pem(sev_root(bytes(16)))
    assert [anchor.vendor for anchor in anchors(both)] == [Vendor.INTEL, Vendor.AMD]


def test_what_is_no_ark_is_refused() -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    ark = world().sev("Naples").root_certificate
    changed = replace(SevSignerCertificate.from_bytes(ark), key_id=b"\1" * 16, certifying_id=b"\1" * 16).to_bytes()
    for data, says in (
        (sev_root(bytes(16), stranger), "AMD SEV ARK NAPLES: ARK certificate signature by itself"),
        (changed, "ARK certificate signature by itself"),
        (sev_root(bytes(16), certifying=b"\1" * 16), "ARK certificate certifying_id"),
        (world().sev("Naples").signer(), "ARK certificate usage: got 0x13"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            anchors(sev_pem(data))
    for text in (sev_pem(ark[:-1]), sev_pem(ark + ark), sev_pem(ark).replace(b"NAPLES", b"GENOA")):
        with pytest.raises(RatsTlsError):
            anchors(text)
    with pytest.raises(RatsTlsError):
        anchors(join_pem([ark]).encode())
