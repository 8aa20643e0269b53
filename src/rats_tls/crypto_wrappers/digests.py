"""Hashes by the standard library, and SM3, which not every build of it has, by `cryptography`."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import UnsupportedError


def digest(algorithm: HashAlgorithm, data: bytes) -> bytes:
    """Hash `data`. Raises UnsupportedError where `cryptography` was built without SM3 (GB/T 32905)."""
    if algorithm is not HashAlgorithm.SM3:
        return hashlib.new(algorithm.value, data).digest()
    try:
        state = hashes.Hash(hashes.SM3())
    except UnsupportedAlgorithm as error:
        raise UnsupportedError(f"hash sm3: the library that `cryptography` was built with has none: {error}") from error
    state.update(data)
    return state.finalize()
