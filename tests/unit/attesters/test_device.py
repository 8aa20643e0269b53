"""Devices and files of this machine: what is opened how, and what a failure is called."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.attesters.device import CharacterDevice, NotOpenedError, OsFiles, failure, require_opened
from rats_tls.core.errors import CollectionError
from support.machine import lacking


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def as_nobody(call: Callable[[], bool]) -> bool:
    """Call as a user who may do nothing, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65_534, 65_534, 65_534)
            os._exit(0 if call() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_in_the_way_of_opening_a_device(tmp_path: Path) -> None:
    assert CharacterDevice("/dev/null").obstacle() == ""
    require_opened(CharacterDevice("/dev/null"))
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("none")
    for nothing, said in (
        ("none", "is not there"),
        ("dangling", "is not there"),
        ("file", "is there, but is no character device"),
        (".", "is there, but is no character device"),
        ("loop", "cannot be looked at (Too many levels of symbolic links)"),
        ("file/x", "cannot be looked at (Not a directory)"),
    ):
        device = CharacterDevice(f"{tmp_path}/{nothing}")
        assert not device.is_there()
        with pytest.raises(CollectionError) as caught:
            require_opened(device)
        assert caught.value.message == f"{tmp_path}/{nothing} {said}"


def test_a_device_that_this_user_may_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "access", lambda _, mode, **__: bool(asked.append(mode)))
    monkeypatch.setattr(os, "supports_effective_ids", {os.access})
    said = "/dev/null may not be opened by this user"
    for flags, mode in ((os.O_RDWR, os.R_OK | os.W_OK), (os.O_RDONLY, os.R_OK), (os.O_WRONLY, os.W_OK)):
        with pytest.raises(CollectionError) as caught:
            require_opened(CharacterDevice("/dev/null", flags))
        assert (caught.value.message, asked.pop()) == (said, mode)


def test_it_is_asked_of_the_kernel_for_this_user() -> None:
    if os.getuid() != 0:
        lacking("only root can become another user")
    ours, theirs = os.openpty()  # a terminal of root's
    try:
        device = CharacterDevice(os.ttyname(theirs))
        assert device.obstacle() == ""
        assert as_nobody(lambda: device.obstacle() == "may not be opened by this user")
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_device_that_cannot_be_opened_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(NotOpenedError) as caught:
        CharacterDevice(str(tmp_path / "none")).ioctl(1, (ctypes.c_uint8 * 8)())
    assert caught.value.errno == errno.ENOENT
    said = failure("/dev/x", "A_CALL", caught.value)
    assert said.message == "/dev/x: open: ENOENT (No such file or directory)"
    assert failure("/dev/x", "A_CALL", OSError(errno.EIO, "Input/output error")).message.startswith("/dev/x: A_CALL: ")


def test_a_device_is_closed_whatever_a_call_ends_in() -> None:
    before = descriptors()
    for _ in range(3):
        with pytest.raises(OSError, match="Inappropriate"):
            CharacterDevice("/dev/null").ioctl(1, (ctypes.c_uint8 * 8)())
    assert descriptors() == before


def test_no_child_inherits_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = os.open

    def opened(path: str, flags: int) -> int:
        seen.append(flags)
        return real(path, flags)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(OSError, match="Inappropriate"):
        CharacterDevice("/dev/null").ioctl(1, (ctypes.c_uint8 * 8)())
    OsFiles().read("/dev/null", 1)
    OsFiles().write("/dev/null", b"x")
    assert [bool(flags & os.O_CLOEXEC) for flags in seen] == [True] * 3


def test_files_are_closed_whatever_happens(tmp_path: Path) -> None:
    files, before = OsFiles(), descriptors()
    (tmp_path / "large").write_bytes(bytes(100))
    assert files.read(str(tmp_path / "large"), 100) == bytes(100)
    with pytest.raises(OSError, match="more than 99 bytes"):
        files.read(str(tmp_path / "large"), 99)
    with pytest.raises(IsADirectoryError):
        files.read(str(tmp_path), 1)
    files.write(str(tmp_path / "large"), b"x")
    with pytest.raises(OSError, match="No space left"):
        files.write("/dev/full", b"x")
    assert descriptors() == before


def test_a_write_that_takes_only_some_of_it_is_an_error() -> None:
    """A full pipe that does not block takes what fits."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        path = f"/proc/self/fd/{writing}"
        with pytest.raises(OSError, match="of 10000000 bytes were taken") as caught:
            written_without_blocking(path, bytes(10_000_000))
        assert caught.value.errno == errno.EIO
    finally:
        os.close(reading)
        os.close(writing)


def written_without_blocking(path: str, data: bytes) -> None:
    real = os.open
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", lambda name, flags: real(name, flags | os.O_NONBLOCK))
        OsFiles().write(path, data)


def test_what_may_not_be_looked_at_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OsFiles().is_there(str(tmp_path))
    assert not OsFiles().is_there(str(tmp_path / "none"))

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refuse)
    assert not OsFiles().is_there(str(tmp_path))
