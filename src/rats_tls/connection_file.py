"""File objects over a blocking connection, as `socket.makefile` gives them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class _Stream(Protocol):
    """What a file object needs of a connection."""

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0) -> int: ...

    def send(self, data: bytes | bytearray | memoryview) -> int: ...

    def fileno(self) -> int: ...

    def release_file(self) -> None: ...


def open_file(
    stream: _Stream,
    mode: str,
    buffering: int | None,
    *,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> io.IOBase:
    """Give a file object over `stream`; its arguments are those of `Connection.makefile`. Raises ValueError."""
    if not set(mode) <= {"r", "w", "b"} or not {"r", "w"} & set(mode) or len(set(mode)) != len(mode):
        raise ValueError(f"makefile mode: got {mode!r}, expected r, w or rw, with or without b")
    reading, writing, binary = "r" in mode, "w" in mode, "b" in mode
    if buffering == 0 and not binary:
        raise ValueError("makefile: text cannot be unbuffered")
    raw = _StreamIO(stream, reading=reading, writing=writing)
    if buffering == 0:
        return raw
    size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
    buffered: io.BufferedIOBase
    if reading and writing:
        buffered = io.BufferedRWPair(raw, raw, size)
    elif reading:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if binary:
        return buffered
    # typeshed knows no text layer over a pair, which the standard library's own makefile gives.
    return io.TextIOWrapper(
        cast("io.BufferedReader", buffered), encoding=encoding or "utf-8", errors=errors, newline=newline
    )


class _StreamIO(io.RawIOBase):
    """Raw file object; closing it releases the connection."""

    def __init__(self, stream: _Stream, *, reading: bool, writing: bool) -> None:
        self._stream = stream
        self._reading = reading
        self._writing = writing
        self._left = False

    def readable(self) -> bool:
        return self._reading

    def writable(self) -> bool:
        return self._writing

    def fileno(self) -> int:
        return self._stream.fileno()

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._left:
            raise OSError("cannot read from an object whose read timed out or was interrupted")
        try:
            return self._stream.recv_into(memoryview(buffer))
        except BaseException:
            # A buffered reader has dropped what it had of the line or block: going on would be out of step.
            self._left = True
            raise

    def write(self, data: ReadableBuffer) -> int:
        return self._stream.send(memoryview(data))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stream.release_file()
