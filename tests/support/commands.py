"""The command line in processes of its own: started where they are served by or shown in a terminal, else forked."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from support.forked_commands import can_fork, fork_command

PROGRAM = (sys.executable, "-m", "rats_tls")
SECONDS = 60.0
_UNSET = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "TTY_COMPATIBLE")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what changes output."""
    return {**{key: value for key, value in os.environ.items() if key not in _UNSET}, **(changes or {})}


def run(*arguments: object, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    if not more.keys() - {"cwd", "input"} and can_fork(environment(env), environment()):
        return _run_forked([*map(str, arguments)], environment(env), more.get("input"), str(more.get("cwd") or "."))
    settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if "input" in more:
        del settings["stdin"]
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        check=False,
        text=True,
        errors="surrogateescape",
        timeout=SECONDS,
        env=environment(env),
        **{**settings, **more},
    )


def _run_forked(
    arguments: list[str], env: Mapping[str, str], given: str | None, folder: str
) -> subprocess.CompletedProcess[str]:
    with (
        tempfile.TemporaryFile() as stdin,
        _pipe() as (out, out_end),
        _pipe() as (err, err_end),
        open(os.devnull, "rb") as null,  # noqa: PTH123
    ):
        stdin.write((given or "").encode(errors="surrogateescape"))
        stdin.seek(0)
        streams = (null if given is None else stdin).fileno(), out_end.fileno(), err_end.fileno()
        command = fork_command(arguments, streams, env, str(Path(folder).resolve()), environment())
        out_end.close()
        err_end.close()
        said: dict[int, bytearray] = {out.fileno(): bytearray(), err.fileno(): bytearray()}
        deadline = time.monotonic() + SECONDS
        waiting = set(said)
        while waiting:
            ready, _, _ = select.select([*waiting], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                command.kill()
                raise subprocess.TimeoutExpired(["rats-tls", *arguments], SECONDS)
            for descriptor in ready:
                data = os.read(descriptor, 65_536)
                said[descriptor] += data
                if not data:
                    waiting.remove(descriptor)
        texts = [said[end.fileno()].decode(errors="surrogateescape").replace("\r\n", "\n") for end in (out, err)]
        return subprocess.CompletedProcess(["rats-tls", *arguments], command.wait(SECONDS), *texts)


@contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as reading, open(theirs, "wb", buffering=0) as writing:  # noqa: PTH123
        yield reading, writing


@contextmanager
def started(*arguments: object, program: Sequence[str] = PROGRAM, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command; it is killed at the end if it is still there."""
    process = subprocess.Popen(
        [*program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": environment(), **more},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait(timeout=SECONDS)


def port_of(server: subprocess.Popen[str]) -> int:
    """Wait for a server to listen; give its port."""
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("listening on "):
            return int(line.rpartition(":")[2])
    assert server.stderr is not None
    raise AssertionError(f"the server does not listen: {server.stderr.read()}")


def run_in_terminal(*arguments: object, columns: int = 80) -> tuple[int, str]:
    """Run a command in a terminal of that width; give exit code and output, standard error included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"TERM": "xterm-256color"}),
    )
    os.close(theirs)
    output = bytearray()
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline and select.select([ours], [], [], SECONDS)[0]:
            try:
                output += os.read(ours, 65_536)
            except OSError:  # Linux's way to say that the other end is closed
                break
        return process.wait(timeout=SECONDS), output.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
