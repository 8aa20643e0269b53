"""Options of `server` and `client` in processes of their own: those of the samples of C rats-tls."""

from __future__ import annotations

import pytest

from rats_tls.policy import Policy
from support.command_files import SGX, TDX, CommandFiles
from support.commands import port_of, run, started

WARNING = f"WARNING: {TDX}: a simulated TEE proves nothing\n"


def two_entries(files: CommandFiles) -> str:
    """A policy that accepts either TEE."""
    entries = [
        *Policy.from_file(files.policy("sgx.toml", name="enclave")).entries,
        *Policy.from_file(files.policy("tdx.toml", tee=TDX, name="domain")).entries,
    ]
    return str(files.write("two.toml", Policy.of(*entries).to_toml()))


def side(files: CommandFiles, attester: str) -> list[str]:
    shared = ["--trust-anchors", str(files.anchors), "-a", attester]
    return [*shared, "--simulation", str(files.directory), "-e"] if attester.startswith("simulated") else shared


def test_every_option_of_the_samples(files: CommandFiles) -> None:
    """By their short names, on both sides."""
    policy = two_entries(files)
    shared = ("--policy", policy, "-c", "openssl", "-t", "openssl", "-m", "-l", "warn", "-i", "127.0.0.1")
    with started("server", *side(files, SGX), "-v", "tdx_ecdsa", *shared, "-p", "0", "--count", "1") as process:
        port = port_of(process)
        ended = run("client", *side(files, TDX), "-v", "sgx_ecdsa", *shared, "-p", port, "--message", "hello")
        process.communicate(timeout=60)
    assert (ended.returncode, process.returncode) == (0, 0)
    assert "entry 'enclave'" in ended.stdout


def test_a_verifier_accepts_its_type_of_evidence_alone(files: CommandFiles) -> None:
    """Although the policy has an entry for what the server is."""
    policy = two_entries(files)
    with started("server", *side(files, SGX), "-p", "0", "--count", "2") as process:
        arguments = ["client", "-p", port_of(process), "--policy", policy, *side(files, "nullattester")]
        refused = run(*arguments, "--verifier", "tdx_ecdsa", "--message", "x")
        accepted = run(*arguments, "--message", "x")
        process.communicate(timeout=60)
    assert (refused.returncode, accepted.returncode) == (5, 0)
    assert "    expected  tdx_ecdsa" in refused.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--verifier", "sev_snp"], 1, "no entry for sev_snp; its entries are for sgx_ecdsa, tdx_ecdsa"),
        (["--verifier", "nullverifier"], 1, "no entry for null; "),
        (["--verifier", "nope"], 6, "verifier 'nope' is not known here"),
        (["--log-level", "loud"], 1, "'loud' is not one of 'off', 'fatal', 'error', 'warn', 'info', 'debug'"),
        (["--tls", "nope"], 6, "TLS wrapper 'nope' is not known here"),
        (["--crypto", "nope"], 6, "crypto wrapper 'nope' is not known here"),
    ],
)
def test_options_that_cannot_be_met(files: CommandFiles, arguments: list[str], code: int, says: str) -> None:
    ended = run("client", "--policy", two_entries(files), *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    assert says in line


def test_a_verifier_is_no_policy() -> None:
    ended = run("server", "--attester", "null", "--verifier", "sgx_ecdsa", "--port", "0")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: usage: --verifier needs --policy FILE")


@pytest.mark.parametrize(
    ("arguments", "variable", "errors"),
    [
        ([], None, WARNING),
        (["--log-level", "error"], None, ""),
        (["-l", "OFF"], None, ""),
        ([], "off", ""),
        (["--log-level", "info"], "off", WARNING),
        (["--log-level", "fatal"], "debug", ""),
    ],
)
def test_log_level(files: CommandFiles, arguments: list[str], variable: str | None, errors: str) -> None:
    """The option wins over the environment."""
    env = {"RATS_TLS_GLOBAL_LOG_LEVEL": variable} if variable is not None else {}
    with started("server", *side(files, SGX), "-p", "0", "--count", "1") as process:
        shared = ("--policy", two_entries(files), *side(files, TDX), "--message", "x")
        ended = run("client", "-p", port_of(process), *shared, *arguments, env=env)
        process.communicate(timeout=60)
    assert (ended.returncode, ended.stderr) == (0, errors)


def test_log_level_of_the_environment_must_be_one() -> None:
    ended = run("server", "--attester", "null", env={"RATS_TLS_GLOBAL_LOG_LEVEL": "loud"})
    assert ended.returncode == 1
    assert "RATS_TLS_GLOBAL_LOG_LEVEL" in ended.stderr
