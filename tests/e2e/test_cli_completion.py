"""Completion in a real bash, and the scripts for the other shells."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rats_tls.registry import BUILT_IN
from support.commands import environment, run

BASH = shutil.which("bash") or "/bin/bash"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with a program `rats-tls`, as an installation has one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "rats-tls"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rats_tls "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return folder


def complete(program: Path, *words: str, folder: Path | None = None) -> list[str]:
    """Let bash load the script and complete the last word, as it does at a TAB."""
    script = f"""
    eval "$(rats-tls completion bash)"
    complete -p rats-tls >/dev/null || exit 9
    COMP_WORDS=({" ".join(shlex.quote(word) for word in ("rats-tls", *words))})
    COMP_CWORD={len(words)}
    function=$(complete -p rats-tls | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    $function rats-tls {shlex.quote(words[-1])} {shlex.quote(words[-2] if len(words) > 1 else "rats-tls")}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{program}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        [BASH, "--norc", "--noprofile", "-c", script],
        env=environment({"PATH": path}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # Outside an interactive shell bash has no compopt to tell.
    errors = [line for line in ended.stderr.splitlines() if "compopt" not in line]
    assert (ended.returncode, errors) == (0, [])
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in"], ["inspect"]),
        (["po"], ["policy"]),
        (["policy", "val"], ["validate-file"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["server", "--endorse"], ["--endorsements", "--endorsements-file"]),
        (["client", "--log-level", "f"], ["fatal"]),
        (["client", "--attester", "simulated_sg"], ["simulated_sgx_ecdsa", "simulated_sgx_la"]),
        (["server", "-t", ""], list(BUILT_IN["tls_wrappers"])),
    ],
)
def test_in_bash(program: Path, words: list[str], expected: list[str]) -> None:
    assert sorted(complete(program, *words)) == sorted(expected)


def test_every_command_in_bash(program: Path) -> None:
    names = complete(program, "")
    assert {"client", "completion", "doctor", "inspect", "policy", "server", "verify"} <= set(names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str) -> None:
    ended = run("completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"_RATS_TLS_COMPLETE={shell}_complete" in ended.stdout
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize(("shell", "current", "shown"), [("zsh", "1", "inspect"), ("fish", "in", "plain,inspect\t")])
def test_answers_to_other_shells(shell: str, current: str, shown: str) -> None:
    asked = {"_RATS_TLS_COMPLETE": f"{shell}_complete", "COMP_WORDS": "rats-tls in", "COMP_CWORD": current}
    ended = run(env=asked)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert any(line.startswith(shown) for line in ended.stdout.splitlines())


@pytest.mark.parametrize("asked", ["csh_complete", "bash_source", "bash", "_"])
def test_questions_that_no_script_asks(asked: str) -> None:
    ended = run(env={"_RATS_TLS_COMPLETE": asked})
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")


def test_an_unknown_shell() -> None:
    ended = run("completion", "csh")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: usage: ")


def test_asking_loads_no_command() -> None:
    """A TAB must not take the time of an import of all of them."""
    code = (
        "import os, sys, atexit\n"
        "from rats_tls.cli.main import main\n"
        "atexit.register(lambda: sys.stderr.write(' '.join(n for n in sys.modules if n.startswith('rats_tls.cli.'))))\n"
        "sys.exit(main())\n"
    )
    asked = {"_RATS_TLS_COMPLETE": "bash_complete", "COMP_WORDS": "rats-tls ", "COMP_CWORD": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment(asked), capture_output=True, text=True, check=False, timeout=60
    )
    assert "plain,inspect" in ended.stdout.splitlines()
    assert "rats_tls.cli.app" in ended.stderr.split()
    assert "rats_tls.cli.inspect" not in ended.stderr.split()
