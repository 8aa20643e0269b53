"""The script for machines with hardware, here on a simulated TEE and on none."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from rats_tls.simulation.world import SimulatedWorld
from support.paths import REPOSITORY

SCRIPT = REPOSITORY / "tools/attester_report.py"
NAME = "attester-report.tar.gz"
NO_PROCESSES = """
import os, runpy, subprocess, sys

def refuse(*_, **__):
    raise OSError("an enclave starts no processes")

subprocess.Popen = os.fork = os.posix_spawn = refuse
sys.argv[:1] = []
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ended(*words: object, cwd: Path, program: tuple[object, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [*map(str, program or (sys.executable, SCRIPT)), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    world = SimulatedWorld.create(tmp_path_factory.mktemp("report") / "world")
    directory = world.trust_anchors_file.parent
    return ("--attester", "simulated_sev_snp", "--simulation", directory, "--trust-anchors", world.trust_anchors_file)


def test_what_is_packed(simulated: tuple[object, ...], tmp_path: Path) -> None:
    told = ended(*simulated, cwd=tmp_path, program=(sys.executable, "-c", NO_PROCESSES, SCRIPT))
    assert told.returncode == 0, told.stderr
    assert "Evidence was got 11 of 11 times" in told.stdout
    assert "It identifies this machine" in told.stdout
    assert "failed" not in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    with tarfile.open(tmp_path / NAME) as archive:
        names = {name.removeprefix("attester-report/") for name in archive.getnames()}
        facts, doctor = (archive.extractfile(f"attester-report/{name}.json") for name in ("facts", "doctor"))
        assert facts is not None
        assert doctor is not None
        assert len(json.loads(facts.read())["collected"]) == 11
        assert json.loads(doctor.read())["schema"] == "rats-tls/doctor/1"
    assert {"facts.json", "doctor.json", "inspect.txt", "alone-0.bin", "at-once-7.bin"} <= names


def test_with_other_processes_at_a_place_of_its_own(simulated: tuple[object, ...], tmp_path: Path) -> None:
    told = ended("--processes", "--report", "mine.tgz", *simulated, cwd=tmp_path)
    assert "mine.tgz: Evidence was got 19 of 19 times" in told.stdout, told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tgz"]


def test_help(tmp_path: Path) -> None:
    told = ended("--help", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("Usage: attester_report.py [OPTIONS]")
    assert not list(tmp_path.iterdir())


def test_without_a_tee_the_first_error_is_told(tmp_path: Path) -> None:
    told = ended(cwd=tmp_path)
    assert told.returncode == 1
    assert "Evidence was got 0 of 3 times" in told.stdout
    assert "It tells of this machine's kernel and devices" in told.stdout
    assert "the first that failed: alone-0: error: no_instance: attester auto: no TEE" in told.stderr
    assert "Traceback" not in told.stderr
    with tarfile.open(tmp_path / NAME) as archive:
        assert "attester-report/doctor.json" in archive.getnames()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bogus",), "No such option '--bogus'"),
        (("-o", "x"), "No such option '-o'"),
        (("-a", "sgx_la"), "target_info"),
        (("-a", "csv", "--attester-option", "x=1"), "not known"),
        (("--attester-option", "seconds=1"), "goes with --attester NAME"),
        (("-a", "simulated_sgx_ecdsa"), "needs --simulation"),
        (("--report", "no/report.tgz"), "the report cannot be written: No such file or directory"),
        (("--report", "pipe"), "the report cannot be written: pipe is there, and is no regular file"),
    ],
)
def test_what_cannot_be_is_one_line_at_once(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told = ended(*options, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("error: ")
    assert told.stderr.count("\n") == 1
    assert said in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_place_without_room_is_left_as_it_was(simulated: tuple[object, ...], tmp_path: Path) -> None:
    """A limit of the shell's stands for a full disk: both refuse room for the file, before anything is collected."""
    (tmp_path / NAME).write_bytes(b"an earlier one")
    limited = ("bash", "-c", 'ulimit -f 8; exec "$@"', "bash", sys.executable, "-B", SCRIPT)
    told = ended(*simulated, cwd=tmp_path, program=limited)
    assert (told.returncode, told.stdout) == (1, "")
    assert "error: the report cannot be written: File too large\n" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"an earlier one"


def test_a_python_without_this_package(tmp_path: Path) -> None:
    told = ended(cwd=tmp_path, program=(sys.executable, "-S", "-I", SCRIPT))
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "has no rats_tls" in told.stderr
