"""Encoders of AMD's structures before SEV-SNP (AMD SEV API, ATTESTATION and appendix B and C).

Written apart from the decoders in `rats_tls.formats.amd`, so that each is a check on the other.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from rats_tls.simulation.bytefields import sized, word

ARK, ASK, NOBODY, OCA, PEK, CEK = 0, 0x13, 0x1000, 0x1001, 0x1002, 0x1004
API = (0, 22)
_HASHES: dict[int, type[hashes.SHA256 | hashes.SHA384]] = {2: hashes.SHA256, 258: hashes.SHA384}
_RSA_ALGORITHMS = {2048: 1, 4096: 257}
NO_SIGNATURE = word(NOBODY, 4) + bytes(4 + 512)


def signer_body(key_id: bytes, certifying_id: bytes, usage: int, key: rsa.RSAPublicKey) -> bytes:
    """Encode what the signature of an ASK or ARK certificate covers."""
    size = key.key_size // 8
    numbers = key.public_numbers()
    ids = sized("key_id", key_id, 16) + sized("certifying_id", certifying_id, 16)
    sizes = 2 * word(key.key_size, 4)
    return word(1, 4) + ids + word(usage, 4) + bytes(16) + sizes + word(numbers.e, size) + word(numbers.n, size)


def rsa_signature(key: rsa.RSAPrivateKey, data: bytes) -> bytes:
    """Sign with RSASSA-PSS as AMD does with a key of that size; little-endian."""
    digest = hashes.SHA256() if key.key_size == 2048 else hashes.SHA384()
    pss = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
    return key.sign(data, pss, digest)[::-1]


def certificate_body(usage: int, algorithm: int, key: ec.EllipticCurvePublicKey) -> bytes:
    """Encode what the signatures of a CEK, PEK or OCA certificate cover (1044 bytes)."""
    numbers = key.public_numbers()
    head = word(1, 4) + bytes((*API, 0, 0)) + word(usage, 4) + word(algorithm, 4)
    return head + word(2, 4) + word(numbers.x, 72) + word(numbers.y, 72) + bytes(880)


def ecdsa_slot(key: ec.EllipticCurvePrivateKey, usage: int, algorithm: int, body: bytes) -> bytes:
    """Sign a certificate's body; usage, algorithm and signature (520 bytes)."""
    return word(usage, 4) + word(algorithm, 4) + ecdsa_fields(key, algorithm, body) + bytes(368)


def rsa_slot(key: rsa.RSAPrivateKey, body: bytes) -> bytes:
    """Sign a certificate's body as an ASK; usage, algorithm and signature (520 bytes)."""
    head = word(ASK, 4) + word(_RSA_ALGORITHMS[key.key_size], 4)
    return head + rsa_signature(key, body).ljust(512, b"\0")


def ecdsa_fields(key: ec.EllipticCurvePrivateKey, algorithm: int, data: bytes) -> bytes:
    """Sign; r and s little-endian in 72 bytes each."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[algorithm]())))
    return word(r, 72) + word(s, 72)


def forged(slot: bytes) -> bytes:
    """Change the lowest bit of r."""
    return slot[:8] + bytes((slot[8] ^ 1,)) + slot[9:]
