"""Trust anchors that a user gives explicitly, in PEM: roots in X.509, and roots in a form of their vendor's.

A block of the label CERTIFICATE is an X.509 root. A form of a vendor's has labels of its own, which say what the form
leaves out. Simulated roots are known by their name, whatever its form (docs/adr/0004).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.formats.amd.pem import CERTIFICATE, split_pem
from rats_tls.formats.amd.sev_signer import PRODUCTS, SIMULATED_KEY_ID, SevSignerCertificate
from rats_tls.formats.hygon.certificates import RootCertificate
from rats_tls.formats.x509 import Certificate
from rats_tls.verifiers.amd_sev_chain import ANCHOR_PREFIX, verify_root
from rats_tls.verifiers.chain import given_anchor, require_in_date, vendor_of, verify_issued_by
from rats_tls.verifiers.hygon_chain import anchor_of_root

HYGON_ROOT = "HYGON ROOT CERTIFICATE"
"""Label of an HRK certificate (832 bytes)."""
_MOST = 64
_Read = Callable[[bytes, CryptoWrapper], TrustAnchor]


def anchors_from_pem(pem: bytes, *, crypto: CryptoWrapper, now: datetime) -> tuple[TrustAnchor, ...]:
    """Read explicit trust anchors.

    The vendor of an X.509 root is told by the subject's common name (`...SGX Root CA`, `ARK-<Product>`), that of
    another one by its label.

    Args:
        pem: the roots.
        crypto: verifies their own signatures.
        now: time at which those that have dates must be in date.

    Raises:
        DecodeError: malformed, or none.
        ConfigurationError: what is no root, whose signature does not verify, that is not in date, or whose vendor is
            not known.
    """
    blocks = split_pem(pem, "TrustAnchors", limit=_MOST, labels=(CERTIFICATE, *_VENDOR_FORMS))
    return tuple(
        _VENDOR_FORMS[block.label](block.der, crypto)
        if block.label in _VENDOR_FORMS
        else _x509_anchor(block.der, crypto, now)
        for block in blocks
    )


def root_labels() -> tuple[str, ...]:
    """Give the PEM labels of roots that are no X.509."""
    return tuple(_VENDOR_FORMS)


def anchor_of_block(label: str, data: bytes, crypto: CryptoWrapper) -> TrustAnchor:
    """Give the trust anchor that a root of one of `root_labels` is.

    Raises:
        DecodeError: malformed.
        ConfigurationError: its own signature does not verify.
    """
    return _VENDOR_FORMS[label](data, crypto)


def amd_sev_label(product: str) -> str:
    """Give the PEM label of an ARK in AMD's own form, which does not name its product."""
    return f"AMD SEV ARK {product.upper()}"


def _x509_anchor(der: bytes, crypto: CryptoWrapper, now: datetime) -> TrustAnchor:
    root = Certificate.from_der(der, "TrustAnchor")
    name = root.subject.common_name
    if not root.self_issued or not root.is_ca:
        raise ConfigurationError(f"trust anchor {root.subject}: not a self-issued CA certificate")
    try:
        verify_issued_by(root, root, crypto, child_role=name)
        require_in_date(root, now, role=name)
    except RatsTlsError as error:
        raise ConfigurationError(f"trust anchor {root.subject}: {error.message}") from error
    vendor = vendor_of(root)
    if vendor is None:
        raise ConfigurationError(
            f"trust anchor {root.subject}: common name is none of '...SGX Root CA' (Intel), 'ARK-<Product>' (AMD)"
        )
    return given_anchor(root, vendor)


def _amd_sev_anchor(data: bytes, crypto: CryptoWrapper, product: str) -> TrustAnchor:
    root = SevSignerCertificate.from_bytes(data)
    try:
        verify_root(root, crypto)
    except RatsTlsError as error:
        raise ConfigurationError(f"trust anchor {amd_sev_label(product)}: {error.message}") from error
    return TrustAnchor(
        vendor=Vendor.AMD,
        subject=root.key_id,
        spki=root.key.spki,
        kind=AnchorKind.SIMULATED if root.key_id.startswith(SIMULATED_KEY_ID) else AnchorKind.USER,
        name=f"{ANCHOR_PREFIX}{product}",
        source=f"given explicitly; key id {root.key_id.hex()}",
    )


def _hygon_anchor(data: bytes, crypto: CryptoWrapper) -> TrustAnchor:
    return anchor_of_root(RootCertificate.from_bytes(data, "TrustAnchor"), crypto)


def _amd_sev_form(product: str) -> _Read:
    return lambda data, crypto: _amd_sev_anchor(data, crypto, product)


_VENDOR_FORMS: Mapping[str, _Read] = {
    HYGON_ROOT: _hygon_anchor,
    **{amd_sev_label(product): _amd_sev_form(product) for product in PRODUCTS},
}
"""By the label of their PEM block: what reads and verifies a root that is no X.509."""
