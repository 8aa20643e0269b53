"""SM2 by the system's libcrypto, from OpenSSL 3 on. Imported on first use: it loads the library."""

from __future__ import annotations

from cffi import FFI

from rats_tls.core.errors import UnsupportedError
from rats_tls.crypto_wrappers.sm2.evp import DECLARATIONS, NID_SM2, EvpBackEnd

SONAME = "libcrypto.so.3"
_FIRST_VERSION = 0x30000000
_DECLARATIONS = "int EVP_PKEY_CTX_set1_id(EVP_PKEY_CTX *context, const void *id, size_t size);"


class LibcryptoBackEnd(EvpBackEnd):
    """The system's libcrypto. Its user ids have at most 8190 bytes."""

    name = "libcrypto"

    def _set_user_id(self, key_context: object, user_id: bytes) -> bool:
        return bool(self._library.EVP_PKEY_CTX_set1_id(key_context, user_id, len(user_id)) == 1)


def load(soname: str = SONAME) -> LibcryptoBackEnd:
    """Load the library. Raises UnsupportedError where it is missing, too old or without SM2."""
    ffi = FFI()
    ffi.cdef(DECLARATIONS + _DECLARATIONS)
    try:
        library = ffi.dlopen(soname)
    except OSError as error:
        raise UnsupportedError(f"{soname} cannot be loaded: {error}") from error
    if library.OpenSSL_version_num() < _FIRST_VERSION:
        found = ffi.string(library.OpenSSL_version(0)).decode("ascii", "replace")
        raise UnsupportedError(f"{soname} is {found}, expected OpenSSL 3 or later")
    group = library.EC_GROUP_new_by_curve_name(NID_SM2)
    library.ERR_clear_error()
    if group == ffi.NULL:
        raise UnsupportedError(f"{soname} was built without SM2")
    library.EC_GROUP_free(group)
    return LibcryptoBackEnd(ffi, library)
