"""SGX local reports on the command line: two processes on one simulated machine, files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rats_tls.simulation.world import SimulatedWorld
from support.command_files import REPORT_DATA, CommandFiles
from support.commands import port_of, run, started
from support.simulated import NOW

LOCAL = "simulated_sgx_la"
_WARNING = (
    "WARNING: simulated processor of machine 0: a simulated target enclave checks simulated reports and proves nothing"
)


def side(files: CommandFiles, *more: str | Path) -> list[str | Path]:
    return ["--attester", LOCAL, "--simulation", files.directory, *more]


def judging(files: CommandFiles) -> list[str | Path]:
    policy = files.policy("local-policy.toml", tee=LOCAL)
    return ["--policy", policy, "--simulated-target-enclave", files.directory]


def report(files: CommandFiles, **state: object) -> Path:
    return files.write("report.bin", files.world.attester(LOCAL, **state).collect(REPORT_DATA).evidence.data)


def test_both_sides_attest_to_enclaves_on_their_machine(files: CommandFiles) -> None:
    with started("server", "--port", "0", *side(files), *judging(files), "--count", "1", "--json") as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["address"].rpartition(":")[2]
        ended = run("client", "--port", port, "-m", *side(files), *judging(files), "--message", "hello")
        said, warned = process.communicate(timeout=60)
    assert (ended.returncode, process.returncode) == (0, 0)
    assert "simulated processor of machine 0, SIMULATED: proves nothing" in ended.stdout
    assert "sent 5 bytes, got 5 back: hello" in ended.stdout
    assert _WARNING in ended.stderr
    assert _WARNING in warned
    accepted = json.loads(said.splitlines()[0])
    assert (accepted["peer"]["tee_type"], accepted["peer"]["anchor"]["kind"]) == ("sgx_la", "simulated")


def test_a_report_for_another_enclave_is_refused(files: CommandFiles) -> None:
    other = files.write("target.bin", files.world.target_enclave(mr_enclave=bytes([1] * 32)).target_info())
    with started(
        "server", "--port", "0", *side(files, "--simulate", f"target_info=@{other}"), "--count", "1"
    ) as process:
        ended = run("client", "--port", str(port_of(process)), *judging(files), "--message", "hello")
        process.communicate(timeout=60)
    assert ended.returncode == 3
    assert "made no such report for this target enclave" in ended.stdout


def test_without_a_target_enclave_nothing_is_accepted(files: CommandFiles) -> None:
    policy = files.policy("local-policy.toml", tee=LOCAL)
    anchors = ["--trust-anchors", files.anchors]
    ended = run("verify", report(files), "--policy", policy, *anchors, "--report-data", REPORT_DATA.hex(), "--json")
    assert ended.returncode == 6
    refused = json.loads(ended.stdout)
    assert refused["reason"] == "unsupported_evidence"
    assert "runs in no enclave that can check the MAC" in refused["message"]


def test_files_are_inspected_pinned_verified_and_tried(files: CommandFiles) -> None:
    evidence = report(files)
    shown = run("inspect", evidence)
    assert shown.returncode == 0
    assert "Intel SGX (local report)" in shown.stdout
    assert "only the enclave that the report was made for can check it" in shown.stdout
    pinned = run("policy", "from-evidence", evidence)
    assert 'tee = "sgx_la"' in pinned.stdout
    assert "cpu_svn = " in pinned.stdout
    assert "those at this CPUSVN" in pinned.stdout
    policy = files.write("pinned.toml", pinned.stdout)
    linted = run("policy", "lint", policy)
    assert linted.returncode == 0, linted.stdout
    target = ["--simulated-target-enclave", files.directory]
    verified = run(
        *("verify", evidence, "--policy", policy, *target, "--report-data", REPORT_DATA.hex(), "--explain"),
        *("--html", files.folder / "page.html"),
    )
    assert verified.returncode == 0
    assert "sgx_la.report_mac" in verified.stdout
    assert "simulated processor of machine 0" in (files.folder / "page.html").read_text()
    tried = run("policy", "test", policy, evidence, *target)
    assert tried.returncode == 0, tried.stdout
    debug = report(files, debug=True)
    assert run("policy", "test", policy, debug, *target, "--expect", "refuse", "--reason", "policy").returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--simulated-target-enclave", "{sgx}"], 1, "needs a policy with an entry for sgx_la"),
        (["--verifier", "sgx_la"], 1, "no entry for sgx_la"),
        (["--verifier", "sgx_ecdsa_qve"], 6, "runs in no enclave that can check the MAC"),
        (["--verifier", "qvl-host"], 6, "libsgx_dcap_quoteverify.so.1: cannot be loaded"),
    ],
)
def test_options_that_cannot_be_met(options: list[str], code: int, says: str, files: CommandFiles) -> None:
    policy = files.policy("sgx-policy.toml")
    given = [str(files.directory) if option == "{sgx}" else option for option in options]
    ended = run("verify", report(files), "--policy", policy, *given)
    assert (ended.returncode, says in ended.stderr) == (code, True), ended.stderr


def test_a_world_says_which_enclave_to_target() -> None:
    world = SimulatedWorld(clock=lambda: NOW)
    made = world.attester(LOCAL, target_info=world.target_enclave(config_svn=3).target_info()).collect(REPORT_DATA)
    world.target_enclave(config_svn=3).check(made.evidence.data)
