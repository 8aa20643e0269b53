"""Which of the Endorsements at hand judge a report: its VEK, the signer above it, the root.

A pool holds certificates of many chips and products, from this side and from the peer. Whatever is wrong with one, it
never stands in the way of a good one. Nothing here looks at a clock but `now` as an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import CertificateChainError, DecodeError, RatsTlsError, SignatureError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import Limits
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.verifiers.amd_chain import (
    anchors_of_product,
    load_p384,
    product_of_signer,
    verify_signer,
    verify_vek,
)
from rats_tls.verifiers.amd_report import VEK_NAMES, mismatch
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.chain import malformed_endorsement

_MAX_TRIALS = 16
"""Most VEKs of one report whose key is tried; each costs one P-384 verification."""

T = TypeVar("T", VekCertificate, Certificate, RevocationList)


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """An Endorsement at hand and what it decodes to."""

    item: Endorsement
    value: T


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An Endorsement that does not decode. One of this side is an error, one of the peer counts as absent."""

    origin: Origin
    error: DecodeError

    @property
    def refusal(self) -> RatsTlsError | None:
        """The error of one of this side, with the refusal of a broken chain; None for one of the peer."""
        return None if self.origin is Origin.PEER else malformed_endorsement(self.error)

    def __str__(self) -> str:
        return f"{self.origin.value} copy: {self.error.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """AMD's Endorsements at hand that can be read, each once, this side's first.

    Attributes:
        veks: VEK certificates.
        signers: ASK and ASVK certificates.
        roots: ARK certificates.
        crls: revocation lists.
        unreadable: of the others, what is wrong with the first one of each kind.
    """

    veks: tuple[Held[VekCertificate], ...]
    signers: tuple[Held[Certificate], ...]
    roots: tuple[Held[Certificate], ...]
    crls: tuple[Held[RevocationList], ...]
    unreadable: dict[EndorsementKind, Unreadable]

    @classmethod
    def read(cls, endorsements: Endorsements, memory: Memory) -> Pool:
        """Decode the items of AMD's kinds."""
        unreadable: dict[EndorsementKind, Unreadable] = {}

        def held(kind: EndorsementKind, decode: Callable[[bytes], T]) -> tuple[Held[T], ...]:
            found: dict[bytes, Held[T]] = {}
            for item in endorsements.of_kind(kind):
                if item.data in found:
                    continue
                try:
                    value = memory.decoded.get((kind, item.data), partial(decode, item.data))
                except DecodeError as error:
                    unreadable.setdefault(kind, Unreadable(item.origin, error))
                else:
                    found[item.data] = Held(item, value)
            return tuple(found.values())

        return cls(
            veks=held(EndorsementKind.AMD_VEK, VekCertificate.from_der),
            signers=held(EndorsementKind.AMD_SIGNER, lambda der: Certificate.from_der(der, "AmdSignerCertificate")),
            roots=held(EndorsementKind.AMD_ROOT, lambda der: Certificate.from_der(der, "AmdRootCertificate")),
            crls=held(EndorsementKind.AMD_CRL, lambda der: RevocationList.from_der(der, "AmdRevocationList")),
            unreadable=unreadable,
        )


class Memory:
    """What one Verifier remembers. Bounded; never holds a comparison of dates, nor a report's signature.

    Every key of `verified` holds anchors, crypto wrapper and the bytes of all certificates or lists that took part.
    What was only decoded is apart, and so is what keys of a platform's own signed, which anybody can make: neither can
    push out what was verified.
    """

    __slots__ = ("decoded", "keys", "platforms", "verified")

    def __init__(self, limits: Limits) -> None:
        self.decoded = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.keys = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.platforms = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.verified = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What certificates are judged with.

    Attributes:
        anchors: trust anchors.
        crypto: crypto wrapper.
        now: time of judgement.
        trust: anchors and crypto wrapper, part of every cache key.
        memory: what the Verifier remembers.
    """

    anchors: tuple[TrustAnchor, ...]
    crypto: CryptoWrapper
    now: datetime
    trust: bytes
    memory: Memory

    def in_date(self, certificate: Certificate) -> bool:
        """Tell whether a certificate is valid now."""
        return certificate.not_before <= self.now <= certificate.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSigner:
    """The signer that stands above a VEK.

    Attributes:
        held: its certificate.
        anchor: the anchor that issued it; None when it is not good itself.
        error: what is wrong with it, or, when `anchor` is there, with the VEK under it.
    """

    held: Held[Certificate]
    anchor: TrustAnchor | None
    error: RatsTlsError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenVek:
    """The VEK of a report, or why there is none.

    Attributes:
        held: its certificate; None when it is not at hand.
        signature_error: why its key does not verify the report's signature; None when it does.
        error: `held` is None: what is wrong with those at hand, when that is more than that they are of other reports.
        why: `held` is None: why those at hand are not of this report.
    """

    held: Held[VekCertificate] | None = None
    signature_error: RatsTlsError | None = None
    error: RatsTlsError | None = None
    why: str = ""


def choose_signer(judge: Judge, pool: Pool, name: str, product: str, vek: VekCertificate | None) -> ChosenSigner | None:
    """Choose the signer named `name`: one that an anchor of `product` issued, that issued `vek`, and is in date.

    Returns:
        The best at hand, with its error when it is not good; None when there is none.
    """
    best: tuple[int, ChosenSigner] | None = None
    for held in pool.signers:
        signer = held.value
        if vek is None and signer.subject.common_name != name:
            continue
        if vek is not None and signer.subject.der != vek.certificate.issuer.der:
            continue
        anchor: TrustAnchor | None = None
        error: RatsTlsError | None = None
        try:
            anchor = _anchor_of(judge, signer, name, product)
            if vek is not None:
                _require_issued(judge, vek, signer)
        except RatsTlsError as problem:
            error = problem
        rank = (2 if judge.in_date(signer) else 1) if error is None else 0
        found = (rank, ChosenSigner(held=held, anchor=anchor, error=error))
        if best is None or found[0] > best[0]:
            best = found
    return best[1] if best is not None else None


def _anchor_of(judge: Judge, signer: Certificate, name: str, product: str) -> TrustAnchor:
    return judge.memory.verified.get(
        ("signer", judge.trust, name, product, signer.der),
        lambda: verify_signer(signer, anchors_of_product(judge.anchors, product), name, judge.crypto),
    )


def _require_issued(judge: Judge, vek: VekCertificate, signer: Certificate) -> None:
    def verify() -> bool:
        verify_vek(vek, signer, judge.crypto)
        return True

    judge.memory.verified.get(("vek", judge.trust, signer.der, vek.certificate.der), verify)


def choose_vek(judge: Judge, pool: Pool, report: AttestationReport) -> ChosenVek:
    """Choose the VEK whose key verifies the report's signature; of several, the one with the best chain.

    When none does, the first one that fits chip and TCB is the VEK, and the report is not authentic. When none fits
    either, the VEK is not at hand; certificates that are not genuine at all are an error even so.
    """
    fitting: list[Held[VekCertificate]] = []
    others: list[Held[VekCertificate]] = []
    reasons: list[str] = []
    for held in pool.veks:
        errors = _mismatch(report, held.value)
        if not errors:
            fitting.append(held)
        else:
            reasons.append("; ".join(error.message for error in errors))
            # One difference may be all that is wrong with a report that this VEK signed; more is another VEK.
            if len(errors) == 1:
                others.append(held)
    verified: list[Held[VekCertificate]] = []
    failed: list[ChosenVek] = []
    for held in (*fitting, *others)[:_MAX_TRIALS]:
        try:
            verify_report_signature(judge, report, held.value)
        except RatsTlsError as error:
            failed.append(ChosenVek(held=held, signature_error=error))
        else:
            verified.append(held)
    if verified:
        best = verified[0] if len(verified) == 1 else max(verified, key=lambda held: _chain(judge, pool, held.value)[0])
        return ChosenVek(held=best)
    if fitting:
        return failed[0]
    return _none_at_hand(judge, pool, reasons)


def _none_at_hand(judge: Judge, pool: Pool, reasons: list[str]) -> ChosenVek:
    """Tell why no VEK at hand is of the report."""
    unreadable = pool.unreadable.get(EndorsementKind.AMD_VEK)
    if not pool.veks:
        return ChosenVek(error=unreadable.refusal, why=str(unreadable)) if unreadable is not None else ChosenVek()
    more = f" (the first of {len(reasons)})" if len(reasons) > 1 else ""
    why = f"VEK at hand{more}: {reasons[0]}"
    errors = [_chain(judge, pool, held.value)[1] for held in pool.veks[:_MAX_TRIALS]]
    first = errors[0]
    if first is None or not all(errors):
        return ChosenVek(why=why)
    return ChosenVek(error=CertificateChainError(f"{first.message}; {why}"), why=why)


def product_for(report: AttestationReport, vek: VekCertificate | None) -> str | None:
    """Give the product that a report names, or, for version 2, that the issuer's name in its VEK certificate has."""
    if report.cpuid is not None:
        return report.product
    name = VEK_NAMES.get(report.signing_key)
    if vek is None or name is None:
        return None
    return product_of_signer(name, vek.certificate.issuer.common_name)


def verify_report_signature(judge: Judge, report: AttestationReport, vek: VekCertificate) -> None:
    """Verify a report's signature over its first 672 bytes as received, by a VEK.

    Raises:
        CertificateChainError: the VEK is no P-384 key.
        SignatureError: the signature does not verify.
    """
    key = judge.memory.keys.get(
        (judge.crypto.name, judge.crypto.version, vek.certificate.spki), lambda: load_p384(vek, judge.crypto)
    )
    try:
        key.verify_ecdsa(SignatureAlgorithm.ECDSA_SHA384, report.r, report.s, report.signed)
    except SignatureError as error:
        raise SignatureError(f"report: {error.message}") from error


def _mismatch(report: AttestationReport, vek: VekCertificate) -> tuple[RatsTlsError, ...]:
    product = product_for(report, vek)
    if product is None:
        issuer = vek.certificate.issuer.common_name
        return (
            CertificateChainError(f"VEK certificate issuer: got {issuer!r}, which is no signer of a known product"),
        )
    return mismatch(report, vek, product)


def _chain(judge: Judge, pool: Pool, vek: VekCertificate) -> tuple[int, RatsTlsError | None]:
    """Rank a VEK by its own chain: 3 good, 2 not in date, 1 no signer at hand, 0 not genuine, with the error."""
    name, issuer = vek.certificate.subject.common_name, vek.certificate.issuer.common_name
    product = product_of_signer(name, issuer)
    if product is None:
        return 0, CertificateChainError(f"VEK certificate: got {name!r} issued by {issuer!r}, which is no VEK of AMD's")
    signer = choose_signer(judge, pool, issuer, product, vek)
    if signer is None:
        return 1, None
    if signer.error is not None:
        return 0, signer.error
    return 3 if judge.in_date(vek.certificate) and judge.in_date(signer.held.value) else 2, None
