"""Chains of AMD's PKI: ARK (the anchor), ASK or ASVK, VEK; revocation lists of the ARK.

Nothing here looks at a clock: outcomes are remembered, dates are compared by the callers each time.
Source: AMD, VCEK Certificate and KDS Interface Specification, certificate profiles.
"""

from __future__ import annotations

from collections.abc import Sequence

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor, Vendor
from rats_tls.core.errors import CertificateChainError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper, PublicKey
from rats_tls.formats.amd.vek import VCEK_NAME, VLEK_NAME, VekCertificate
from rats_tls.formats.rsa import rsa_modulus_bits
from rats_tls.formats.x509 import Certificate, RevocationList, require_signature_algorithm
from rats_tls.verifiers.chain import anchors_of, match_anchor, product_of, verify_issued_by

_UNDERSTOOD_CRITICAL = frozenset({"2.5.29.15", "2.5.29.19"})  # keyUsage, basicConstraints
_RSA_BITS = 4096
_SIGNER_PREFIXES = {VCEK_NAME: "SEV-", VLEK_NAME: "SEV-VLEK-"}


def signer_name(vek_name: str, product: str) -> str:
    """Give the common name of the signer of VEKs named `vek_name`: `SEV-Milan` (ASK), `SEV-VLEK-Milan` (ASVK)."""
    return f"{_SIGNER_PREFIXES[vek_name]}{product}"


def product_of_signer(vek_name: str, name: str) -> str | None:
    """Give the product in a signer's common name; None when no signer of VEKs named `vek_name` is called so."""
    prefix = _SIGNER_PREFIXES.get(vek_name)
    if prefix is None or not name.startswith(prefix):
        return None
    product = name.removeprefix(prefix)
    return product if product and "-" not in product else None


def anchors_of_product(anchors: Sequence[TrustAnchor], product: str) -> tuple[TrustAnchor, ...]:
    """Give the anchors `ARK-<product>`.

    Raises:
        CertificateChainError: there is none.
    """
    found = tuple(anchor for anchor in anchors_of(anchors, Vendor.AMD) if product_of(anchor) == product)
    if not found:
        raise CertificateChainError(f"trust anchor ARK-{product}: none of the {len(anchors)} anchors is for {product}")
    return found


def load_p384(vek: VekCertificate, crypto: CryptoWrapper) -> PublicKey:
    """Load the key of a VEK. Raises CertificateChainError: another key, or none."""
    try:
        key = crypto.load_public_key(vek.certificate.spki)
    except RatsTlsError as error:
        raise CertificateChainError(f"VEK key: {error.message}") from error
    if key.algorithm is not KeyAlgorithm.EC_P384:
        raise CertificateChainError(f"VEK key: got {key.algorithm.value}, expected {KeyAlgorithm.EC_P384.value}")
    return key


def verify_signer(signer: Certificate, anchors: Sequence[TrustAnchor], name: str, crypto: CryptoWrapper) -> TrustAnchor:
    """Verify that one of `anchors` issued an ASK or ASVK of that common name.

    Returns:
        The anchor.

    Raises:
        CertificateChainError: another name, no CA certificate with an RSA-4096 key, or no anchor's signature.
    """
    if signer.subject.common_name != name:
        raise CertificateChainError(f"signer common name: got {signer.subject.common_name!r}, expected {name!r}")
    if not signer.is_ca:
        raise CertificateChainError(f"{name}: basicConstraints has no CA flag")
    bits = rsa_modulus_bits(signer.spki)
    if bits != _RSA_BITS:
        raise CertificateChainError(f"{name} key: got {bits or 'no'} RSA bits, expected {_RSA_BITS}")
    _require_form(signer, name)
    # Two anchors may have one name: an older and a newer key, or two simulated vendors.
    errors: list[CertificateChainError] = []
    for anchor in anchors:
        if signer.issuer.der == anchor.subject:
            try:
                _verify_by_anchor(signer, anchor, name, crypto)
            except CertificateChainError as error:
                errors.append(error)
            else:
                return anchor
    if errors:
        raise errors[0]
    raise CertificateChainError(
        f"{name} issuer: got {signer.issuer}, which is not the trust anchor "
        f"{' or '.join(f'{anchor.name} ({anchor.kind.value})' for anchor in anchors)}",
        unknown_root=True,
    )


def verify_vek(vek: VekCertificate, signer: Certificate, crypto: CryptoWrapper) -> None:
    """Verify that a signer issued a VEK certificate.

    Raises:
        CertificateChainError: names differ, the VEK is a CA certificate, or the signature does not verify.
    """
    certificate = vek.certificate
    if certificate.is_ca:
        raise CertificateChainError("VEK certificate: basicConstraints has the CA flag")
    _require_form(certificate, "VEK certificate")
    verify_issued_by(certificate, signer, crypto, child_role="VEK certificate")


def verify_root(root: Certificate, anchors: Sequence[TrustAnchor], crypto: CryptoWrapper) -> TrustAnchor:
    """Verify that an ARK certificate is one of `anchors`: subject, key and its own signature.

    Returns:
        The anchor.

    Raises:
        CertificateChainError: it is none.
    """
    role = f"root {root.subject.common_name}"
    if not root.is_ca:
        raise CertificateChainError(f"{role}: basicConstraints has no CA flag")
    _require_form(root, role)
    return match_anchor(root, anchors, Vendor.AMD, crypto)


def verify_revocation_list(crl: RevocationList, anchor: TrustAnchor, crypto: CryptoWrapper) -> None:
    """Verify that the anchor issued a list.

    Raises:
        CertificateChainError: an unknown critical extension, or the signature does not verify.
    """
    role = f"revocation list of {anchor.name}"
    if crl.unknown_critical:
        raise CertificateChainError(f"{role}: unknown critical extension {crl.unknown_critical[0]}")
    _verify_by_anchor(crl, anchor, role, crypto)


def _require_form(certificate: Certificate, role: str) -> None:
    """Require RSASSA-PSS with SHA-384, and no critical extension that nobody here understands."""
    if certificate.signature_algorithm is not SignatureAlgorithm.RSA_PSS_SHA384:
        got = certificate.signature_algorithm.value if certificate.signature_algorithm else "an unknown one"
        raise CertificateChainError(f"{role} signature algorithm: got {got}, expected RSASSA-PSS with SHA-384")
    for oid, extension in certificate.extensions.items():
        if extension.critical and oid not in _UNDERSTOOD_CRITICAL:
            raise CertificateChainError(f"{role}: unknown critical extension {oid}")


def _verify_by_anchor(
    child: Certificate | RevocationList, anchor: TrustAnchor, role: str, crypto: CryptoWrapper
) -> None:
    try:
        key = crypto.load_public_key(anchor.spki)
        key.verify(require_signature_algorithm(child), child.signature, child.tbs)
    except RatsTlsError as error:
        raise CertificateChainError(f"{role} signature by {anchor.name}: {error.message}") from error
