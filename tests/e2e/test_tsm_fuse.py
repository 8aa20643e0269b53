"""configfs-tsm as a real file system: what the fake in memory shows holds for files, processes and signals."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import OsFiles
from rats_tls.attesters.sev_snp import SevSnpAttester
from rats_tls.attesters.tsm import NoProviderError, Tsm
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import CollectionError
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.simulation.devices.sev_guest import FakeSevGuest
from rats_tls.simulation.world import SimulatedWorld
from support.appraisals import claims_of, make_appraiser
from support.fuse_tsm import Served, require_fuse, served
from support.paths import REPOSITORY
from support.policies import default_policy
from support.simulated import NOW

DATA = bytes(range(64))
PROVIDER = "sev_guest"
FAILURES = (errno.ENXIO, errno.EFBIG, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EIO)
COLLECT = """
import sys
from rats_tls.attesters.tsm import Tsm
print(len(Tsm(sys.argv[1]).report(bytes(64), provider="sev_guest").outblob))
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that this process and servers share."""
    require_fuse()
    made = tmp_path_factory.mktemp("world") / "world"
    SimulatedWorld.create(made, clock=lambda: NOW)
    return made


@pytest.fixture
def files(tmp_path: Path, directory: Path) -> Iterator[Served]:
    with served(tmp_path / "report", directory, "simulated_sev_snp") as made:
        yield made


def tsm(files: Served, pauses: list[float] | None = None) -> Tsm:
    return Tsm(str(files.root), sleep=[].append if pauses is None else pauses.append)


def refused(files: Served, level: int | None = None) -> str:
    with pytest.raises(CollectionError) as caught:
        tsm(files).report(DATA, provider=PROVIDER, privilege_level=level, deadline=Deadline(20))
    assert files.entries == []
    return caught.value.message


def report_data(outblob: bytes) -> bytes:
    return AttestationReport.from_bytes(outblob).report_data


def test_evidence_that_a_peer_accepts(files: Served, directory: Path) -> None:
    device = FakeSevGuest(lambda *_: b"")
    device.there = False
    attester = SevSnpAttester(privilege_level=0, tsm=tsm(files), device=device)
    assert attester.availability().told == f"{files.root}: provider sev_guest"
    collected = attester.collect(DATA)
    assert files.entries == []
    assert files.levels == [0]
    anchors = SimulatedWorld.load(directory, clock=lambda: NOW).trust_anchors
    policy = default_policy(claims_of(collected.evidence.data))
    appraiser = make_appraiser(policy, Endorsements(collected.endorsements), anchors=anchors)
    result = appraiser.appraise_evidence(collected.evidence, now=NOW, expected_report_data=DATA)
    assert result.verdict == "accepted"


def test_the_steps_with_one_write_each(files: Served) -> None:
    report = tsm(files).report(DATA, provider=PROVIDER, privilege_level=2)
    assert report_data(report.outblob) == DATA
    assert len(report.auxblob) > 4096
    assert files.calls == [
        *("names", "make", "read provider", "read privlevel_floor", "write privlevel", "write inblob"),
        *("read outblob", "read auxblob", "read generation", "remove"),
    ]


def test_the_server_takes_one_write_and_attributes_as_they_are_meant(files: Served) -> None:
    entry = files.root / "x"
    entry.mkdir()
    descriptor = os.open(entry / "inblob", os.O_WRONLY)
    try:
        os.write(descriptor, DATA[:32])
        with pytest.raises(OSError) as caught:
            os.write(descriptor, DATA[32:])
        assert caught.value.errno == errno.EINVAL
    finally:
        os.close(descriptor)
    with pytest.raises(OSError) as caught:
        OsFiles().read(str(entry / "outblob"), 65_536)
    assert caught.value.errno == errno.EINVAL
    for call in (
        lambda: OsFiles().read(str(entry / "inblob"), 64),
        lambda: OsFiles().write(str(entry / "outblob"), b"x"),
    ):
        with pytest.raises(PermissionError):
            call()
    assert (entry / "generation").read_bytes() == b"1\n"
    entry.rmdir()


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
@pytest.mark.parametrize("call", ["make", "write inblob", "read outblob"])
def test_a_busy_provider(files: Served, call: str, number: int) -> None:
    pauses: list[float] = []
    files.fail(call, number, 2)
    report = tsm(files, pauses).report(DATA, provider=PROVIDER, deadline=Deadline(20))
    assert report_data(report.outblob) == DATA
    assert pauses == [0.25, 0.5]
    files.fail(call, number, 5)
    assert f": {errno.errorcode[number]} (" in refused(files)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        *((call, number) for call in ("write inblob", "read outblob") for number in FAILURES),
        *(("read auxblob", number) for number in FAILURES if number not in {errno.EFBIG, errno.EIO}),
    ],
)
def test_a_step_that_fails(files: Served, call: str, number: int) -> None:
    """Errors are injected: a kernel without room for a report is not at hand."""
    files.fail(call, number)
    text = f"{files.root}: {call}: {errno.errorcode[number]} ({os.strerror(number)}), provider sev_guest"
    assert refused(files) == text


def test_what_the_kernel_drops_when_an_attribute_is_closed_is_noticed(files: Served) -> None:
    """Nothing tells the writer: the report then cannot be made, or is of fewer writes than there were."""
    files.command("on close")
    assert report_data(tsm(files).report(DATA, provider=PROVIDER, privilege_level=1).outblob) == DATA
    files.fail("write inblob", errno.EINVAL)
    text = "generation of provider sev_guest: got 1, expected 2: the kernel did not take what was written"
    assert refused(files, 1) == f"{files.root}: {text}"
    assert "read outblob" in files.calls


@pytest.mark.parametrize("number", [errno.EFBIG, errno.EIO])
def test_certificates_that_cannot_be_read_are_left_out(files: Served, number: int) -> None:
    files.fail("read auxblob", number)
    report = tsm(files).report(DATA, provider=PROVIDER)
    assert (report_data(report.outblob), report.auxblob) == (DATA, b"")
    assert files.entries == []


def test_no_provider(files: Served) -> None:
    files.command("provider", None)
    with pytest.raises(NoProviderError, match="ENXIO"):
        tsm(files).provider()
    assert "make an entry: ENXIO" in refused(files)


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    nowhere = Tsm(str(tmp_path / "none"))
    assert not nowhere.is_there()
    with pytest.raises(CollectionError, match=r"none: make an entry: ENOENT .*, configfs is not mounted"):
        nowhere.report(DATA, provider=PROVIDER)


def test_who_else_writes_to_the_entry_is_noticed(files: Served) -> None:
    failures: list[str] = []
    files.command("hold")
    thread = threading.Thread(target=lambda: failures.append(refused_of(files)))
    thread.start()
    wait_until_held(files)
    (name,) = files.entries
    OsFiles().write(str(files.root / name / "inblob"), bytes(64))
    files.command("let go")
    thread.join(30)
    assert "generation of provider sev_guest: got 2, expected 1: another process has written" in failures[0]
    assert files.entries == []


def refused_of(files: Served) -> str:
    with pytest.raises(CollectionError) as caught:
        tsm(files).report(DATA, provider=PROVIDER)
    return caught.value.message


def test_100_callers_at_once_get_their_own(files: Served) -> None:
    """Without turns: each has an entry of its own."""
    asked = [os.urandom(64) for _ in range(100)]
    given: dict[bytes, bytes] = {}

    def ask(data: bytes) -> None:
        given[data] = report_data(tsm(files).report(data, provider=PROVIDER).outblob)

    threads = [threading.Thread(target=ask, args=(data,)) for data in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert given == {data: data for data in asked}
    assert files.entries == []


# --- processes -------------------------------------------------------------------------------------------------------
def collecting(files: Served) -> subprocess.Popen[str]:
    """Start a process that collects."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", COLLECT, str(files.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait_until_held(files: Served) -> None:
    for _ in range(600):
        if files.command("is held"):
            return
        time.sleep(0.05)
    raise TimeoutError("nobody reads outblob")


def test_the_entry_of_a_killed_process_goes_with_the_next_collection(files: Served) -> None:
    files.command("hold")
    with collecting(files) as process:
        try:
            wait_until_held(files)
        finally:
            process.kill()
            files.command("let go")
        process.wait(30)
    (left,) = files.entries
    assert re.fullmatch(rf"rats-tls-[0-9.]+-{process.pid}-[0-9]+-[0-9a-f]{{16}}", left)
    assert report_data(tsm(files).report(DATA, provider=PROVIDER).outblob) == DATA
    assert files.entries == []


ATTESTER = """
import sys
from rats_tls.attesters import sev_snp, tsm

sev_snp.Tsm = lambda: tsm.Tsm(sys.argv[1])
attester = sev_snp.SevSnpAttester(seconds=float(sys.argv[2]))
print("collecting", flush=True)
attester.collect(bytes(64))
"""
COMMAND = """
import sys
from rats_tls.attesters import sev_snp, tsm
from rats_tls.cli.main import main

root = sys.argv[1]
sev_snp.Tsm = lambda: tsm.Tsm(root)
sys.argv[1:] = ["collect", "--attester", "sev_snp", "--output", "x.bin", *sys.argv[3:]]
print("collecting", flush=True)
sys.exit(main())
"""


def ended(
    files: Served, tmp_path: Path, code: str, *arguments: str, number: int | None = None, seconds: float = 0.5
) -> int:
    """Have an Attester's process end while the kernel makes a report, which it then gives; gives the exit code."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    files.command("hold")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(files.root), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=tmp_path,
    ) as process:
        try:
            wait_until_held(files)
            if number is not None:
                process.send_signal(number)
            time.sleep(seconds)
            files.command("let go")
            return process.wait(30)
        finally:
            process.kill()


def test_no_entry_stays_after_a_time_out(files: Served, tmp_path: Path) -> None:
    """The process ends while its call is under way, which then ends in time to remove what it made."""
    assert ended(files, tmp_path, ATTESTER, "0.2") == 1
    assert files.entries == []


def test_no_entry_stays_after_the_command_was_given_up(files: Served, tmp_path: Path) -> None:
    assert ended(files, tmp_path, COMMAND, "", "--attester-option", "seconds=1", seconds=1.5) == 6
    assert files.entries == []


def test_no_entry_stays_after_ctrl_c(files: Served, tmp_path: Path) -> None:
    assert ended(files, tmp_path, ATTESTER, "20", number=signal.SIGINT) == -signal.SIGINT
    assert files.entries == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_no_entry_stays_after_a_signal_to_the_command(files: Served, number: int, code: int, tmp_path: Path) -> None:
    assert ended(files, tmp_path, COMMAND, "", number=number) == code
    assert files.entries == []
    assert not (tmp_path / "x.bin").exists()


def test_the_entry_of_a_living_process_stays_and_serves_it(files: Served) -> None:
    files.command("hold")
    with collecting(files) as process:
        try:
            wait_until_held(files)
            (its,) = files.entries
            assert report_data(tsm(files).report(DATA, provider=PROVIDER).outblob) == DATA
            assert tsm(files).provider() == PROVIDER
            assert files.entries == [its]
            files.command("let go")
            given, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, json.loads(given)) == (0, 0x4A0)
    assert files.entries == []
