"""SM2 keys and signatures as Hygon's certificates and reports hold them.

Source: Hygon CSV attestation, certificates: coordinates, r and s are little-endian in 72 bytes, zeros behind 32.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader

KEY_SIZE = 404
"""Curve id, coordinates, user id; as CEK and PEK certificates hold it at 0x10, root certificates at 0x40."""
SIGNATURE_SIZE = 144
CURVE_SM2 = 3
ALGORITHM_SM2 = 4
"""SM2 with SM3 as a signature algorithm; 5 is SM2 key exchange."""

_INTEGER_FIELD = 72
_INTEGER_SIZE = 32
_USER_ID_FIELD = 254
# SubjectPublicKeyInfo of an uncompressed point: id-ecPublicKey, sm2p256v1 (GM/T 0015), BIT STRING 04 ‖ x ‖ y.
_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


@dataclass(frozen=True, slots=True, kw_only=True)
class EccPublicKey:
    """A public key with its owner's user id, on which its signatures depend.

    Attributes:
        data: the 404 bytes, as received.
        curve: 3 is SM2; any other is not judged.
        point: x‖y, big-endian (64 bytes).
        user_id: at most 254 bytes.
    """

    data: bytes
    curve: int
    point: bytes
    user_id: bytes

    @classmethod
    def read(cls, r: Reader, field: str) -> EccPublicKey:
        """Read a key.

        Raises:
            DecodeError: too short, a coordinate beyond 32 bytes, or a user id longer than its field or with other
                than zeros behind it.
        """
        base, data = r.offset, r.take(field, KEY_SIZE)
        k = Reader(data, field, base=base)
        curve = k.u32("curve")
        x, y = _read_integer(k, "qx"), _read_integer(k, "qy")
        size = k.u16("uid_len")
        if size > _USER_ID_FIELD:
            raise k.error("uid_len", f"got {size}, expected at most {_USER_ID_FIELD}")
        user_id = k.take("uid", size)
        k.zeros("uid", _USER_ID_FIELD - size)
        k.end()
        return cls(data=data, curve=curve, point=x.to_bytes(32, "big") + y.to_bytes(32, "big"), user_id=user_id)

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo, without the user id."""
        return _SPKI_PREFIX + self.point


def point_of(spki: bytes) -> bytes:
    """Give x‖y (64 bytes) of an SM2 key's SubjectPublicKeyInfo.

    Raises:
        DecodeError: of another key.
    """
    prefix, point = spki[: len(_SPKI_PREFIX)], spki[len(_SPKI_PREFIX) :]
    if prefix != _SPKI_PREFIX or len(point) != 2 * _INTEGER_SIZE:
        raise DecodeError("SubjectPublicKeyInfo", "", None, "not an SM2 key in an uncompressed point")
    return point


def read_signature(r: Reader, field: str) -> tuple[int, int]:
    """Read r and s (144 bytes).

    Raises:
        DecodeError: too short, or a number beyond 32 bytes.
    """
    return _read_integer(r, f"{field}.r"), _read_integer(r, f"{field}.s")


def _read_integer(r: Reader, field: str) -> int:
    value = int.from_bytes(r.take(field, _INTEGER_SIZE), "little")
    r.zeros(field, _INTEGER_FIELD - _INTEGER_SIZE)
    return value
