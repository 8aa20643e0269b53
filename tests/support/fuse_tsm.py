"""The fake configfs-tsm as a real file system: served by FUSE from a process of its own.

One rule is stricter than configfs, so that a mistake shows: an attribute takes one write of one opening and no more.
It takes it at once, unless `on close` was commanded: then as configfs does for binary attributes, which drops what
comes of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rats_tls.simulation.devices.tsm import FakeTsm
from rats_tls.simulation.world import SimulatedWorld
from support.machine import lacking
from support.paths import REPOSITORY, TESTS
from support.simulated import NOW

SECONDS = 120
"""After which a server ends by itself, whatever has become of its tests."""
MOST = 1 << 20


def require_fuse() -> None:
    """Skip where there is no FUSE."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lacking("no FUSE: /dev/fuse is not there, or not for this user")
    try:
        import fuse  # noqa: F401
    except ImportError:
        lacking("no FUSE", install="fusepy")
    except OSError:
        lacking("no FUSE", install="libfuse2")


class Served:
    """A file system that is served, and the commands that its server takes."""

    def __init__(self, root: Path, server: subprocess.Popen[str]) -> None:
        self.root = root
        self._server = server

    def command(self, name: str, *arguments: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([name, *arguments]), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def fail(self, call: str, number: int, times: int = 1) -> None:
        self.command("fail", call, number, times)

    @property
    def calls(self) -> list[str]:
        calls: list[str] = self.command("calls")
        return calls

    @property
    def levels(self) -> list[int]:
        levels: list[int] = self.command("levels")
        return levels

    @property
    def entries(self) -> list[str]:
        return sorted(os.listdir(self.root))  # noqa: PTH208


@contextmanager
def served(root: Path, world: Path, attester: str) -> Iterator[Served]:
    """Serve the configfs-tsm of the machine on which a simulated attester of a world runs."""
    require_fuse()
    root.mkdir()
    path = os.pathsep.join((str(REPOSITORY / "src"), str(TESTS)))
    server = subprocess.Popen(
        [sys.executable, "-m", "support.fuse_tsm", str(root), str(world), attester],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    try:
        with server:
            try:
                assert server.stdout is not None
                if server.stdout.readline() != "ready\n":
                    lacking("no FUSE: this user may not mount")
                yield Served(root, server)
            finally:
                server.kill()
    finally:
        unmount(root)


def unmount(root: Path) -> None:
    """Unmount, at once and for all."""
    detach = 2
    ctypes.CDLL(None).umount2(str(root).encode(), detach)
    assert not os.path.ismount(root)


class Operations:
    """What FUSE asks; a file's content is that of its first read, as in configfs."""

    use_ns = True

    def __init__(self, files: FakeTsm, root: Path) -> None:
        self.files = files
        self.root = root
        self.is_held = False
        self.takes_on_close = False
        self.go = threading.Event()
        self._numbers = itertools.count(1)
        self._contents: dict[int, bytes] = {}
        self._written: dict[int, bytes] = {}

    def __call__(self, operation: str, *arguments: Any) -> Any:
        return getattr(self, operation)(*arguments)

    def init(self, path: str) -> None:
        say("ready")

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        full = self._full(path)
        if not self.files.is_there(full):
            raise OSError(errno.ENOENT, path)
        if path.count("/") < 2:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        return {"st_mode": stat.S_IFREG | self.files.attributes[path.rpartition("/")[2]], "st_nlink": 1}

    def readdir(self, path: str, fh: int) -> list[str]:
        inside = self.files.names(self._full(path)) if path == "/" else self.files.attributes
        return [".", "..", *inside]

    def mkdir(self, path: str, mode: int) -> None:
        self.files.make_directory(self._full(path))

    def rmdir(self, path: str) -> None:
        self.files.remove_directory(self._full(path))

    def open(self, path: str, flags: int) -> int:
        wanted = {os.O_RDONLY: 0o444, os.O_WRONLY: 0o222, os.O_RDWR: 0o666}[flags & os.O_ACCMODE]
        if wanted & self.files.attributes[path.rpartition("/")[2]] == 0:
            raise OSError(errno.EACCES, path)
        return next(self._numbers)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if fh not in self._contents:
            if self.is_held and path.endswith("/outblob"):
                self.is_held = False
                self.go.wait(SECONDS)
            self._contents[fh] = self.files.read(self._full(path), MOST)
        return self._contents[fh][offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if offset or fh in self._written:
            raise OSError(errno.EINVAL, path)
        is_late = self.takes_on_close and path.endswith("/inblob")
        self._written[fh] = data if is_late else b""
        if not is_late:
            self.files.write(self._full(path), data)
        return len(data)

    def flush(self, path: str, fh: int) -> None:
        """A file is being closed, which waits for the end of this."""
        if data := self._written.get(fh):
            self._written[fh] = b""
            with contextlib.suppress(OSError):
                self.files.write(self._full(path), data)

    def release(self, path: str, fh: int) -> None:
        self._contents.pop(fh, None)
        self._written.pop(fh, None)

    def _full(self, path: str) -> str:
        return self.files.root + path.rstrip("/")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end(root: Path) -> None:
    """Leave no mount behind, also where the tests are gone."""
    unmount(root)
    os._exit(0)


def obey(operations: Operations) -> None:
    """Take commands until there are no more; then end."""
    files = operations.files
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer: object = None
        if name == "fail":
            files.fail(arguments[0], arguments[1], times=arguments[2])
        elif name == "provider":
            files.provider = arguments[0]
        elif name == "hold":
            operations.is_held = True
        elif name == "on close":
            operations.takes_on_close = True
        elif name == "let go":
            operations.go.set()
        elif name == "is held":
            answer = not operations.is_held
        elif name == "calls":
            answer = files.calls
        else:
            answer = files.levels
        say(json.dumps(answer))
    end(operations.root)


def main(root: str, world: str, attester: str) -> None:
    """Serve until commands end."""
    import fuse

    made = SimulatedWorld.load(world, clock=lambda: NOW).attester(attester)
    operations = Operations(FakeTsm.of(made), Path(root))
    ending = threading.Timer(SECONDS, end, (operations.root,))
    ending.daemon = True
    ending.start()
    threading.Thread(target=obey, args=(operations,), daemon=True).start()
    # Nothing is remembered by the kernel: who has made or removed an entry is another process, or the fake.
    fuse.FUSE(operations, root, foreground=True, direct_io=True, attr_timeout=0, entry_timeout=0, negative_timeout=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
