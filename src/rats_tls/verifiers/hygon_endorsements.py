"""Which of the Endorsements at hand judge a CSV report: the HSK and CEK certificates above its PEK.

They come in the Evidence, from this side and from the peer. Whatever is wrong with one chain, it never stands in the
way of a good one. Nothing here looks at a clock: Hygon's certificates have no dates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import NO_EXPIRY, NO_ISSUE_DATE, Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import CertificateChainError, DecodeError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import Limits
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.chain import malformed_endorsement
from rats_tls.verifiers.hygon_chain import verify_cek, verify_hsk, verify_pek

EVIDENCE = "evidence"
"""Origin of certificates that came in the Evidence."""


_MOST_TRIALS = 64
"""Chains of one origin at hand that are tried on one PEK: which chip a chain is of no certificate says."""


class Memory:
    """What one Verifier remembers. Bounded; never holds a report's signature.

    Every key of `verified` and `outcomes` holds anchors and crypto wrapper, and the certificates that took part or
    their digests. What was only decoded, and whether a CEK signed a PEK, is apart from chains that lead to an anchor:
    what nobody has verified cannot push out what was.
    """

    __slots__ = ("decoded", "keys", "outcomes", "verified")

    def __init__(self, limits: Limits) -> None:
        self.decoded = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.keys = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.outcomes = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.verified = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What certificates are judged with.

    Attributes:
        anchors: trust anchors.
        crypto: crypto wrapper.
        trust: anchors and crypto wrapper, part of every cache key.
        memory: what the Verifier remembers.
    """

    anchors: tuple[TrustAnchor, ...]
    crypto: CryptoWrapper
    trust: bytes
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class CekChain:
    """HSK and CEK certificates at hand.

    Attributes:
        item: the Endorsement.
        origin: "local", "peer", or "evidence".
        hsk: the certificate of the HSK.
        cek: the certificate of the CEK.
    """

    item: Endorsement
    origin: str
    hsk: RootCertificate
    cek: KeyCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenChain:
    """The chain above a PEK, or why there is none.

    Attributes:
        chain: the certificates; None when they are not at hand, or not good.
        anchor: the anchor to which they lead.
        error: what is wrong with the chain of this PEK, or with one that should be.
        why: nothing is known of this PEK's chain: what the first one at hand is.
    """

    chain: CekChain | None = None
    anchor: TrustAnchor | None = None
    error: RatsTlsError | None = None
    why: str = ""


def choose_chain(
    judge: Judge, endorsements: Endorsements, in_evidence: Endorsement | None, pek: KeyCertificate
) -> ChosenChain:
    """Choose the first chain that leads from an anchor to the PEK: of this side, in the Evidence, of the peer.

    When none does, the error is that of a chain whose CEK signed the PEK, else that of the chain in the Evidence, or of
    one of this side that cannot be read. Chains of other chips, and what a peer sends beside, are none at all. Of each
    origin so many are tried as `_MOST_TRIALS` says: whoever has Evidence whose PEK nobody signed costs no more.
    """
    errors: list[tuple[int, RatsTlsError]] = []
    why = ""
    for item, origin in _candidates(endorsements, in_evidence):
        try:
            chain = _read(judge, item, origin)
        except DecodeError as error:
            why = why or f"{origin} copy: {error.message}"
            if origin != Origin.PEER.value:
                errors.append((1, malformed_endorsement(error)))
            continue
        signed_by_another = _not_signed(judge, pek, chain.cek)
        if signed_by_another:
            why = why or f"CEK at hand: {signed_by_another}"
            if origin == EVIDENCE:
                errors.append((2, CertificateChainError(signed_by_another)))
            continue
        try:
            return ChosenChain(chain=chain, anchor=verified_chain(judge, chain.hsk, chain.cek))
        except RatsTlsError as error:
            if origin == Origin.PEER.value:
                why = why or f"{origin} copy: {error.message}"
            else:
                errors.append((3, error))
    if not errors:
        count = sum(1 for _ in endorsements.of_kind(EndorsementKind.HYGON_CEK_CHAIN))
        if count > _MOST_TRIALS:
            tried = f"of {count} chains at hand {_MOST_TRIALS} were tried"
            why = f"{tried}: keep them in a store, which knows their chips; {why}"
        return ChosenChain(why=why)
    return ChosenChain(error=max(errors, key=lambda found: found[0])[1])


def _candidates(endorsements: Endorsements, in_evidence: Endorsement | None) -> Iterator[tuple[Endorsement, str]]:
    """Give every chain at hand once, with its origin."""
    pool = endorsements.of_kind(EndorsementKind.HYGON_CEK_CHAIN)
    local = [(item, item.origin.value) for item in pool if item.origin is Origin.LOCAL]
    evidence = [] if in_evidence is None else [(in_evidence, EVIDENCE)]
    peer = [(item, item.origin.value) for item in pool if item.origin is Origin.PEER]
    seen: set[tuple[bytes, tuple[bytes, ...]]] = set()
    for item, origin in (*local[:_MOST_TRIALS], *evidence, *peer[:_MOST_TRIALS]):
        certificates = (item.data, item.issuer_chain)
        if certificates not in seen:
            seen.add(certificates)
            yield item, origin


def read_chain(item: Endorsement) -> tuple[RootCertificate, KeyCertificate]:
    """Decode HSK and CEK certificates. Raises DecodeError."""
    if len(item.issuer_chain) != 1:
        problem = f"got {len(item.issuer_chain)} certificates above the CEK, expected one: the HSK"
        raise DecodeError("CekChain", "issuer_chain", None, problem)
    hsk = RootCertificate.from_bytes(item.issuer_chain[0], "HskCertificate")
    return hsk, KeyCertificate.from_bytes(item.data, "CekCertificate")


def cek_chain_use(item: Endorsement, origin: str, hsk: RootCertificate) -> EndorsementUse:
    """Give what a result says of a chain."""
    return EndorsementUse(
        kind=item.kind,
        sha256=hashlib.sha256(item.data).digest(),
        origin=origin,
        issued=NO_ISSUE_DATE,
        expires=NO_EXPIRY,
        description=f"CEK under HSK {hsk.key_id.hex()}",
    )


def _read(judge: Judge, item: Endorsement, origin: str) -> CekChain:
    hsk, cek = judge.memory.decoded.get((item.data, item.issuer_chain), lambda: read_chain(item))
    return CekChain(item=item, origin=origin, hsk=hsk, cek=cek)


def _not_signed(judge: Judge, pek: KeyCertificate, cek: KeyCertificate) -> str:
    """Say why a CEK did not sign the PEK; "" when it did. Both are remembered: other chips' chains are at hand too."""
    key = ("pek", judge.trust, hashlib.sha256(cek.data).digest(), hashlib.sha256(pek.data).digest())

    def verify() -> str:
        try:
            verify_pek(pek, cek, judge.crypto)
        except CertificateChainError as error:
            return error.message
        return ""

    return judge.memory.outcomes.get(key, verify)


def verified_chain(judge: Judge, hsk: RootCertificate, cek: KeyCertificate) -> TrustAnchor:
    """Verify HSK and CEK, once for the same certificates and anchors; give the anchor.

    Raises:
        CertificateChainError: as `verify_hsk` and `verify_cek`.
        UnsupportedError: no library for SM2.
    """

    def verify() -> TrustAnchor:
        anchor = verify_hsk(hsk, judge.anchors, judge.crypto)
        verify_cek(cek, hsk, judge.crypto)
        return anchor

    return judge.memory.verified.get(("cek", judge.trust, hsk.data, cek.data), verify)
