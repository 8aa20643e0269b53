"""The fake of configfs-tsm: it keeps the kernel's rules."""

from __future__ import annotations

import errno

import pytest

from rats_tls.simulation.devices.tsm import ROOT, FakeTsm

DATA = bytes(range(64))


def raised(call: object) -> int | None:
    with pytest.raises(OSError) as caught:
        call()  # type: ignore[operator]  # a function
    return caught.value.errno


def test_the_fake_serves_attributes_as_the_kernel_does() -> None:
    made: list[bytes] = []
    files = FakeTsm(lambda data: (made.append(data), (b"report", b""))[1])
    entry = f"{ROOT}/x"
    files.make_directory(entry)
    assert raised(lambda: files.make_directory(entry)) == errno.EEXIST
    assert raised(lambda: files.read(f"{entry}/inblob", 64)) == errno.EACCES
    assert raised(lambda: files.write(f"{entry}/outblob", b"")) == errno.EACCES
    assert raised(lambda: files.read(f"{entry}/none", 64)) == errno.ENOENT
    assert raised(lambda: files.read(f"{entry}/outblob", 64)) == errno.EINVAL  # no inblob yet
    assert raised(lambda: files.write(f"{entry}/inblob", bytes(65))) == errno.EFBIG
    for level in (b"\0", b"4", b"", b" 0"):
        assert raised(lambda level=level: files.write(f"{entry}/privlevel", level)) == errno.EINVAL
    assert files.read(f"{entry}/generation", 64) == b"0\n"
    files.write(f"{entry}/inblob", bytes(63))
    assert raised(lambda: files.read(f"{entry}/outblob", 64)) == errno.EINVAL
    files.write(f"{entry}/inblob", DATA)
    assert files.read(f"{entry}/outblob", 64) == files.read(f"{entry}/outblob", 64) == b"report"
    assert made == [DATA]  # once: it is kept until the next write
    files.write(f"{entry}/privlevel", b"3\n")
    files.read(f"{entry}/outblob", 64)
    assert len(made) == 2
    assert files.read(f"{entry}/generation", 64) == b"3\n"
