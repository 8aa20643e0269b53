"""The `wolfcrypt` crypto wrapper: wolfCrypt, by cffi over the libwolfssl of the system or of one's own build."""

from __future__ import annotations

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.interfaces import CryptoCapabilities, PublicKey
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.certificate_building import why_none_are_built
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.partial import PartialCryptoWrapper
from rats_tls.crypto_wrappers.public_keys import split_ec, split_ed25519
from rats_tls.crypto_wrappers.wolfcrypt_ec import EcPublicKey, load_ec, make_ec
from rats_tls.crypto_wrappers.wolfcrypt_ed25519 import load_ed25519, make_ed25519
from rats_tls.crypto_wrappers.wolfcrypt_keys import EC, WolfcryptPrivateKey
from rats_tls.crypto_wrappers.wolfcrypt_library import library
from rats_tls.crypto_wrappers.wolfcrypt_rsa import load_rsa, make_rsa


class WolfcryptCryptoWrapper(PartialCryptoWrapper):
    """Keys P-256, P-384, and RSA-3072 and Ed25519 where the build has them.

    Verifies those and other RSA sizes. RSA keys and Ed25519 keys that the build does not take are left to `openssl`,
    and SM2 to what verifies it there.

    Raises:
        NoInstanceError: there is no libwolfssl, or not what is needed in it.
    """

    name = "wolfcrypt"
    own_keys = (WolfcryptPrivateKey,)

    def __init__(self) -> None:
        self._library = library()
        self._others = OpensslCryptoWrapper()
        made = set(EC)
        if "rsa keys" in self._library.has:
            made.add(KeyAlgorithm.RSA_3072)
        if "ed25519" in self._library.has:
            made.add(KeyAlgorithm.ED25519)
        advice = why_none_are_built(self.name)
        self._capabilities = CryptoCapabilities(
            generates=frozenset(made),
            verifies=self._others.capabilities.verifies,
            certificates=frozenset() if advice else frozenset(made),
            more_certificates=advice,
        )

    @property
    def version(self) -> str:
        """Version of wolfCrypt, and of the library that verifies by the keys that it does not take."""
        return f"{self._library.version}; SM3, and keys that it does not take: {self._others.version}"

    @property
    def capabilities(self) -> CryptoCapabilities:
        """What it can do."""
        return self._capabilities

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`; SM3 is left to `cryptography`. Raises UnsupportedError where that was built without it."""
        if algorithm is HashAlgorithm.SM3:
            return super().digest(algorithm, data)
        return self._library.digest(algorithm.value, as_bytes(data))

    def generate_key(self, algorithm: KeyAlgorithm) -> WolfcryptPrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        if algorithm not in self._capabilities.generates:
            raise UnsupportedError(
                f"crypto wrapper wolfcrypt makes no {algorithm.value} keys with {self._library.version}"
            )
        if algorithm is KeyAlgorithm.RSA_3072:
            return make_rsa(self._library)
        if algorithm is KeyAlgorithm.ED25519:
            return make_ed25519(self._library)
        return make_ec(self._library, algorithm)

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo. Raises DecodeError, UnsupportedError."""
        spki = as_bytes(spki)
        if (found := split_ec(spki)) is not None:
            return load_ec(self._library, *found)
        if "ed25519" in self._library.has and (raw := split_ed25519(spki)) is not None:
            return load_ed25519(self._library, raw)
        # wolfCrypt reads a key from many forms: whether it is in the usual one, `cryptography` says.
        other = self._others.load_public_key(spki)
        if "rsa" in self._library.has and other.algorithm in (KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA):
            return load_rsa(self._library, other.algorithm, spki) or other
        return other

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> EcPublicKey:
        """Load an EC key from x‖y. Raises DecodeError, UnsupportedError."""
        return load_ec(self._library, algorithm, point)
