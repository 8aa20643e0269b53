"""SM2 by the package `gmalg`, in Python alone. Imported on first use.

It is slow and takes a time that depends on private keys: made for verification, it signs for simulations only. It takes
points that are not on the curve and coordinates that are not reduced: `curve` checks them before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gmalg

from rats_tls.core.errors import SignatureError, UnsupportedError

if TYPE_CHECKING:
    from rats_tls.crypto_wrappers.sm2.back_end import Verification

_LONGEST_USER_ID = 4095  # it refuses lengths in bits of 2^15 and more


class GmalgBackEnd:
    """The package `gmalg`. Its objects share their hash's state, so that each call has one of its own."""

    name = "gmalg"

    @property
    def version(self) -> str:
        """Version of the package."""
        return f"gmalg {gmalg.__version__}"

    def load(self, point: bytes, user_id: bytes) -> Verification:
        """Give the verification by a point. Raises UnsupportedError for a user id of more than 4095 bytes."""
        if len(user_id) > _LONGEST_USER_ID:
            raise UnsupportedError(f"SM2 user id of {len(user_id)} bytes: gmalg takes at most {_LONGEST_USER_ID}")
        encoded = b"\x04" + point

        def verify(r: int, s: int, data: bytes) -> None:
            if gmalg.SM2(uid=user_id, pk=encoded).verify(data, _bytes(r), _bytes(s)) is not True:
                raise SignatureError("sm2-sm3 signature does not verify")

        return verify

    def public_point(self, private: bytes) -> bytes:
        """Multiply the base point by a private key."""
        return bytes(gmalg.SM2().generate_pk(private))[1:]

    def sign(self, private: bytes, user_id: bytes, data: bytes) -> tuple[int, int]:
        """Sign."""
        r, s = gmalg.SM2(sk=private, uid=user_id).sign(data)
        return int.from_bytes(r, "big"), int.from_bytes(s, "big")


def load() -> GmalgBackEnd:
    """Give the back end."""
    return GmalgBackEnd()


def _bytes(number: int) -> bytes:
    return number.to_bytes(32, "big")
