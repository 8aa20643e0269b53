"""Runs commands in processes forked from one that has the command line loaded, which saves loading it each time.

A forked process differs from a started one in nothing that a command sees: it gets arguments, environment, folder and
standard streams of its own, and Python's own end. What Python reads from the environment as it starts (`_AT_START`) is
the exception, so such commands are started.
"""

from __future__ import annotations

import array
import atexit
import importlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence

_AT_START = ("PYTHON", "LANG", "LC_", "LD_")
_LENGTH = struct.Struct(">I")
_servers: dict[int, _Server] = {}


def can_fork(environment: Mapping[str, str], ordinary: Mapping[str, str]) -> bool:
    """Whether a command in `environment` may be forked from a process that was started in the `ordinary` one."""
    return all(
        environment.get(name) == ordinary.get(name) for name in {*environment, *ordinary} if name.startswith(_AT_START)
    )


def fork_command(
    arguments: Sequence[str],
    streams: tuple[int, int, int],
    environment: Mapping[str, str],
    folder: str,
    ordinary: Mapping[str, str],
) -> ForkedCommand:
    """Start `rats-tls` with `arguments`, with descriptors for its standard streams."""
    server = _servers.get(os.getpid())
    if server is None:
        server = _servers[os.getpid()] = _Server(ordinary)
    return server.start(arguments, streams, environment, folder)


class ForkedCommand:
    """A command that runs.

    Attributes:
        pid: its process.
    """

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        (self.pid,) = _LENGTH.unpack(self._take())

    def wait(self, seconds: float) -> int:
        """Give the exit code, negative for a signal as `subprocess` has it. Raises TimeoutError."""
        with self._answers:
            self._answers.settimeout(seconds)
            (status,) = _LENGTH.unpack(self._take())
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def _take(self) -> bytes:
        data = self._answers.recv(_LENGTH.size, socket.MSG_WAITALL)
        assert len(data) == _LENGTH.size, "the process that forks commands has ended"
        return data


class _Server:
    """The process that forks commands: one for each process that runs tests."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from support.forked_commands import serve; serve()"],
                stdin=theirs,
                env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        atexit.register(self._stop, os.getpid())

    def start(
        self, arguments: Sequence[str], streams: tuple[int, int, int], environment: Mapping[str, str], folder: str
    ) -> ForkedCommand:
        ours, theirs = socket.socketpair()
        request = json.dumps([list(arguments), dict(environment), folder]).encode()
        with theirs:
            descriptors = array.array("i", [*streams, theirs.fileno()])
            self._requests.sendmsg(
                [_LENGTH.pack(len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors.tobytes())]
            )
            self._requests.sendall(request)
        return ForkedCommand(ours)

    def _stop(self, pid: int) -> None:
        if os.getpid() == pid:  # not in a process that a test has forked
            self._requests.close()
            self._process.wait(timeout=10)


def serve() -> None:
    """Fork commands as asked on standard input, until that ends."""
    requests = socket.socket(fileno=os.dup(0))
    _load()
    while True:
        head, ancillary, _, _ = requests.recvmsg(_LENGTH.size, socket.CMSG_SPACE(4 * 4))
        if not head:
            return
        descriptors = array.array("i")
        descriptors.frombytes(ancillary[0][2])
        (length,) = _LENGTH.unpack(head)
        request = b""
        while len(request) < length:
            request += requests.recv(length - len(request))
        if os.fork() == 0:
            requests.close()
            _answer(request, list(descriptors))
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()


def _answer(request: bytes, descriptors: list[int]) -> None:
    """Run one command in a process that is started, waited for and told of by this one."""
    arguments, environment, folder = json.loads(request)
    answers = socket.socket(fileno=descriptors[3])
    pid = os.fork()
    if pid:
        for descriptor in (0, 1, 2, *descriptors[:3]):
            os.close(descriptor)
        answers.sendall(_LENGTH.pack(pid))
        answers.sendall(_LENGTH.pack(os.waitpid(pid, 0)[1] & 0xFFFFFFFF))
        os._exit(0)
    answers.close()
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False),  # noqa: SIM115
        _writer(1, sys.stdout),
        _writer(2, sys.stderr),
    )
    sys.argv = ["rats-tls", *arguments]
    from rats_tls.cli.main import main  # what a command loads

    sys.exit(main())


def _writer(descriptor: int, like: io.TextIOBase) -> io.TextIOWrapper:
    """A standard stream as Python opens it: by lines to a terminal and for errors, else by blocks."""
    by_lines = descriptor == 2 or os.isatty(descriptor)
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=like.encoding, errors=like.errors, line_buffering=by_lines)


def _reap() -> None:
    """Take the ends of earlier forks."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _load() -> None:
    """Load every command; none starts a thread by that."""
    from rats_tls.cli.app import COMMANDS  # only where commands are forked

    for place, _ in COMMANDS.values():
        importlib.import_module(place.partition(":")[0])
    for name in ("rats_tls.cli.file_appraiser", "rats_tls.cli.explanation", "rats_tls.simulation.world"):
        importlib.import_module(name)
