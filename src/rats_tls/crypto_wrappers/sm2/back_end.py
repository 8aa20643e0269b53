"""The Protocol of what does SM2 over one library. Arguments are checked by the callers (`curve`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Verification = Callable[[int, int, bytes], None]
"""Verifies r and s over data with one loaded key, from any thread; raises SignatureError."""


class BackEnd(Protocol):
    """SM2 with SM3 over one library."""

    @property
    def name(self) -> str:
        """The back end's name."""
        ...

    @property
    def version(self) -> str:
        """The library and its version, for results."""
        ...

    def load(self, point: bytes, user_id: bytes) -> Verification:
        """Load a point of the curve. Raises DecodeError where the library refuses it, UnsupportedError the user id."""
        ...

    def public_point(self, private: bytes) -> bytes:
        """Give the public key x‖y (64 bytes) of a private key."""
        ...

    def sign(self, private: bytes, user_id: bytes, data: bytes) -> tuple[int, int]:
        """Sign: r and s."""
        ...


@runtime_checkable
class KeyMaker(BackEnd, Protocol):
    """A back end whose library takes private keys in constant time: the only ones that keys for TLS are made by."""

    def generate_private_key(self) -> bytes:
        """Make a private key: 32 bytes, from 1 to n - 1."""
        ...
