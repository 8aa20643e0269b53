"""DER (X.690) of the few kinds that tests write by hand."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
"""In front of the 32 bytes of a key. Source: RFC 8410 4."""


def tlv(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(((value if value >= 0 else -value - 1).bit_length()) // 8 + 1, "big", signed=True))


def sequence(*items: bytes) -> bytes:
    return tlv(0x30, b"".join(items))


def bit_string(content: bytes, unused: int = 0) -> bytes:
    return tlv(0x03, bytes([unused]) + content)


def spki_of(
    key: ec.EllipticCurvePublicKey
    | rsa.RSAPublicKey
    | dsa.DSAPublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | x25519.X25519PublicKey,
) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
