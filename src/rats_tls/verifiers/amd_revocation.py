"""AMD's revocation lists: the ARK signs them, and they name ASK and ASVK certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import CertificateChainError, ExpiredError, RatsTlsError, RolledBackError
from rats_tls.core.floors import Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.amd_chain import verify_revocation_list
from rats_tls.verifiers.amd_endorsements import Held, Judge, Pool


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

    current: Held[RevocationList] | None
    error: RatsTlsError | None
    stale: Held[RevocationList] | None
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
    good: list[Held[RevocationList]] = []
    older: dict[bytes, RolledBackError | None] = {}
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
            good.append(held)
            use = list_use(held.item, held.value, vek_type)
            older[held.value.der] = use.rolled_back(floors, issuer)
    # This side's come first, and sorting keeps that order among equally new ones.
    good.sort(key=lambda held: (held.value.this_update, held.value.number or 0), reverse=True)
    revoked = frozenset(serial for held in good for serial in held.value.revoked)
    newest_own = max((held.value.number or 0 for held in good if held.item.origin is Origin.LOCAL), default=0)
    stale: tuple[Held[RevocationList], RatsTlsError] | None = None
    rolled_back: RatsTlsError | None = None
    for held in good:
        problem = older[held.value.der]
        if problem is not None:
            rolled_back = rolled_back or (problem if held.item.origin is Origin.LOCAL else None)
            why.append(f"{held.item.origin.value} copy: {problem.message}")
            continue
        if held.item.origin is Origin.PEER and (held.value.number or 0) < newest_own:
            why.append(f"peer copy: number {held.value.number} is lower than {newest_own}, which is at hand")
            continue
        out_of_date = date_error(held.value, judge)
        if out_of_date is None:
            return Lists(current=held, error=None, stale=None, why="", revoked=revoked)
        if held.item.origin is Origin.LOCAL:
            stale = stale or (held, out_of_date)
        why.append(f"{held.item.origin.value} copy: {out_of_date.message}")
    own, wrong = stale if stale is not None else (None, forged or rolled_back)
    return Lists(current=None, error=wrong, stale=own, why="; ".join(why), revoked=revoked)


def list_use(item: Endorsement, crl: RevocationList, vek_type: str) -> EndorsementUse:
    """Give what a result says of a list. Those for VCEK and for VLEK may be numbered each for itself."""
    key = lookup_keys.amd_crl(crl.issuer.common_name.removeprefix("ARK-"), vek_type)
    return EndorsementUse(
        kind=EndorsementKind.AMD_CRL,
        sha256=hashlib.sha256(crl.der).digest(),
        origin=item.origin.value,
        issued=crl.this_update,
        expires=crl.next_update,
        description=f"revocation list of {crl.issuer.common_name}",
        key=key,
        number=crl.number or 0,
    )


def date_error(crl: RevocationList, judge: Judge) -> ExpiredError | None:
    """Say what is wrong with a list's dates, or None."""
    if crl.this_update <= judge.now < crl.next_update:
        return None
    problem = "has expired" if judge.now >= crl.next_update else "is from the future"
    return ExpiredError(
        f"revocation list of {crl.issuer.common_name} {problem}: got {time_text(judge.now)}, expected {validity(crl)}",
        refusal=Refusal.ENDORSEMENTS_EXPIRED,
    )


def validity(crl: RevocationList) -> str:
    """Give a list's dates for people."""
    return f"{time_text(crl.this_update)} to before {time_text(crl.next_update)}"


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
