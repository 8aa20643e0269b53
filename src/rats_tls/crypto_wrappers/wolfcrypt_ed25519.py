"""Ed25519 keys of the `wolfcrypt` wrapper."""

from __future__ import annotations

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import DecodeError, SignatureError
from rats_tls.crypto_wrappers.wolfcrypt_keys import WolfcryptPrivateKey, WolfcryptPublicKey
from rats_tls.crypto_wrappers.wolfcrypt_library import Library

_KEY_BYTES, _SIGNATURE_BYTES = 32, 64  # RFC 8032 5.1
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 4
_PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410 7


class Ed25519PublicKey(WolfcryptPublicKey):
    """An Ed25519 key."""

    __slots__ = ()

    def _verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        if len(signature) != _SIGNATURE_BYTES:
            raise SignatureError(f"{algorithm.value} signature: got {len(signature)} bytes, expected 64")
        verified = self._library.ffi.new("int *", 0)
        with self._lock:
            code = self._library.lib.wc_ed25519_verify_msg(
                signature, len(signature), data, len(data), verified, self._key
            )
        if code != 0 or verified[0] != 1:
            raise SignatureError(f"{algorithm.value} signature does not verify")


class Ed25519PrivateKey(WolfcryptPrivateKey):
    """An Ed25519 key, made here."""

    __slots__ = ()

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        out = self._library.ffi.new("unsigned char[]", _KEY_BYTES)
        size = self._library.ffi.new("unsigned int *", _KEY_BYTES)
        with self._lock:
            code = self._library.lib.wc_ed25519_export_private_only(self._key, out, size)
        self._library.require("export a key", code)
        return _PKCS8_PREFIX + bytes(self._library.ffi.buffer(out))

    def _sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:  # noqa: ARG002  # there is but one
        out = self._library.ffi.new("unsigned char[]", _SIGNATURE_BYTES)
        size = self._library.ffi.new("unsigned int *", _SIGNATURE_BYTES)
        self._library.require("sign", self._library.lib.wc_ed25519_sign_msg(data, len(data), out, size, self._key))
        return bytes(self._library.ffi.buffer(out))


def load_ed25519(library: Library, raw: bytes) -> Ed25519PublicKey:
    """Load the 32 bytes of a key, which were found to be a point. Raises DecodeError."""
    key = library.ed25519_key()
    if library.lib.wc_ed25519_import_public(raw, len(raw), key) != 0:
        raise DecodeError("SubjectPublicKeyInfo", "", None, "not an Ed25519 key")
    return Ed25519PublicKey(library, key, KeyAlgorithm.ED25519, _SPKI_PREFIX + raw)


def make_ed25519(library: Library) -> Ed25519PrivateKey:
    """Make a key."""
    key = library.ed25519_key()
    out, size = library.ffi.new("unsigned char[]", _KEY_BYTES), library.ffi.new("unsigned int *", _KEY_BYTES)
    with library.random() as rng:
        library.require("make a key", library.lib.wc_ed25519_make_key(rng, _KEY_BYTES, key))
    library.require("export a key", library.lib.wc_ed25519_export_public(key, out, size))
    return Ed25519PrivateKey(library, key, load_ed25519(library, bytes(library.ffi.buffer(out))))
