"""RSA keys of the `wolfcrypt` wrapper."""

from __future__ import annotations

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import SignatureError
from rats_tls.crypto_wrappers.wolfcrypt_keys import WolfcryptPrivateKey, WolfcryptPublicKey, hash_of
from rats_tls.crypto_wrappers.wolfcrypt_library import HASH_TYPES, MGF1, Library

_BITS, _EXPONENT = 3072, 65537
_DER_BYTES = 4096  # an RSA-3072 key has 1,768 (RFC 8017 A.1.2)
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""DER before the digest (RFC 8017 9.2, note 1)."""
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")  # RFC 8017 A.1, with NULL


class RsaPublicKey(WolfcryptPublicKey):
    """An RSA key."""

    __slots__ = ()

    def _verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        library = self._library
        size = library.require("measure a key", library.lib.wc_RsaEncryptSize(self._key))
        if len(signature) != size:  # RFC 8017 8.1.2 and 8.2.2, step 1
            raise SignatureError(f"{algorithm.value} signature: got {len(signature)} bytes, expected {size}")
        name = hash_of(algorithm)
        digest = library.digest(name, data)
        out = library.ffi.new("unsigned char[]", size)
        with self._lock:
            if algorithm.value.startswith("rsa-pss"):
                # It may work in place, so it gets a copy. It takes no other salt than one as long as the hash.
                copy = library.ffi.new("unsigned char[]", signature)
                count = library.lib.wc_RsaPSS_VerifyCheck(
                    copy, size, out, size, digest, len(digest), HASH_TYPES[name], MGF1[name], self._key
                )
                verified = count > 0
            else:
                count = library.lib.wc_RsaSSL_Verify(signature, size, out, size, self._key)
                verified = count > 0 and library.ffi.buffer(out, count)[:] == _DIGEST_INFO[name] + digest
        if not verified:
            raise SignatureError(f"{algorithm.value} signature does not verify")


class RsaPrivateKey(WolfcryptPrivateKey):
    """An RSA key of 3,072 bits, made here."""

    __slots__ = ()

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        out = self._library.ffi.new("unsigned char[]", _DER_BYTES)
        with self._lock:
            count = self._library.require("export a key", self._library.lib.wc_RsaKeyToDer(self._key, out, _DER_BYTES))
        key = bytes(self._library.ffi.buffer(out, count))
        # RFC 5958 2: version 0, algorithm, the key in an OCTET STRING. wolfCrypt's own call for it wants the number of
        # an algorithm that differs between its versions.
        return _der(0x30, b"\x02\x01\x00" + _RSA_ENCRYPTION + _der(0x04, key))

    def _sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        library, name = self._library, hash_of(algorithm)
        digest = library.digest(name, data)
        out = library.ffi.new("unsigned char[]", _BITS // 8)
        with library.random() as rng:
            library.require("blind a key", library.lib.wc_RsaSetRNG(self._key, rng))
            try:
                if algorithm.value.startswith("rsa-pss"):
                    count = library.lib.wc_RsaPSS_Sign(
                        digest, len(digest), out, len(out), HASH_TYPES[name], MGF1[name], self._key, rng
                    )
                else:
                    info = _DIGEST_INFO[name] + digest
                    count = library.lib.wc_RsaSSL_Sign(info, len(info), out, len(out), self._key, rng)
            finally:
                library.lib.wc_RsaSetRNG(self._key, library.ffi.NULL)
        return bytes(library.ffi.buffer(out, library.require("sign", count)))


def load_rsa(library: Library, algorithm: KeyAlgorithm, spki: bytes) -> RsaPublicKey | None:
    """Load a SubjectPublicKeyInfo of RSA in its one form; None for a modulus too large for this build."""
    key = library.rsa_key()
    if library.lib.wc_RsaPublicKeyDecode(spki, library.ffi.new("unsigned int *", 0), key, len(spki)) != 0:
        return None
    if not library.computes_rsa(key):
        return None
    return RsaPublicKey(library, key, algorithm, spki)


def make_rsa(library: Library) -> RsaPrivateKey:
    """Make a key of 3,072 bits."""
    key = library.rsa_key()
    with library.random() as rng:
        library.require("make a key", library.lib.wc_MakeRsaKey(key, _BITS, _EXPONENT, rng))
    out = library.ffi.new("unsigned char[]", _DER_BYTES)
    count = library.require("export a key", library.lib.wc_RsaKeyToPublicDer(key, out, _DER_BYTES))
    public = load_rsa(library, KeyAlgorithm.RSA_3072, bytes(library.ffi.buffer(out, count)))
    if public is None:
        raise MemoryError("wolfCrypt does not take the RSA key that it made")
    return RsaPrivateKey(library, key, public)


def _der(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content  # 256 to 65,535 bytes
