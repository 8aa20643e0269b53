"""File objects over a connection, as `socket.makefile` gives them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class Stream(Protocol):
    """What a file object needs of a connection."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0) -> int:
        """Receive into `buffer`."""

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send all of `data`."""

    def fileno(self) -> int:
        """Give the descriptor."""


def open_file(connection: Stream, mode: str, buffering: int, encoding: str | None) -> io.IOBase:
    """Give a file object; arguments and errors as `Connection.makefile`."""
    if not set(mode) <= {"r", "w", "b"} or not {"r", "w"} & set(mode):
        raise ValueError(f"makefile mode: got {mode!r}, expected r, w or rw, with or without b")
    reading, writing, binary = "r" in mode, "w" in mode, "b" in mode
    raw = _RawFile(connection, reading=reading, writing=writing)
    if buffering == 0:
        if not binary:
            raise ValueError("makefile: text cannot be unbuffered")
        return raw
    size = io.DEFAULT_BUFFER_SIZE if buffering < 0 else buffering
    if reading and writing:
        pair = io.BufferedRWPair(raw, raw, size)
        # typeshed knows no text layer over a pair, which the standard library's own makefile gives.
        return pair if binary else io.TextIOWrapper(cast("io.BufferedReader", pair), encoding=encoding or "utf-8")
    if reading:
        reader = io.BufferedReader(raw, size)
        return reader if binary else io.TextIOWrapper(reader, encoding=encoding or "utf-8")
    writer = io.BufferedWriter(raw, size)
    return writer if binary else io.TextIOWrapper(writer, encoding=encoding or "utf-8")


class _RawFile(io.RawIOBase):
    """Raw file object over a connection."""

    def __init__(self, connection: Stream, *, reading: bool, writing: bool) -> None:
        self._connection = connection
        self._reading = reading
        self._writing = writing

    def readable(self) -> bool:
        return self._reading

    def writable(self) -> bool:
        return self._writing

    def fileno(self) -> int:
        return self._connection.fileno()

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._connection.recv_into(memoryview(buffer))

    def write(self, data: ReadableBuffer) -> int:
        return self._connection.send(memoryview(data))
