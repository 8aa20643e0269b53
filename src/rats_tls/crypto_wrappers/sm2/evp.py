"""SM2 by OpenSSL's EVP interface, for every library that has it. It is called by cffi, without a compiler.

One key serves all threads: verification only reads it, and makes its contexts anew. Everything that the library
allocates is freed with the object that holds it. The queue of errors is the thread's, shared with whoever calls the
same library in it: it is empty after every call here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from cffi import FFI
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from rats_tls.core.errors import DecodeError, InternalError, SignatureError
from rats_tls.crypto_wrappers.sm2.curve import COORDINATE_BYTES, pkcs8_of, spki_of

if TYPE_CHECKING:
    from rats_tls.crypto_wrappers.sm2.back_end import Verification

NID_SM2 = 1172
_INIT_LOAD_CRYPTO_STRINGS = 2
_UNCOMPRESSED = 4
_LONGEST_SIGNATURE = 72

DECLARATIONS = """
typedef ... EVP_PKEY; typedef ... EVP_PKEY_CTX; typedef ... EVP_MD_CTX; typedef ... EVP_MD; typedef ... ENGINE;
typedef ... EC_GROUP; typedef ... EC_POINT; typedef ... EC_KEY; typedef ... BIGNUM; typedef ... BN_CTX;
typedef ... OPENSSL_INIT_SETTINGS;
const char *OpenSSL_version(int type);
unsigned long OpenSSL_version_num(void);
int OPENSSL_init_crypto(uint64_t options, const OPENSSL_INIT_SETTINGS *settings);
unsigned long ERR_get_error(void);
void ERR_clear_error(void);
void ERR_error_string_n(unsigned long code, char *buffer, size_t size);
EVP_PKEY *d2i_PUBKEY(EVP_PKEY **key, const unsigned char **der, long size);
EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **key, const unsigned char **der, long size);
void EVP_PKEY_free(EVP_PKEY *key);
EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *key, ENGINE *engine);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *context);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *context);
void EVP_MD_CTX_set_pkey_ctx(EVP_MD_CTX *context, EVP_PKEY_CTX *key_context);
const EVP_MD *EVP_sm3(void);
int EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **out, const EVP_MD *hash, ENGINE *engine, EVP_PKEY *key);
int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t signature_size,
                     const unsigned char *data, size_t size);
int EVP_DigestSignInit(EVP_MD_CTX *context, EVP_PKEY_CTX **out, const EVP_MD *hash, ENGINE *engine, EVP_PKEY *key);
int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *signature, size_t *signature_size,
                   const unsigned char *data, size_t size);
EC_GROUP *EC_GROUP_new_by_curve_name(int nid);
void EC_GROUP_free(EC_GROUP *group);
EC_POINT *EC_POINT_new(const EC_GROUP *group);
void EC_POINT_free(EC_POINT *point);
int EC_POINT_mul(const EC_GROUP *group, EC_POINT *product, const BIGNUM *factor, const EC_POINT *point,
                 const BIGNUM *other, BN_CTX *context);
size_t EC_POINT_point2oct(const EC_GROUP *group, const EC_POINT *point, int form, unsigned char *out, size_t size,
                          BN_CTX *context);
EC_KEY *EC_KEY_new_by_curve_name(int nid);
void EC_KEY_free(EC_KEY *key);
int EC_KEY_generate_key(EC_KEY *key);
const BIGNUM *EC_KEY_get0_private_key(const EC_KEY *key);
int BN_bn2binpad(const BIGNUM *number, unsigned char *out, int size);
BIGNUM *BN_bin2bn(const unsigned char *bytes, int size, BIGNUM *out);
void BN_clear_free(BIGNUM *number);
"""


class EvpBackEnd(ABC):
    """SM2 by the EVP calls of one library. What libraries do differently is in their subclasses."""

    name = ""

    def __init__(self, ffi: FFI, library: Any) -> None:  # noqa: ANN401  # cffi has no types
        self._ffi = ffi
        self._library = library
        library.OPENSSL_init_crypto(_INIT_LOAD_CRYPTO_STRINGS, ffi.NULL)

    @property
    def version(self) -> str:
        """The library's own words."""
        text: bytes = self._ffi.string(self._library.OpenSSL_version(0))
        return text.decode("ascii", "replace")

    def load(self, point: bytes, user_id: bytes) -> Verification:
        """Load a point. Raises DecodeError."""
        key = self._key(self._library.d2i_PUBKEY, spki_of(point))
        if key is None:
            raise DecodeError("Sm2Point", "", None, f"{self.name} takes no such key: {self._errors()}")

        def verify(r: int, s: int, data: bytes) -> None:
            self._verify(key, user_id, encode_dss_signature(r, s), data)

        return verify

    def generate_private_key(self) -> bytes:
        """Make a private key: 32 bytes, from 1 to n - 1. Raises InternalError."""
        library = self._library
        key = self._owned(library.EC_KEY_new_by_curve_name(NID_SM2), library.EC_KEY_free)
        out = self._ffi.new("unsigned char[]", COORDINATE_BYTES)
        if library.EC_KEY_generate_key(key) != 1 or library.BN_bn2binpad(
            library.EC_KEY_get0_private_key(key), out, len(out)
        ) != len(out):
            raise InternalError(f"{self.name}: no key: {self._errors()}")
        return bytes(self._ffi.buffer(out))

    def public_point(self, private: bytes) -> bytes:
        """Multiply the base point by a private key. Raises InternalError."""
        ffi, library = self._ffi, self._library
        group = self._owned(library.EC_GROUP_new_by_curve_name(NID_SM2), library.EC_GROUP_free)
        product = self._owned(library.EC_POINT_new(group), library.EC_POINT_free)
        factor = self._owned(library.BN_bin2bn(private, len(private), ffi.NULL), library.BN_clear_free)
        out = ffi.new("unsigned char[]", 1 + 2 * COORDINATE_BYTES)
        if library.EC_POINT_mul(
            group, product, factor, ffi.NULL, ffi.NULL, ffi.NULL
        ) != 1 or library.EC_POINT_point2oct(group, product, _UNCOMPRESSED, out, len(out), ffi.NULL) != len(out):
            raise InternalError(f"{self.name}: no public key: {self._errors()}")
        return bytes(ffi.buffer(out))[1:]

    def sign(self, private: bytes, user_id: bytes, data: bytes) -> tuple[int, int]:
        """Sign. Raises InternalError."""
        ffi, library = self._ffi, self._library
        key = self._key(library.d2i_AutoPrivateKey, pkcs8_of(private, self.public_point(private)))
        if key is None:
            raise InternalError(f"{self.name}: no private key: {self._errors()}")
        _key_context, context = self._contexts(key, user_id)
        signature, size = ffi.new("unsigned char[]", _LONGEST_SIGNATURE), ffi.new("size_t *", _LONGEST_SIGNATURE)
        if (
            library.EVP_DigestSignInit(context, ffi.NULL, library.EVP_sm3(), ffi.NULL, key) != 1
            or library.EVP_DigestSign(context, signature, size, data, len(data)) != 1
        ):
            raise InternalError(f"{self.name}: no signature: {self._errors()}")
        return decode_dss_signature(bytes(ffi.buffer(signature, size[0])))

    def _verify(self, key: object, user_id: bytes, signature: bytes, data: bytes) -> None:
        ffi, library = self._ffi, self._library
        library.ERR_clear_error()
        _key_context, context = self._contexts(key, user_id)
        done = library.EVP_DigestVerifyInit(context, ffi.NULL, library.EVP_sm3(), ffi.NULL, key)
        if done == 1:
            done = library.EVP_DigestVerify(context, signature, len(signature), data, len(data))
        errors = self._errors()
        if done != 1:
            raise SignatureError("sm2-sm3 signature does not verify" + (f" ({self.name}: {errors})" if errors else ""))

    def _contexts(self, key: object, user_id: bytes) -> tuple[object, object]:
        """Make the context of a key with its user id, and a hash's that refers to it: the caller holds both."""
        library = self._library
        key_context = self._owned(library.EVP_PKEY_CTX_new(key, self._ffi.NULL), library.EVP_PKEY_CTX_free)
        context = self._owned(library.EVP_MD_CTX_new(), library.EVP_MD_CTX_free)
        if not self._set_user_id(key_context, user_id):
            raise InternalError(f"{self.name} takes no user id of {len(user_id)} bytes: {self._errors()}")
        library.EVP_MD_CTX_set_pkey_ctx(context, key_context)
        return key_context, context

    @abstractmethod
    def _set_user_id(self, key_context: object, user_id: bytes) -> bool:
        """Set the user id, which the library copies; give whether it took it."""

    def _as_sm2(self, key: object) -> bool:
        """Make a key of the curve one of SM2 signatures, where the library has to be told."""
        return key is not None

    def _key(self, read: Any, der: bytes) -> object | None:  # noqa: ANN401  # likewise
        """Read a key; None where the library refuses it."""
        ffi = self._ffi
        self._library.ERR_clear_error()
        buffer = ffi.from_buffer("const unsigned char[]", der)
        key = read(ffi.NULL, ffi.new("const unsigned char **", buffer), len(der))
        if key == ffi.NULL:
            return None
        owned: object = ffi.gc(key, self._library.EVP_PKEY_free)
        if not self._as_sm2(owned):
            return None
        self._library.ERR_clear_error()
        return owned

    def _owned(self, made: object, free: object) -> object:
        if made == self._ffi.NULL:
            raise InternalError(f"{self.name}: nothing was allocated: {self._errors()}")
        owned: object = self._ffi.gc(made, free)
        return owned

    def _errors(self) -> str:
        """Read the thread's queue of errors, and empty it."""
        found = []
        while code := self._library.ERR_get_error():
            text = self._ffi.new("char[]", 256)
            self._library.ERR_error_string_n(code, text, len(text))
            found.append(self._ffi.string(text).decode("ascii", "replace"))
        return "; ".join(found)
