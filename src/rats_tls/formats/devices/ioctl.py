"""Numbers of ioctls (Linux, include/uapi/asm-generic/ioctl.h)."""

from __future__ import annotations

_NONE, _WRITE, _READ = 0, 1, 2


def number(kind: str, nr: int, size: int, *, reads: bool, writes: bool) -> int:
    """Give the number of an ioctl.

    Args:
        kind: one character.
        nr: its number among those of that kind.
        size: bytes of the argument.
        reads: whether the kernel writes into the argument (`_IOR`).
        writes: whether it reads from it (`_IOW`).
    """
    direction = (_READ if reads else _NONE) | (_WRITE if writes else _NONE)
    return direction << 30 | size << 16 | ord(kind) << 8 | nr
