"""Judges a peer again with the Endorsements that it was found to miss."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, MissingEndorsement, Origin
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    DecodeError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    RolledBackError,
    SignatureError,
    TcbLevelError,
)
from rats_tls.core.floors import NO_FLOORS, Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.results import AttestationResult
from rats_tls.core.verification import EndorsementUse, RefusedEndorsement
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.service import EndorsementService, Found, Pair
from rats_tls.verifiers.endorsements import SignerAbsentError, VendorEndorsementsVerifier

_ROUNDS = 6
"""A PCK or VEK certificate, then its signer, then documents and lists of its platform; one for what has expired or is
too old for the policy, and one for this side's copies of what the peer has sent."""
_REMEMBERED = 1024
_LARGEST_AGE = "max_endorsement_age"

_OF_WHAT_IS_BROKEN = (SignatureError, CertificateChainError, DecodeError)
"""What comes of items that a disk has broken; nothing else says that one is."""

Judge = Callable[[tuple[Endorsement, ...]], AttestationResult]


class Lookups:
    """Gives appraisals what they miss, and remembers by certificate what that was. Thread-safe.

    Args:
        service: looks up.
        anchors: the trust anchors in use.
        crypto: crypto wrapper that verifies what the service refreshes.
        explicit_time: whether appraisals are as of a time that the user says: floors then neither count nor rise, and
            nothing is kept.
    """

    def __init__(
        self,
        service: EndorsementService,
        anchors: tuple[TrustAnchor, ...],
        crypto: CryptoWrapper,
        *,
        explicit_time: bool = False,
    ) -> None:
        self._service = service
        self._explicit_time = explicit_time
        self._anchors = frozenset(anchor.fingerprint for anchor in anchors)
        self._verifier = VendorEndorsementsVerifier(anchors, crypto)
        service.verify_with(self._verifier, self._anchors)
        self._remembered: OrderedDict[bytes, tuple[Endorsement, ...]] = OrderedDict()
        self._generation = service.generation
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew_in_child(self) -> None:
        """Take a new lock: the parent's may be held for ever."""
        self._lock = threading.Lock()

    def remembered(self, certificate: bytes) -> tuple[Endorsement, ...]:
        """Give what the last accepted appraisal of this certificate missed at first."""
        with self._lock:
            if self._generation != self._service.generation:
                self._generation = self._service.generation
                self._remembered.clear()
            return self._remembered.get(hashlib.sha256(certificate).digest(), ())

    def judge(self, certificate: bytes, judge: Judge, now: datetime, *, may_wait: bool = True) -> AttestationResult:
        """Judge with what is remembered, and again with what is found missing.

        Args:
            certificate: what is judged.
            judge: judges with more Endorsements.
            now: time of the appraisal.
            may_wait: whether sources may be asked.

        Raises:
            RatsTlsError: as `judge`; what is missing still, with what the sources said; the clock is behind.
            FetchNeededError: sources would have to be asked, and may not.
        """
        self.require_clock(now)
        seen = self._service.generation
        more = remembered = self.remembered(certificate)
        old: tuple[Endorsement, ...] = ()
        fetched: list[Pair] = []
        failed: dict[MissingEndorsement, None] = {}
        why: list[str] = []
        result: AttestationResult | None = None
        for _ in range(_ROUNDS):
            try:
                result = judge(more)
            except EndorsementMissingError as error:
                tried = (*more, *old)
                found = self._service.find(
                    error.missing,
                    anchors=self._anchors,
                    now=now,
                    tried=tried,
                    failed=failed,
                    may_wait=may_wait,
                    authentic=lambda item: self._is_authentic(item, now),
                )
                failed.update(dict.fromkeys(found.failed))
                why.append(found.why)
                added = _added(found, more, old)
                if not added:
                    raise explained(error, "; ".join(filter(None, dict.fromkeys(why)))) from error
                fetched += found.fetched
            except (ExpiredError, RolledBackError) as error:
                # What was remembered has expired, or something newer came since this was found: look for newer copies.
                superseded = isinstance(error, RolledBackError) and seen != self._service.generation
                if not more or (more != remembered and not superseded):
                    raise explained(error, "; ".join(filter(None, dict.fromkeys(why)))) from error
                seen = self._service.generation
                more = added = ()
            except (AppraisalError, TcbLevelError) as error:
                added = self._beside_the_peers(error.endorsements, now, more)
                if not added:
                    if old:
                        raise  # nothing newer is to be had; what has just been given is not asked for again at once
                    # The platform is genuine and its Endorsements are authentic: they are not fetched again for the
                    # next one that the policy refuses.
                    self._keep(fetched, error.endorsements, error.anchor, now)
                    newest = [item for _, item in fetched]
                    old = tuple(item for item in more if item.kind.is_reissued and item not in newest)
                    if not old or not _is_too_old_alone(error):
                        raise
                    more = tuple(item for item in more if item not in old)  # look for newer copies of these
            except _OF_WHAT_IS_BROKEN as error:
                more, added = self._without_broken(more, now, error), ()
            else:
                added = self._beside_the_peers(result.endorsements, now, more)
                if not added:
                    break
            more += added
        else:
            result = judge(more)
        if result.anchor is not None and more != remembered:
            self._keep(fetched, result.endorsements, result.anchor, now)
            self._remember(certificate, more)
        return result

    def _beside_the_peers(
        self, uses: Iterable[EndorsementUse], now: datetime, more: tuple[Endorsement, ...]
    ) -> tuple[Endorsement, ...]:
        """Give this side's copies of what a verdict rests on and the peer has sent: its own never beat newer ones."""
        sent = [use.key for use in uses if use.key is not None and use.origin != Origin.LOCAL.value]
        return self._service.at_hand(sent, anchors=self._anchors, now=now, tried=more) if sent else ()

    def _is_authentic(self, item: Endorsement, now: datetime) -> bool:
        """Whether it verifies by itself, or could with its signer beside it. Dates are looked at elsewhere."""
        signers = self._service.signers_at_hand((item,), anchors=self._anchors, now=now)
        outcome, *_ = self._verifier((item, *signers), now=now, floors=NO_FLOORS)
        return not isinstance(outcome, RefusedEndorsement) or (
            isinstance(outcome.error, SignerAbsentError) or not isinstance(outcome.error, _OF_WHAT_IS_BROKEN)
        )

    def _without_broken(
        self, more: tuple[Endorsement, ...], now: datetime, error: RatsTlsError
    ) -> tuple[Endorsement, ...]:
        """Drop what is kept here and does not verify: it did when it was kept, so a disk has broken it.

        Whatever a peer shows, this drops nothing that is good: the items are verified by themselves. Raises `error`
        where nothing was dropped.
        """
        if not more or self._explicit_time:
            raise error
        signers = self._service.signers_at_hand(more, anchors=self._anchors, now=now)
        pool = tuple(dict.fromkeys((*more, *signers)))
        outcomes = self._verifier(pool, now=now, floors=NO_FLOORS)
        broken = [
            outcome.item
            for outcome in outcomes
            if isinstance(outcome, RefusedEndorsement)
            and isinstance(outcome.error, _OF_WHAT_IS_BROKEN)
            and not isinstance(outcome.error, SignerAbsentError)
        ]
        dropped = self._service.drop(broken, anchors=self._anchors) if broken else ()
        if not dropped:
            raise error
        return tuple(item for item in more if item not in dropped)

    @property
    def floors(self) -> Floors:
        """What counts as rolled back."""
        return NO_FLOORS if self._explicit_time else self._service.floors

    def require_clock(self, now: datetime) -> None:
        """Require that `now`, unless the user says it, is not behind what vendors have signed. Raises ClockError."""
        if not self._explicit_time:
            self._service.require_clock(now)

    def _keep(
        self,
        fetched: list[Pair],
        uses: Iterable[EndorsementUse],
        anchor: TrustAnchor | None,
        now: datetime,
    ) -> None:
        if anchor is not None and not self._explicit_time:
            self._service.keep(fetched, uses, anchor, now=now)

    def _remember(self, certificate: bytes, more: tuple[Endorsement, ...]) -> None:
        with self._lock:
            self._remembered[hashlib.sha256(certificate).digest()] = more
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)


def _added(found: Found, more: tuple[Endorsement, ...], old: tuple[Endorsement, ...]) -> tuple[Endorsement, ...]:
    """Give what was found and is not among `more` yet; of the kinds of which nothing was, what is old."""
    added = tuple(item for _, item in found.items if item not in more)
    newer = {item.kind for item in added}
    return added + tuple(item for item in old if item.kind not in newer and item not in more)


def _is_too_old_alone(error: RatsTlsError) -> bool:
    """Whether some entry would accept, were Endorsements not older than it takes them."""
    fields: dict[str, set[str]] = {}
    for mismatch in error.mismatches if isinstance(error, AppraisalError) else ():
        fields.setdefault(mismatch.entry, set()).add(mismatch.field)
    return {_LARGEST_AGE} in fields.values()


def explained(
    error: EndorsementMissingError | ExpiredError | RolledBackError, why: str
) -> EndorsementMissingError | ExpiredError | RolledBackError:
    """Give the refusal with what the sources said."""
    if not why:
        return error
    told: EndorsementMissingError | ExpiredError | RolledBackError
    if isinstance(error, EndorsementMissingError):
        told = EndorsementMissingError(f"{error.message}; {why}", missing=error.missing)
        told.why = why
    else:
        told = type(error)(f"{error.message}; no newer copy: {why}", refusal=error.refusal)
    told.checks, told.claims = error.checks, error.claims
    told.anchor, told.endorsements = error.anchor, error.endorsements
    return told
