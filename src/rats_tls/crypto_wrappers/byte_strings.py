"""Byte strings as callers have them: libraries differ in what they take, and some want `bytes` and nothing else."""

from __future__ import annotations


def as_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """Give `data` as bytes, which nobody changes later. Raises TypeError for what is no byte string."""
    return data if type(data) is bytes else bytes(memoryview(data))
