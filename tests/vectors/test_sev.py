"""AMD's keys and a real platform's certificates before SEV-SNP. No signed report of such a guest is public."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.errors import CertificateChainError, ConfigurationError, DecodeError, RatsTlsError
from rats_tls.formats.amd.pem import join_pem
from rats_tls.formats.amd.sev_certificate import SIGNED_SIZE, SevCertificate
from rats_tls.formats.amd.sev_keys import CEK, INVALID, OCA, PDH, PEK
from rats_tls.formats.amd.sev_signer import PRODUCTS, SevSignerCertificate, products_of_root, split_signers
from rats_tls.verifiers.amd_sev_chain import (
    product_of_anchor,
    sev_anchors,
    verify_cek,
    verify_owner,
    verify_pdh,
    verify_pek,
    verify_root,
    verify_signer,
)
from rats_tls.verifiers.explicit_anchors import amd_sev_label
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import user_anchors
from support.intel import CRYPTO
from support.paths import VECTORS

NEEDS_VECTORS = True

_CHAIN = VECTORS / "sev/naples-cert-chain"
_ROOTS = VECTORS / "trust/amd-sev-legacy"
_SECOND_PEK_SIGNATURE = 1044 + 520


def platform(name: str) -> bytes:
    return (_CHAIN / f"{name}.cert").read_bytes()


@functools.cache
def decoded(name: str) -> SevCertificate:
    return SevCertificate.from_bytes(platform(name))


def signer_data(name: str, product: str = "Naples") -> bytes:
    return (_ROOTS / f"{product.lower()}-{name}.cert").read_bytes()


@functools.cache
def signer(name: str, product: str = "Naples") -> SevSignerCertificate:
    return SevSignerCertificate.from_bytes(signer_data(name, product))


def root(data: bytes) -> None:
    verify_root(SevSignerCertificate.from_bytes(data), CRYPTO)


def ask(data: bytes) -> None:
    verify_signer(SevSignerCertificate.from_bytes(data), VENDOR_ROOTS, CRYPTO)


def cek(data: bytes) -> None:
    verify_cek(SevCertificate.from_bytes(data), signer("ask"), CRYPTO)


def pek(data: bytes) -> None:
    verify_pek(SevCertificate.from_bytes(data), decoded("cek"), CRYPTO)


def owned(data: bytes) -> None:
    verify_owner(SevCertificate.from_bytes(data), decoded("oca"), CRYPTO)


def oca(data: bytes) -> None:
    verify_owner(decoded("pek"), SevCertificate.from_bytes(data), CRYPTO)


def pdh(data: bytes) -> None:
    verify_pdh(SevCertificate.from_bytes(data), decoded("pek"), CRYPTO)


# By link: what verifies it, the certificate, bytes under its signature, where that signature's number stands.
_LINKS: dict[str, tuple[Callable[[bytes], None], bytes, int, range]] = (
    {
        "ARK": (root, signer_data("ark"), 576, range(576, 832)),
        "ASK": (ask, signer_data("ask"), 576, range(576, 832)),
        "CEK": (cek, platform("cek"), SIGNED_SIZE, range(1052, 1052 + 256)),
        "PEK": (pek, platform("pek"), SIGNED_SIZE, range(1572, 1572 + 144)),
        "PEK by its owner": (owned, platform("pek"), SIGNED_SIZE, range(1052, 1052 + 144)),
        "OCA": (oca, platform("oca"), SIGNED_SIZE, range(1052, 1052 + 144)),
        "PDH": (pdh, platform("pdh"), SIGNED_SIZE, range(1052, 1052 + 144)),
    }
    if _CHAIN.is_dir()
    else {}
)
links = pytest.mark.parametrize("link", _LINKS)


@links
def test_every_link_verifies(link: str) -> None:
    verify, data, _, _ = _LINKS[link]
    verify(data)


@links
def test_every_flip_of_a_signed_byte_is_refused(link: str) -> None:
    verify, data, signed, _ = _LINKS[link]
    for position in range(signed):
        with pytest.raises(RatsTlsError):
            verify(data[:position] + bytes((data[position] ^ 1 << position % 8,)) + data[position + 1 :])


@links
def test_every_flip_of_a_signature_is_refused(link: str) -> None:
    verify, data, _, signature = _LINKS[link]
    for position in signature:
        with pytest.raises(RatsTlsError):
            verify(data[:position] + bytes((data[position] ^ 0x80,)) + data[position + 1 :])


def test_a_flip_of_a_signature_by_somebody_else_is_nothing_to_a_link() -> None:
    data = bytearray(platform("pek"))
    data[_SECOND_PEK_SIGNATURE + 8] ^= 1
    owned(bytes(data))
    with pytest.raises(CertificateChainError, match="PEK certificate signature by the CEK"):
        pek(bytes(data))


def test_the_certificates_say_what_they_are_and_the_ceks_signature_of_the_pek_is_the_second() -> None:
    usages = {name: decoded(name).usage for name in ("cek", "pek", "oca", "pdh")}
    assert usages == {"cek": CEK, "pek": PEK, "oca": OCA, "pdh": PDH}
    assert [each.usage for each in decoded("pek").signatures] == [OCA, CEK]
    assert [each.usage for each in decoded("pdh").signatures] == [PEK, INVALID]
    for name in usages:
        assert decoded(name).to_bytes() == platform(name)


@pytest.mark.parametrize("product", ["Rome", "Milan"])
def test_a_naples_cek_is_refused_under_the_ask_of_another_product(product: str) -> None:
    with pytest.raises(CertificateChainError, match="CEK certificate signature by 0x13"):
        verify_cek(decoded("cek"), signer("ask", product), CRYPTO)


def test_the_bad_ark_is_refused() -> None:
    """It has no signature; its signature is in a file of its own, and belongs to it whole."""
    bad = (_CHAIN / "ark.cert.bad").read_bytes()
    assert signer_data("ark").startswith(bad)
    for read in (root, ask, lambda data: user_anchors(join_pem([data], label=amd_sev_label("Naples")).encode())):
        with pytest.raises(DecodeError, match="signature"):
            read(bad)
    for signature in (bytes(256), signer_data("ask")[-256:]):
        with pytest.raises(CertificateChainError, match="ARK certificate signature by itself"):
            root(bad + signature)
        with pytest.raises(ConfigurationError, match="ARK certificate signature by itself"):
            user_anchors(join_pem([bad + signature], label=amd_sev_label("Naples")).encode())


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_pinned_root_of_each_product_is_amds_and_signed_its_ask(product: str) -> None:
    ark = signer("ark", product)
    verify_root(ark, CRYPTO)
    (pinned,) = (anchor for anchor in sev_anchors(VENDOR_ROOTS) if product_of_anchor(anchor) == product)
    assert (pinned.subject, pinned.spki, pinned.kind) == (ark.key_id, ark.key.spki, AnchorKind.VENDOR)
    assert verify_signer(signer("ask", product), VENDOR_ROOTS, CRYPTO) is pinned
    assert products_of_root(ark.key_id, ark.key.bits) == (product,)
    for name in ("ark", "ask"):
        assert signer(name, product).to_bytes() == signer_data(name, product)
    (given,) = user_anchors(join_pem([ark.data], label=amd_sev_label(product)).encode())
    assert (given.subject, given.spki, given.kind) == (pinned.subject, pinned.spki, AnchorKind.USER)


def test_no_other_products_are_pinned_and_each_ask_has_its_own_root() -> None:
    assert {product_of_anchor(anchor) for anchor in sev_anchors(VENDOR_ROOTS)} == set(PRODUCTS)
    for product in ("Genoa", "Turin"):
        with pytest.raises(CertificateChainError, match="key id of no trust anchor"):
            ask(signer_data("ask", product))
    for product in PRODUCTS:
        others = [anchor for anchor in sev_anchors(VENDOR_ROOTS) if product_of_anchor(anchor) != product]
        with pytest.raises(CertificateChainError, match="key id of no trust anchor"):
            verify_signer(signer("ask", product), others, CRYPTO)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_file_of_ask_and_ark_is_split(product: str) -> None:
    both = signer_data("ask", product) + signer_data("ark", product)
    assert split_signers(both) == (signer("ask", product), signer("ark", product))


def test_the_owners_key_of_this_platform_is_no_part_of_amds_chain() -> None:
    with pytest.raises(CertificateChainError, match="CEK certificate usage: got 0x1001"):
        cek(platform("oca"))
    with pytest.raises(CertificateChainError, match="CEK certificate usage: got 0x1001"):
        verify_pek(decoded("pek"), decoded("oca"), CRYPTO)


def test_another_certificate_is_no_pdh() -> None:
    with pytest.raises(CertificateChainError, match=r"PDH certificate usage: got 0x1004 \(CEK\)"):
        pdh(platform("cek"))
