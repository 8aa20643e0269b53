"""What is at a path, where something of one kind should be."""

from __future__ import annotations

import os
from collections.abc import Callable

ABSENT = "is not there"


def absence(path: str, is_kind: Callable[[int], bool], kind: str) -> str:
    """Say why there is nothing of a kind at `path`, as what follows it; "" where there is. Asking has no effect.

    Args:
        path: where to look; links are followed.
        is_kind: tells the kind by the mode, such as `stat.S_ISCHR`.
        kind: its name.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # one call
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return unseen(error)
    return "" if is_kind(mode) else f"is there, but is no {kind}"


def unseen(error: OSError | ValueError) -> str:
    """Say what follows a path that could not be looked at."""
    if isinstance(error, FileNotFoundError):
        return ABSENT
    return f"cannot be looked at ({getattr(error, 'strerror', None) or error})"
