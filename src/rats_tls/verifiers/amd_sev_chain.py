"""Links of AMD's chain before SEV-SNP: ARK (the anchor), ASK, CEK, PEK, and the owner's OCA.

Certificates have no dates and name nobody: who signed is told by the usage of the signature, and by its verifying.
Source: AMD SEV API, appendix B and C.
"""

from __future__ import annotations

from collections.abc import Sequence

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor, Vendor
from rats_tls.core.errors import CertificateChainError, RatsTlsError, SignatureError
from rats_tls.core.interfaces import CryptoWrapper, PublicKey
from rats_tls.formats.amd.sev_certificate import SevCertificate, SevSignature
from rats_tls.formats.amd.sev_keys import (
    ALGORITHMS,
    ARK,
    ASK,
    CEK,
    ECDSA_SHA256,
    ECDSA_SHA384,
    OCA,
    PDH,
    PEK,
    RSA_SHA256,
    RSA_SHA384,
    USAGES,
    SevEcKey,
    SevKey,
    SevRsaKey,
)
from rats_tls.formats.amd.sev_report import SevReport
from rats_tls.formats.amd.sev_signer import KEY_ID_SIZE, PRODUCTS, SevSignerCertificate
from rats_tls.verifiers.chain import anchors_of

ANCHOR_PREFIX = "SEV ARK-"
"""Of the names of anchors; the product stands behind it."""

_SIGNER_ALGORITHMS = {2048: RSA_SHA256, 4096: RSA_SHA384}
"""How AMD's signers sign, by the size of their key: Naples has 2048 bits, later products have 4096."""
_BY_ALGORITHM = {
    RSA_SHA256: SignatureAlgorithm.RSA_PSS_SHA256,
    RSA_SHA384: SignatureAlgorithm.RSA_PSS_SHA384,
    ECDSA_SHA256: SignatureAlgorithm.ECDSA_SHA256,
    ECDSA_SHA384: SignatureAlgorithm.ECDSA_SHA384,
}
_ECDSA = (ECDSA_SHA256, ECDSA_SHA384)


def sev_anchors(anchors: Sequence[TrustAnchor]) -> tuple[TrustAnchor, ...]:
    """Give AMD's anchors that are key ids, not X.509 names."""
    return tuple(anchor for anchor in anchors_of(anchors, Vendor.AMD) if len(anchor.subject) == KEY_ID_SIZE)


def product_of_anchor(anchor: TrustAnchor) -> str:
    """Product of one of `sev_anchors`: "Naples" for `SEV ARK-Naples`."""
    return anchor.name.removeprefix(ANCHOR_PREFIX)


def products_signed_with(algorithm: int, anchors: Sequence[TrustAnchor]) -> tuple[str, ...]:
    """Give the products with one of `sev_anchors` whose ASK signs so."""
    wanted = PRODUCTS[:1] if algorithm == RSA_SHA256 else PRODUCTS[1:] if algorithm == RSA_SHA384 else ()
    there = {product_of_anchor(anchor) for anchor in sev_anchors(anchors)}
    return tuple(product for product in wanted if product in there)


def load_key(key: SevKey, crypto: CryptoWrapper, role: str) -> PublicKey:
    """Load the key of a certificate. Raises CertificateChainError: it is none."""
    try:
        if isinstance(key, SevEcKey):
            return crypto.load_ec_point(KeyAlgorithm.EC_P384, key.point)
        return crypto.load_public_key(key.spki)
    except RatsTlsError as error:
        raise CertificateChainError(f"{role} key: {error.message}") from error


def verify_root(root: SevSignerCertificate, crypto: CryptoWrapper) -> None:
    """Verify that an ARK certificate is one: its usage, its ids, its own signature.

    Raises:
        CertificateChainError: it is none.
    """
    _require_usage(root.usage, ARK, "ARK certificate")
    if root.certifying_id != root.key_id:
        raise CertificateChainError(
            f"ARK certificate certifying_id: got {root.certifying_id.hex()}, expected its own, {root.key_id.hex()}"
        )
    _verify_pss(root, load_key(root.key, crypto, "ARK"), root.key.bits, "ARK certificate signature by itself")


def verify_signer(signer: SevSignerCertificate, anchors: Sequence[TrustAnchor], crypto: CryptoWrapper) -> TrustAnchor:
    """Verify that one of `anchors` signed an ASK.

    Returns:
        The anchor.

    Raises:
        CertificateChainError: no ASK, or no anchor's signature.
    """
    _require_usage(signer.usage, ASK, "ASK certificate")
    candidates = [anchor for anchor in sev_anchors(anchors) if anchor.subject == signer.certifying_id]
    first: CertificateChainError | None = None
    for anchor in candidates:
        try:
            key = crypto.load_public_key(anchor.spki)
        except RatsTlsError as error:
            raise CertificateChainError(f"{anchor.name} key: {error.message}") from error
        try:
            # An ASK's key is as long as that of its ARK.
            _verify_pss(signer, key, signer.key.bits, f"ASK certificate signature by {anchor.name}")
        except CertificateChainError as error:
            first = first or error
        else:
            return anchor
    raise first or CertificateChainError(
        f"ASK certificate certifying_id: got {signer.certifying_id.hex()}, which is the key id of no trust anchor",
        unknown_root=True,
    )


def verify_cek(cek: SevCertificate, signer: SevSignerCertificate, crypto: CryptoWrapper) -> None:
    """Verify that an ASK signed a CEK certificate.

    Raises:
        CertificateChainError: no CEK, no ECDSA key, no signature by an ASK, or one that does not verify.
    """
    role = "CEK certificate"
    _require_usage(cek.usage, CEK, role)
    _require_ecdsa(cek, role)
    signature = _require_signature(cek, ASK, _SIGNER_ALGORITHMS[signer.key.bits], role)
    _verify(signature, signer.key, load_key(signer.key, crypto, "ASK"), cek.signed, f"{role} signature by the ASK")


def verify_pek(pek: SevCertificate, cek: SevCertificate, crypto: CryptoWrapper) -> None:
    """Verify that a CEK signed a PEK certificate.

    Raises:
        CertificateChainError: no PEK, no ECDSA key, no signature by a CEK, or one that does not verify.
    """
    _require_usage(pek.usage, PEK, "PEK certificate")
    _require_ecdsa(pek, "PEK certificate")
    _verify_by(pek, cek, CEK, crypto, "PEK certificate")


def verify_owner(pek: SevCertificate, oca: SevCertificate, crypto: CryptoWrapper) -> None:
    """Verify that an owner's certificate is its own, and that the owner signed a PEK certificate.

    Anybody can be the owner of a platform: this adds no trust.

    Raises:
        CertificateChainError: no OCA, or one of both signatures is missing or does not verify.
    """
    _verify_by(oca, oca, OCA, crypto, "OCA certificate")
    _verify_by(pek, oca, OCA, crypto, "PEK certificate")


def verify_pdh(pdh: SevCertificate, pek: SevCertificate, crypto: CryptoWrapper) -> None:
    """Verify that a PEK signed a certificate of a platform's Diffie-Hellman key, which no Evidence carries.

    Raises:
        CertificateChainError: no PDH, no signature by a PEK, or one that does not verify.
    """
    _require_usage(pdh.usage, PDH, "PDH certificate")
    _verify_by(pdh, pek, PEK, crypto, "PDH certificate")


def require_report_form(report: SevReport, pek: SevCertificate) -> str:
    """Require that a report says of its signature that a PEK made it, as that PEK signs.

    Returns:
        How it was signed, for people.

    Raises:
        SignatureError: it says something else, or the PEK has a key that signs no reports.
    """
    for name, got, expected in (("sig_usage", report.sig_usage, PEK), ("PEK certificate pubkey_usage", pek.usage, PEK)):
        if got != expected:
            raise SignatureError(f"{name}: got {_usage_name(got)}, expected {_usage_name(expected)}")
    if pek.algorithm not in _ECDSA:
        raise SignatureError(f"PEK certificate pubkey_algo: got {ALGORITHMS[pek.algorithm]}, expected ECDSA")
    if report.sig_algo != pek.algorithm:
        raise SignatureError(f"sig_algo: got {report.sig_algo:#x}, expected that of the PEK, {pek.algorithm:#x}")
    return ALGORITHMS[report.sig_algo]


def verify_report(report: SevReport, key: PublicKey) -> None:
    """Verify a report's signature by the key of a PEK. Raises SignatureError."""
    try:
        key.verify_ecdsa(_BY_ALGORITHM[report.sig_algo], report.r, report.s, report.signed)
    except SignatureError as error:
        raise SignatureError(f"report: {error.message}") from error


def _verify_by(child: SevCertificate, signer: SevCertificate, usage: int, crypto: CryptoWrapper, role: str) -> None:
    name = USAGES[usage]
    _require_usage(signer.usage, usage, f"{name} certificate")
    signature = _require_signature(child, usage, signer.algorithm, role)
    key = load_key(signer.key, crypto, name)
    _verify(signature, signer.key, key, child.signed, f"{role} signature by the {name}")


def _require_usage(got: int, expected: int, role: str) -> None:
    if got != expected:
        raise CertificateChainError(f"{role} usage: got {_usage_name(got)}, expected {_usage_name(expected)}")


def _require_ecdsa(certificate: SevCertificate, role: str) -> None:
    if certificate.algorithm not in _ECDSA:
        got = ALGORITHMS[certificate.algorithm]
        raise CertificateChainError(f"{role} pubkey_algo: got {got}, expected ECDSA")


def _require_signature(child: SevCertificate, usage: int, algorithm: int, role: str) -> SevSignature:
    """Find a signature by the usage of its key, wherever it stands; it must be made as that key signs."""
    signature = child.signature_by(usage)
    if signature is None:
        there = " and ".join(_usage_name(each.usage) for each in child.signatures)
        raise CertificateChainError(f"{role}: got signatures by {there}, expected one by {_usage_name(usage)}")
    if signature.algorithm != algorithm or algorithm not in _BY_ALGORITHM:
        raise CertificateChainError(
            f"{role} signature by {_usage_name(usage)}: got {ALGORITHMS[signature.algorithm]}, "
            f"expected that of its key, {ALGORITHMS[algorithm]}"
        )
    return signature


def _verify(signature: SevSignature, issuer: SevKey, key: PublicKey, signed: bytes, role: str) -> None:
    algorithm = _BY_ALGORITHM[signature.algorithm]
    try:
        if isinstance(issuer, SevRsaKey):
            # One that is longer than the key's modulus does not verify.
            size = max(issuer.bits, (signature.rsa or 0).bit_length() + 7) // 8
            key.verify(algorithm, (signature.rsa or 0).to_bytes(size, "big"), signed)
        else:
            key.verify_ecdsa(algorithm, signature.r or 0, signature.s or 0, signed)
    except SignatureError as error:
        raise CertificateChainError(f"{role}: {error.message}") from error


def _verify_pss(certificate: SevSignerCertificate, key: PublicKey, bits: int, role: str) -> None:
    try:
        key.verify(_BY_ALGORITHM[_SIGNER_ALGORITHMS[bits]], certificate.signature, certificate.signed)
    except SignatureError as error:
        raise CertificateChainError(f"{role}: {error.message}") from error


def _usage_name(usage: int) -> str:
    return f"{usage:#x} ({USAGES[usage]})" if usage in USAGES else f"{usage:#x}"
