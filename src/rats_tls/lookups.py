"""Judges a peer again with the Endorsements that it was found to miss."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, ExpiredError, TcbLevelError
from rats_tls.core.floors import Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.results import AttestationResult
from rats_tls.endorsements.forking import renew_in_children
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
    """

    def __init__(self, service: EndorsementService, anchors: tuple[TrustAnchor, ...], crypto: CryptoWrapper) -> None:
        self._service = service
        service.verify_with(VendorEndorsementsVerifier(anchors, crypto), [anchor.fingerprint for anchor in anchors])
        self._anchors = frozenset(anchor.fingerprint for anchor in anchors)
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

    def judge(self, certificate: bytes, judge: Judge, now: datetime) -> AttestationResult:
        """Judge with what is remembered, and again with what is found missing.

        Args:
            certificate: what is judged.
            judge: judges with more Endorsements.
            now: time of the appraisal.

        Raises:
            RatsTlsError: as `judge`; what is missing still, with what the sources said.
        """
        more = self.remembered(certificate)
        looked_up: list[tuple[MissingEndorsement, Endorsement]] = []
        for _ in range(_ROUNDS):
            try:
                result = judge(more)
            except EndorsementMissingError as error:
                found = self._service.find(error.missing, anchors=self._anchors, now=now, tried=more)
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
                if error.anchor is not None:
                    self._service.keep(looked_up, error.endorsements, error.anchor)
                raise
            else:
                if looked_up and result.anchor is not None:
                    self._service.keep(looked_up, result.endorsements, result.anchor)
                    self._remember(certificate, more)
                return result
        return judge(more)

    @property
    def floors(self) -> Floors:
        """What counts as rolled back."""
        return self._service.floors

    def require_clock(self, now: datetime) -> None:
        """Require that the clock is not behind what vendors have signed. Raises ClockError."""
        self._service.require_clock(now)

    def _remember(self, certificate: bytes, more: tuple[Endorsement, ...]) -> None:
        with self._lock:
            self._remembered[hashlib.sha256(certificate).digest()] = more
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
