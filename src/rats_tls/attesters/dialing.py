"""Connections to services on this machine and its host. Nothing else among the Attesters dials."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from rats_tls.attesters.device import failure
from rats_tls.core.errors import CollectionError, ConfigurationError

HOST_CID = 2
"""The vsock CID of the host. Source: Linux, include/uapi/linux/vm_sockets.h (VMADDR_CID_HOST)."""

_MOST_PATH = 107  # bytes of sun_path without its end
_NUMBER = re.compile("[0-9]{1,10}")
_U32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix stream socket.

    Attributes:
        path: where it is.
    """

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class VsockAddress:
    """A vsock stream socket.

    Attributes:
        cid: of the machine: 2 is the host.
        port: its port.
    """

    cid: int
    port: int

    def __str__(self) -> str:
        return f"vsock:{self.cid}:{self.port}"


Address = UnixAddress | VsockAddress


def parse_address(text: str, where: str = "address") -> Address:
    """Read `unix:PATH` or `vsock:CID:PORT`, with numbers of 32 bits in decimal digits.

    Args:
        text: the address.
        where: the setting, for errors.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{where}: got {text!r}, expected unix:PATH or vsock:CID:PORT")
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest and "\0" not in rest and _path_size(rest) <= _MOST_PATH:
        return UnixAddress(rest)
    numbers = rest.split(":")
    if kind == "vsock" and len(numbers) == 2 and all(map(_is_u32, numbers)):
        return VsockAddress(int(numbers[0]), int(numbers[1]))
    raise ConfigurationError(
        f"{where}: got {text[:128]!r}, expected unix:PATH (at most {_MOST_PATH} bytes) or vsock:CID:PORT"
    )


def dial(address: Address, seconds: float) -> socket.socket:
    """Connect; the socket keeps the timeout.

    Raises:
        CollectionError: it cannot be reached, or not in time.
    """
    unix = isinstance(address, UnixAddress)
    try:
        dialed = socket.socket(socket.AF_UNIX if unix else socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as error:
        raise failure(str(address), "socket", error) from error
    try:
        dialed.settimeout(seconds)
        dialed.connect(address.path if isinstance(address, UnixAddress) else (address.cid, address.port))
    except OSError as error:
        dialed.close()
        raise stream_failure(address, "connect", error, seconds) from error
    return dialed


def stream_failure(address: Address, what: str, error: OSError, seconds: float) -> CollectionError:
    """Make what users read of a connection that failed, or that took longer than `seconds`."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return CollectionError(f"{address}: {what}: no answer within {seconds:.3g} seconds")
    return failure(str(address), what, error)


def _path_size(path: str) -> int:
    try:
        return len(os.fsencode(path))
    except UnicodeEncodeError:
        return _MOST_PATH + 1


def _is_u32(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and int(text) <= _U32
