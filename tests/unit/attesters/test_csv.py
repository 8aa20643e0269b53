"""The `csv` attester: which report it asks for, what it refuses, and that its Evidence is accepted."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from rats_tls.attesters.csv import CsvAttester
from rats_tls.attesters.csv_guest import CsvGuest
from rats_tls.attesters.device import CharacterDevice
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import CollectionError, ConfigurationError, RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.formats.hygon.evidence import CsvEvidence, Order
from rats_tls.formats.hygon.hsk_cek import endorsement_to_hsk_cek
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.devices.csv_guest import FakeCsvGuest
from support.appraisals import claims_of
from support.devices import answers, csv_guest, refusal
from support.judged import appraise
from support.policies import default_policy
from support.simulated import REPORT_DATA, world

VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])
OTHER = bytes(reversed(REPORT_DATA))


def attester(device: FakeCsvGuest | None = None, **settings: Any) -> CsvAttester:
    return CsvAttester(device=CsvGuest(device or csv_guest()), **settings)


def certificates(directory: Path, machine: int = 0) -> Path:
    """Write HSK and CEK of a chip as its vendor hands them out."""
    path = directory / "hsk_cek.cert"
    path.write_bytes(endorsement_to_hsk_cek(world().hygon_chip(machine).chain()))
    return path


@VERSIONS
def test_evidence_is_accepted_with_certificates_beside_it(version: int) -> None:
    evidence = attester(report_version=version).collect(REPORT_DATA).evidence
    assert len(evidence.data) == 4096
    pool = world().hygon_chip().endorsements(CsvState(certificates="beside"))
    claims = appraise(evidence, pool, default_policy(claims_of(evidence.data))).claims
    assert isinstance(claims, CsvClaims)
    assert (claims.tee_type, claims.report_version) == (TeeType.CSV, version)
    with pytest.raises(RatsTlsError, match="Endorsements missing: hygon-cek-chain"):
        appraise(evidence, None, default_policy(claims))


@VERSIONS
def test_evidence_is_accepted_with_certificates_in_it(version: int, tmp_path: Path) -> None:
    asked = attester(report_version=version, certificates=certificates(tmp_path))
    collected = asked.collect(REPORT_DATA)
    assert (len(collected.evidence.data), collected.endorsements) == (7016, ())
    assert CsvEvidence.from_bytes(collected.evidence.data).order is Order.RATS_TLS
    claims = appraise(collected.evidence, None, default_policy(claims_of(collected.evidence.data))).claims
    assert isinstance(claims, CsvClaims)
    assert claims.report_version == version


def test_certificates_of_another_chip_are_not_accepted(tmp_path: Path) -> None:
    evidence = attester(certificates=certificates(tmp_path, machine=1)).collect(REPORT_DATA).evidence
    with pytest.raises(RatsTlsError, match="PEK"):
        appraise(evidence, Endorsements(), default_policy(claims_of(evidence.data)))


def test_it_is_an_attester_of_its_kind() -> None:
    asked = attester()
    assert isinstance(asked, Attester)
    assert (asked.name, asked.tee_type, asked.device) == ("csv", TeeType.CSV, "/dev/csv-guest")
    assert CsvAttester().device == "/dev/csv-guest"


NO_GUEST = (
    "/dev/csv-guest is not there: this is no CSV guest, or its kernel has no driver, or this container was not given "
    "the device"
)


def test_version_2_is_asked_for_by_itself() -> None:
    evidence = CsvEvidence.from_bytes(attester().collect(REPORT_DATA).evidence.data)
    assert evidence.report.version == 2


def test_it_says_whether_it_can_be_used() -> None:
    device = csv_guest()
    assert attester(device).availability().usable
    assert attester(device).availability().told == "/dev/csv-guest"
    device.there = False
    available = attester(device).availability()
    assert (available.usable, available.told) == (False, NO_GUEST)
    assert device.pages == []


# --- settings ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [0, 4, -1, "2", True])
def test_other_versions_are_refused_at_once(version: object) -> None:
    with pytest.raises(ConfigurationError, match=f"attester csv: report_version: got {version!r}, expected 1, 2 or 3"):
        CsvAttester(report_version=version)  # type: ignore[arg-type]  # of any kind


def test_a_file_that_holds_no_hsk_and_cek(tmp_path: Path) -> None:
    whole = certificates(tmp_path).read_bytes()
    wrong = {
        "got 832 bytes, expected 2916 bytes: HSK and CEK": whole[:832],
        "got 2084 bytes, expected": whole[832:],
        "got 0 bytes, expected": b"",
        "got more, expected": whole + b"\0",
        "got something else, expected HSK and CEK": whole[832:] + whole[:832],
    }
    for number, (said, data) in enumerate(wrong.items()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        with pytest.raises(ConfigurationError) as caught:
            attester(certificates=path)
        assert caught.value.message.startswith(f"attester csv: certificates {path}: {said}")
    for changed in (whole[:36] + b"\0" + whole[37:], whole[:840] + b"\0" + whole[841:]):
        path.write_bytes(changed)
        with pytest.raises(ConfigurationError, match="got something else"):
            attester(certificates=path)
    with pytest.raises(ConfigurationError, match="none: No such file or directory"):
        attester(certificates=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="/dev/zero: not a regular file"):
        attester(certificates="/dev/zero")


# --- failures ---------------------------------------------------------------------------------------------------------
def test_a_machine_without_the_device() -> None:
    device = csv_guest()
    device.there = False
    assert refusal(attester(device)) == f"attester csv: {NO_GUEST}"


def test_what_is_there_and_is_no_device(tmp_path: Path) -> None:
    path = tmp_path / "csv-guest"
    path.mkdir()
    told = f"{path} is there, but is no character device"
    assert CsvAttester(device=CsvGuest(CharacterDevice(str(path)))).availability().told == told


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EBUSY])
def test_a_call_that_fails(number: int) -> None:
    device = csv_guest()
    device.fails = number
    assert refusal(attester(device)).startswith(
        f"attester csv: /dev/csv-guest: GET_REPORT: {errno.errorcode[number]} ("
    )


@VERSIONS
def test_a_report_with_other_user_data(version: int) -> None:
    device = csv_guest()
    device.user_data = OTHER
    assert refusal(attester(device, report_version=version)) == (
        "attester csv: /dev/csv-guest gave Evidence with other report_data: "
        f"got {OTHER[:32].hex()}... (64 bytes), expected {REPORT_DATA[:32].hex()}... (64 bytes)"
    )


def test_firmware_without_newer_versions() -> None:
    device = csv_guest(newest=1)
    assert refusal(attester(device, report_version=2)).startswith(
        "attester csv: /dev/csv-guest: GET_REPORT: got a report of version 1, expected 2: guests without CSV3"
    )
    assert attester(device, report_version=1).collect(REPORT_DATA)
    # Nothing is set: what the guest is given goes along, and is for the peer's policy to judge.
    assert csv_version(attester(device).collect(REPORT_DATA).evidence.data) == 1
    assert csv_version(attester().collect(REPORT_DATA).evidence.data) == 2


@pytest.mark.parametrize("size", [0, 63, 65])
def test_other_sizes_are_not_asked_for(size: int) -> None:
    device = csv_guest()
    with pytest.raises(CollectionError, match=f"csv: report_data: got {size} bytes, expected 64"):
        attester(device).collect(bytes(size))
    assert device.pages == []


# --- time and turns ---------------------------------------------------------------------------------------------------
def test_a_device_that_hangs_is_given_up_and_is_busy_until_it_answers() -> None:
    go, device = threading.Event(), csv_guest(path="/dev/csv-hangs")
    device.before = lambda: go.wait(20)
    try:
        assert refusal(attester(device, seconds=0.2)) == "attester csv: /dev/csv-hangs: no answer within 0.2 seconds"
        assert refusal(attester(device, seconds=0.2)) == (
            "attester csv: /dev/csv-hangs: others have kept it busy for 0.2 seconds"
        )
    finally:
        go.set()
    evidence = attester(device, seconds=20).collect(OTHER).evidence
    assert CsvEvidence.from_bytes(evidence.data).report.user_data == OTHER


@VERSIONS
def test_100_callers_at_once_get_their_own(version: int) -> None:
    inside, most = 0, 0
    device = csv_guest()

    def count(page: bytes) -> bytes:
        nonlocal inside
        inside -= 1
        return page

    def enter() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)

    device.before, device.changes = enter, count
    for report_data, evidence in answers(attester(device, report_version=version)).items():
        assert CsvEvidence.from_bytes(evidence).report.user_data == report_data
    assert most == 1, "one after the other"


def csv_version(evidence: bytes) -> int:
    return CsvEvidence.from_bytes(evidence).report.version
