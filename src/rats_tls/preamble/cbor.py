"""Preamble messages as CBOR maps with integer keys, in canonical form (`rats_tls.core.cbor`)."""

from __future__ import annotations

from collections.abc import Mapping

import cbor2

from rats_tls.core.cbor import decode_exact
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits


def encode_message(items: Mapping[int, object]) -> bytes:
    """Encode one message: a map with integer keys."""
    return cbor2.dumps(dict(items), canonical=True)


def decode_message(data: bytes, structure: str, limits: Limits) -> dict[int, object]:
    """Decode one message: a map with integer keys.

    Raises:
        DecodeError: not such a map, not in canonical form, or bytes behind it.
    """
    value = decode_exact(data, structure, max_depth=limits.cbor_depth, canonical=True)
    if not isinstance(value, dict):
        raise DecodeError(structure, "", 0, f"got {type(value).__name__}, expected a map")
    for key in value:
        if not isinstance(key, int):
            raise DecodeError(structure, "", 0, f"key {key[:64]!r}: expected an integer")
    return value
