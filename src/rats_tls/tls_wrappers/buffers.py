"""Where read data goes."""

from __future__ import annotations


def require_writable(buffer: memoryview) -> None:
    """Require, before anything is read, that `buffer` may be written. Raises TypeError."""
    if buffer.readonly:
        raise TypeError("read_into: got a read-only buffer")
