"""SM2 public keys, as crypto wrappers give them."""

from __future__ import annotations

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.ecdsa_signatures import decode_signature
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd
from rats_tls.crypto_wrappers.sm2.curve import check_point, check_signature, check_user_id, spki_of


class Sm2PublicKey:
    """An SM2 key with its owner's user id, ready for many verifications by any thread."""

    __slots__ = ("_library", "_point", "_verification")

    def __init__(self, point: bytes, user_id: bytes, back_end: BackEnd) -> None:
        self._point = point
        self._library = f"{back_end.name} ({back_end.version})"
        self._verification = back_end.load(point, user_id)

    @property
    def algorithm(self) -> KeyAlgorithm:
        """Always SM2."""
        return KeyAlgorithm.SM2

    @property
    def library(self) -> str:
        """Name and version of the back end."""
        return self._library

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo: id-ecPublicKey with the curve 1.2.156.10197.1.301. It does not hold the user id."""
        return spki_of(self._point)

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature that is DER of r and s. Raises SignatureError."""
        self.verify_ecdsa(algorithm, *decode_signature(KeyAlgorithm.SM2, as_bytes(signature)), data)

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify a signature given as two integers. Raises SignatureError."""
        if algorithm is not SignatureAlgorithm.SM2_SM3:
            raise SignatureError(f"signature algorithm {algorithm.value} does not fit an sm2 key")
        check_signature(r, s)
        self._verification(r, s, as_bytes(data))


def load_key(point: bytes, user_id: bytes, back_end: BackEnd) -> Sm2PublicKey:
    """Load x‖y (64 bytes) of the owner with that user id. Raises DecodeError, UnsupportedError."""
    point, user_id = as_bytes(point), as_bytes(user_id)
    check_point(point)
    check_user_id(user_id)
    return Sm2PublicKey(point, user_id, back_end)
