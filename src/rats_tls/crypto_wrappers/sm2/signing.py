"""Making of SM2 keys and signatures, for simulations: the back end may not be constant time."""

from __future__ import annotations

import secrets

from rats_tls.crypto_wrappers.sm2.choosing import chosen
from rats_tls.crypto_wrappers.sm2.curve import COORDINATE_BYTES, N, check_private, check_user_id


def generate_private_key() -> bytes:
    """Make a private key: 32 bytes, from 1 to n - 2 (GB/T 32918.2, 5.3)."""
    return (1 + secrets.randbelow(N - 2)).to_bytes(COORDINATE_BYTES, "big")


def public_point(private: bytes) -> bytes:
    """Give the public key of a private key, x‖y (64 bytes). Raises ConfigurationError, UnsupportedError."""
    check_private(private)
    return chosen().public_point(private)


def sign(private: bytes, user_id: bytes, data: bytes) -> tuple[int, int]:
    """Sign `data` with SM3 as the owner of `user_id`: r and s.

    Raises:
        ConfigurationError: no private key.
        DecodeError: no user id, or one that is too long.
        UnsupportedError: no library that is at hand does SM2; the message names what to install.
    """
    check_private(private)
    check_user_id(user_id)
    return chosen().sign(private, user_id, data)
