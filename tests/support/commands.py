"""The command line in processes of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

PROGRAM = (sys.executable, "-m", "rats_tls")
SECONDS = 60.0
_UNSET = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "TTY_COMPATIBLE")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what changes output."""
    return {**{key: value for key, value in os.environ.items() if key not in _UNSET}, **(changes or {})}


def run(*arguments: object, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
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
