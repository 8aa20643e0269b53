"""Fetches all that judges given Evidence, families of platforms or chips, and verifies it: ahead of need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rats_tls import registry
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage
from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement
from rats_tls.core.errors import DecodeError, EndorsementMissingError, NoEvidenceError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE
from rats_tls.core.floors import NO_FLOORS, Floors
from rats_tls.core.interfaces import Collected, Verifier
from rats_tls.core.verification import DecodedEvidence, Problem
from rats_tls.endorsements.fetcher import Fetcher, FetchFailure
from rats_tls.endorsements.source import EndorsementSource, FetchError, FetchProblem
from rats_tls.files import load_evidence
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.provisioning import ItemToVerify, VerifiedItem, verify_items

_ROUNDS = 5
"""A PCK or VEK certificate, its signer, documents and lists of its platform; two more than any Verifier needs."""
_RETRY_SECONDS = 60.0
_INTEL_ROOT = "Intel SGX Root CA"
_PCE_ID = bytes(2)
"""The one that all platforms have (Intel PCS API v4: `pceid` of every FMSPC)."""
_QE_IDENTITIES = {"SGX": "QE", "TDX": "TD_QE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Evidence whose Endorsements are wanted."""

    where: str
    decoded: DecodedEvidence
    verifier: Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcoming:
    """What was wanted and is not there.

    Attributes:
        what: an item, or a file with Evidence, for people.
        error: why.
        item: kind and key; None where it is about Evidence.
    """

    what: str
    error: RatsTlsError
    item: MissingEndorsement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What came of it.

    Attributes:
        good: items that are authentic and in date, each once.
        shortcomings: what is wanting, each once.
    """

    good: tuple[VerifiedItem, ...]
    shortcomings: tuple[Shortcoming, ...]

    def after(self, outcomes: Iterable[VerifiedItem]) -> Gathered:
        """Give what is good still after it was to be kept, and what is not: older than what was there."""
        given = tuple(outcomes)
        older: list[Shortcoming] = []
        for item in given:
            if item.error is not None:
                keys = item.described.keys if item.described is not None else ()
                what = str(keys[0]) if keys else item.source.endorsement.kind.value
                older.append(Shortcoming(what=what, error=item.error, item=keys[0] if keys else None))
        return Gathered(
            good=tuple(item for item in given if item.error is None), shortcomings=(*self.shortcomings, *older)
        )


def subject_of(path: Path) -> Subject:
    """Read Evidence, or a certificate that carries it.

    Raises:
        RatsTlsError: as `load_evidence`; NoEvidenceError for a certificate without. The message names the file.
    """
    presented = load_evidence(path)
    try:
        evidence = presented.evidence
        if evidence is None and presented.certificate is not None:
            evidence = read_attested_certificate(presented.certificate).evidence
        names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type) if evidence is not None else None
        if evidence is None:
            error: RatsTlsError = NoEvidenceError(f"{path}: the certificate carries no Evidence")
        elif names is None:
            error = UnsupportedError(f"{path}: Evidence of media type {evidence.media_type} is not read")
        else:
            verifier = registry.verifier(names.tee_type.value)
            return Subject(where=str(path), decoded=verifier.decode(evidence), verifier=verifier)
    except DecodeError as malformed:
        raise DecodeError(str(path), "", None, malformed.message) from malformed
    except UnsupportedError as unsupported:
        raise UnsupportedError(f"{path}: {unsupported.message}") from unsupported
    raise error


def gather_for(
    collected: Collected,
    where: str,
    sources: Iterable[EndorsementSource],
    *,
    anchors: Sequence[TrustAnchor],
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> Gathered:
    """Verify the Endorsements that came with Evidence, and fetch what else judges it.

    Args:
        collected: Evidence, with what came along.
        where: what to call it.
        sources: asked for what is missing; without any, that is wanting.
        anchors: trust anchors.
        now: time of judgement.
        tell: is told what is done next, for people.

    Raises:
        RatsTlsError: the Evidence cannot be decoded.
    """
    names = NAMES_BY_MEDIA_TYPE[collected.evidence.media_type]
    verifier = registry.verifier(names.tee_type.value)
    subject = Subject(where=where, decoded=verifier.decode(collected.evidence), verifier=verifier)

    def at_hand(item: MissingEndorsement) -> tuple[Endorsement, ...]:
        return tuple(each for each in collected.endorsements if each.kind is item.kind and item in keys_of(each))

    gatherer = Gatherer(Fetcher(sources), anchors=anchors, now=now, at_hand=at_hand, tell=tell)
    return gatherer.gather((), (subject,))


def wanted_of_family(fmspc: bytes, tees: Iterable[str]) -> tuple[MissingEndorsement, ...]:
    """Give what judges platforms of a family (FMSPC, 6 bytes); `tees` are "SGX" and "TDX"."""
    documents = [
        item
        for tee in tees
        for item in (lookup_keys.tcb_info(tee, fmspc, _PCE_ID), lookup_keys.qe_identity(_QE_IDENTITIES[tee]))
    ]
    lists = (lookup_keys.root_crl(_INTEL_ROOT), lookup_keys.pck_crl("platform"), lookup_keys.pck_crl("processor"))
    return (*documents, *lists)


def wanted_of_chip(product: str, hwid: bytes, tcb: SnpTcb) -> tuple[MissingEndorsement, ...]:
    """Give what judges reports of an AMD chip that are signed by its VCEK.

    Args:
        product: Milan, Genoa, Turin.
        hwid: 64 bytes, of Turin 8.
        tcb: the reported TCB.
    """
    return (
        lookup_keys.vek(product, "VCEK", hwid, tcb),
        lookup_keys.amd_signer(product, f"SEV-{product}"),
        lookup_keys.amd_crl(product, "VCEK"),
    )


def _is_of_no_list(problem: Problem) -> bool:
    """Whether it is that a vendor publishes no revocation list: an entry has to say that it does without."""
    error = problem.error
    return problem.waived_by_revocation and isinstance(error, EndorsementMissingError) and not error.missing


def _nothing(_: MissingEndorsement) -> tuple[Endorsement, ...]:
    return ()


class Gatherer:
    """Fetches and verifies. Its user stands behind what is asked for: no budget is spent.

    Args:
        fetcher: asks the sources.
        anchors: trust anchors.
        now: time of judgement.
        floors: what counts as rolled back.
        at_hand: gives what need not be fetched, such as certificates in a store.
        tell: is told what is done next, for people.
        wait_seconds: how long to wait in all for sources that throttle.
        sleep: waits.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        anchors: Sequence[TrustAnchor],
        now: datetime,
        floors: Floors = NO_FLOORS,
        at_hand: Callable[[MissingEndorsement], tuple[Endorsement, ...]] = _nothing,
        tell: Callable[[str], None] = lambda _: None,
        wait_seconds: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fetcher = fetcher
        self._channel = next((source.channel for source in fetcher.sources if source.channel is not None), None)
        self._anchors = tuple(anchors)
        self._now = now
        self._floors = floors
        self._at_hand = at_hand
        self._tell = tell
        self._seconds = wait_seconds
        self._sleep = sleep
        self._crypto = registry.crypto_wrapper("openssl")

    def gather(self, wanted: Iterable[MissingEndorsement], subjects: Sequence[Subject]) -> Gathered:
        """Fetch what is wanted and what Evidence needs, and verify it.

        Args:
            wanted: items.
            subjects: Evidence; what it needs is asked for as its Verifier misses it.
        """
        answers: dict[MissingEndorsement, tuple[Endorsement, ...]] = {}
        failed: dict[MissingEndorsement, RatsTlsError] = {}
        due = _in_order(wanted)
        for _ in range(_ROUNDS):
            for number, item in enumerate(due, 1):
                self._tell(f"{number} of {len(due)}: {_short(item)}")
                try:
                    answers[item] = self._get(item)
                except FetchError as unavailable:
                    failed[item] = unavailable
            pool = Endorsements(tuple(_once(answers)))
            missing = [item for subject in subjects for item in self._missing(subject, pool)]
            due = [item for item in _in_order(missing) if item not in answers and item not in failed]
            if not due:
                break
        for item in [item for item in failed if item.kind is EndorsementKind.AMD_SIGNER]:
            try:  # without it no certificate that it signed is kept, and a service that throttles may have ended to
                answers[item] = self._get(item)
            except FetchError as unavailable:
                failed[item] = unavailable
            else:
                del failed[item]
        self._tell("verifying")
        outcomes = self._verified(answers)
        for item, found in answers.items():
            error = _refusal(item, found, outcomes)
            if error is not None:
                failed[item] = error
        shortcomings = [Shortcoming(what=str(item), error=error, item=item) for item, error in failed.items()]
        good = tuple(outcome for outcome in outcomes.values() if outcome.verified is not None)
        usable = Endorsements(tuple(item.source.endorsement for item in good), self._floors)
        for subject in subjects:
            shortcomings += self._shortcomings(subject, usable, failed)
        return Gathered(good=good, shortcomings=tuple(shortcomings))

    def _problems(self, subject: Subject, pool: Endorsements) -> tuple[Problem, ...]:
        verification = subject.verifier.verify(
            subject.decoded, pool, anchors=self._anchors, crypto=self._crypto, now=self._now
        )
        return verification.problems

    def _missing(self, subject: Subject, pool: Endorsements) -> list[MissingEndorsement]:
        return [problem.missing for problem in self._problems(subject, pool) if problem.missing is not None]

    def _shortcomings(
        self, subject: Subject, pool: Endorsements, failed: dict[MissingEndorsement, RatsTlsError]
    ) -> list[Shortcoming]:
        """Say what keeps Evidence from being verified: not a TCB level, which is for a policy to judge."""
        return [
            Shortcoming(what=subject.where, error=problem.error)
            for problem in self._problems(subject, pool)
            if problem.missing not in failed
            and (problem.missing is not None or (problem.stage is not Stage.TCB and not _is_of_no_list(problem)))
        ]

    def _verified(self, answers: dict[MissingEndorsement, tuple[Endorsement, ...]]) -> dict[Endorsement, VerifiedItem]:
        """Verify all that was given, each with the keys that it was asked by where only they tell."""
        items = [
            ItemToVerify(
                where="",
                endorsement=found,
                named=tuple(
                    item for item, answer in answers.items() if item.kind.is_named_by_request and found in answer
                ),
                channel=self._channel,
            )
            for found in _once(answers)
        ]
        outcomes = verify_items(items, anchors=self._anchors, now=self._now, floors=self._floors)
        return {outcome.source.endorsement: outcome for outcome in outcomes}

    def _get(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        """Fetch an item; waits where a source throttles, as long as there is time. Raises FetchError."""
        here = self._at_hand(item)
        if here:
            return here
        while True:
            outcome = self._fetcher.fetch((item,), authenticated=True)
            if not outcome.missing:
                return outcome.found
            seconds = _seconds_to_wait(outcome.failures)
            if seconds is None or seconds > self._seconds:
                last = outcome.failures[-1].error
                raise FetchError(str(outcome), problem=last.problem, retry_after=seconds)
            self._seconds -= seconds
            self._tell(f"waiting {seconds:.0f} seconds for a service that throttles: {_short(item)}")
            self._sleep(seconds)


def _seconds_to_wait(failures: Iterable[FetchFailure]) -> float | None:
    """Give after how many seconds asking again may help, or None: only being throttled passes by itself."""
    waits = [
        _RETRY_SECONDS if failure.error.retry_after is None else failure.error.retry_after
        for failure in failures
        if failure.error.problem is FetchProblem.THROTTLED
    ]
    return max(min(waits), 1.0) if waits else None


def _in_order(items: Iterable[MissingEndorsement]) -> list[MissingEndorsement]:
    """Give items, each once, signers of VEK certificates first: nothing that cannot be verified is kept."""
    wanted = tuple(items)
    signers = (lookup_keys.signer_of(item) for item in wanted)
    own = (item for item in wanted if item.kind is EndorsementKind.AMD_SIGNER)
    return list(dict.fromkeys((*(signer for signer in signers if signer is not None), *own, *wanted)))


def _once(answers: dict[MissingEndorsement, tuple[Endorsement, ...]]) -> list[Endorsement]:
    return list(dict.fromkeys(found for answer in answers.values() for found in answer))


def _refusal(
    item: MissingEndorsement, found: Iterable[Endorsement], outcomes: dict[Endorsement, VerifiedItem]
) -> RatsTlsError | None:
    """Say why nothing that was given for `item` is good, or None."""
    errors = [outcomes[each].error for each in found if each.kind is item.kind]
    return next((error for error in errors if error is not None), None) if all(errors) else None


def _short(item: MissingEndorsement) -> str:
    """Give an item in one line of a terminal."""
    key = ", ".join(f"{name} {value if len(value) <= 16 else value[:16] + '...'}" for name, value in item.key)
    return f"{item.kind.value} ({key})"
