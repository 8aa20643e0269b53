"""Refreshing: when an item is due, what is done with what comes, and that nobody waits for it."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rats_tls.context import Context
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import CertificateChainError
from rats_tls.core.floors import Floors
from rats_tls.core.verification import EndorsementUse, RefusedEndorsement, VerifiedEndorsement
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.refresh import Refresher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.shelf import Shelf
from rats_tls.endorsements.source import FetchError, FetchProblem
from rats_tls.endorsements.store import EndorsementStore
from support.endorsed import ANCHOR, CRL, START, Source, crl, use
from support.sides import SNP, Clock, policy_for

VEK = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("hwid", "00"),))


class Site:
    """A shelf with a list of 30 days, a source that has newer ones, and a clock; everything that comes is authentic."""

    def __init__(self, directory: Path | None = None, *, chance: float = 1.0) -> None:
        self.now = START
        self.source = Source(lambda: crl(self.days))
        self.shelf = Shelf(EndorsementStore(directory) if directory else None, channel="standard")
        self.fetcher = Fetcher((self.source,))
        self.refresher = Refresher(self.shelf, self.fetcher, chance=lambda: chance, clock=lambda: self.now)
        self.refresher.verify_with(self.verify, [ANCHOR.fingerprint])
        self.forged = False
        self.shelf.keep([(CRL, crl(0), use(crl(0), 0))], ANCHOR, self.now)

    @property
    def days(self) -> int:
        return (self.now - START).days

    def verify(
        self, items: Sequence[Endorsement], *, now: datetime, floors: Floors
    ) -> tuple[VerifiedEndorsement | RefusedEndorsement, ...]:
        del now, floors
        return tuple(
            RefusedEndorsement(item, CertificateChainError("forged"))
            if self.forged
            else VerifiedEndorsement(item=item, keys=(CRL,), use=use(item, item.data[0]), anchor=ANCHOR)
            for item in items
        )

    def after(self, **time: float) -> float:
        self.now += timedelta(**time)
        return self.refresher.refresh_due()

    @property
    def kept(self) -> int:
        (stored,) = self.shelf.entries
        return stored.endorsement.data[0]


def test_it_is_asked_for_again_after_a_day() -> None:
    """However long it is valid: lists name what is revoked before their end."""
    site = Site()
    assert site.after(hours=23) <= 60
    assert (site.source.asked, site.kept) == (0, 0)
    site.after(hours=2)
    assert (site.source.asked, site.kept) == (1, 1)
    site.after(hours=1)
    assert site.source.asked == 1


def test_a_short_lived_one_is_asked_for_when_half_of_its_time_is_over() -> None:
    site = Site()
    short = replace(use(crl(0), 0), expires=START + timedelta(hours=2))
    site.shelf.keep([(CRL, crl(0), short)], ANCHOR, START)
    site.after(minutes=59)
    assert site.source.asked == 0
    site.after(minutes=2)
    assert site.source.asked == 1


def test_chance_spreads_the_processes_of_a_fleet() -> None:
    site = Site(chance=0.0)
    site.after(hours=19)
    assert site.source.asked == 0
    site.after(hours=1)
    assert site.source.asked == 1


def test_certificates_are_not_asked_for_again() -> None:
    site = Site()
    vek = Endorsement(kind=EndorsementKind.AMD_VEK, data=b"\x07")
    certificate = EndorsementUse(
        kind=vek.kind, sha256=b"", origin="local", issued=START, expires=START + timedelta(days=2000), description=""
    )
    site.shelf.keep([(VEK, vek, certificate)], ANCHOR, START)
    assert [entry.stored.item for entry in site.refresher.freshness] == [CRL]


def test_what_another_process_has_refreshed_is_taken_from_the_store(tmp_path: Path) -> None:
    site = Site(tmp_path)
    late = START + timedelta(days=2)
    other = Shelf(EndorsementStore(tmp_path), channel="standard")
    other.keep([(CRL, crl(2), use(crl(2), 2))], ANCHOR, late)
    site.now = late
    site.refresher.refresh_due()
    assert (site.source.asked, site.kept) == (0, 2)


def test_what_is_not_authentic_takes_nobodys_place(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.forged = True
    with caplog.at_level(logging.INFO):
        site.after(days=2)
    assert (site.source.asked, site.kept) == (1, 0)
    assert "forged" in caplog.text


def test_what_is_older_takes_nobodys_place(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    site.after(days=2)
    site.source.give = lambda: crl(1)
    with caplog.at_level(logging.INFO):
        site.after(days=2)
    assert site.kept == 2
    assert "older one" in caplog.text


def test_what_is_about_something_else_takes_nobodys_place() -> None:
    """And raises no floor of it, below which all that is good would lie."""
    site = Site()
    other = MissingEndorsement(kind=CRL.kind, key=(("product", "Genoa"), ("type", "VCEK")))
    site.refresher.verify_with(
        lambda items, **_: tuple(
            VerifiedEndorsement(item=item, keys=(other,), use=use(item, 9), anchor=ANCHOR) for item in items
        ),
        [ANCHOR.fingerprint],
    )
    before = site.shelf.floors
    site.after(days=2)
    assert (site.source.asked, site.kept) == (1, 0)
    assert site.shelf.floors is before


def test_what_is_older_takes_nobodys_place_in_memory() -> None:
    """Also under an anchor that is no vendor's, which has no floors."""
    site, anchor = Site(), replace(ANCHOR, kind=AnchorKind.SIMULATED)
    for day in (5, 3):
        site.shelf.keep([(CRL, crl(day), use(crl(day), day))], anchor, site.now)
    (found,) = site.shelf.find(CRL, [anchor.fingerprint], START + timedelta(days=6), ())
    assert found.endorsement == crl(5)


def test_what_is_under_another_anchor_takes_nobodys_place() -> None:
    site = Site()
    site.refresher.verify_with(
        lambda items, **_: tuple(
            VerifiedEndorsement(
                item=item,
                keys=(CRL,),
                use=use(item, 9),
                anchor=replace(ANCHOR, kind=AnchorKind.USER),
            )
            for item in items
        ),
        [ANCHOR.fingerprint],
    )
    site.after(days=2)
    assert (site.source.asked, site.kept) == (1, 0)


def test_failures_are_tried_again_and_told_louder_towards_the_end(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()

    def down() -> Endorsement:
        raise FetchError("a source: is down", problem=FetchProblem.UNAVAILABLE)

    site.source.give = down
    with caplog.at_level(logging.INFO):
        site.after(days=2)
        site.after(seconds=30)
        assert site.source.asked == 1
        site.after(seconds=31)
        assert site.source.asked == 2
        site.after(seconds=61)
        assert site.source.asked == 2  # twice as long each time
        site.after(seconds=60)
        assert site.source.asked == 3
        assert {record.levelno for record in caplog.records} == {logging.INFO}
        site.after(days=21)
    assert caplog.records[-1].levelno == logging.WARNING
    assert "amd-crl (product Milan, type VCEK) expires at 2026-01-31T00:00:00Z" in caplog.text
    assert "is down" in caplog.text
    (fresh,) = site.refresher.freshness
    assert fresh.is_late(site.now)
    assert fresh.failures == 4
    site.source.give = lambda: crl(site.days)
    site.after(hours=2)
    (fresh,) = site.refresher.freshness
    assert (fresh.failures, fresh.why, site.kept) == (0, "", 23)


@pytest.mark.parametrize("gives", ["nothing", "the same"])
def test_in_its_last_minutes_an_item_is_asked_for_a_few_times(gives: str) -> None:
    site = Site()

    def down() -> Endorsement:
        raise FetchError("a source: is down", problem=FetchProblem.UNAVAILABLE)

    site.source.give = down if gives == "nothing" else lambda: crl(0)
    site.now = START + timedelta(days=30) - timedelta(minutes=10)
    asked: list[int] = []
    while site.now < START + timedelta(days=30):
        site.after(seconds=1)
        asked.append(site.source.asked)
    assert asked[-1] > asked[0]
    assert asked[-1] - asked[-61] <= 2
    assert asked[-1] <= 12


def test_no_contexts_clock_has_a_say_in_what_is_refreshed() -> None:
    """Several share a service; one with another time would have what the others need left alone, or fetched always."""
    site = Site()
    service = EndorsementService((site.source,), refresh=False, refresh_clock=lambda: site.now)
    service.verify_with(site.verify, [ANCHOR.fingerprint])
    service.keep([(CRL, crl(0))], [use(crl(0), 0)], ANCHOR, now=site.now)
    for days, asked in ((0, 0), (2, 1)):
        site.now += timedelta(days=days)
        for wrong in (-4000, 4000):
            policy = policy_for(SNP)
            Context(policy=policy, attester="null", endorsements=service, clock=Clock(START + timedelta(days=wrong)))
            service.refresh()
            assert site.source.asked == asked


def test_a_source_that_has_nothing_newer_is_told_towards_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A vendor that issues nothing, or a bundle that nobody carries anew, ends in refusals as an outage does."""
    site = Site()
    site.source.give = lambda: crl(0)
    for day in range(1, 29):
        caplog.clear()
        site.after(days=1)
        assert ("not issued anew" in caplog.text) == (day > 22), day
        assert all(record.levelno == logging.WARNING for record in caplog.records)
    (fresh,) = site.refresher.freshness
    assert (fresh.failures, site.kept) == (0, 0)


def test_what_replaces_another_has_everything_judged_anew() -> None:
    site = Site()
    before = site.shelf.generation
    site.after(hours=1)
    assert site.shelf.generation == before
    site.after(days=2)
    assert site.shelf.generation > before


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def refresh_once(site: Site) -> tuple[weakref.ref[Refresher], list[threading.Thread]]:
    """Let a service of its own refresh an item in the background; give what is left of it."""
    moment = [START]
    source = Source(lambda: crl(3))
    service = EndorsementService((source,), refresh_clock=lambda: moment[0])
    service.verify_with(site.verify, [ANCHOR.fingerprint])
    service.keep([(CRL, crl(0))], [use(crl(0), 0)], ANCHOR, now=START)
    moment[0] += timedelta(days=3)

    def at_hand() -> bytes:
        ((_, item),) = service.find([CRL], anchors=[ANCHOR.fingerprint], now=moment[0]).items
        return item.data

    assert at_hand() == b"\0"
    wait_for(lambda: at_hand() == b"\3")
    assert source.asked == 1
    threads = [thread for thread in threading.enumerate() if thread.name == "rats-tls endorsement refresh"]
    return weakref.ref(service._refresher), threads


def test_it_happens_in_the_background_and_ends_with_the_service() -> None:
    gone, threads = refresh_once(Site())
    assert threads
    gc.collect()
    wait_for(lambda: gone() is None)
    wait_for(lambda: not any(thread.is_alive() for thread in threads))


def test_a_service_that_does_not_refresh_begins_no_thread() -> None:
    site = Site()
    service = EndorsementService((Source(lambda: crl(3)),), refresh=False)
    service.verify_with(site.verify, [ANCHOR.fingerprint])
    service.keep([(CRL, crl(0))], [use(crl(0), 0)], ANCHOR, now=START)
    service.find([CRL], anchors=[ANCHOR.fingerprint], now=START)
    assert service._refresher._thread is None
