"""`-`: Evidence to standard output and from standard input, and data from there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rats_tls.files import MAX_FILE
from rats_tls.simulation.world import SimulatedWorld
from support.commands import PROGRAM, environment, run, run_in_terminal
from support.sites import Site

SNP = "simulated_sev_snp"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("streams")
    return Site(folder, SimulatedWorld.create(folder / "world"))


def piped(*arguments: object, given: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command with bytes on its standard input."""
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(
        command, input=given, cwd=cwd, env=environment(), check=False, capture_output=True, timeout=60
    )


def judging(site: Site) -> tuple[object, ...]:
    return ("--policy", site.policy(SNP), "--trust-anchors", site.anchors)


def test_from_one_to_the_other(site: Site, tmp_path: Path) -> None:
    """The Evidence is all that is on standard output; whatever bytes the data are."""
    data = bytes(range(256)) + b"\r\n\x1a"
    bundle = tmp_path / "bundle.zip"
    collecting = ("collect", *site.collecting(SNP), "-o", "-", "--endorsements-output", bundle, "--data-file", "-")
    collected = piped(*collecting, given=data, cwd=tmp_path)
    assert collected.returncode == 0, collected.stderr
    assert len(collected.stdout) == 1184
    told = collected.stderr.decode()
    assert " collected  standard output\n" in told
    assert "Evidence      standard output, 1184 bytes" in told
    assert f"Endorsements  {bundle}" in told
    (tmp_path / "data").write_bytes(data)
    given = (*judging(site), "--endorsements-file", bundle)
    judged = piped("verify", "-", *given, "--data-file", tmp_path / "data", given=collected.stdout)
    assert judged.returncode == 0, judged.stderr
    assert b"standard input" in judged.stdout
    (tmp_path / "report.bin").write_bytes(collected.stdout)
    assert piped("verify", tmp_path / "report.bin", *given, "--data-file", "-", given=data).returncode == 0
    assert piped("verify", tmp_path / "report.bin", *given, "--data-file", "-", given=data[:-1]).returncode == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip", "data", "report.bin"]


def test_a_file_of_that_name(site: Site, tmp_path: Path) -> None:
    ended = run("collect", *site.collecting(SNP), "-o", "./-", "--data", "x", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "-").stat().st_size == 1184
    assert run("verify", "./-", *judging(site), "--data", "x", cwd=tmp_path).returncode == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", b"standard input: the file is empty"),
        (bytes(MAX_FILE + 1), b"standard input: larger than 4194304 bytes"),
        (b"garbage", b"standard input: "),
    ],
)
def test_what_is_no_evidence(site: Site, given: bytes, said: bytes) -> None:
    judged = piped("verify", "-", *judging(site), given=given)
    assert judged.returncode in {1, 2, 6}
    assert said in judged.stdout + judged.stderr
    assert b"Traceback" not in judged.stderr


def test_standard_input_is_read_once(site: Site) -> None:
    judged = piped("verify", "-", *judging(site), "--data-file", "-", given=b"x")
    assert judged.returncode == 1
    assert b"FILE and --data-file: only one of them can be standard input" in judged.stderr


def test_nothing_else_is_written_to_standard_output(site: Site, tmp_path: Path) -> None:
    ended = piped("collect", *site.collecting(SNP), "-o", "-", "--json", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"--json goes with a file" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_failure_writes_nothing(tmp_path: Path) -> None:
    ended = piped("collect", "-a", "sev_snp", "-o", "-", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (6, b"")


def test_a_terminal_gets_no_binary(site: Site) -> None:
    code, output = run_in_terminal("collect", *site.collecting(SNP), "-o", "-")
    assert code == 1
    assert "standard output is a terminal, and Evidence is binary" in " ".join(output.split())


def test_streams_that_are_closed(site: Site) -> None:
    collecting = ("collect", *site.collecting(SNP), "-o", "-")
    for command, closed, said in (
        (collecting, ">&-", b"error: output: standard output: it is closed"),
        ((*collecting, "--data-file", "-"), "<&-", b"error: configuration: standard input: it is closed"),
        (("verify", "-", *judging(site)), "<&-", b"error: configuration: standard input: it is closed"),
    ):
        program = ["bash", "-c", f'"$@" {closed}', "bash", *PROGRAM, *map(str, command)]
        ended = subprocess.run(program, env=environment(), check=False, capture_output=True, timeout=60)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert said in ended.stderr


def test_standard_output_that_takes_nothing(site: Site) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [*PROGRAM, "collect", *site.collecting(SNP), "-o", "-"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment(), check=False, timeout=60)
    assert ended.returncode == 1
    assert b"error: output: standard output: No space left on device" in ended.stderr
    assert b" collected " not in ended.stderr
