"""Entries of configfs-tsm that were left behind: whose they are, and which are removed."""

from __future__ import annotations

import errno
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rats_tls.attesters import tsm_entries
from rats_tls.attesters.tsm import Tsm
from rats_tls.simulation.devices.tsm import ROOT, FakeTsm

DATA = bytes(range(64))
PROVIDER = "sev_guest"


def tsm(files: FakeTsm) -> Tsm:
    return Tsm(files=files, sleep=[].append)


CHILD = (
    "import sys; from rats_tls.attesters.tsm_entries import new_name; print(new_name(), flush=True); sys.stdin.read()"
)


@contextmanager
def other_process(code: str = CHILD) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process; give it, and the name of an entry of its own."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def holding(*names: str) -> FakeTsm:
    files = FakeTsm(lambda data: (data, b""))
    for name in names:
        files.make_directory(f"{ROOT}/{name}")
    return files


def test_entries_of_a_living_process_stay_and_those_of_a_killed_one_go() -> None:
    with other_process() as (process, name):
        files = holding(name)
        tsm(files).report(DATA, provider=PROVIDER)
        assert files.entries == (name,)
        # Killed and not yet waited for: a zombie holds nothing.
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        tsm(files).provider()
        assert files.entries == ()
        process.wait()
        files.make_directory(f"{ROOT}/{name}")
        tsm(files).report(DATA, provider=PROVIDER)
    assert files.entries == ()


def changed(name: str, position: int, value: int) -> str:
    """Change a number of a name: namespace of pids, of time, pid, start."""
    numbers = re.findall(r"(?<=[-.])[0-9]+(?=[-.])", name)
    parts = [*numbers[:position], str(value), *numbers[position + 1 :]]
    return f"rats-tls-{parts[0]}.{parts[1]}-{parts[2]}-{parts[3]}-{name[-16:]}"


def test_a_pid_that_another_process_has_now_is_told_by_its_start() -> None:
    files = holding(changed(tsm_entries.new_name(), 3, 1))
    tsm(files).provider()
    assert files.entries == ()


@pytest.mark.parametrize("position", [0, 1])
def test_entries_of_other_namespaces_stay(position: int) -> None:
    with other_process() as (process, name):
        process.kill()
        process.wait()
        files = holding(other := changed(name, position, 1))
        tsm(files).provider()
    assert files.entries == (other,)


def test_entries_that_are_not_ours_stay() -> None:
    names = ("com.intel.dcap", "rats-tls-", "rats-tls-1.1-0-1-" + "0" * 16, "rats-tls-" + "0" * 16)
    files = holding(*names)
    tsm(files).provider()
    assert files.entries == names


def test_processes_that_cannot_be_looked_at_are_taken_for_living(monkeypatch: pytest.MonkeyPatch) -> None:
    with other_process() as (process, name):
        own = tsm_entries._this_process()
        with monkeypatch.context() as patched:
            patched.setattr(tsm_entries, "_this_process", lambda: own)
            patched.setattr(tsm_entries, "_status", lambda _: None)
            assert not tsm_entries.abandoned(name)
            assert not tsm_entries.abandoned(changed(name, 2, 1 << 70))
        process.kill()
        process.wait()
        assert tsm_entries.abandoned(name)
        # /proc shows another namespace's pids, or is not there: names tell nothing, and nobody's entry is removed.
        monkeypatch.setattr(os, "getpid", lambda: 1 << 22)
        assert not tsm_entries.abandoned(name)
        assert not tsm_entries.abandoned(tsm_entries.new_name())


def test_a_kernel_without_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / str(os.getpid())
    own.mkdir()
    (own / "stat").write_bytes(Path("/proc/self/stat").read_bytes())
    (tmp_path / "self").symlink_to(own.name)
    monkeypatch.setattr(tsm_entries, "_PROC", tmp_path)
    name = tsm_entries.new_name()
    assert name.startswith(f"rats-tls-0.0-{os.getpid()}-")
    assert not tsm_entries.abandoned(name)
    assert tsm_entries.abandoned(changed(name, 3, 1))


def test_a_machine_without_proc_names_entries_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsm_entries, "_PROC", tmp_path)
    name = tsm_entries.new_name()
    assert re.fullmatch("rats-tls-[0-9a-f]{16}", name)
    assert not tsm_entries.abandoned(name)


def test_names_are_of_this_process_and_never_the_same() -> None:
    names = {tsm_entries.new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(f"-{os.getpid()}-" in name and not tsm_entries.abandoned(name) for name in names)


@pytest.mark.parametrize(("number", "said"), [(errno.ENOENT, False), (errno.EBUSY, True)])
def test_entries_that_another_cleaner_has_removed_or_that_stay(
    number: int, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with other_process() as (process, name):
        process.kill()
        process.wait()
    files = holding(name)
    files.fail("remove", number)
    assert tsm(files).report(DATA, provider=PROVIDER).outblob
    assert (f"{name}: the entry cannot be removed" in caplog.text) is said


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    """/proc calls it a zombie, as it does one that is gone."""
    threads = "threading.Thread(target=sys.stdin.read).start()"
    exit_of_a_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]
    code = f"import ctypes, threading; {threads}; ctypes.CDLL(None).syscall({exit_of_a_thread}, 0)"
    with other_process(f"{CHILD.rpartition(';')[0]}; {code}") as (process, name):
        state = Path(f"/proc/{process.pid}/stat")
        while ") Z " not in state.read_text():
            time.sleep(0.01)
        assert not tsm_entries.abandoned(name)
