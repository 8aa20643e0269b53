"""Names of entries in configfs-tsm: they tell which process made them, so that what killed ones left can be removed.

A process is named by its pid, its start time, and its namespaces of pids and of time, in which those two count.
Sources: proc(5), /proc/pid/stat; namespaces(7).
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"rats-tls-([0-9]+)\.([0-9]+)-([0-9]+)-([0-9]+)-[0-9a-f]{16}")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Process:
    """A process.

    Attributes:
        namespaces: of pids, and of time: numbers of their inodes.
        pid: within the former.
        start: ticks since the machine started, as seen within the latter.
    """

    namespaces: tuple[int, int]
    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class _Status:
    """What /proc/pid/stat says: whether its only thread has ended (a zombie), and since when it runs."""

    ended: bool
    start: int


def new_name() -> str:
    """Give the name of a new entry of this process."""
    this = _this_process()
    if this is None:
        return f"rats-tls-{secrets.token_hex(8)}"  # nobody can tell whose it is: nobody removes it
    pids, times = this.namespaces
    return f"rats-tls-{pids}.{times}-{this.pid}-{this.start}-{secrets.token_hex(8)}"


def abandoned(name: str) -> bool:
    """Whether an entry of that name was made by a process of ours that has ended.

    False in doubt: of other namespaces, and where processes cannot be looked at.
    """
    fields = _NAME.fullmatch(name)
    this = _this_process()
    if fields is None or this is None:
        return False
    pids, times, pid, start = (int(field) for field in fields.groups())
    return (pids, times) == this.namespaces and not _is_alive(pid, start)


def _is_alive(pid: int, start: int) -> bool:
    try:
        # Asked of the kernel first: /proc may hide processes of other users.
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    status = _status(str(pid))
    return status is None or (status.start == start and not status.ended)


def _this_process() -> _Process | None:
    """Name this process; None where /proc is not there, or shows the pids of another namespace."""
    try:
        if (_PROC / "self").readlink().name != str(os.getpid()):
            return None
        namespaces = _namespace("pid"), _namespace("time")
    except OSError:
        return None
    status = _status("self")
    return _Process(namespaces, os.getpid(), status.start) if status is not None else None


def _namespace(kind: str) -> int:
    """Give the number of a namespace of this process; 0 where the kernel was built without that kind."""
    try:
        return (_PROC / "self" / "ns" / kind).stat().st_ino
    except FileNotFoundError:
        return 0


def _status(pid: str) -> _Status | None:
    try:
        text = (_PROC / pid / "stat").read_text(errors="replace")
        # Behind the name, which may hold anything: state is field 3, num_threads 20, starttime 22.
        fields = text.rpartition(")")[2].split()
        return _Status(fields[0] in {"Z", "X"} and int(fields[17]) <= 1, int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None
