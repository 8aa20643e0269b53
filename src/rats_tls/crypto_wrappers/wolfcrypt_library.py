"""wolfCrypt, which is a part of libwolfssl, by cffi in ABI mode: names, constants, and memory for its keys."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cffi import FFI

from rats_tls.core.errors import RatsTlsError
from rats_tls.native import wolfssl
from rats_tls.native.wolfssl import Tables, opened

# Source of what follows: wolfssl/wolfcrypt/{types,ecc,rsa,signature,error-crypt}.h of wolfSSL 5.5.4.
ECC_SECP256R1, ECC_SECP384R1 = 7, 15
HASH_TYPES = {"sha256": 6, "sha384": 7, "sha512": 8}
"""enum wc_HashType; FIPS builds number otherwise, which `library` finds out."""
MGF1 = {"sha256": 1, "sha384": 2, "sha512": 3}
"""WC_MGF1SHA256, WC_MGF1SHA384, WC_MGF1SHA512."""
SIGNATURE_TYPE_RSA = 2
BAD_FUNC_ARG = -173
RSA_PAD_E = -201
KEY_BYTES = 65_536
"""Bytes that an RsaKey or ed25519_key gets, whose size is the build's own and told by no call.

An RsaKey holds eight integers of twice the largest modulus that the build was made for: 8.7 KB with 4096 bits (Debian),
33 KB with 16,384 bits, which no build has. `library` asks wolfCrypt, which knows, whether an RsaKey fits in. An
ed25519_key holds a key pair and a hash state: under 1 KB.
"""

TYPES = """
typedef struct WC_RNG WC_RNG;
typedef struct ecc_key ecc_key;
typedef struct RsaKey RsaKey;
typedef struct ed25519_key ed25519_key;
"""
FUNCTIONS = (
    wolfssl.FUNCTIONS
    + """
const char *wc_GetErrorString(int);
int wc_Sha256Hash(const unsigned char *, unsigned int, unsigned char *);
int wc_Sha384Hash(const unsigned char *, unsigned int, unsigned char *);
int wc_Sha512Hash(const unsigned char *, unsigned int, unsigned char *);
WC_RNG *wc_rng_new(unsigned char *, unsigned int, void *);
void wc_rng_free(WC_RNG *);
ecc_key *wc_ecc_key_new(void *);
void wc_ecc_key_free(ecc_key *);
int wc_ecc_make_key_ex(WC_RNG *, int, ecc_key *, int);
int wc_ecc_import_x963_ex(const unsigned char *, unsigned int, ecc_key *, int);
int wc_ecc_check_key(ecc_key *);
int wc_ecc_sign_hash(const unsigned char *, unsigned int, unsigned char *, unsigned int *, WC_RNG *, ecc_key *);
int wc_ecc_verify_hash(const unsigned char *, unsigned int, const unsigned char *, unsigned int, int *, ecc_key *);
int wc_ecc_export_x963(ecc_key *, unsigned char *, unsigned int *);
int wc_EccKeyToPKCS8(ecc_key *, unsigned char *, unsigned int *);
void wc_ecc_fp_free(void);
int wc_Hash(unsigned int, const unsigned char *, unsigned int, unsigned char *, unsigned int);
int wc_SignatureGetSize(unsigned int, const void *, unsigned int);
int wc_InitRsaKey(RsaKey *, void *);
int wc_FreeRsaKey(RsaKey *);
int wc_MakeRsaKey(RsaKey *, int, long, WC_RNG *);
int wc_RsaSetRNG(RsaKey *, WC_RNG *);
int wc_RsaKeyToDer(RsaKey *, unsigned char *, unsigned int);
int wc_RsaKeyToPublicDer(RsaKey *, unsigned char *, unsigned int);
int wc_RsaPublicKeyDecode(const unsigned char *, unsigned int *, RsaKey *, unsigned int);
int wc_RsaEncryptSize(const RsaKey *);
int wc_RsaSSL_Sign(const unsigned char *, unsigned int, unsigned char *, unsigned int, RsaKey *, WC_RNG *);
int wc_RsaSSL_Verify(const unsigned char *, unsigned int, unsigned char *, unsigned int, RsaKey *);
int wc_RsaPSS_Sign(const unsigned char *, unsigned int, unsigned char *, unsigned int, unsigned int, int, RsaKey *,
                   WC_RNG *);
int wc_RsaPSS_VerifyCheck(unsigned char *, unsigned int, unsigned char *, unsigned int, const unsigned char *,
                          unsigned int, unsigned int, int, RsaKey *);
int wc_ed25519_init(ed25519_key *);
void wc_ed25519_free(ed25519_key *);
int wc_ed25519_make_key(WC_RNG *, int, ed25519_key *);
int wc_ed25519_import_public(const unsigned char *, unsigned int, ed25519_key *);
int wc_ed25519_export_public(ed25519_key *, unsigned char *, unsigned int *);
int wc_ed25519_export_private_only(ed25519_key *, unsigned char *, unsigned int *);
int wc_ed25519_sign_msg(const unsigned char *, unsigned int, unsigned char *, unsigned int *, ed25519_key *);
int wc_ed25519_verify_msg(const unsigned char *, unsigned int, const unsigned char *, unsigned int, int *,
                          ed25519_key *);
"""
)
OPTIONAL = {
    "tables": ("wc_ecc_fp_free",),
    "rsa": ("wc_Hash", "wc_SignatureGetSize", "wc_InitRsaKey", "wc_FreeRsaKey", "wc_RsaPublicKeyDecode",
            "wc_RsaEncryptSize", "wc_RsaSSL_Verify", "wc_RsaPSS_VerifyCheck"),
    "rsa keys": ("wc_MakeRsaKey", "wc_RsaSetRNG", "wc_RsaKeyToDer", "wc_RsaKeyToPublicDer", "wc_RsaSSL_Sign",
                 "wc_RsaPSS_Sign"),
    "ed25519": tuple(f"wc_ed25519_{name}" for name in ("init", "free", "make_key", "import_public", "export_public",
                                                       "export_private_only", "sign_msg", "verify_msg")),
}  # fmt: skip
"""What a build may leave out, and the names that each takes."""


class _Thread(threading.local):
    """What goes with a thread."""

    def __init__(self, free_tables: Callable[[], None]) -> None:
        self.tables = Tables(free_tables)


class Library:
    """The library, loaded.

    Attributes:
        ffi: with the declarations.
        lib: the functions.
        version: "wolfCrypt 5.5.4".
        has: keys of `OPTIONAL` that it was built with.
    """

    def __init__(self, ffi: Any, lib: Any, version: str, has: frozenset[str]) -> None:  # noqa: ANN401  # cffi has no types
        self.ffi = ffi
        self.lib = lib
        self.version = version
        self.has = has
        self._thread = _Thread(lib.wc_ecc_fp_free if "tables" in has else lambda: None)
        self._computes_rsa: dict[int, bool] = {}
        self._hashes = {
            "sha256": (lib.wc_Sha256Hash, 32),
            "sha384": (lib.wc_Sha384Hash, 48),
            "sha512": (lib.wc_Sha512Hash, 64),
        }

    def digest(self, name: str, data: bytes) -> bytes:
        """Hash `data` by SHA-2; `name` is hashlib's."""
        function, size = self._hashes[name]
        out = self.ffi.new("unsigned char[]", size)
        self.require("hash", function(data, len(data), out))
        return bytes(self.ffi.buffer(out))

    @contextmanager
    def random(self) -> Iterator[Any]:
        """Lend a new random generator, seeded by the system.

        One is made for each use: a copy in a forked process would give the same nonces, which give ECDSA keys away.
        """
        rng = self.lib.wc_rng_new(self.ffi.NULL, 0, self.ffi.NULL)
        if not rng:
            raise RatsTlsError("wolfCrypt gives no random numbers")
        try:
            yield rng
        finally:
            self.lib.wc_rng_free(rng)

    def ec_key(self) -> Any:  # noqa: ANN401  # cffi has no types
        """Give an empty EC key; frees itself. It also ties wolfCrypt's tables to this thread."""
        _ = self._thread.tables
        key = self.lib.wc_ecc_key_new(self.ffi.NULL)
        if not key:
            raise MemoryError("wolfCrypt makes no EC key")
        return self.ffi.gc(key, self.lib.wc_ecc_key_free)

    def rsa_key(self) -> Any:  # noqa: ANN401  # cffi has no types
        """Give an empty RSA key; frees itself."""
        return self._key("RsaKey *", self.lib.wc_FreeRsaKey, lambda key: self.lib.wc_InitRsaKey(key, self.ffi.NULL))

    def ed25519_key(self) -> Any:  # noqa: ANN401  # cffi has no types
        """Give an empty Ed25519 key; frees itself."""
        return self._key("ed25519_key *", self.lib.wc_ed25519_free, self.lib.wc_ed25519_init)

    def _key(self, kind: str, free: Callable[[Any], object], init: Callable[[Any], int]) -> Any:  # noqa: ANN401  # likewise
        memory = self.ffi.new("long double[]", KEY_BYTES // self.ffi.sizeof("long double"))  # the largest alignment
        key = self.ffi.cast(kind, memory)
        self.require("make a key", init(key))

        def end(_: object, *, _memory: object = memory) -> None:  # which lives till then
            free(key)

        return self.ffi.gc(key, end)

    def computes_rsa(self, key: Any) -> bool:  # noqa: ANN401  # cffi has no types
        """Whether this build computes with an RSA key of that size: it loads larger ones than it computes with."""
        size = self.require("measure a key", self.lib.wc_RsaEncryptSize(key))
        if size not in self._computes_rsa:
            two, out = (2).to_bytes(size, "big"), self.ffi.new("unsigned char[]", size)
            # 2 is nobody's signature: where it could be computed, what comes of it has no padding.
            self._computes_rsa[size] = self.lib.wc_RsaSSL_Verify(two, size, out, size, key) == RSA_PAD_E
        return self._computes_rsa[size]

    def text(self, code: int) -> str:
        """Give wolfCrypt's own words for an error of its."""
        return (
            f"{self.ffi.string(self.lib.wc_GetErrorString(code)).decode('ascii', 'replace')} (wolfCrypt error {code})"
        )

    def require(self, doing: str, code: int) -> int:
        """Give `code`, which is not negative. Raises RatsTlsError where it is: wolfCrypt could not do it."""
        if code < 0:
            raise RatsTlsError(f"wolfCrypt cannot {doing}: {self.text(code)}")
        return code


@functools.cache
def library() -> Library:
    """Load libwolfssl from the loader's standard path; once for a process.

    Raises:
        NoInstanceError: it is not installed, too old, or was built without what this wrapper cannot do without.
    """
    ffi = FFI()
    ffi.cdef(TYPES + FUNCTIONS)
    found = opened("crypto wrapper wolfcrypt", ffi, FUNCTIONS, OPTIONAL)
    has = set(found.has)
    made = Library(ffi, found.lib, f"wolfCrypt {found.number}", found.has)
    if "rsa" in has and not (_hash_types_are_known(made) and _rsa_key_fits(made)):
        has.discard("rsa")
    if "rsa" not in has:
        has.discard("rsa keys")
    return Library(ffi, found.lib, made.version, frozenset(has))


def _hash_types_are_known(made: Library) -> bool:
    """Whether this build has the numbers of `HASH_TYPES`, by which RSA-PSS is told its hash."""
    out = made.ffi.new("unsigned char[64]")
    for name, number in HASH_TYPES.items():
        expected = hashlib.new(name, b"abc").digest()
        if (
            made.lib.wc_Hash(number, b"abc", 3, out, len(expected)) != 0
            or made.ffi.buffer(out, len(expected))[:] != expected
        ):
            return False
    return True


def _rsa_key_fits(made: Library) -> bool:
    """Whether an RsaKey of this build fits in `KEY_BYTES`: asked of a call that compares with its own sizeof.

    That call also looks into the key; what it is given is zero all through, as `wc_InitRsaKey` would leave it.
    """
    memory = made.ffi.new("unsigned char[]", 4 * KEY_BYTES)
    return bool(made.lib.wc_SignatureGetSize(SIGNATURE_TYPE_RSA, memory, KEY_BYTES) != BAD_FUNC_ARG)
