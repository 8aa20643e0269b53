"""Size of the keys in AMD's CA certificates."""

from __future__ import annotations

from rats_tls.core.errors import DecodeError
from rats_tls.formats.der import INTEGER, read_elements, read_sequence, require_tag

_BIT_STRING = 0x03
_STRUCTURE = "SubjectPublicKeyInfo"
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")


def rsa_modulus_bits(spki: bytes) -> int:
    """Give the size of the modulus of an RSA key (RFC 8017 A.1.1); 0 when it is no RSA key.

    Args:
        spki: DER SubjectPublicKeyInfo.
    """
    try:
        (outer,) = read_elements(spki, _STRUCTURE)
        algorithm, key = read_sequence(outer, _STRUCTURE, limit=2)
        if not algorithm.content.startswith(_RSA_ENCRYPTION):
            return 0
        require_tag(key, _BIT_STRING, _STRUCTURE)
        if key.content[:1] != b"\0":
            return 0
        (numbers,) = read_elements(key.content[1:], _STRUCTURE)
        modulus, _ = read_sequence(numbers, _STRUCTURE, limit=2)
        require_tag(modulus, INTEGER, _STRUCTURE)
    except (DecodeError, ValueError):
        return 0
    return int.from_bytes(modulus.content, "big").bit_length()
