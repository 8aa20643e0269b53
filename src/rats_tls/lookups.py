"""Judges a peer again with the Endorsements that it was found to miss."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.errors import AppraisalError, ClockError, EndorsementMissingError, ExpiredError, TcbLevelError
from rats_tls.core.floors import NO_FLOORS, Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.results import AttestationResult
from rats_tls.core.verification import EndorsementUse
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.refresh import Clock
from rats_tls.endorsements.service import EndorsementService, explained
from rats_tls.verifiers.endorsements import VendorEndorsementsVerifier

_ROUNDS = 4
"""A PCK or VEK certificate, then its signer, then documents and lists of its platform; and one for what has expired."""
_REMEMBERED = 1024

Judge = Callable[[tuple[Endorsement, ...]], AttestationResult]


class Lookups:
    """Gives appraisals what they miss, and remembers by certificate what that was. Thread-safe.

    Args:
        service: looks up.
        anchors: the trust anchors in use.
        crypto: crypto wrapper that verifies what the service refreshes.
        clock: gives the time, for what is due.
        explicit_time: whether appraisals are as of a time that the user says: floors then neither count nor rise, and
            nothing is kept.
    """

    def __init__(
        self,
        service: EndorsementService,
        anchors: tuple[TrustAnchor, ...],
        crypto: CryptoWrapper,
        clock: Clock,
        *,
        explicit_time: bool = False,
    ) -> None:
        self._service = service
        self._explicit_time = explicit_time
        self._anchors = frozenset(anchor.fingerprint for anchor in anchors)
        service.verify_with(VendorEndorsementsVerifier(anchors, crypto), self._anchors, clock)
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
        if not self._explicit_time:
            self._service.require_clock(now)
        more = self.remembered(certificate)
        looked_up: list[tuple[MissingEndorsement, Endorsement]] = []
        for _ in range(_ROUNDS):
            try:
                result = judge(more)
            except EndorsementMissingError as error:
                found = self._service.find(error.missing, anchors=self._anchors, now=now, tried=more, may_wait=may_wait)
                added = tuple(item for _, item in found.items if item not in more)
                if not added:
                    raise explained(error, found.why) from error
                looked_up += found.items
                more += added
            except ExpiredError:
                if looked_up or not more:
                    raise
                more = ()  # what was remembered has expired: look for newer copies
            except (AppraisalError, TcbLevelError) as error:
                # The platform is genuine and its Endorsements are authentic: they are not fetched again for the next
                # one that the policy refuses.
                self._keep(looked_up, error.endorsements, error.anchor, now)
                raise
            else:
                if looked_up and result.anchor is not None:
                    self._keep(looked_up, result.endorsements, result.anchor, now)
                    self._remember(certificate, more)
                return result
        return judge(more)

    @property
    def floors(self) -> Floors:
        """What counts as rolled back."""
        return NO_FLOORS if self._explicit_time else self._service.floors

    def trusts_clock(self, now: datetime) -> bool:
        """Whether `now` is not behind what vendors have signed; if it is, `judge` says so."""
        try:
            self._service.require_clock(now)
        except ClockError:
            return False
        return True

    def _keep(
        self,
        looked_up: list[tuple[MissingEndorsement, Endorsement]],
        uses: Iterable[EndorsementUse],
        anchor: TrustAnchor | None,
        now: datetime,
    ) -> None:
        if anchor is not None and not self._explicit_time:
            self._service.keep(looked_up, uses, anchor, now=now)

    def _remember(self, certificate: bytes, more: tuple[Endorsement, ...]) -> None:
        with self._lock:
            self._remembered[hashlib.sha256(certificate).digest()] = more
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
