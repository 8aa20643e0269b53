"""Addresses of the blocking API: (host, port), or the path of a Unix socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from rats_tls.core.errors import ConfigurationError, ConnectionFailedError

Address = tuple[str, int] | str
_HIGHEST_PORT = 65_535


def connected(address: Address, timeout: float | None) -> socket.socket:
    """Connect; TCP sends small messages at once. Raises OSError."""
    if not isinstance(address, str):
        sock = socket.create_connection(address, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def listening(address: Address, backlog: int) -> socket.socket:
    """Listen. Raises OSError."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if not isinstance(address, str):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def addressing(doing: str, address: Address) -> Iterator[None]:
    """Give whatever an address or the network raises as one error that names the address."""
    text = _text(doing, address)
    try:
        yield
    except OSError as error:
        raise ConnectionFailedError(f"{doing} {text}: {error}") from error
    except (UnicodeError, OverflowError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{doing} {text}: not an address: {error}") from error


def _text(doing: str, address: object) -> str:
    """Give an address as text. Raises ConfigurationError: it is none."""
    if isinstance(address, str):
        return address
    if (
        not isinstance(address, tuple)
        or len(address) != 2
        or not isinstance(address[0], str)
        or not isinstance(address[1], int)
    ):
        raise ConfigurationError(f"{doing}: got {address!r}, expected (host, port) or the path of a Unix socket")
    host, port = address
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigurationError(f"{doing} {host}:{port}: expected a port from 0 to {_HIGHEST_PORT}")
    return f"{host}:{port}"
