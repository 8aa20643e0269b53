"""Files for libraries that read keys from files alone: memory of this process, which no directory names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_file(data: bytes) -> Iterator[str | None]:
    """Give the path of a file with `data`, for the moment; None where there is none: not Linux, or no /proc."""
    try:
        descriptor = os.memfd_create("rats-tls")
    except (AttributeError, OSError):  # not Linux, or forbidden
        yield None
        return
    try:
        path = f"/proc/self/fd/{descriptor}"
        if not Path(path).exists():
            yield None
            return
        with open(descriptor, "wb", closefd=False) as file:  # there is no path
            file.write(data)
        yield path
    finally:
        os.close(descriptor)
