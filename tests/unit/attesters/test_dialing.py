"""Addresses of services, and connections to them."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

import pytest

from rats_tls.attesters.dialing import UnixAddress, VsockAddress, dial, parse_address
from rats_tls.attesters.host_stream import HostStream
from rats_tls.core.errors import CollectionError, ConfigurationError
from support.host_services import silent_socket


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/qgs.socket", UnixAddress("/run/qgs.socket")),
        ("unix:a:b", UnixAddress("a:b")),
        ("unix:" + "a" * 107, UnixAddress("a" * 107)),
        ("vsock:2:4050", VsockAddress(2, 4050)),
        ("vsock:4294967295:0", VsockAddress(4294967295, 0)),
    ],
)
def test_an_address_is_what_it_says(text: str, address: UnixAddress | VsockAddress) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "unix", "unix:", "unix:a\0b", "unix:\0abstract", "unix:" + "a" * 108, "unix:" + "\u00fc" * 54),
        *("vsock:2", "vsock:2:", "vsock:2:4050:1", "vsock:4294967296:1", "vsock:2:4294967296", "vsock:-1:2"),
        *("vsock:0x2:1", "vsock: 2:1", "vsock:2:1\n", "vsock:\u0662:1", "vsock://2:4050", "tcp:127.0.0.1:80", "2:4050"),
        *("UNIX:/a", "vsock:2:+1", "vsock:00000000002:1", "unix:\ud800"),
    ],
)
def test_anything_else_is_a_mistake_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected unix:PATH .* or vsock:CID:PORT"):
        parse_address(text)


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"unix:.*none: connect: ENOENT"):
        dial(UnixAddress(str(tmp_path / "none")), 5)


def test_a_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(path))
    with pytest.raises(CollectionError, match="connect: ECONNREFUSED"):
        dial(UnixAddress(str(path)), 5)


def test_vsock_is_dialed_by_cid_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Fake:
        def __init__(self, family: int, kind: int) -> None:
            asked.extend((family, kind))

        def settimeout(self, seconds: float) -> None:
            asked.append(seconds)

        def connect(self, where: object) -> None:
            asked.append(where)
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

        def close(self) -> None:
            asked.append("closed")

    monkeypatch.setattr(socket, "socket", Fake)
    with pytest.raises(CollectionError, match="vsock:2:4050: connect: ENODEV"):
        dial(VsockAddress(2, 4050), 5)
    assert asked == [socket.AF_VSOCK, socket.SOCK_STREAM, 5, (2, 4050), "closed"]


def test_a_kernel_without_that_kind_of_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(CollectionError, match="vsock:2:1: socket: EAFNOSUPPORT"):
        dial(VsockAddress(2, 1), 5)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with pytest.raises(CollectionError):
            dial(UnixAddress(str(tmp_path / "none")), 5)
    assert len(list(descriptors.iterdir())) == before


def test_a_stream_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with silent_socket(tmp_path / "s"), HostStream(UnixAddress(str(tmp_path / "s")), 0.2) as stream:
        start = time.monotonic()
        with pytest.raises(CollectionError, match=r"asking: no answer within 0\.2 seconds"):
            stream.receive(1, "asking")
        assert time.monotonic() - start < 5
        with pytest.raises(CollectionError, match=r"asking: no answer within 0\.2 seconds"):
            stream.send(bytes(1 << 24), "asking")
