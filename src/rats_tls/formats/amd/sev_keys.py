"""Public keys and signatures as certificates of AMD SEV hold them (AMD SEV API, appendix C.3 and C.4).

Every integer is little-endian in a field that is wider than it; what is left of the field is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.reader import Reader

KEY_SIZE = 1028
SIGNATURE_SIZE = 512

# Usages: of a key, and of the key that made a signature.
ARK, ASK, INVALID, OCA, PEK, PDH, CEK = 0x0, 0x13, 0x1000, 0x1001, 0x1002, 0x1003, 0x1004
USAGES = {ARK: "ARK", ASK: "ASK", INVALID: "none", OCA: "OCA", PEK: "PEK", PDH: "PDH", CEK: "CEK"}

# Algorithms: the low byte is the kind, the next one the hash.
NO_ALGORITHM = 0x0
RSA_SHA256, ECDSA_SHA256, ECDH_SHA256 = 0x1, 0x2, 0x3
RSA_SHA384, ECDSA_SHA384, ECDH_SHA384 = 0x101, 0x102, 0x103
ALGORITHMS = {
    NO_ALGORITHM: "none",
    RSA_SHA256: "RSA-PSS with SHA-256",
    ECDSA_SHA256: "ECDSA with SHA-256",
    ECDH_SHA256: "ECDH with SHA-256",
    RSA_SHA384: "RSA-PSS with SHA-384",
    ECDSA_SHA384: "ECDSA with SHA-384",
    ECDH_SHA384: "ECDH with SHA-384",
}
RSA_ALGORITHMS = frozenset({RSA_SHA256, RSA_SHA384})
RSA_BITS = (2048, 4096)

_CURVE_P384 = 2
_P384_SIZE = 48
_EC_FIELD = 72
_RSA_FIELD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SevEcKey:
    """A P-384 key: `point` is x‖y, big-endian (96 bytes)."""

    point: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SevRsaKey:
    """An RSA key.

    Attributes:
        bits: size of the modulus: 2048 or 4096.
        exponent: public exponent.
        modulus: the modulus.
    """

    bits: int
    exponent: int
    modulus: int

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo. Raises DecodeError: no RSA key."""
        try:
            key = RSAPublicNumbers(self.exponent, self.modulus).public_key()
        except ValueError as error:
            raise DecodeError("SevRsaKey", "modulus", None, f"no RSA key: {error}") from error
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


SevKey = SevEcKey | SevRsaKey


def read_key(reader: Reader, algorithm: int) -> SevKey:
    """Read the key field of a certificate (1028 bytes) for its algorithm.

    Raises:
        DecodeError: too short, or a byte that must be zero is not.
        UnsupportedError: another curve than P-384, or another size of RSA key.
    """
    if algorithm in RSA_ALGORITHMS:
        bits = reader.u32("pubkey.modulus_size")
        if bits not in RSA_BITS:
            raise UnsupportedError(f"SevRsaKey modulus_size: got {bits}, expected 2048 or 4096")
        size = bits // 8
        exponent = integer(reader, "pubkey.pubexp", size, _RSA_FIELD)
        modulus = integer(reader, "pubkey.modulus", size, _RSA_FIELD)
        return SevRsaKey(bits=bits, exponent=exponent, modulus=modulus)
    curve = reader.u32("pubkey.curve")
    if curve != _CURVE_P384:
        raise UnsupportedError(f"SevEcKey curve: got {curve}, expected 2 (P-384)")
    x = integer(reader, "pubkey.qx", _P384_SIZE, _EC_FIELD)
    y = integer(reader, "pubkey.qy", _P384_SIZE, _EC_FIELD)
    reader.zeros("pubkey.reserved", KEY_SIZE - 4 - 2 * _EC_FIELD)
    return SevEcKey(point=x.to_bytes(_P384_SIZE, "big") + y.to_bytes(_P384_SIZE, "big"))


def key_to_bytes(key: SevKey) -> bytes:
    """Write the key field of a certificate (1028 bytes)."""
    if isinstance(key, SevRsaKey):
        numbers = (key.exponent, key.modulus)
        return key.bits.to_bytes(4, "little") + b"".join(number.to_bytes(_RSA_FIELD, "little") for number in numbers)
    halves = (key.point[:_P384_SIZE], key.point[_P384_SIZE:])
    fields = b"".join(half[::-1].ljust(_EC_FIELD, b"\0") for half in halves)
    return (_CURVE_P384.to_bytes(4, "little") + fields).ljust(KEY_SIZE, b"\0")


def read_ecdsa(reader: Reader, field: str) -> tuple[int, int]:
    """Read r and s of a P-384 signature (144 bytes)."""
    r = integer(reader, f"{field}.r", _P384_SIZE, _EC_FIELD)
    return r, integer(reader, f"{field}.s", _P384_SIZE, _EC_FIELD)


def ecdsa_to_bytes(r: int, s: int) -> bytes:
    """Write r and s of a P-384 signature (144 bytes)."""
    return r.to_bytes(_EC_FIELD, "little") + s.to_bytes(_EC_FIELD, "little")


def integer(reader: Reader, field: str, size: int, width: int) -> int:
    """Read an integer of `size` bytes in a field of `width` bytes, whose rest is zero."""
    value = int.from_bytes(reader.take(field, size), "little")
    reader.zeros(field, width - size)
    return value
