"""Gathering: what is asked for, how long it waits, and what is wanting in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    CertificateChainError,
    DecodeError,
    ExpiredError,
    NoEvidenceError,
    RolledBackError,
    UnsupportedError,
)
from rats_tls.core.floors import Floor, Floors
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.source import FetchError, FetchProblem
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.gathering import Gathered, Gatherer, Subject, subject_of, wanted_of_chip, wanted_of_family
from rats_tls.provisioning import exit_code
from support.bundles import SGX, SNP, TDX, anchors
from support.command_files import CommandFiles
from support.fetching import ScriptedSource, SetClock
from support.pcs import one, simulated
from support.services import MILAN_TCB
from support.simulated import NOW, REPORT_DATA, world

K = EndorsementKind
CRL = one(SNP, K.AMD_CRL)
CRL_KEY = keys_of(CRL)[0]
FMSPC = bytes.fromhex("53494d000000")


def give_simulated(item: MissingEndorsement) -> Endorsement:
    for found in (*simulated(TDX), *simulated(SNP), *simulated(SGX)):
        if item in keys_of(found):
            return found
    raise FetchError(f"none: {item}", problem=FetchProblem.NOT_FOUND)


def gather(
    *wanted: MissingEndorsement,
    subjects: tuple[Subject, ...] = (),
    give: Callable[[MissingEndorsement], Endorsement] = give_simulated,
    **settings: Any,
) -> tuple[Gathered, ScriptedSource]:
    source = ScriptedSource(give=give)
    settings = {"anchors": anchors(), "now": NOW, **settings}
    return Gatherer(Fetcher((source,)), **settings).gather(wanted, subjects), source


def subject(folder: Path, name: str, change: Callable[[bytes], bytes] = lambda data: data, **state: Any) -> Subject:
    collected = world().attester(name, **state).collect(REPORT_DATA)
    path = folder / f"{name}.bin"
    path.write_bytes(change(collected.evidence.data))
    return subject_of(path)


# --- what is asked for --------------------------------------------------------------------------------------------
def test_a_family_and_a_chip() -> None:
    family = wanted_of_family(FMSPC, ("SGX", "TDX"))
    assert [item.kind.value for item in family] == [
        *("intel-tcb-info", "intel-qe-identity", "intel-tcb-info", "intel-qe-identity"),
        *("intel-root-crl", "intel-pck-crl", "intel-pck-crl"),
    ]
    assert {dict(item.key).get("fmspc", FMSPC.hex()) for item in family} == {FMSPC.hex()}
    chip = wanted_of_chip("Milan", bytes(64), MILAN_TCB)
    assert [item.kind.value for item in chip] == ["amd-vek", "amd-signer", "amd-crl"]


@pytest.mark.parametrize("name", [SGX, TDX, SNP])
def test_evidence_says_what_it_needs(tmp_path: Path, name: str) -> None:
    gathered, source = gather(subjects=(subject(tmp_path, name),))
    assert gathered.shortcomings == ()
    assert {item.source.endorsement for item in gathered.good} <= {*simulated(TDX), *simulated(SNP), *simulated(SGX)}
    assert len(gathered.good) == len(source.asked) == (3 if name == SNP else 4)


def test_each_item_is_asked_for_once(tmp_path: Path) -> None:
    both = (subject(tmp_path, TDX), subject(tmp_path, TDX), subject(tmp_path, SGX))
    _, source = gather(*wanted_of_family(FMSPC, ("TDX",)), subjects=both)
    assert len(set(source.asked)) == len(source.asked)


def test_what_is_at_hand_is_not_asked_for() -> None:
    gathered, source = gather(CRL_KEY, at_hand=lambda item: (CRL,) if item == CRL_KEY else ())
    assert [item.source.endorsement for item in gathered.good] == [CRL]
    assert source.asked == []


# --- what is wanting ----------------------------------------------------------------------------------------------
def test_what_no_source_has_is_wanting_once(tmp_path: Path) -> None:
    def give(item: MissingEndorsement) -> Endorsement:
        if item.kind is K.INTEL_TCB_INFO:
            raise FetchError("no such family", problem=FetchProblem.NOT_FOUND)
        return give_simulated(item)

    gathered, source = gather(subjects=(subject(tmp_path, TDX),), give=give)
    (wanting,) = gathered.shortcomings
    assert wanting.item is not None
    assert (wanting.item.kind, wanting.error.message) == (K.INTEL_TCB_INFO, "no such family")
    assert [item.kind for item in source.asked].count(K.INTEL_TCB_INFO) == 1


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"anchors": ()}, CertificateChainError),
        ({"now": NOW + timedelta(days=60)}, ExpiredError),
    ],
)
def test_what_is_not_good_is_wanting(settings: dict[str, Any], error: type[Exception]) -> None:
    gathered, _ = gather(CRL_KEY, **settings)
    assert gathered.good == ()
    (wanting,) = gathered.shortcomings
    assert isinstance(wanting.error, error)
    assert wanting.item == CRL_KEY


def test_a_forged_item_is_wanting() -> None:
    forged = replace(CRL, data=CRL.data[:-1] + bytes([CRL.data[-1] ^ 1]))
    gathered, _ = gather(CRL_KEY, give=lambda _: forged)
    assert gathered.good == ()
    assert isinstance(gathered.shortcomings[0].error, CertificateChainError)
    assert "signature does not verify" in gathered.shortcomings[0].error.message


def test_what_is_rolled_back_is_wanting() -> None:
    gathered, _ = gather(CRL_KEY)
    verified = gathered.good[0].verified
    assert verified is not None
    floor = Floor(number=verified.use.number, issued=verified.use.issued + timedelta(hours=1))
    floors = Floors({(verified.anchor.fingerprint, str(key)): floor for key in keys_of(CRL)})
    gathered, _ = gather(CRL_KEY, floors=floors)
    assert isinstance(gathered.shortcomings[0].error, RolledBackError)


def test_evidence_that_is_not_authentic_is_told(tmp_path: Path) -> None:
    def change(data: bytes) -> bytes:
        return data[:60] + bytes([data[60] ^ 1]) + data[61:]

    gathered, _ = gather(subjects=(subject(tmp_path, TDX, change),))
    assert exit_code(shortcoming.error for shortcoming in gathered.shortcomings) is ExitCode.NOT_AUTHENTIC
    assert all(shortcoming.item is None for shortcoming in gathered.shortcomings)
    assert gathered.shortcomings[0].what == str(tmp_path / f"{TDX}.bin")


def test_a_tcb_level_is_for_a_policy_to_judge(tmp_path: Path) -> None:
    gathered, _ = gather(subjects=(subject(tmp_path, TDX, tcb_status=None),))
    assert gathered.shortcomings == ()
    assert len(gathered.good) == 4


# --- files that are no Evidence -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", DecodeError), (b"hello", UnsupportedError), (b"\x30\x82\x00\x04abcd", DecodeError)],
)
def test_errors_name_the_file(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "evidence.bin"
    path.write_bytes(content)
    with pytest.raises(error, match=r"evidence\.bin"):
        subject_of(path)


def test_a_certificate_without_evidence(tmp_path: Path) -> None:
    path = tmp_path / "plain.der"
    path.write_bytes(CommandFiles(tmp_path).plain("plain")[0])
    with pytest.raises(NoEvidenceError, match=r"plain\.der: the certificate carries no Evidence"):
        subject_of(path)


# --- what cannot be verified is not kept --------------------------------------------------------------------------
CHIP = [key for kind in (K.AMD_VEK, K.AMD_SIGNER, K.AMD_CRL) for key in keys_of(one(SNP, kind))[:1]]


@pytest.mark.parametrize("requests", [0, 1, 2, 3])
def test_all_that_was_got_before_a_service_throttles_is_good(requests: int) -> None:
    """A VCEK without its signer cannot be verified, and was asked for in vain: the signer comes first."""
    left = [requests]

    def give(item: MissingEndorsement) -> Endorsement:
        if not left[0]:
            raise FetchError("slower", problem=FetchProblem.THROTTLED, retry_after=600.0)
        left[0] -= 1
        return give_simulated(item)

    gathered, _ = gather(*CHIP, give=give)
    assert len(gathered.good) == requests
    assert len(gathered.shortcomings) == 3 - requests


def test_the_signer_of_a_chip_is_asked_for_though_the_chip_alone_is_wanted() -> None:
    gathered, source = gather(CHIP[0])
    assert [item.kind for item in source.asked] == [K.AMD_SIGNER, K.AMD_VEK]
    assert {item.source.endorsement.kind for item in gathered.good} == {K.AMD_SIGNER, K.AMD_VEK}


def test_a_signer_that_was_not_given_at_first_is_asked_for_again() -> None:
    clock = SetClock()
    times = iter([True])

    def give(item: MissingEndorsement) -> Endorsement:
        clock.seconds += 10
        if item.kind is K.AMD_SIGNER and next(times, False):
            raise FetchError("down", problem=FetchProblem.UNAVAILABLE)
        return give_simulated(item)

    fetcher = Fetcher((ScriptedSource(give=give),), clock=clock)
    gathered = Gatherer(fetcher, anchors=anchors(), now=NOW).gather(CHIP, ())
    assert (len(gathered.good), gathered.shortcomings) == (3, ())


# --- services that throttle ---------------------------------------------------------------------------------------
class Throttling:
    """Gives nothing until it was left alone for so long."""

    def __init__(self, seconds: float | None, times: int = 1) -> None:
        self.seconds, self.times = seconds, times
        self.slept: list[float] = []
        self.clock = 1000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    def give(self, item: MissingEndorsement) -> Endorsement:
        if self.times:
            self.times -= 1
            raise FetchError("slower", problem=FetchProblem.THROTTLED, retry_after=self.seconds)
        return give_simulated(item)

    def gather(self, wait_seconds: float) -> Gathered:
        fetcher = Fetcher((ScriptedSource(give=self.give),), clock=lambda: self.clock, failures=self._failures())
        return Gatherer(
            fetcher,
            anchors=anchors(),
            now=NOW,
            wait_seconds=wait_seconds,
            sleep=self.sleep,
        ).gather((CRL_KEY,), ())

    def _failures(self) -> RecentFailures:
        return RecentFailures(clock=lambda: self.clock)


def test_it_waits_as_long_as_it_may() -> None:
    service = Throttling(600.0)
    assert service.gather(600.0).shortcomings == ()
    assert service.slept == [600.0]


def test_it_does_not_wait_longer() -> None:
    service = Throttling(600.0)
    (wanting,) = service.gather(599.0).shortcomings
    assert service.slept == []
    assert isinstance(wanting.error, FetchError)
    assert (wanting.error.problem, wanting.error.retry_after) == (FetchProblem.THROTTLED, 600.0)


def test_all_waits_count_together() -> None:
    service = Throttling(600.0, times=3)
    assert service.gather(1500.0).shortcomings != ()
    assert service.slept == [600.0, 600.0]


def test_a_service_that_does_not_say_how_long() -> None:
    service = Throttling(None)
    assert service.gather(60.0).shortcomings == ()
    assert service.slept == [60.0]
