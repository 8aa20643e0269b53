"""The Attester of SEV-SNP: who is asked, what comes along, and that a peer accepts it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rats_tls.attesters.sev_snp import SevSnpAttester
from rats_tls.attesters.tsm import Tsm
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import CollectionError, ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester, Collected
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.simulation.devices.sev_guest import FakeSevGuest
from rats_tls.simulation.devices.tsm import ROOT, FakeTsm, blobs_of
from support.judged import appraise
from support.sides import SNP, connected_pair, context, policy_for
from support.simulated import world

DATA = bytes(range(64))
EITHER = pytest.mark.parametrize("by", ["tsm", "device"])
OF_AMD = {EndorsementKind.AMD_VEK, EndorsementKind.AMD_SIGNER, EndorsementKind.AMD_ROOT, EndorsementKind.AMD_CRL}


def report_of(user_data: bytes, vmpl: int) -> bytes:
    return world().attester(SNP, vmpl=vmpl).collect(user_data).evidence.data


def table() -> bytes:
    return endorsements_to_table(world().attester(SNP).endorsements)


def fakes(by: str = "tsm", **settings: Any) -> tuple[FakeTsm, FakeSevGuest]:
    """Make both fakes; only the one that is named is there."""
    files = FakeTsm.of(world().attester(SNP), **(settings if by == "tsm" else {}))
    files.is_mounted = by == "tsm"
    device = FakeSevGuest(report_of, **{"certificates": table(), **(settings if by == "device" else {})})
    device.there = by == "device"
    return files, device


def attester(files: FakeTsm, device: FakeSevGuest, level: int | None = None) -> SevSnpAttester:
    return SevSnpAttester(privilege_level=level, tsm=Tsm(files=files, sleep=[].append), device=device)


def accepted(collected: Collected, report_data: bytes = DATA) -> bool:
    """Judge with what came along and no other Endorsement."""
    endorsements = Endorsements(collected.endorsements)
    result = appraise(collected.evidence, endorsements, policy_for(SNP), report_data=report_data)
    return result.verdict == "accepted"


def refused(made: SevSnpAttester) -> str:
    with pytest.raises(CollectionError) as caught:
        made.collect(DATA)
    return caught.value.message


# --- what a peer accepts ---------------------------------------------------------------------------------------------
@EITHER
def test_what_is_collected_is_accepted_with_the_certificates_that_came_along(by: str) -> None:
    made = attester(*fakes(by))
    assert isinstance(made, Attester)
    assert (made.name, made.tee_type) == ("sev_snp", TeeType.SEV_SNP)
    collected = made.collect(DATA)
    assert {item.kind for item in collected.endorsements} == OF_AMD
    assert accepted(collected)


@EITHER
def test_a_connection_over_it(by: str) -> None:
    """What came along travels to the peer, who has no other Endorsement."""
    server = context(attester(*fakes(by)))
    ends = connected_pair(server, context(judges=SNP))
    for end in ends:
        end.close()
    assert ends[1].peer is not None


@EITHER
def test_100_callers_get_their_own_at_once(by: str) -> None:
    made, asked = attester(*fakes(by)), [os.urandom(64) for _ in range(100)]
    given: dict[bytes, Collected] = {}

    def ask(data: bytes) -> None:
        given[data] = made.collect(data)

    threads = [threading.Thread(target=ask, args=(data,)) for data in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    carried = {data: AttestationReport.from_bytes(each.evidence.data).report_data for data, each in given.items()}
    assert carried == {data: data for data in asked}
    assert accepted(given[asked[0]], asked[0])


# --- who is asked ----------------------------------------------------------------------------------------------------
def test_configfs_is_asked_where_both_are_there() -> None:
    files, device = fakes()
    device.there = True
    made = attester(files, device)
    assert made.availability().told == f"{ROOT}: provider sev_guest"
    assert made.availability().usable
    assert made.device == ROOT
    made.collect(DATA)
    assert device.calls == []
    assert files.entries == ()


def test_the_device_is_asked_where_there_is_no_configfs() -> None:
    files, device = fakes("device")
    made = attester(files, device)
    assert (made.availability().usable, made.availability().told, made.device) == (
        True,
        "/dev/sev-guest",
        "/dev/sev-guest",
    )
    assert device.calls == []
    made.collect(DATA)
    assert files.calls == []


@pytest.mark.parametrize("provider", [None, "tdx_guest"])
def test_the_device_is_asked_where_configfs_has_another_provider_or_none(provider: str | None) -> None:
    files, device = fakes()
    files.provider, device.there = provider, True
    made = attester(files, device)
    assert made.availability().told == "/dev/sev-guest"
    assert accepted(made.collect(DATA))
    assert files.entries == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda files: setattr(files, "is_mounted", False), f"{ROOT} is not there"),
        (lambda files: setattr(files, "provider", None), "ENXIO (No such device or address), there is no provider"),
        (lambda files: setattr(files, "provider", "tdx_guest"), "provider: got 'tdx_guest', expected 'sev_guest'"),
    ],
    ids=["no configfs", "no provider", "another provider"],
)
def test_nothing_that_makes_reports(change: Callable[[FakeTsm], None], text: str) -> None:
    files, device = fakes()
    change(files)
    made = attester(files, device)
    told = made.availability()
    assert not told.usable
    assert text in told.told
    assert "and /dev/sev-guest is not there" in told.told
    advice = (
        ": this is no SEV-SNP guest, or configfs is not mounted, the module sev_guest is not loaded, or this container "
        "was given neither"
    )
    assert told.told.endswith(advice) == (text == f"{ROOT} is not there")
    assert refused(made) == f"attester sev_snp: {told.told}"


def test_a_configfs_that_fails_is_not_passed_over_for_the_device() -> None:
    files, device = fakes()
    files.may_write, device.there = False, True
    made = attester(files, device)
    text = f"{ROOT}: make an entry: EACCES (Permission denied), only root may make entries"
    assert made.availability().told == text
    assert not made.availability().usable
    assert refused(made) == f"attester sev_snp: {text}"
    assert device.calls == []


def test_without_arguments_this_machine_is_looked_at() -> None:
    made = SevSnpAttester()
    if not made.availability().usable:
        assert refused(made).startswith("attester sev_snp: ")


# --- levels ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("level", "asked"), [(None, 0), (0, 0), (3, 3)])
def test_the_level_is_asked_for(level: int | None, asked: int) -> None:
    files, device = fakes()
    attester(files, device, level).collect(DATA)
    assert files.levels == [asked]
    files, device = fakes("device")
    collected = attester(files, device, level).collect(DATA)
    assert AttestationReport.from_bytes(collected.evidence.data).vmpl == asked


@pytest.mark.parametrize("level", [-1, 4, True, "1", 1.0])
def test_levels_that_there_are_not(level: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"attester sev_snp: privilege_level: got .*, expected 0 to 3"):
        SevSnpAttester(privilege_level=level)


@EITHER
def test_a_level_below_the_guests(by: str) -> None:
    floor = {"tsm": "privlevel_floor", "device": "vmpl"}[by]
    text = {
        "tsm": "privlevel of provider sev_guest: got 0, expected 1 (privlevel_floor) to 3",
        "device": "SNP_GET_EXT_REPORT: status: got 0x16 (INVALID_PARAM), expected 0",
    }[by]
    assert refused(attester(*fakes(by, **{floor: 1}), level=0)).endswith(text)


# --- what is wrong with what was given -------------------------------------------------------------------------------
def test_a_short_outblob() -> None:
    files = FakeTsm(lambda data: (report_of(data, 0)[:-1], b""))
    text = f"{ROOT} gave malformed Evidence: AttestationReport at 0x0: got 1183 bytes, expected at least 1184"
    assert refused(attester(files, fakes()[1])) == f"attester sev_snp: {text}"


@EITHER
def test_other_report_data(by: str) -> None:
    files, device = fakes(by)
    if by == "tsm":
        files = FakeTsm(lambda _: blobs_of(world().attester(SNP))(bytes(64)))
    else:
        device = FakeSevGuest(lambda _data, vmpl: report_of(bytes(64), vmpl))
    where = {"tsm": ROOT, "device": "/dev/sev-guest"}[by]
    text = f"attester sev_snp: {where} gave Evidence with other report_data: got 000000"
    assert refused(attester(files, device)).startswith(text)


def test_failures_name_the_attester_the_device_and_the_errno() -> None:
    files, device = fakes()
    files.fail("read outblob", errno.EIO)
    text = f"attester sev_snp: {ROOT}: read outblob: EIO (Input/output error), provider sev_guest"
    assert refused(attester(files, device)) == text
    files, device = fakes("device")
    device.firmware_fails = 22
    text = "attester sev_snp: /dev/sev-guest: SNP_GET_EXT_REPORT: EIO (Input/output error), fw_err 0x16 (INVALID_PARAM)"
    assert refused(attester(files, device)) == text


# --- certificates of the host ----------------------------------------------------------------------------------------
def spoilt(kind: EndorsementKind) -> bytes:
    items = [Endorsement(kind=kind, data=b"no certificate") if each.kind is kind else each for each in whole()]
    return endorsements_to_table(items)


def whole() -> Endorsements:
    return world().attester(SNP).endorsements


@EITHER
@pytest.mark.parametrize(
    "bad",
    [
        lambda: b"\1" * 4000,
        lambda: table()[:100],
        lambda: table()[:16] + b"\xff\xff\xff\xff" + table()[20:],
        lambda: spoilt(EndorsementKind.AMD_SIGNER),
        lambda: spoilt(EndorsementKind.AMD_CRL),
    ],
    ids=["noise", "cut", "outside", "no certificate", "no list"],
)
def test_a_malformed_table_is_logged_and_left_out(
    by: str, bad: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    files, device = fakes(by)
    if by == "tsm":
        files = FakeTsm(lambda data: (report_of(data, 0), bad()))
    else:
        device = FakeSevGuest(report_of, bad())
    collected = attester(files, device).collect(DATA)
    assert collected.endorsements == ()
    assert "the host's certificates are left out" in caplog.text
    assert accepted(Collected(evidence=collected.evidence, endorsements=whole().items))


@EITHER
def test_a_host_without_certificates(by: str, caplog: pytest.LogCaptureFixture) -> None:
    files, device = fakes(by)
    if by == "tsm":
        files = FakeTsm(lambda data: (report_of(data, 0), b""))
    else:
        device = FakeSevGuest(report_of)
    assert attester(files, device).collect(DATA).endorsements == ()
    assert "left out" not in caplog.text
