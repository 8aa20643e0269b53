"""AMD's revocation lists: the ARK signs them, and they name ASK and ASVK certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import EndorsementKind, Origin
from rats_tls.core.errors import CertificateChainError, ExpiredError, RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.refusals import Refusal
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.amd_chain import verify_revocation_list
from rats_tls.verifiers.amd_endorsements import Held, Judge, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The lists at hand that one of some anchors issued.

    Attributes:
        current: the newest one that is in date.
        error: what is wrong with a list of this side when none is in date.
        stale: the list that `error` is about, where that is about its dates alone.
        why: what is wrong with the lists of the peer and those that cannot be read.
        revoked: serial numbers on any of them, in date or not.
    """

    current: Held[RevocationList] | None
    error: RatsTlsError | None
    stale: Held[RevocationList] | None
    why: str
    revoked: frozenset[int]


def find_lists(judge: Judge, pool: Pool, anchors: Sequence[TrustAnchor]) -> Lists:
    """Find the lists that one of `anchors` issued. Lists of other issuers are left alone."""
    good: list[Held[RevocationList]] = []
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
            judge.memory.verified.get(key, partial(_verify, held.value, issuers, judge.crypto))
        except CertificateChainError as error:
            if held.item.origin is Origin.LOCAL:
                forged = forged or error
            why.append(f"{held.item.origin.value} copy: {error.message}")
        else:
            good.append(held)
    # This side's come first, and sorting keeps that order among equally new ones.
    good.sort(key=lambda held: (held.value.this_update, held.value.number or 0), reverse=True)
    revoked = frozenset(serial for held in good for serial in held.value.revoked)
    newest_own = max((held.value.number or 0 for held in good if held.item.origin is Origin.LOCAL), default=0)
    stale: tuple[Held[RevocationList], RatsTlsError] | None = None
    for held in good:
        if held.item.origin is Origin.PEER and (held.value.number or 0) < newest_own:
            why.append(f"peer copy: number {held.value.number} is lower than {newest_own}, which is at hand")
            continue
        problem = date_error(held.value, judge)
        if problem is None:
            return Lists(current=held, error=None, stale=None, why="", revoked=revoked)
        if held.item.origin is Origin.LOCAL:
            stale = stale or (held, problem)
        why.append(f"{held.item.origin.value} copy: {problem.message}")
    own, wrong = stale if stale is not None else (None, forged)
    return Lists(current=None, error=wrong, stale=own, why="; ".join(why), revoked=revoked)


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


def _verify(crl: RevocationList, issuers: Sequence[TrustAnchor], crypto: CryptoWrapper) -> bool:
    errors: list[CertificateChainError] = []
    for anchor in issuers:
        try:
            verify_revocation_list(crl, anchor, crypto)
        except CertificateChainError as error:
            errors.append(error)
        else:
            return True
    raise errors[0]
