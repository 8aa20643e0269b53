"""`rats-tls demo`: two processes, two different simulated TEEs, one mutually attested channel, and four refusals."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click

from rats_tls.cli.groups import examples
from rats_tls.cli.main import Tidily
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.errors import ConnectionFailedError, InternalError
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.states import SgxState
from rats_tls.simulation.world import ANCHORS_FILE, SimulatedWorld

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


@click.command(epilog=examples("rats-tls demo"))
@debug_option
def demo() -> None:
    """Show an attested channel between two simulated TEEs, and what is refused.

    Needs no TEE: everything runs on this machine, in processes of its own, over loopback. The simulated roots are
    trusted only because they are given by name.
    """
    screen = Screen()
    begun = time.monotonic()
    with Tidily(), tempfile.TemporaryDirectory(prefix="rats-tls-demo-") as name, ExitStack() as processes:
        directory = Path(name)
        with screen.status("making simulated vendors (Intel, AMD) with keys and certificates of their own"):
            world = SimulatedWorld.create(directory)
            _write_policies(world, directory)
        screen.line(
            "Simulated vendors are made; their roots are trusted only as ",
            Styled("--trust-anchors", "yellow"),
            ". Simulated TEEs prove nothing.",
            hanging=0,
        )
        # Starting a process takes longer than connecting: while one connection is shown, the client of the next and the
        # server of the one behind it start.
        servers: list[_Process] = []
        clients: list[_Process] = []
        for number, scenario in enumerate(_SCENARIOS):
            servers += [
                processes.enter_context(_Process(screen, _server_arguments(directory, ahead)))
                for ahead in _SCENARIOS[len(servers) : number + 3]
            ]
            for ahead in _SCENARIOS[len(clients) : number + 2]:
                port = servers[len(clients)].line_with("listening on ").rpartition(":")[2]
                clients.append(processes.enter_context(_Process(screen, _client_arguments(directory, ahead, port))))
            screen.line()
            screen.line(Styled("── " if screen.has_box_characters else "-- ", "dim"), Styled(scenario.title, "bold"))
            screen.line(Styled(scenario.why, "dim"), hanging=0)
            _finish(screen, scenario, clients[number], servers[number])
    screen.line()
    screen.line(
        Styled("done", "green"),
        f": one channel opened, {len(_SCENARIOS) - 1} refused, {time.monotonic() - begun:.1f} s. "
        "`rats-tls server --help` and `rats-tls client --help` tell how to run the two sides yourself.",
        hanging=0,
    )


def _write_policies(world: SimulatedWorld, directory: Path) -> None:
    # The processes warn that their TEEs are simulated; this one only reads what to pin.
    logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
    server = policy_for(world, _SERVER[1], entry_name="model-server")
    client = policy_for(world, _CLIENT[1], entry_name="model-user")
    other = policy_for(world, _SERVER[1], entry_name="model-server", mr_enclave=bytes(reversed(SgxState().mr_enclave)))
    for file, policy in (
        ("client-policy.toml", server),
        ("other-enclave-policy.toml", other),
        ("server-policy.toml", client),
    ):
        (directory / file).write_text(policy.to_toml(), encoding="utf-8")


def _shared_arguments(directory: Path, *, simulated: bool) -> tuple[str, ...]:
    trusted = ("--trust-anchors", str(directory / ANCHORS_FILE))
    return (*trusted, "--simulation", str(directory), "--endorsements") if simulated else trusted


def _server_arguments(directory: Path, scenario: _Scenario) -> tuple[str, ...]:
    policy = str(directory / "server-policy.toml")
    shared = _shared_arguments(directory, simulated=True)
    return ("server", "--port", "0", "--count", "1", "--policy", policy, *scenario.server, *shared)


def _client_arguments(directory: Path, scenario: _Scenario, port: str) -> tuple[str, ...]:
    policy = str(directory / scenario.client_policy)
    shared = _shared_arguments(directory, simulated="null" not in scenario.client)
    return ("client", "--port", port, "--message", _MESSAGE, "--policy", policy, *scenario.client, *shared)


def _finish(screen: Screen, scenario: _Scenario, client: _Process, server: _Process) -> None:
    """Wait for both to end, and show what each printed."""
    client.wait()
    server.wait()
    _show(screen, "client", "cyan", client.lines)
    _show(screen, "server", "magenta", server.lines)
    if client.exit_code != scenario.client_exit:
        raise InternalError(
            f"demo: {scenario.title!r}: client exit code: got {client.exit_code}, expected {scenario.client_exit}"
        )


class _Process:
    """This program, started again; what it prints is kept.

    Args:
        screen: where it will be shown, which decides on colour.
        arguments: its arguments.

    Attributes:
        lines: what it has printed, as far as it was read by `line_with` and `wait`.
    """

    def __init__(self, screen: Screen, arguments: Sequence[str]) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        if screen.is_terminal:
            environment["FORCE_COLOR"] = "1"
        self.lines: list[str] = []
        self._process = subprocess.Popen(  # noqa: S603  # this program itself, with arguments made here
            [sys.executable, "-m", "rats_tls", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.returncode

    def line_with(self, beginning: str) -> str:
        """Wait for the line that begins so, and take it out.

        Raises:
            InternalError: the process ended without it.
            ConnectionFailedError: it does not come.
        """
        while (line := self._next_line()) is not None:
            if line.startswith(beginning):
                return line
            self.lines.append(line)
        raise InternalError(f"demo: a process did not start: {' '.join(self.lines) or 'no output'}")

    def wait(self) -> None:
        """Take all lines and wait for the process to end. Raises ConnectionFailedError when it does not."""
        while (line := self._next_line()) is not None:
            self.lines.append(line)
        self._process.wait(timeout=_STEP_SECONDS)

    def _next_line(self) -> str | None:
        try:
            return self._queue.get(timeout=_STEP_SECONDS)
        except queue.Empty:
            raise ConnectionFailedError(f"demo: a process says nothing for {_STEP_SECONDS:g} s") from None

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=5)
        self._reader.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _show(screen: Screen, name: str, style: str, lines: Sequence[str]) -> None:
    bar = "│" if screen.has_box_characters else "|"
    for line in lines:
        if line.strip():
            screen.behind_margin(Styled(f"{name:>6} {bar} ", style), line)
