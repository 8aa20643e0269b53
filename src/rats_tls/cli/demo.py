"""`rats-tls demo`: two processes, two different simulated TEEs, one mutually attested channel, and four refusals."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from rats_tls.core.errors import ConnectionFailedError, InternalError
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.states import SgxState
from rats_tls.simulation.world import SimulatedWorld

_STEP_SECONDS = 30.0
_MESSAGE = "the key for the model, only for the attested peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scenario:
    """One connection: what is different from the good one, and how the client must end."""

    title: str
    why: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    client_policy: str = "client-policy.toml"
    client_exit: int


_SERVER = ("--attester", "simulated_sgx_ecdsa")
_CLIENT = ("--attester", "simulated_sev_snp")
_SCENARIOS = (
    _Scenario(
        title="An SGX server and a SEV-SNP client attest to each other and exchange data",
        why="Each side's Evidence is verified and its policy holds.",
        server=_SERVER,
        client=_CLIENT,
        client_exit=0,
    ),
    _Scenario(
        title="Refused: wrong measurement",
        why="The client's policy pins another enclave than the one that answers.",
        server=_SERVER,
        client=_CLIENT,
        client_policy="other-enclave-policy.toml",
        client_exit=5,
    ),
    _Scenario(
        title="Refused: debug TEE",
        why="The client runs in a guest that its host may debug; the server refuses it.",
        server=_SERVER,
        client=(*_CLIENT, "--simulate", "debug"),
        client_exit=8,
    ),
    _Scenario(
        title="Refused: out-of-date TCB",
        why="The server's platform lacks security updates; the client refuses it.",
        server=(*_SERVER, "--simulate", "tcb_status=OutOfDate"),
        client=_CLIENT,
        client_exit=5,
    ),
    _Scenario(
        title="Refused: no Evidence",
        why="The client has a TLS key but no TEE; the server refuses it.",
        server=_SERVER,
        client=("--attester", "null"),
        client_exit=8,
    ),
)


@click.command()
def demo() -> None:
    """Show an attested channel between two simulated TEEs, and what is refused.

    Needs no TEE: everything runs on this machine, in processes of its own, over loopback. The simulated roots are
    trusted only because they are given by name.
    """
    console = Console(highlight=False, emoji=False)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rats-tls-demo-") as name:
        directory = Path(name)
        with console.status("making simulated vendors (Intel, AMD) with keys and certificates of their own"):
            world = SimulatedWorld.create(directory)
            _write_policies(world, directory)
        console.print(
            "Simulated vendors are made; their roots are trusted only as [yellow]--trust-anchors[/]. "
            "Simulated TEEs prove nothing."
        )
        for scenario in _SCENARIOS:
            console.print()
            console.print(Rule(Text(scenario.title, style="bold"), align="left", style="dim"))
            console.print(scenario.why, style="dim")
            _run(console, directory, world.trust_anchors_file, scenario)
    console.print()
    console.print(
        f"[green]done[/]: one channel opened, {len(_SCENARIOS) - 1} refused, {time.monotonic() - begun:.1f} s. "
        "`rats-tls server --help` and `rats-tls client --help` tell how to run the two sides yourself."
    )


def _write_policies(world: SimulatedWorld, directory: Path) -> None:
    server = policy_for(world, _SERVER[1], entry_name="model-server")
    client = policy_for(world, _CLIENT[1], entry_name="model-user")
    other = policy_for(world, _SERVER[1], entry_name="model-server", mr_enclave=bytes(reversed(SgxState().mr_enclave)))
    for file, policy in (
        ("client-policy.toml", server),
        ("other-enclave-policy.toml", other),
        ("server-policy.toml", client),
    ):
        (directory / file).write_text(policy.to_toml(), encoding="utf-8")


def _run(console: Console, directory: Path, anchors: Path, scenario: _Scenario) -> None:
    """Run one server and one client process to their end and show what each printed."""
    shared = ("--simulation", str(directory), "--trust-anchors", str(anchors), "--provide-endorsements")
    without_tee = ("--trust-anchors", str(anchors))
    server = _start(
        console, "server", "--port", "0", "--count", "1", "--policy", str(directory / "server-policy.toml"),
        *scenario.server, *shared,
    )  # fmt: skip
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(server, lines), daemon=True)
    reader.start()
    said: list[str] = []
    try:
        # The warning that the TEE is simulated comes before.
        while (first := lines.get(timeout=_STEP_SECONDS)) is not None and not first.startswith("listening on "):
            said.append(first)
        if first is None:
            raise InternalError(f"demo: the server did not start: {' '.join(said) or 'no output'}")
        port = first.rpartition(":")[2].strip()
        client = _start(
            console, "client", "--port", port, "--message", _MESSAGE, "--policy",
            str(directory / scenario.client_policy), *scenario.client,
            *(without_tee if "null" in scenario.client else shared),
        )  # fmt: skip
        try:
            printed, _ = client.communicate(timeout=_STEP_SECONDS)
        finally:
            _end(client)
        server.wait(timeout=_STEP_SECONDS)
        reader.join(timeout=_STEP_SECONDS)
    except (queue.Empty, subprocess.TimeoutExpired) as error:
        raise ConnectionFailedError(f"demo: {scenario.title!r}: no end after {_STEP_SECONDS:g} s") from error
    finally:
        _end(server)
    _show(console, "client", "cyan", printed.splitlines())
    while not lines.empty():
        said.append(lines.get() or "")
    _show(console, "server", "magenta", said)
    if client.returncode != scenario.client_exit:
        raise InternalError(
            f"demo: {scenario.title!r}: client exit code: got {client.returncode}, expected {scenario.client_exit}"
        )


def _start(console: Console, *arguments: str) -> subprocess.Popen[str]:
    """Start this program again; its colours and width are those that this console has left beside the margin."""
    environment = {**os.environ, "COLUMNS": str(max(console.width - 9, 40)), "PYTHONUNBUFFERED": "1"}
    if console.is_terminal and not console.no_color:
        environment["FORCE_COLOR"] = "1"
    return subprocess.Popen(  # noqa: S603  # this program itself, with arguments made here
        [sys.executable, "-m", "rats_tls", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=environment,
    )


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=5)
    if process.stdout is not None:
        process.stdout.close()


def _show(console: Console, name: str, style: str, lines: Sequence[str]) -> None:
    for line in lines:
        if line.strip():
            console.print(Text.assemble((f"{name:>6} │ ", style), Text.from_ansi(line)), soft_wrap=True)
