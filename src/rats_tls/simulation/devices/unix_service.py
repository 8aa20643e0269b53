"""A service on a Unix socket that does what it should not, where it is told to."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFaults:
    """What is wrong with the bytes that a service sends.

    Attributes:
        stalls: requests are taken, and never answered.
        cut_after: the connection ends behind that many bytes of an answer.
        pause: seconds before each byte.
        changes: changes each answer.
    """

    stalls: bool = False
    cut_after: int | None = None
    pause: float = 0.0
    changes: Callable[[bytes], bytes] = bytes


class UnixService(ABC):
    """One connection after the other, in a thread. Use it as a context manager.

    Args:
        path: of the socket.
        faults: what is wrong with it.

    Attributes:
        connections: how many were taken.
    """

    def __init__(self, path: str | Path, *, faults: StreamFaults | None = None) -> None:
        self.path = str(path)
        self.connections = 0
        self._faults = faults if faults is not None else StreamFaults()
        self._ending = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="rats-tls-simulated-service", daemon=True)

    @property
    def address(self) -> str:
        """Its address, as Attesters take it."""
        return f"unix:{self.path}"

    def __enter__(self) -> Self:
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(0.05)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(_END_SECONDS)
        self._listener.close()
        Path(self.path).unlink(missing_ok=True)

    @abstractmethod
    def converse(self, receive: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        """Answer the requests of one connection.

        Args:
            receive: gives exactly so many bytes; raises EOFError where there are none.
            send: sends an answer.
        """

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with connection:
                connection.settimeout(0.05)
                with suppress(EOFError, OSError):
                    self.converse(partial(self._receive, connection), partial(self._send, connection))

    def _receive(self, connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if self._ending.is_set():
                raise EOFError
            try:
                part = connection.recv(size - len(data))
            except TimeoutError:
                continue
            if not part:
                raise EOFError
            data += part
        return data

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        faults = self._faults
        if faults.stalls:
            self._ending.wait()
            raise EOFError
        data = faults.changes(answer)[: faults.cut_after]
        connection.settimeout(_END_SECONDS)
        if faults.pause:
            for byte in data:
                if self._ending.wait(faults.pause):
                    raise EOFError
                connection.sendall(bytes((byte,)))
        else:
            connection.sendall(data)
        connection.settimeout(0.05)
        if faults.cut_after is not None:
            raise EOFError
