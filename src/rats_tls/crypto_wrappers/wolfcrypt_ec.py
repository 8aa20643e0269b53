"""EC keys of the `wolfcrypt` wrapper, on P-256 and P-384."""

from __future__ import annotations

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import DecodeError, SignatureError
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.ecdsa_signatures import decode_signature, encode_signature
from rats_tls.crypto_wrappers.public_keys import ec_spki
from rats_tls.crypto_wrappers.wolfcrypt_keys import WolfcryptPrivateKey, WolfcryptPublicKey, hash_of
from rats_tls.crypto_wrappers.wolfcrypt_library import ECC_SECP256R1, ECC_SECP384R1, Library

_CURVES = {KeyAlgorithm.EC_P256: (ECC_SECP256R1, 32), KeyAlgorithm.EC_P384: (ECC_SECP384R1, 48)}
_SIGNATURE_BYTES = 128  # P-384's have at most 104
_PKCS8_BYTES = 512  # P-384's has 185


class EcPublicKey(WolfcryptPublicKey):
    """An EC key. Signatures are in their one form before wolfCrypt gets them: builds may decode others."""

    __slots__ = ()

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify an ECDSA signature given as two integers. Raises SignatureError."""
        self._require_fit(algorithm)
        self._verify_der(algorithm, encode_signature(self.algorithm, r, s), as_bytes(data))

    def _verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        decode_signature(self.algorithm, signature)
        self._verify_der(algorithm, signature, data)

    def _verify_der(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        digest = self._library.digest(hash_of(algorithm), data)
        verified = self._library.ffi.new("int *", 0)
        with self._lock:
            code = self._library.lib.wc_ecc_verify_hash(
                signature, len(signature), digest, len(digest), verified, self._key
            )
        if code != 0 or verified[0] != 1:
            raise SignatureError(f"{algorithm.value} signature does not verify")


class EcPrivateKey(WolfcryptPrivateKey):
    """An EC key, made here."""

    __slots__ = ()

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        ffi, out = self._library.ffi, self._library.ffi.new("unsigned char[]", _PKCS8_BYTES)
        size = ffi.new("unsigned int *", _PKCS8_BYTES)
        with self._lock:
            self._library.require("export a key", self._library.lib.wc_EccKeyToPKCS8(self._key, out, size))
        return bytes(ffi.buffer(out, size[0]))

    def _sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        ffi, out = self._library.ffi, self._library.ffi.new("unsigned char[]", _SIGNATURE_BYTES)
        size = ffi.new("unsigned int *", _SIGNATURE_BYTES)
        digest = self._library.digest(hash_of(algorithm), data)
        with self._library.random() as rng:
            code = self._library.lib.wc_ecc_sign_hash(digest, len(digest), out, size, rng, self._key)
        self._library.require("sign", code)
        return bytes(ffi.buffer(out, size[0]))


def load_ec(library: Library, algorithm: KeyAlgorithm, point: bytes) -> EcPublicKey:
    """Load x‖y. Raises DecodeError where it is not a point of the curve, UnsupportedError for other algorithms."""
    spki = ec_spki(algorithm, point)
    curve, _ = _CURVES[algorithm]
    key = library.ec_key()
    # wc_ecc_check_key: on the curve, coordinates below p, not at infinity, of the right order (SP 800-56A 5.6.2.3.3).
    if library.lib.wc_ecc_import_x963_ex(b"\x04" + point, 1 + len(point), key, curve) or library.lib.wc_ecc_check_key(
        key
    ):
        raise DecodeError("EcPoint", "", None, f"not a point of {algorithm.value}")
    return EcPublicKey(library, key, algorithm, spki)


def make_ec(library: Library, algorithm: KeyAlgorithm) -> EcPrivateKey:
    """Make a key on P-256 or P-384."""
    curve, size = _CURVES[algorithm]
    key = library.ec_key()
    point = library.ffi.new("unsigned char[]", 1 + 2 * size)
    length = library.ffi.new("unsigned int *", 1 + 2 * size)
    with library.random() as rng:
        library.require("make a key", library.lib.wc_ecc_make_key_ex(rng, size, key, curve))
    library.require("export a key", library.lib.wc_ecc_export_x963(key, point, length))
    return EcPrivateKey(library, key, load_ec(library, algorithm, library.ffi.buffer(point)[1:]))
