"""Which public keys every wrapper takes, and in which form: libraries differ, and a peer must not choose among them.

A key has one SubjectPublicKeyInfo: evidence is bound to its bytes. EC keys name their curve and have an uncompressed
point (RFC 5480 2.1.1, 2.2); RSA is rsaEncryption with NULL (RFC 3279 2.3.1); Ed25519 has no parameters (RFC 8410 4).
"""

from __future__ import annotations

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import DecodeError, UnsupportedError

_STRUCTURE = "SubjectPublicKeyInfo"
_EC_PREFIXES = {
    KeyAlgorithm.EC_P256: bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
    KeyAlgorithm.EC_P384: bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"),
}
"""DER up to the 04 of the uncompressed point, whose x and y follow."""
_POINT_BYTES = {KeyAlgorithm.EC_P256: 64, KeyAlgorithm.EC_P384: 96}
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_ED25519_KEY_BYTES = 32

_SMALLEST_MODULUS_BITS, _LARGEST_MODULUS_BITS = 2048, 8192
"""NIST SP 800-131A revision 2, 3; above, libraries differ in what they take."""
_SMALLEST_EXPONENT, _EXPONENT_BITS = 65537, 33
"""FIPS 186-5 A.1.1 (larger than 2^16); AWS-LC takes none longer than 33 bits."""

_ED25519_PRIME = 2**255 - 19
_ED25519_D = -121665 * pow(121666, -1, _ED25519_PRIME) % _ED25519_PRIME  # RFC 8032 5.1
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8_Y, _ED25519_PRIME - _ORDER_8_Y})
"""The y of the eight points whose order divides the cofactor 8: for such a key anybody can sign."""


def split_ec(spki: bytes) -> tuple[KeyAlgorithm, bytes] | None:
    """Give the algorithm and x‖y of a P-256 or P-384 key; None for other keys and other forms.

    The point is not yet known to be on the curve.
    """
    for algorithm, prefix in _EC_PREFIXES.items():
        if spki.startswith(prefix) and len(spki) == len(prefix) + _POINT_BYTES[algorithm]:
            return algorithm, spki[len(prefix) :]
    return None


def ec_spki(algorithm: KeyAlgorithm, point: bytes) -> bytes:
    """Give the SubjectPublicKeyInfo of x‖y on P-256 or P-384.

    Raises:
        DecodeError: wrong length.
        UnsupportedError: another algorithm.
    """
    size = _POINT_BYTES.get(algorithm)
    if size is None:
        raise UnsupportedError(f"{algorithm.value} keys are not loaded from points")
    if len(point) != size:
        raise DecodeError("EcPoint", "", None, f"got {len(point)} bytes, expected {size} for {algorithm.value}")
    return _EC_PREFIXES[algorithm] + point


def split_ed25519(spki: bytes) -> bytes | None:
    """Give the 32 bytes of an Ed25519 key; None for other keys. Raises DecodeError: no point, or of small order."""
    if not spki.startswith(_ED25519_PREFIX) or len(spki) != len(_ED25519_PREFIX) + _ED25519_KEY_BYTES:
        return None
    key = spki[len(_ED25519_PREFIX) :]
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    if y >= _ED25519_PRIME:  # RFC 8032 5.1.3, step 1
        raise DecodeError(_STRUCTURE, "", None, "Ed25519 key: y is not reduced")
    if y in _SMALL_ORDER_Y:
        raise DecodeError(_STRUCTURE, "", None, "Ed25519 key: a point of small order")
    # RFC 8032 5.1.3, steps 2 and 3: x^2 = (y^2 - 1) / (d y^2 + 1) must be a square. Some libraries decode the point
    # only when they verify.
    square = y * y
    quotient = (square - 1) * (_ED25519_D * square + 1)
    if pow(quotient, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise DecodeError(_STRUCTURE, "", None, "Ed25519 key: not a point of the curve")
    return key


def check_rsa(modulus: int, exponent: int) -> None:
    """Check that an RSA key is strong enough, and one that every library takes. Raises UnsupportedError."""
    bits = modulus.bit_length()
    if not _SMALLEST_MODULUS_BITS <= bits <= _LARGEST_MODULUS_BITS:
        raise UnsupportedError(
            f"RSA key: got {bits} bits, expected {_SMALLEST_MODULUS_BITS} to {_LARGEST_MODULUS_BITS}"
        )
    if exponent < _SMALLEST_EXPONENT or exponent.bit_length() > _EXPONENT_BITS or not exponent & modulus & 1:
        raise UnsupportedError(f"RSA key: modulus and exponent {exponent:#x} must be odd, the exponent 2^16 to 2^33")
