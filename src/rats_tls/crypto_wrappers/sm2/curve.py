"""The curve of SM2, and what is checked of points, signatures and user ids whatever library verifies.

Source: GB/T 32918.5-2017 (curve 1.2.156.10197.1.301); GB/T 32918.2-2016 5.5 (user id), 7.1 (range of r and s).
"""

from __future__ import annotations

from rats_tls.core.errors import ConfigurationError, DecodeError, SignatureError

COORDINATE_BYTES = 32
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
"""Order of the base point; the cofactor is 1, so that every point of the curve but infinity is a key."""

MAX_USER_ID_BYTES = 8190
"""What OpenSSL takes. ENTL, the length in bits in 16 bits, has room for one byte more."""

_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
"""SubjectPublicKeyInfo of id-ecPublicKey with this curve, to the uncompressed point's 04. Source: RFC 5480, 2."""
_PKCS8 = tuple(
    bytes.fromhex(part)
    for part in ("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420", "a14403420004")
)
"""PrivateKeyInfo (RFC 5208) of an ECPrivateKey (RFC 5915): what stands before the private key, and before x‖y."""


def spki_of(point: bytes) -> bytes:
    """Give the DER SubjectPublicKeyInfo of x‖y (64 bytes)."""
    return _SPKI_PREFIX + point


def point_of(spki: bytes) -> bytes | None:
    """Give what stands for x‖y in the SubjectPublicKeyInfo of an SM2 key, unchecked; None for any other key."""
    return spki[len(_SPKI_PREFIX) :] if spki.startswith(_SPKI_PREFIX) else None


def pkcs8_of(private: bytes, point: bytes) -> bytes:
    """Give the unencrypted PKCS #8 DER of a private key (32 bytes) and its public key x‖y (64 bytes)."""
    before, between = _PKCS8
    return before + private + between + point


def check_point(point: bytes) -> None:
    """Check that x‖y is a point of the curve, both coordinates reduced. Raises DecodeError."""
    size = 2 * COORDINATE_BYTES
    if len(point) != size:
        raise DecodeError("Sm2Point", "", None, f"got {len(point)} bytes, expected {size}")
    x = int.from_bytes(point[:COORDINATE_BYTES], "big")
    y = int.from_bytes(point[COORDINATE_BYTES:], "big")
    if x >= P or y >= P or (y * y - (x * x + A) * x - B) % P:
        raise DecodeError("Sm2Point", "", None, "not a point of the curve of SM2")


def check_user_id(user_id: bytes) -> None:
    """Check that a user id tells somebody and is not too long. Raises DecodeError.

    The standard speaks of an id that distinguishes its user: an empty one does not, and libraries take it for "none
    was given", each in its own way.
    """
    if not 1 <= len(user_id) <= MAX_USER_ID_BYTES:
        raise DecodeError("Sm2UserId", "", None, f"got {len(user_id)} bytes, expected 1 to {MAX_USER_ID_BYTES}")


def check_signature(r: int, s: int) -> None:
    """Check that r and s are from 1 to n - 1, and their sum no multiple of n. Raises SignatureError."""
    if not (0 < r < N and 0 < s < N) or r + s == N:
        raise SignatureError("sm2-sm3 signature: r and s must be positive and below the group order, their sum not 0")


def check_private(private: bytes) -> None:
    """Check that a private key is 32 bytes, from 1 to n - 2 (GB/T 32918.2, 5.3). Raises ConfigurationError."""
    if len(private) != COORDINATE_BYTES or not 1 <= int.from_bytes(private, "big") <= N - 2:
        raise ConfigurationError(f"SM2 private key: {len(private)} bytes, expected 32 that are from 1 to n - 2")
