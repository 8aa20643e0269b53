"""AMD's revocation lists: the ARK signs them, and they name ASK and ASVK certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import EndorsementKind, Origin
from rats_tls.core.errors import CertificateChainError, RatsTlsError, RolledBackError
from rats_tls.core.floors import Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.amd_chain import verify_revocation_list
from rats_tls.verifiers.amd_endorsements import Judge, Pool
from rats_tls.verifiers.chain import product_of
from rats_tls.verifiers.uses import date_error, list_use


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The lists at hand that one of some anchors issued.

    Attributes:
        current: the newest one that is in date.
        error: what is wrong with a list of this side when none is in date, and not rolled back.
        stale: the list that `error` is about, where that is about its dates alone.
        why: what is wrong with the lists of the peer and those that cannot be read.
        revoked: serial numbers on any of them, in date or not.
    """

    current: EndorsementUse | None
    error: RatsTlsError | None
    stale: EndorsementUse | None
    why: str
    revoked: frozenset[int]


def find_lists(judge: Judge, pool: Pool, anchors: Sequence[TrustAnchor], vek_type: str, floors: Floors) -> Lists:
    """Find the lists that one of `anchors` issued. Lists of other issuers are left alone.

    Args:
        judge: anchors, crypto wrapper, time, memory.
        pool: Endorsements at hand.
        anchors: those that come into question.
        vek_type: "VCEK" or "VLEK".
        floors: what counts as rolled back; such a list still revokes.
    """
    good: list[tuple[EndorsementUse, RolledBackError | None]] = []
    revoked: set[int] = set()
    forged: RatsTlsError | None = None
    why: list[str] = []
    unreadable = pool.unreadable.get(EndorsementKind.AMD_CRL)
    if unreadable is not None:
        forged = unreadable.refusal
        why.append(str(unreadable))
    for held in pool.crls:
        issuers = [anchor for anchor in anchors if anchor.subject == held.value.issuer.der]
        if not issuers:
            continue
        try:
            key = ("crl", judge.trust, tuple(anchor.fingerprint for anchor in issuers), held.value.der)
            issuer = judge.memory.verified.get(key, partial(issuer_of, held.value, issuers, judge.crypto))
        except CertificateChainError as error:
            if held.item.origin is Origin.LOCAL:
                forged = forged or error
            why.append(f"{held.item.origin.value} copy: {error.message}")
        else:
            # Lists for VCEK and for VLEK may be numbered each for itself.
            use = list_use(held.item, held.value, lookup_keys.amd_crl(product_of(issuer), vek_type))
            good.append((use, use.rolled_back(floors, issuer)))
            revoked |= held.value.revoked
    # This side's come first, and sorting keeps that order among equally new ones.
    good.sort(key=lambda found: (found[0].issued, found[0].number), reverse=True)
    newest_own = max((use.number for use, _ in good if use.origin == Origin.LOCAL.value), default=0)
    stale: tuple[EndorsementUse, RatsTlsError] | None = None
    rolled_back: RatsTlsError | None = None
    for use, older in good:
        is_own = use.origin == Origin.LOCAL.value
        if older is not None:
            rolled_back = rolled_back or (older if is_own else None)
            why.append(f"{use.origin} copy: {older.message}")
            continue
        if not is_own and use.number < newest_own:
            why.append(f"{use.origin} copy: number {use.number} is lower than {newest_own}, which is at hand")
            continue
        out_of_date = date_error(use, judge.now, use.description)
        if out_of_date is None:
            return Lists(current=use, error=None, stale=None, why="", revoked=frozenset(revoked))
        if is_own:
            stale = stale or (use, out_of_date)
        why.append(f"{use.origin} copy: {out_of_date.message}")
    own, wrong = stale if stale is not None else (None, forged or rolled_back)
    return Lists(current=None, error=wrong, stale=own, why="; ".join(why), revoked=frozenset(revoked))


def issuer_of(crl: RevocationList, issuers: Sequence[TrustAnchor], crypto: CryptoWrapper) -> TrustAnchor:
    """Find the anchor that issued a list, among those of its issuer's name (at least one).

    Raises:
        CertificateChainError: none of them.
    """
    errors: list[CertificateChainError] = []
    for anchor in issuers:
        try:
            verify_revocation_list(crl, anchor, crypto)
        except CertificateChainError as error:
            errors.append(error)
        else:
            return anchor
    raise errors[0]
