"""Standard output and standard error that cannot end a command in a way of their own.

A reader that has gone (`| head -1`) takes nothing from the verdict: output is dropped and the exit code stays. Output
that cannot be written for another reason is an error. Characters that the encoding lacks are written as escapes.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import TextIO, cast


class OutputError(Exception):
    """Standard output cannot be written, for another reason than that its reader has gone."""


class GuardedStream:
    """A text stream with the methods that click and rich use.

    It has no `buffer`: click would write around it where the encoding is ASCII.

    Args:
        stream: what to write to; None where the descriptor was closed from the start.
        drops_errors: drop output that cannot be written, whatever the reason.
    """

    def __init__(self, stream: TextIO | None, *, drops_errors: bool) -> None:
        self._stream = stream
        self._drops_errors = drops_errors
        self.encoding = (stream.encoding if stream is not None else None) or "utf-8"
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write and flush.

        Raises:
            OutputError: it cannot be written; later output is dropped.
        """
        if not isinstance(text, str):
            raise TypeError(f"write: got {type(text).__name__}, expected str")
        # click writes nothing to see whether it can, and drops the error.
        stream = self._stream
        if text and stream is not None:
            self._put(stream, lambda: stream.write(text))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write and flush what is no text, byte for byte.

        Raises:
            OutputError: as `write`; also where the stream was closed from the start.
        """
        stream = self._stream
        if stream is None:
            raise OutputError("standard output: it is closed")
        self._put(stream, lambda: stream.buffer.write(data))

    def _put(self, stream: TextIO, write: Callable[[], int]) -> None:
        try:
            write()
            stream.flush()
        except BrokenPipeError:
            self._give_up()
        except (OSError, ValueError) as error:
            self._give_up()
            if not self._drops_errors:
                reason = error.strerror if isinstance(error, OSError) else None
                raise OutputError(f"standard output: {reason or error}") from error

    def _give_up(self) -> None:
        """Drop what comes, and let Python flush what it still holds into nothing at exit."""
        stream, self._stream = self._stream, None
        if stream is not None and not stream.closed:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def isatty(self) -> bool:
        """Whether a person sees it at once."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """File descriptor. Raises OSError when there is none."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()


def guard_standard_streams() -> None:
    """Put guarded streams in the place of `sys.stdout` and `sys.stderr`."""
    sys.stdout = cast("TextIO", GuardedStream(sys.stdout, drops_errors=False))
    sys.stderr = cast("TextIO", GuardedStream(sys.stderr, drops_errors=True))
