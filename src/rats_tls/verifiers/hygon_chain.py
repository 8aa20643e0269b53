"""Links of Hygon's chain: HRK (the anchor), HSK, CEK, PEK. Its certificates have no dates and no names but user ids.

Nothing here looks at a clock. Source: Hygon CSV attestation, certificates; GB/T 32918.2 for signatures, which depend
on the signer's user id.
"""

from __future__ import annotations

from collections.abc import Sequence

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.errors import CertificateChainError, ConfigurationError, RatsTlsError, UnsupportedError
from rats_tls.core.interfaces import CryptoWrapper, PublicKey, Sm2Key
from rats_tls.core.text import printable
from rats_tls.formats.hygon.certificates import (
    USAGE_CEK,
    USAGE_HRK,
    USAGE_HSK,
    USAGE_NONE,
    USAGE_PEK,
    CertificateSignature,
    KeyCertificate,
    RootCertificate,
)
from rats_tls.formats.hygon.sm2 import ALGORITHM_SM2, CURVE_SM2, EccPublicKey, point_of
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION, anchors_of

_NAME_DIGITS = 64


def verify_hsk(hsk: RootCertificate, anchors: Sequence[TrustAnchor], crypto: CryptoWrapper) -> TrustAnchor:
    """Verify that one of Hygon's `anchors` signed an HSK certificate, by the anchor's own user id.

    Returns:
        The anchor.

    Raises:
        CertificateChainError: no anchor of Hygon's, another usage, or no anchor's signature.
        UnsupportedError: no library for SM2.
    """
    own = require_anchors(anchors)
    _require_usage("HSK", hsk.usage, USAGE_HSK)
    errors: list[CertificateChainError] = []
    for anchor in own:
        try:
            key = _load_anchor(anchor, crypto)
            _verify(key, hsk.r, hsk.s, hsk.signed, f"HSK signature by {anchor.name}")
        except CertificateChainError as error:
            errors.append(error)
        else:
            return anchor
    why = "; ".join(error.message for error in errors)
    # An HSK does not say whose it is: another HRK's, or forged.
    raise CertificateChainError(why if len(errors) == 1 else f"HSK: no anchor signed it: {why}", unknown_root=True)


def verify_cek(cek: KeyCertificate, hsk: RootCertificate, crypto: CryptoWrapper) -> None:
    """Verify that an HSK signed a CEK certificate; its other signature is nobody's.

    Raises:
        CertificateChainError: another usage or key, a second signature, or one that does not verify.
        UnsupportedError: no library for SM2.
    """
    _require_usage("CEK", cek.usage, USAGE_CEK)
    by_hsk, other = cek.signatures
    _require_usage("CEK first signature", by_hsk.usage, USAGE_HSK)
    _require_usage("CEK second signature", other.usage, USAGE_NONE)
    if other.algorithm or other.r or other.s:
        raise CertificateChainError("CEK second signature: got one without a usage, expected zeros")
    _verify_signature(by_hsk, load_key(hsk.key, "HSK", crypto), cek.signed, "CEK signature by the HSK")


def verify_pek(pek: KeyCertificate, cek: KeyCertificate, crypto: CryptoWrapper) -> None:
    """Verify that a CEK signed a PEK certificate. The owner's signature beside it adds no trust and is not looked at.

    Raises:
        CertificateChainError: no signature of a CEK, or one that does not verify.
        UnsupportedError: no library for SM2.
    """
    by_cek = pek.signature_by(USAGE_CEK)
    if by_cek is None:
        got = " and ".join(f"{signature.usage:#x}" for signature in pek.signatures)
        raise CertificateChainError(f"PEK signatures: got usages {got}, expected {USAGE_CEK:#x} (CEK) among them")
    _verify_signature(by_cek, load_key(cek.key, "CEK", crypto), pek.signed, "PEK signature by the CEK")


def require_pek_usage(pek: KeyCertificate) -> None:
    """Require that a certificate is a PEK's. Raises CertificateChainError."""
    _require_usage("PEK", pek.usage, USAGE_PEK)


def require_anchors(anchors: Sequence[TrustAnchor]) -> tuple[TrustAnchor, ...]:
    """Give Hygon's anchors. Raises CertificateChainError: there is none."""
    own = anchors_of(anchors, Vendor.HYGON)
    if not own:
        raise CertificateChainError(f"trust anchor HRK: none of the {len(anchors)} anchors is Hygon's")
    return own


def load_key(key: EccPublicKey, role: str, crypto: CryptoWrapper) -> Sm2Key:
    """Load a key of a certificate with its user id.

    Raises:
        CertificateChainError: no key of the SM2 curve.
        UnsupportedError: no library for SM2.
    """
    if key.curve != CURVE_SM2:
        raise CertificateChainError(f"{role} key: got curve {key.curve}, expected {CURVE_SM2} (SM2)")
    try:
        return crypto.load_sm2_point(key.point, key.user_id)
    except UnsupportedError:
        raise
    except RatsTlsError as error:
        raise CertificateChainError(f"{role} key: {error.message}") from error


def _load_anchor(anchor: TrustAnchor, crypto: CryptoWrapper) -> Sm2Key:
    try:
        return crypto.load_sm2_point(point_of(anchor.spki), anchor.subject)
    except UnsupportedError:
        raise
    except RatsTlsError as error:
        raise CertificateChainError(f"trust anchor {anchor.name}: {error.message}") from error


def anchor_of_root(root: RootCertificate, crypto: CryptoWrapper) -> TrustAnchor:
    """Give the anchor that an HRK certificate is, for a user who names it; simulated ones are known by their user id.

    Its own signature is verified where a library for SM2 is there. Without one nothing could be verified under it.

    Raises:
        ConfigurationError: not an HRK's, or its own signature does not verify.
    """
    name = printable(root.key.user_id[:_NAME_DIGITS].decode("ascii", "replace"))
    try:
        _require_usage("HRK", root.usage, USAGE_HRK)
        key = load_key(root.key, "HRK", crypto)
        _verify(key, root.r, root.s, root.signed, "HRK signature by itself")
    except UnsupportedError:
        pass
    except CertificateChainError as error:
        raise ConfigurationError(f"trust anchor {name}: {error.message}") from error
    simulated = name.startswith(SIMULATED_ORGANIZATION)
    return TrustAnchor(
        vendor=Vendor.HYGON,
        subject=root.key.user_id,
        spki=root.key.spki,
        kind=AnchorKind.SIMULATED if simulated else AnchorKind.USER,
        name=name,
        source=f"given explicitly; key id {root.key_id.hex()}",
    )


def _require_usage(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise CertificateChainError(f"{what} key usage: got {got:#x}, expected {expected:#x}")


def _verify_signature(signature: CertificateSignature, key: PublicKey, signed: bytes, role: str) -> None:
    if signature.algorithm != ALGORITHM_SM2:
        raise CertificateChainError(f"{role}: got algorithm {signature.algorithm}, expected {ALGORITHM_SM2}")
    _verify(key, signature.r, signature.s, signed, role)


def _verify(key: PublicKey, r: int, s: int, signed: bytes, role: str) -> None:
    try:
        key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, r, s, signed)
    except RatsTlsError as error:
        raise CertificateChainError(f"{role}: {error.message}") from error
