"""SM2 by Tongsuo, the library inside the package `tongsuopy`. Imported on first use: it loads the library.

The package's own API signs and verifies with one fixed user id, so the library in it is called directly.
"""

from __future__ import annotations

from cffi import FFI

from rats_tls.core.errors import UnsupportedError
from rats_tls.crypto_wrappers.sm2.evp import DECLARATIONS, NID_SM2, EvpBackEnd
from rats_tls.native.tongsuo import library_path, opened, package_version

_CTRL_SET1_ID = 0x100B  # EVP_PKEY_CTRL_SET1_ID of openssl/ec.h in 1.1.1: EVP_PKEY_ALG_CTRL + 11
_DECLARATIONS = """
int EVP_PKEY_CTX_ctrl(EVP_PKEY_CTX *context, int key_type, int operations, int command, int number, void *pointer);
int EVP_PKEY_set_alias_type(EVP_PKEY *key, int type);
"""


class TongsuoBackEnd(EvpBackEnd):
    """Tongsuo, made from OpenSSL 1.1.1: keys of the curve must be told that they are SM2's."""

    name = "tongsuo"

    @property
    def version(self) -> str:
        """Version of the package, and what the library in it calls itself."""
        return f"{package_version()}, {super().version}"

    def _set_user_id(self, key_context: object, user_id: bytes) -> bool:
        copied = self._ffi.from_buffer(user_id)
        return bool(self._library.EVP_PKEY_CTX_ctrl(key_context, -1, -1, _CTRL_SET1_ID, len(user_id), copied) == 1)

    def _as_sm2(self, key: object) -> bool:
        return bool(self._library.EVP_PKEY_set_alias_type(key, NID_SM2) == 1)


def load() -> TongsuoBackEnd:
    """Load the library. Raises UnsupportedError where the package is missing or has no library for this platform."""
    path = library_path()
    if path is None:
        raise UnsupportedError("the package tongsuopy is not installed (the extra `tongsuo`)")
    ffi = FFI()
    ffi.cdef(DECLARATIONS + _DECLARATIONS)
    try:
        library = opened(ffi, path)
    except OSError as error:
        raise UnsupportedError(f"the library in tongsuopy cannot be loaded: {error}") from error
    return TongsuoBackEnd(ffi, library)
