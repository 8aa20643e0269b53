"""AMD's real certificates before SEV-SNP: signers of every product, and the chain of a Naples platform."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from rats_tls.core.errors import CertificateChainError, RatsTlsError
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.amd.sev_certificate import SevCertificate
from rats_tls.formats.amd.sev_signer import PRODUCTS, SevSignerCertificate
from rats_tls.verifiers.amd_sev_chain import (
    product_of_anchor,
    verify_cek,
    verify_owner,
    verify_pdh,
    verify_pek,
    verify_root,
    verify_signer,
)
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.paths import VECTORS

NAPLES = VECTORS / "sev" / "naples-cert-chain"
SIGNERS = VECTORS / "trust" / "amd-sev-legacy"
CRYPTO = OpensslCryptoWrapper()


@functools.cache
def signer(product: str, name: str) -> bytes:
    return (SIGNERS / f"{product.lower()}-{name}.cert").read_bytes()


@functools.cache
def platform(name: str) -> bytes:
    return (NAPLES / f"{name}.cert").read_bytes()


def ask(product: str = "Naples") -> SevSignerCertificate:
    return SevSignerCertificate.from_bytes(signer(product, "ask"))


def key_certificate(name: str) -> SevCertificate:
    return SevCertificate.from_bytes(platform(name), name)


# --- signers ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("product", PRODUCTS)
def test_the_pinned_root_of_each_product_is_that_of_amds_file_and_signed_its_ask(product: str) -> None:
    root = SevSignerCertificate.from_bytes(signer(product, "ark"))
    verify_root(root, CRYPTO)
    anchor = verify_signer(ask(product), VENDOR_ROOTS, CRYPTO)
    assert product_of_anchor(anchor) == product
    assert (anchor.subject, anchor.spki) == (root.key_id, root.key.spki)


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_product_stands_in_for_another(product: str) -> None:
    others = [anchor for anchor in VENDOR_ROOTS if anchor.name != f"SEV ARK-{product}"]
    with pytest.raises(CertificateChainError):
        verify_signer(ask(product), others, CRYPTO)


def test_the_bad_root_is_refused() -> None:
    with pytest.raises(RatsTlsError):
        verify_root(SevSignerCertificate.from_bytes((NAPLES / "ark.cert.bad").read_bytes()), CRYPTO)


# --- the platform's chain -----------------------------------------------------------------------------------------
def test_the_chain_of_a_naples_platform() -> None:
    verify_cek(key_certificate("cek"), ask(), CRYPTO)
    verify_pek(key_certificate("pek"), key_certificate("cek"), CRYPTO)
    verify_owner(key_certificate("pek"), key_certificate("oca"), CRYPTO)
    verify_pdh(key_certificate("pdh"), key_certificate("pek"), CRYPTO)


def test_signatures_are_found_by_their_usage_and_not_by_their_place() -> None:
    assert [signature.usage for signature in key_certificate("pek").signatures] == [0x1001, 0x1004]
    with pytest.raises(CertificateChainError, match="CEK certificate usage"):
        verify_pek(key_certificate("pek"), key_certificate("oca"), CRYPTO)


@pytest.mark.parametrize("product", ["Rome", "Milan"])
def test_a_naples_cek_under_the_ask_of_another_product_is_refused(product: str) -> None:
    with pytest.raises(CertificateChainError):
        verify_cek(key_certificate("cek"), ask(product), CRYPTO)


# --- byte by byte -------------------------------------------------------------------------------------------------
CHECKS: dict[str, tuple[int, Callable[[bytes], object]]] = {
    "cek": (1044, lambda data: verify_cek(SevCertificate.from_bytes(data, "cek"), ask(), CRYPTO)),
    "pek": (
        1044,
        lambda data: verify_pek(SevCertificate.from_bytes(data, "pek"), key_certificate("cek"), CRYPTO),
    ),
    "oca": (
        1044,
        lambda data: verify_owner(key_certificate("pek"), SevCertificate.from_bytes(data, "oca"), CRYPTO),
    ),
    "pdh": (
        1044,
        lambda data: verify_pdh(SevCertificate.from_bytes(data, "pdh"), key_certificate("pek"), CRYPTO),
    ),
}


def accepted_flips(data: bytes, size: int, check: Callable[[bytes], object]) -> list[int]:
    check(data)
    accepted = []
    for offset in range(size):
        try:
            check(data[:offset] + bytes((data[offset] ^ 1,)) + data[offset + 1 :])
        except RatsTlsError:
            continue
        accepted.append(offset)
    return accepted


@pytest.mark.parametrize("name", CHECKS)
def test_every_byte_that_a_certificate_signs_is_covered(name: str) -> None:
    size, check = CHECKS[name]
    assert accepted_flips(platform(name), size, check) == []


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_byte_of_an_ask_is_covered(product: str) -> None:
    def check(data: bytes) -> object:
        return verify_signer(SevSignerCertificate.from_bytes(data), VENDOR_ROOTS, CRYPTO)

    assert accepted_flips(signer(product, "ask"), len(signer(product, "ask")), check) == []


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_byte_of_an_ark_is_covered(product: str) -> None:
    def check(data: bytes) -> object:
        return verify_root(SevSignerCertificate.from_bytes(data), CRYPTO)

    assert accepted_flips(signer(product, "ark"), len(signer(product, "ark")), check) == []
