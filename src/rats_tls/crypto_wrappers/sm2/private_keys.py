"""SM2 private keys, as crypto wrappers give them: made and used in constant time, by the library of this process."""

from __future__ import annotations

from rats_tls.core.algorithms import SM2_DEFAULT_USER_ID, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.ecdsa_signatures import encode_signature
from rats_tls.crypto_wrappers.sm2.back_end import KeyMaker
from rats_tls.crypto_wrappers.sm2.choosing import key_maker
from rats_tls.crypto_wrappers.sm2.curve import check_private, pkcs8_of
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey, load_key


class Sm2PrivateKey:
    """An SM2 key whose owner has the default user id.

    Args:
        private: 32 bytes.
        back_end: signs.
    """

    __slots__ = ("_back_end", "_point", "_private")

    def __init__(self, private: bytes, back_end: KeyMaker) -> None:
        check_private(private)
        self._private = private
        self._back_end = back_end
        self._point = back_end.public_point(private)

    @property
    def algorithm(self) -> KeyAlgorithm:
        """Always SM2."""
        return KeyAlgorithm.SM2

    @property
    def public_key(self) -> Sm2PublicKey:
        """Its public half, with the default user id."""
        return load_key(self._point, SM2_DEFAULT_USER_ID, self._back_end)

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`: DER of r and s. Raises ConfigurationError when the algorithm does not fit the key."""
        if algorithm is not SignatureAlgorithm.SM2_SM3:
            raise ConfigurationError(f"signature algorithm {algorithm.value} does not fit an sm2 key")
        r, s = self._back_end.sign(self._private, SM2_DEFAULT_USER_ID, as_bytes(data))
        return encode_signature(KeyAlgorithm.SM2, r, s)

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        return pkcs8_of(self._private, self._point)


def generate_key() -> Sm2PrivateKey:
    """Make a key. Raises UnsupportedError where no library does so in constant time."""
    back_end = key_maker()
    return Sm2PrivateKey(back_end.generate_private_key(), back_end)
