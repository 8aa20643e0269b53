"""Chains and lists of Intel's PKI: every demand on their form."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.anchors import Vendor
from rats_tls.core.errors import CertificateChainError
from rats_tls.formats.intel.pck import SGX_EXTENSION_OID, PckChain
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.verifiers.intel_chain import verify_pck_chain, verify_revocation_list, verify_tcb_signer
from support.intel import CRYPTO, PHALA_SGX, load, verifier_of
from support.intel_pki import (
    PCK,
    PLATFORM_CA,
    ROOT,
    TCB_SIGNING,
    anchor_of,
    certificate,
    key,
    revocation_list,
    sgx_extension,
)

UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)


@functools.cache
def extension_value() -> bytes:
    vector = load(PHALA_SGX)
    leaf = verifier_of(vector).decode(vector.evidence).structure.chain.leaf
    value: bytes = leaf.extensions[SGX_EXTENSION_OID].value
    return value


def leaf(subject: str = PCK, issuer: str = PLATFORM_CA, *, more: tuple[Any, ...] = (), **settings: Any) -> bytes:
    return certificate(subject, issuer, extensions=(sgx_extension(extension_value()), *more), **settings)


def intermediate(subject: str = PLATFORM_CA, issuer: str = ROOT, **settings: Any) -> bytes:
    return certificate(subject, issuer, **{"ca": True, "path_length": 0} | settings)


def root(subject: str = ROOT, **settings: Any) -> bytes:
    return certificate(subject, subject, **{"ca": True, "path_length": 1} | settings)


def verify(*ders: bytes, anchor: bytes | None = None) -> Any:
    return verify_pck_chain(PckChain.from_ders(ders), (anchor_of(anchor or ders[-1]),), CRYPTO)


def test_chain_in_order() -> None:
    ders = leaf(), intermediate(), root()
    verified = verify(*ders)
    assert verified.ca == "platform"
    assert verified.anchor.name == ROOT
    assert [certificate.der for _, certificate in verified.certificates] == list(ders)
    processor = "SGX PCK Processor CA"
    assert verify(leaf(issuer=processor), intermediate(processor), root()).ca == "processor"
    # Another certificate of the same root, with the same name and key, is the same root.
    assert verify(*ders[:2], root(), anchor=ders[2]).anchor.name == ROOT
    # Root and CA may be without path length.
    assert verify(leaf(), intermediate(path_length=None), root(path_length=None))


BAD_CHAINS = {
    "two certificates": (lambda: (leaf(issuer=ROOT), root()), "got 2 certificates"),
    "four certificates": (lambda: (leaf(), intermediate(), root(), root()), "got 4 certificates"),
    "only a leaf": (lambda: (leaf(),), "got 1 certificates"),
    "wrong order": (lambda: (leaf(), root(), intermediate()), "common name"),
    "leaf's name": (lambda: (leaf("SGX Certificate"), intermediate(), root()), "PCK certificate common name"),
    "root's name": (
        lambda: (leaf(), intermediate(issuer="SGX CA"), root("SGX CA")),
        "root certificate common name",
    ),
    "CA's name": (
        lambda: (leaf(issuer="SGX PCK CA"), intermediate("SGX PCK CA"), root()),
        "PCK CA certificate common name",
    ),
    "leaf is a CA": (lambda: (leaf(ca=True), intermediate(), root()), "has the CA flag"),
    "CA is none": (lambda: (leaf(), intermediate(ca=False), root()), "has no CA flag"),
    "root is no CA": (lambda: (leaf(), intermediate(), root(ca=False)), "has no CA flag"),
    "root's path length": (lambda: (leaf(), intermediate(), root(path_length=0)), "path length"),
    "leaf of another issuer": (
        lambda: (leaf(issuer="Other SGX PCK Platform CA"), intermediate(), root()),
        "PCK certificate issuer",
    ),
    "CA of another issuer": (
        lambda: (leaf(), intermediate(issuer="Other SGX Root CA"), root()),
        "CA certificate issuer",
    ),
    "leaf signed by another key": (
        lambda: (leaf(issuer_key=key("x")), intermediate(), root()),
        "PCK certificate signature",
    ),
    "CA signed by another key": (
        lambda: (leaf(), intermediate(issuer_key=key("x")), root()),
        "PCK CA certificate signature",
    ),
    "root signed by another key": (lambda: (leaf(), intermediate(), root(issuer_key=key("x"))), "root .* signature"),
    "leaf's algorithm": (lambda: (leaf(digest=hashes.SHA384()), intermediate(), root()), "signature algorithm"),
    "CA's algorithm": (lambda: (leaf(), intermediate(digest=hashes.SHA384()), root()), "signature algorithm"),
    "root's algorithm": (lambda: (leaf(), intermediate(), root(digest=hashes.SHA384())), "signature algorithm"),
    "leaf's critical extension": (
        lambda: (leaf(more=(UNKNOWN,)), intermediate(), root()),
        "critical extension 1.2.3.4",
    ),
    "CA's critical extension": (
        lambda: (leaf(), intermediate(extensions=(UNKNOWN,)), root()),
        "critical extension 1.2.3.4",
    ),
    "leaf's curve": (
        lambda: (leaf(subject_key=key("384", ec.SECP384R1)), intermediate(), root()),
        "PCK certificate key: got ec-p384",
    ),
    "CA's curve": (
        lambda: (
            leaf(issuer_key=key("384", ec.SECP384R1)),
            intermediate(subject_key=key("384", ec.SECP384R1)),
            root(),
        ),
        "key: got ec-p384",
    ),
}


@pytest.mark.parametrize("case", BAD_CHAINS)
def test_chain_not_in_order(case: str) -> None:
    make, text = BAD_CHAINS[case]
    with pytest.raises(CertificateChainError, match=text):
        verify(*make(), anchor=root())


def test_root_has_to_be_an_anchor() -> None:
    chain = PckChain.from_ders((leaf(), intermediate(), root()))
    good = anchor_of(chain.ders[2])
    for anchors in (
        (),
        (replace(good, vendor=Vendor.AMD),),
        (replace(good, spki=chain.leaf.spki),),
        (replace(good, subject=chain.leaf.subject.der),),
    ):
        with pytest.raises(CertificateChainError, match="not a trust anchor for intel"):
            verify_pck_chain(chain, anchors, CRYPTO)
    assert verify_pck_chain(chain, (replace(good, vendor=Vendor.AMD), good), CRYPTO).anchor == good


def signer(subject: str = TCB_SIGNING, issuer: str = ROOT, **settings: Any) -> bytes:
    return certificate(subject, issuer, **settings)


def verify_signer(*ders: bytes, anchor: bytes | None = None) -> Any:
    chain = [Certificate.from_der(der) for der in ders]
    return verify_tcb_signer(chain, anchor_of(anchor or root()), CRYPTO)


BAD_SIGNERS = {
    "only the signer": (lambda: (signer(),), "got 1 certificates"),
    "three certificates": (lambda: (signer(), root(), root()), "got 3 certificates"),
    "wrong order": (lambda: (root(), signer()), "common name"),
    "signer's name": (lambda: (signer("SGX Signing"), root()), "TCB signing certificate common name"),
    "a PCK certificate": (lambda: (signer(PCK), root()), "TCB signing certificate common name"),
    "root's name": (lambda: (signer(issuer="SGX CA"), root("SGX CA")), "root certificate common name"),
    "signer is a CA": (lambda: (signer(ca=True), root()), "has the CA flag"),
    "signed by another key": (lambda: (signer(issuer_key=key("x")), root()), "TCB signing certificate signature"),
    "issued by the Platform CA": (
        lambda: (signer(issuer=PLATFORM_CA), root()),
        "TCB signing certificate issuer",
    ),
    "another root": (lambda: (signer(issuer="Other SGX Root CA"), root("Other SGX Root CA")), "not a trust anchor"),
    "signer's algorithm": (lambda: (signer(digest=hashes.SHA384()), root()), "signature algorithm"),
    "signer's curve": (lambda: (signer(subject_key=key("384", ec.SECP384R1)), root()), "key: got ec-p384"),
    "signer's critical extension": (lambda: (signer(extensions=(UNKNOWN,)), root()), "critical extension"),
}


@pytest.mark.parametrize("case", BAD_SIGNERS)
def test_tcb_signer_not_in_order(case: str) -> None:
    make, text = BAD_SIGNERS[case]
    with pytest.raises(CertificateChainError, match=text):
        verify_signer(*make())


def test_tcb_signer_in_order() -> None:
    assert verify_signer(signer(), root()).spki == Certificate.from_der(signer()).spki


def list_of(**settings: Any) -> RevocationList:
    return RevocationList.from_der(revocation_list(**settings))


def test_revocation_list_in_order() -> None:
    ca = Certificate.from_der(intermediate())
    crl = list_of(revoked=(7, 8))
    verify_revocation_list(crl, ca, CRYPTO)
    assert crl.revoked == {7, 8}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"number": None}, "crlNumber"),
        ({"authority_key_id": False}, "authorityKeyIdentifier"),
        ({"issuer_key": key("x")}, "signature"),
        ({"issuer": ROOT}, "issuer"),
        ({"digest": hashes.SHA384()}, "signature algorithm"),
        ({"extensions": (UNKNOWN,)}, "critical extension 1.2.3.4"),
    ],
)
def test_revocation_list_not_in_order(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(CertificateChainError, match=text):
        verify_revocation_list(list_of(**settings), Certificate.from_der(intermediate()), CRYPTO)
