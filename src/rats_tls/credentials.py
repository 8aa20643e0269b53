"""This side's TLS key, Evidence and certificate: made in the process, rotated together, never written out."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.channel import Credentials
from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.binding import certificate_report_data
from rats_tls.core.errors import CollectionError, RatsTlsError
from rats_tls.core.interfaces import Attester, Collected, CryptoWrapper
from rats_tls.core.interrupts import interrupts
from rats_tls.core.limits import Limits

_log = logging.getLogger(__name__)

ROTATE_AFTER = 0.75
"""Fraction of the largest evidence age after which new connections get a new key and new Evidence."""

_RETRY_AFTER = 0.02
"""Fraction of the largest evidence age that passes before an Attester that failed is asked again."""
_CERTIFICATE_SLACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Made:
    credentials: Credentials
    made_at: datetime


class CredentialSource:
    """Gives the credentials for new connections; live connections keep those that they began with.

    Args:
        attester: collects the Evidence; None or `null` gives certificates without Evidence.
        crypto: makes keys and certificates.
        key_algorithm: of the TLS key.
        custom_claims: bound by report_data beside the key; not sent without Evidence.
        max_evidence_age: seconds after which Evidence is no longer given to a peer.
        endorsements_in_certificate: also put Intel Endorsements into the certificate.
        clock: gives the time, aware.
        limits: sizes.
    """

    def __init__(
        self,
        attester: Attester | None,
        crypto: CryptoWrapper,
        *,
        key_algorithm: KeyAlgorithm,
        custom_claims: Mapping[str, bytes],
        max_evidence_age: float,
        endorsements_in_certificate: bool,
        clock: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self._attester = attester
        self._crypto = crypto
        self._key_algorithm = key_algorithm
        self._custom_claims = dict(custom_claims)
        self._max_age = timedelta(seconds=max_evidence_age)
        self._endorsements_in_certificate = endorsements_in_certificate
        self._clock = clock
        self._limits = limits
        self._made: _Made | None = None
        self._retry_at: datetime | None = None
        self._lock = threading.Lock()
        _sources.add(self)

    def current(self) -> Credentials:
        """Give credentials whose Evidence is in date; makes new ones when the present ones have aged.

        Blocks while the Attester collects. Other threads go on with the present Evidence as long as it is in date, and
        so does this one when the Attester fails.

        Raises:
            CollectionError: the Attester failed and nothing in date is there.
            ConfigurationError: the certificate would be larger than the limit.
        """
        now = self._clock()
        present, due = self._present(now)
        if present is not None and not (due and self._lock.acquire(blocking=False)):
            return present  # not due, or another thread is renewing it
        if present is None:
            self._lock.acquire()
        try:
            return self._renewed(self._clock())
        finally:
            self._lock.release()

    def _renewed(self, now: datetime) -> Credentials:
        """Make new credentials, unless another thread has; the lock is held."""
        present, due = self._present(now)
        if present is not None and not due:
            return present
        try:
            begun = time.monotonic()
            self._made = _Made(self._make(now), now)
            _log.debug("key and Evidence of this side made in %.0f ms", (time.monotonic() - begun) * 1000)
        except CollectionError as error:
            if present is None:
                raise
            self._retry_at = now + self._max_age * _RETRY_AFTER
            _log.warning("evidence not renewed, the present one is used until its age ends it: %s", error)
            return present
        return self._made.credentials

    def present(self) -> tuple[Credentials | None, bool]:
        """Give the credentials that are there and in date, or None, and whether they are due to be made anew.

        Never blocks for an Attester.
        """
        return self._present(self._clock())

    def _present(self, now: datetime) -> tuple[Credentials | None, bool]:
        made = self._made
        age = now - made.made_at if made is not None else timedelta(0)
        # A clock that was put back tells no age.
        if made is None or not timedelta(0) <= age < self._max_age:
            return None, True
        waiting = self._retry_at is not None and made.made_at <= now < self._retry_at
        return made.credentials, age >= self._max_age * ROTATE_AFTER and not waiting

    def _make(self, now: datetime) -> Credentials:
        key = self._crypto.generate_key(self._key_algorithm)
        claims_buffer = make_claims_buffer(
            key.public_key.spki,
            self._crypto,
            hash_algorithm=HashAlgorithm.SHA256,
            custom_claims=self._custom_claims,
            issued_at=now,
        )
        collected = self._collect(certificate_report_data(claims_buffer))
        made = make_certificate(
            key,
            collected.evidence if collected is not None else None,
            claims_buffer,
            self._crypto,
            now=now,
            lifetime_seconds=(self._max_age + _CERTIFICATE_SLACK).total_seconds(),
            endorsements=collected.endorsements if collected is not None and self._endorsements_in_certificate else (),
            limits=self._limits,
        )
        for warning in made.warnings:
            _log.warning("%s", warning)
        return Credentials(
            certificate=made.der,
            private_key=key.pkcs8(),
            evidence=collected.evidence if collected is not None else None,
            endorsements=collected.endorsements if collected is not None else (),
        )

    def _collect(self, report_data: bytes) -> Collected | None:
        if self._attester is None:
            return None
        try:
            return self._attester.collect(report_data)
        except CollectionError:
            raise
        except RatsTlsError as error:
            raise CollectionError(f"attester {self._attester.name}: {error.message}") from error
        except Exception as error:
            if interrupts(error):
                raise
            raise CollectionError(f"attester {self._attester.name} failed: {type(error).__name__}: {error}") from error

    def forget(self) -> None:
        """Drop key and Evidence; the next connection makes new ones. A forked child calls it by itself."""
        self._lock = threading.Lock()
        self._made = None


def _forget_all() -> None:
    for source in tuple(_sources):
        source.forget()


# One hook for all sources: hooks cannot be taken back, sources come and go.
_sources: weakref.WeakSet[CredentialSource] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_all)
