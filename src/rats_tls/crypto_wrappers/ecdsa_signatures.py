"""ECDSA and SM2 signatures between DER and two integers, where a library takes r and s or is lax about their form.

One signature has one form here: DER (X.690) of SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 2.2.3), 1 <= r, s < n.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.crypto_wrappers.sm2 import curve as sm2

ORDERS = {
    KeyAlgorithm.EC_P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    KeyAlgorithm.EC_P384: int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
    KeyAlgorithm.SM2: sm2.N,
}
"""Orders n of the base points. Source: SEC 2 version 2.0, 2.4.2 and 2.5.1; GB/T 32918.5-2017."""

_LARGEST = {algorithm: len(encode_dss_signature(n - 1, n - 1)) for algorithm, n in ORDERS.items()}
"""Bytes of the longest DER that two integers in range have; libraries' parsers have no bound."""


def check_range(algorithm: KeyAlgorithm, r: int, s: int) -> None:
    """Check that r and s are from 1 to n - 1 (FIPS 186-5 6.4.2, step 1). Raises SignatureError.

    Args:
        algorithm: of the key: EC_P256, EC_P384 or SM2. What SM2 asks of r + s is `sm2.curve.check_signature`'s.
        r: first integer.
        s: second integer.
    """
    n = ORDERS[algorithm]
    if not (0 < r < n and 0 < s < n):
        raise SignatureError(f"{algorithm.value} signature: r and s must be positive and below the group order")


def decode_signature(algorithm: KeyAlgorithm, signature: bytes) -> tuple[int, int]:
    """Decode a signature by a key of that algorithm to r and s.

    Raises:
        SignatureError: not DER in its one form, longer than any such signature, bytes behind it, r or s out of range.
    """
    most = _LARGEST[algorithm]
    if len(signature) > most:
        raise SignatureError(f"{algorithm.value} signature: got {len(signature)} bytes, expected {most} at most")
    try:
        r, s = decode_dss_signature(signature)
    except ValueError as error:
        raise SignatureError(f"{algorithm.value} signature is malformed: {error}") from error
    check_range(algorithm, r, s)
    return r, s


def encode_signature(algorithm: KeyAlgorithm, r: int, s: int) -> bytes:
    """Encode r and s as DER. Raises SignatureError when one is out of range."""
    check_range(algorithm, r, s)
    return encode_dss_signature(r, s)
