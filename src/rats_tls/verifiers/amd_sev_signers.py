"""Which of the ASKs at hand signed a CEK. A certificate before SEV-SNP does not name its signer: each is tried.

A pool holds ASKs of several products, from this side and from the peer. Whatever is wrong with one, it never stands in
the way of a good one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement, Origin
from rats_tls.core.errors import CertificateChainError, DecodeError, RatsTlsError
from rats_tls.formats.amd.sev_certificate import SevCertificate
from rats_tls.formats.amd.sev_keys import ASK
from rats_tls.formats.amd.sev_signer import SevSignerCertificate
from rats_tls.verifiers.amd_endorsements import Judge
from rats_tls.verifiers.amd_sev_chain import (
    product_of_anchor,
    products_signed_with,
    verify_cek,
    verify_signer,
)

_MAX_TRIALS = 16
"""Most ASKs whose key is tried on one CEK; each costs one RSA verification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAsk:
    """The ASK of a CEK, or why there is none.

    Attributes:
        item: the Endorsement; None when no ASK at hand signed the CEK.
        anchor: the anchor that signed it; None when none did, and `signer_error` says so.
        signer_error: what is wrong with the ASK that did sign the CEK.
        missing: `item` is None: the ASKs of which one may have signed it and that are not at hand.
        why: `item` is None: what is wrong with those at hand.
    """

    item: Endorsement | None = None
    anchor: TrustAnchor | None = None
    signer_error: RatsTlsError | None = None
    missing: tuple[MissingEndorsement, ...] = ()
    why: str = ""


def choose_ask(judge: Judge, endorsements: Endorsements, cek: SevCertificate, hint: str | None) -> ChosenAsk:
    """Choose the ASK that signed a CEK; of several, one that an anchor signed.

    Args:
        judge: anchors, crypto wrapper, memory.
        endorsements: those at hand.
        cek: the certificate.
        hint: product that the Evidence claims; of the ASKs that are missing, the one that is named first.
    """
    reasons: list[str] = []
    there: set[str] = set()
    wrong: ChosenAsk | None = None
    tried: set[bytes] = set()
    for item in endorsements.of_kind(EndorsementKind.AMD_SEV_SIGNER):
        if item.data in tried or len(tried) == _MAX_TRIALS:
            continue
        tried.add(item.data)
        try:
            signer = judge.memory.decoded.get(
                (item.kind, item.data), partial(SevSignerCertificate.from_bytes, item.data)
            )
        except DecodeError as error:
            reasons.append(f"{item.origin.value} copy: {error.message}")
            continue
        anchor, anchor_error = _anchor_of(judge, signer)
        try:
            _require_signed(judge, cek, signer)
        except RatsTlsError as error:
            reasons.append((anchor_error or error).message)
            if anchor is not None:
                there.add(product_of_anchor(anchor))
            continue
        if anchor is not None:
            return ChosenAsk(item=item, anchor=anchor)
        if item.origin is Origin.PEER:
            reasons.append(f"{item.origin.value} copy: {anchor_error.message if anchor_error is not None else ''}")
        else:
            wrong = wrong or ChosenAsk(item=item, signer_error=anchor_error)
    if wrong is not None:
        return wrong
    return ChosenAsk(missing=_missing(judge, cek, hint, there), why="; ".join(dict.fromkeys(reasons)))


def _anchor_of(judge: Judge, signer: SevSignerCertificate) -> tuple[TrustAnchor | None, RatsTlsError | None]:
    try:
        return judge.memory.verified.get(
            ("sev-signer", judge.trust, signer.data), lambda: verify_signer(signer, judge.anchors, judge.crypto)
        ), None
    except CertificateChainError as error:
        return None, error


def _require_signed(judge: Judge, cek: SevCertificate, signer: SevSignerCertificate) -> None:
    def verify() -> bool:
        verify_cek(cek, signer, judge.crypto)
        return True

    judge.memory.verified.get(("sev-cek", judge.trust, signer.data, cek.data), verify)


def _missing(judge: Judge, cek: SevCertificate, hint: str | None, there: set[str]) -> tuple[MissingEndorsement, ...]:
    """Give the ASKs that may have signed: of the products whose ASKs sign so, without those that were tried."""
    signature = cek.signature_by(ASK)
    algorithm = signature.algorithm if signature is not None else 0
    open_products = [name for name in products_signed_with(algorithm, judge.anchors) if name not in there]
    if hint in open_products:
        open_products = [hint]
    return tuple(lookup_keys.amd_sev_signer(product) for product in open_products)
