"""Encoders of Hygon's structures (Hygon CSV attestation, certificates and attestation report).

Written apart from the decoders in `rats_tls.formats.hygon`, so that each is a check on the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, hmac

from rats_tls.crypto_wrappers.sm2 import signing
from rats_tls.crypto_wrappers.sm2.curve import N
from rats_tls.simulation.bytefields import sized, word

HRK, HSK, NOBODY, PEK, CEK = 0, 0x13, 0x1000, 0x1002, 0x1004
SM2 = 4
PAGE = 4096
NO_SIGNATURE = word(NOBODY, 4) + bytes(4 + 512)
_CURVE = 3
_VERSION, _API = 1, (1, 4)


@dataclass(frozen=True, slots=True)
class Signer:
    """An SM2 key and its owner's user id."""

    private: bytes
    user_id: bytes

    @classmethod
    def derived(cls, secret: bytes, user_id: bytes) -> Signer:
        """Derive a key from a secret, as real hardware derives keys from its fuses."""
        number = int.from_bytes(hashlib.sha512(secret + user_id).digest(), "big") % (N - 2) + 1
        return cls(number.to_bytes(32, "big"), user_id)

    @property
    def point(self) -> bytes:
        """The public key, x‖y."""
        return signing.public_point(self.private)

    @property
    def key_id(self) -> bytes:
        """Id of the key in certificates (16 bytes)."""
        return hashlib.sha256(self.point).digest()[:16]

    @property
    def key(self) -> bytes:
        """The key as certificates hold it (404 bytes)."""
        point = self.point
        x, y = (point[start : start + 32][::-1].ljust(72, b"\0") for start in (0, 32))
        return word(_CURVE, 4) + x + y + word(len(self.user_id), 2) + self.user_id.ljust(254, b"\0")

    def signature(self, data: bytes) -> bytes:
        """Sign; r and s little-endian in 72 bytes each."""
        r, s = signing.sign(self.private, self.user_id, data)
        return word(r, 72) + word(s, 72)


def root_certificate(subject: Signer, usage: int, issuer: Signer) -> bytes:
    """Make the certificate of an HRK or HSK (832 bytes)."""
    head = word(_VERSION, 4) + subject.key_id + issuer.key_id + word(usage, 4) + bytes(24)
    body = head + subject.key + bytes(108)
    return body + issuer.signature(body) + bytes(112)


def key_certificate(subject: Signer, usage: int, issuer: Signer, signed_by: int, *, names_issuer: bool) -> bytes:
    """Make the certificate of a CEK or PEK (2084 bytes), signed once."""
    head = word(_VERSION, 4) + bytes((*_API, 0, 0)) + word(usage, 4) + word(SM2, 4)
    body = head + subject.key + (issuer.key_id if names_issuer else bytes(16)) + bytes(608)
    slot = word(signed_by, 4) + word(SM2, 4) + issuer.signature(body) + bytes(368)
    return body + slot + NO_SIGNATURE


def forged(certificate: bytes, offset: int) -> bytes:
    """Change the lowest bit of r, which stands at `offset`."""
    return certificate[:offset] + bytes((certificate[offset] ^ 1,)) + certificate[offset + 1 :]


def masked(data: bytes, mask: bytes) -> bytes:
    """Put a mask of 4 bytes on, word by word."""
    return bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))


def mac(mnonce: bytes, data: bytes) -> bytes:
    """Give what protects PEK and serial number on their way to the guest (32 bytes)."""
    code = hmac.HMAC(mnonce, hashes.SM3())
    code.update(data)
    return code.finalize()


def serial_field(serial: str) -> bytes:
    """Encode a serial number (64 bytes). Raises ValueError: too long."""
    text = serial.encode("ascii", "surrogateescape")
    return sized("serial", text.ljust(64, b"\0"), 64)
