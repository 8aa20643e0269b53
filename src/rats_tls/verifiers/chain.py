"""Links of a vendor's certificate chain: issuer, signature, dates, trust anchor, revocation lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.checks import time_text
from rats_tls.core.errors import (
    CertificateChainError,
    DecodeError,
    ExpiredError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.refusals import Refusal
from rats_tls.formats.x509 import (
    Certificate,
    RevocationList,
    require_signature_algorithm,
)
from rats_tls.verifiers.known_keys import KeyLoader
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS

SIMULATED_ORGANIZATION = "rats-tls simulation"
"""Organization of every simulated vendor's certificates: an anchor with it is shown as simulated."""


def verify_issued_by(
    child: Certificate | RevocationList, issuer: Certificate, keys: KeyLoader, *, child_role: str
) -> None:
    """Verify that `issuer` issued `child`: same name, CA flag for certificates, signature.

    Raises:
        CertificateChainError: names differ, the issuer is no CA, or the signature does not verify.
    """
    if child.issuer.der != issuer.subject.der:
        raise CertificateChainError(f"{child_role} issuer: got {child.issuer}, expected {issuer.subject}")
    if isinstance(child, Certificate) and not issuer.is_ca:
        raise CertificateChainError(f"{child_role} issuer {issuer.subject}: basicConstraints has no CA flag")
    try:
        key = keys.load_public_key(issuer.spki)
        key.verify(require_signature_algorithm(child), child.signature, child.tbs)
    except (SignatureError, UnsupportedError) as error:
        raise CertificateChainError(
            f"{child_role} signature by {issuer.subject.common_name}: {error.message}"
        ) from error


def require_in_date(certificate: Certificate, now: datetime, *, role: str) -> None:
    """Require that `now` lies within the certificate's validity.

    Raises:
        ExpiredError: not yet or no longer valid (refusal `certificate_not_in_date`).
    """
    if now < certificate.not_before:
        raise ExpiredError(
            f"{role} is not yet valid: got {time_text(now)}, notBefore {time_text(certificate.not_before)}",
            refusal=Refusal.CERTIFICATE_NOT_IN_DATE,
        )
    if now > certificate.not_after:
        raise ExpiredError(
            f"{role} has expired: got {time_text(now)}, notAfter {time_text(certificate.not_after)}",
            refusal=Refusal.CERTIFICATE_NOT_IN_DATE,
        )


def malformed_endorsement(error: DecodeError) -> CertificateChainError:
    """Give an error of decoding an Endorsement the refusal of a broken chain: its own is that of Evidence."""
    renamed = CertificateChainError(f"Endorsement is malformed: {error.message}")
    renamed.__cause__ = error
    return renamed


def match_anchor(root: Certificate, anchors: Iterable[TrustAnchor], vendor: Vendor, keys: KeyLoader) -> TrustAnchor:
    """Find the anchor that `root` is: same vendor, subject and public key; the root's own signature must verify.

    Raises:
        CertificateChainError: it is none of the anchors, or its self-signature does not verify.
    """
    for anchor in anchors:
        if anchor.vendor is vendor and anchor.spki == root.spki and anchor.subject == root.subject.der:
            verify_issued_by(root, root, keys, child_role=f"root {root.subject.common_name}")
            return anchor
    shown = anchor_of(root, vendor).shown_fingerprint
    raise CertificateChainError(
        f"root {root.subject.common_name} (fingerprint {shown}): not a trust anchor for {vendor.value}",
        unknown_root=True,
    )


def vendor_of(root: Certificate) -> Vendor | None:
    """Tell whose root a certificate is by the subject's common name: `...SGX Root CA`, `ARK-<Product>`."""
    name = root.subject.common_name
    if "SGX Root CA" in name:
        return Vendor.INTEL
    return Vendor.AMD if name.startswith("ARK-") else None


def anchor_of(root: Certificate, vendor: Vendor) -> TrustAnchor:
    """Give the anchor that a root certificate would be. Nothing is verified.

    It is a vendor's pinned one, or simulated by its organization, or the user's.
    """
    for pinned in VENDOR_ROOTS:
        if pinned.vendor is vendor and pinned.spki == root.spki and pinned.subject == root.subject.der:
            return pinned
    return given_anchor(root, vendor)


def given_anchor(root: Certificate, vendor: Vendor) -> TrustAnchor:
    """Give the anchor that a root certificate is where a user gives it. Nothing is verified."""
    simulated = root.subject.organization.startswith(SIMULATED_ORGANIZATION)
    return TrustAnchor(
        vendor=vendor,
        subject=root.subject.der,
        spki=root.spki,
        kind=AnchorKind.SIMULATED if simulated else AnchorKind.USER,
        name=root.subject.common_name,
        source=f"given explicitly; certificate SHA-256 {root.sha256.hex()}",
    )


def product_of(anchor: TrustAnchor) -> str:
    """Product of an AMD anchor: "Milan" for `ARK-Milan`."""
    return anchor.name.removeprefix("ARK-")


def anchors_of(anchors: Sequence[TrustAnchor], vendor: Vendor) -> tuple[TrustAnchor, ...]:
    """Give those of one vendor."""
    return tuple(anchor for anchor in anchors if anchor.vendor is vendor)
