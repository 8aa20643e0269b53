"""What the README tells people to type runs as it stands: only ports, paths and the missing TEE are replaced."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rats_tls.policy import Policy
from support.command_files import REPORT_DATA, SGX, TDX, CommandFiles
from support.commands import PROGRAM, environment, port_of, run
from support.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str, *containing: str) -> list[str]:
    """The fenced blocks of a language with those texts in them."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language and all(text in block for text in containing)]


def commands(block: str) -> list[list[str]]:
    """The commands of a console block, as a shell splits them."""
    joined = block.replace("\\\n", " ")
    return [shlex.split(line[2:], comments=True) for line in joined.splitlines() if line.startswith("$ ")]


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def program(command: list[str], *more: str) -> list[str]:
    assert command[0] == "rats-tls"
    return [*PROGRAM, *command[1:], *more]


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def python(code: str, folder: Path) -> subprocess.Popen[str]:
    return start([sys.executable, "-c", code], folder)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_two_simulated_sides(tmp_path: Path) -> None:
    (block,) = blocks("console", "rats-tls simulate world")
    world, server, client = commands(block)
    made = start(program(world), tmp_path)
    assert (made.communicate(timeout=60)[1], made.returncode) == ("", 0)
    serving = start(program(server, "--port", "0"), tmp_path)
    try:
        ended = start(program(client, "--port", str(port_of(serving))), tmp_path)
        said, _ = ended.communicate(timeout=60)
        assert ended.returncode == 0
        assert said.startswith(" accepted  server 127.0.0.1:")
        assert said.endswith("sent 5 bytes, got 5 back: hello\n")
    finally:
        stop(serving)


def test_real_evidence_is_judged(files: CommandFiles, tmp_path: Path) -> None:
    """A simulated quote stands for the real one, so its root has to be given."""
    (block,) = blocks("console", "rats-tls verify")
    (command,) = commands(replaced(block, ("0123...ef", REPORT_DATA.hex())))
    evidence, endorsements = files.evidence()
    for name, path in (("quote.bin", evidence), ("collateral.json", endorsements), ("policy.toml", files.policy())):
        (tmp_path / name).write_bytes(path.read_bytes())
    ended = start(program(command, "--trust-anchors", str(files.anchors)), tmp_path)
    said, errors = ended.communicate(timeout=60)
    assert (ended.returncode, errors) == (0, "")
    assert said.startswith(" accepted  quote.bin\n")


def test_evidence_is_collected(files: CommandFiles, tmp_path: Path) -> None:
    """A simulated TEE stands for the real one."""
    (block,) = blocks("console", "rats-tls collect")
    (command,) = commands(block)
    simulated = ("--attester", "simulated_sgx_ecdsa", "--simulation", str(files.directory))
    ended = start(program(command, *simulated), tmp_path)
    said, errors = ended.communicate(timeout=60)
    assert ended.returncode == 0, errors
    assert said.startswith(" collected  quote.bin\n")


def test_policy() -> None:
    (block,) = blocks("toml", "[[entry]]")
    assert Policy.from_toml(block).entries[0].tee.value == "sgx_ecdsa"


def test_a_refusal_looks_like_that(files: CommandFiles) -> None:
    """Its values are other ones, its form is the same."""
    (block,) = [block for block in blocks("") if " refused " in block]
    evidence, endorsements = files.evidence()
    policy = files.policy("readme.toml", name="inference server", mr_enclave=b"\xaa" * 32)
    ended = run(
        *("verify", evidence, "--policy", policy, "--trust-anchors", files.anchors),
        *("--endorsements-file", endorsements, "--report-data", REPORT_DATA.hex()),
    )
    shown = [re.sub(r"[0-9a-f]{8}(…|[0-9a-f]{56})$", "…", line) for line in block.splitlines()]
    printed = [re.sub(r"[0-9a-f]{64}$", "…", line) for line in ended.stdout.splitlines()]
    assert shown[0].split() == [" refused ".strip(), "server", "127.0.0.1:1234", "policy"]
    assert printed[0].split() == ["refused", evidence.name, "policy"]
    assert shown[1:] == printed[1:]


def test_client_in_python(files: CommandFiles, tmp_path: Path) -> None:
    (block,) = blocks("python", "context.connect(")
    (tmp_path / "server-policy.toml").write_bytes(files.policy().read_bytes())
    arguments = ["server", "--port", "0", "--attester", SGX, "--simulation", str(files.directory), "-e"]
    serving = start([*PROGRAM, *arguments], tmp_path)
    try:
        code = replaced(
            block,
            ("Context(", f"Context(trust_anchors=__import__('rats_tls').load_trust_anchors({str(files.anchors)!r}), "),
            ('("10.0.0.7", 1234)', f'("127.0.0.1", {port_of(serving)})'),
        )
        ended = python(code, tmp_path)
        said, errors = ended.communicate(timeout=60)
        assert (ended.returncode, errors) == (0, "")
        first, second = said.splitlines()
        assert first.startswith("sgx_ecdsa accepted by entry 'pinned', TCB UpToDate, bound by certificate")
        assert second == repr(b"for the attested peer only")
    finally:
        stop(serving)


def test_asyncio_in_python(files: CommandFiles, tmp_path: Path) -> None:
    (block,) = blocks("python", "open_connection(")
    arguments = ["server", "--port", "0", "--attester", SGX, "--simulation", str(files.directory), "-e"]
    serving = start([*PROGRAM, *arguments], tmp_path)
    try:
        code = replaced(block, ('"10.0.0.7", 1234', f'"127.0.0.1", {port_of(serving)}'))
        call = (
            "import asyncio, rats_tls\n"
            f"anchors = rats_tls.load_trust_anchors({str(files.anchors)!r})\n"
            f"policy = rats_tls.Policy.from_file({str(files.policy())!r})\n"
            "print(asyncio.run(ask(Context(policy=policy, trust_anchors=anchors))))\n"
        )
        ended = python(code + call, tmp_path)
        said, errors = ended.communicate(timeout=60)
        assert (ended.returncode, errors, said) == (0, "", f"{b'for the attested peer only'!r}\n")
    finally:
        stop(serving)


def test_server_in_python(files: CommandFiles, tmp_path: Path, free_port: int) -> None:
    (block,) = blocks("python", "context.listen(")
    (tmp_path / "client-policy.toml").write_bytes(files.policy("client.toml", tee=TDX).read_bytes())
    simulated = (
        "from pathlib import Path\n"
        "from rats_tls.simulation.world import SimulatedWorld\n"
        f"world = SimulatedWorld.load(Path({str(files.directory)!r}))\n"
    )
    code = replaced(
        block,
        (
            'attester="auto"',
            f'attester=world.attester("{SGX}"), provide_endorsements=True, trust_anchors=world.trust_anchors',
        ),
        ('("0.0.0.0", 1234)', f'("127.0.0.1", {free_port})'),
    )
    serving = python(simulated + code, tmp_path)
    try:
        wait_for(free_port, serving)
        ended = run(
            *("client", "--port", free_port, "--policy", files.policy(), "--trust-anchors", files.anchors),
            *("--attester", TDX, "--simulation", files.directory, "--endorsements", "--message", "hello"),
        )
        assert ended.returncode == 0
        assert ended.stdout.endswith("sent 5 bytes, got 5 back: hello\n")
    finally:
        stop(serving)
