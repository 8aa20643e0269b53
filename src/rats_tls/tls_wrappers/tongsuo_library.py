"""The library inside the package `tongsuopy`, called by cffi without a compiler.

It is Tongsuo 8.3 (then called BabaSSL), made from OpenSSL 1.1.1: numbers are those of its `openssl/*.h`. The queue of
errors is the thread's, shared with whoever calls the same library in it.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cffi import FFI

from rats_tls.core.errors import NoInstanceError
from rats_tls.core.extras import pip_install
from rats_tls.native.tongsuo import library_path, opened, package_version
from rats_tls.tls_wrappers.callbacks import Raised

_SERIES = 0x10101
"""OpenSSL 1.1.1, of OPENSSL_VERSION_NUMBER without fix and patch (openssl/opensslv.h)."""
_INSTALL = pip_install("tls_wrappers", "tongsuo")

# openssl/crypto.h: no openssl.cnf, neither the system's nor one that the environment names, changes what is set here.
INIT_NO_LOAD_CONFIG = 0x00000080
# openssl/ssl.h
CTRL_MODE = 33
CTRL_SET_SESS_CACHE_MODE = 44
CTRL_SET_MAX_CERT_LIST = 51
CTRL_SET_TLSEXT_HOSTNAME = 55
CTRL_SET_GROUPS_LIST = 92
CTRL_SET_SIGALGS_LIST = 98
CTRL_GET_PEER_TMP_KEY = 109
CTRL_GET_EXTMS_SUPPORT = 122
CTRL_SET_MIN_PROTO_VERSION = 123
CTRL_SET_MAX_PROTO_VERSION = 124
MODE_RELEASE_BUFFERS = 0x00000010
OP_NO_TICKET = 0x00004000
OP_NO_COMPRESSION = 0x00020000
OP_CIPHER_SERVER_PREFERENCE = 0x00400000
OP_NO_RENEGOTIATION = 0x40000000
SESS_CACHE_OFF = 0x0000
VERIFY_PEER = 0x01
VERIFY_FAIL_IF_NO_PEER_CERT = 0x02
ERROR_WANT_READ = 2
ERROR_WANT_WRITE = 3
ERROR_ZERO_RETURN = 6
TLSEXT_NAMETYPE_HOST_NAME = 0  # openssl/tls1.h
TLSEXT_ERR_OK = 0
TLSEXT_ERR_ALERT_FATAL = 2
TLSEXT_ERR_NOACK = 3
NPN_NEGOTIATED = 1
TLS1_2_VERSION = 0x0303  # openssl/tls1.h
TLS1_3_VERSION = 0x0304
BIO_CTRL_RESET = 1  # openssl/bio.h
BIO_C_SET_BUF_MEM_EOF_RETURN = 130
# openssl/err.h, openssl/sslerr.h: an alert that came is its number above the offset.
LIB_SSL = 20
AD_REASON_OFFSET = 1000
R_HTTPS_PROXY_REQUEST = 155
R_HTTP_REQUEST = 156
R_WRONG_VERSION_NUMBER = 267
# openssl/obj_mac.h
NID_X9_62_PRIME256V1 = 415
NID_SECP384R1 = 715
NID_X25519 = 1034
NID_SM2 = 1172

_DECLARATIONS = """
typedef ... SSL; typedef ... SSL_CTX; typedef ... SSL_METHOD; typedef ... SSL_CIPHER; typedef ... X509;
typedef ... X509_STORE_CTX; typedef ... EVP_PKEY; typedef ... EC_KEY; typedef ... EC_GROUP; typedef ... BIO;
typedef ... BIO_METHOD;
unsigned long OpenSSL_version_num(void);
const char *OpenSSL_version(int type);
int OPENSSL_init_ssl(uint64_t options, const void *settings);
unsigned long ERR_get_error(void);
void ERR_clear_error(void);
const char *ERR_reason_error_string(unsigned long code);

const SSL_METHOD *TLS_client_method(void);
const SSL_METHOD *TLS_server_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
void SSL_CTX_free(SSL_CTX *context);
long SSL_CTX_ctrl(SSL_CTX *context, int command, long number, void *pointer);
unsigned long SSL_CTX_set_options(SSL_CTX *context, unsigned long options);
int SSL_CTX_set_num_tickets(SSL_CTX *context, size_t number);
int SSL_CTX_set_ciphersuites(SSL_CTX *context, const char *suites);
int SSL_CTX_set_cipher_list(SSL_CTX *context, const char *suites);
void SSL_CTX_enable_sm_tls13_strict(SSL_CTX *context);
void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *callback);
void SSL_CTX_set_cert_verify_callback(SSL_CTX *context, int (*callback)(X509_STORE_CTX *, void *), void *argument);
int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *protocols, unsigned int size);
void SSL_CTX_set_alpn_select_cb(SSL_CTX *context, int (*callback)(SSL *, const unsigned char **, unsigned char *,
                                const unsigned char *, unsigned int, void *), void *argument);
int SSL_select_next_proto(unsigned char **out, unsigned char *out_size, const unsigned char *server,
                          unsigned int server_size, const unsigned char *client, unsigned int client_size);
int SSL_CTX_use_certificate(SSL_CTX *context, X509 *certificate);
int SSL_CTX_use_PrivateKey(SSL_CTX *context, EVP_PKEY *key);

X509 *d2i_X509(X509 **certificate, const unsigned char **der, long size);
int i2d_X509(X509 *certificate, unsigned char **der);
void X509_free(X509 *certificate);
EVP_PKEY *X509_get0_pubkey(const X509 *certificate);
EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **key, const unsigned char **der, long size);
void EVP_PKEY_free(EVP_PKEY *key);
int EVP_PKEY_id(const EVP_PKEY *key);
int EVP_PKEY_is_sm2(EVP_PKEY *key);
EC_KEY *EVP_PKEY_get0_EC_KEY(EVP_PKEY *key);
const EC_GROUP *EC_KEY_get0_group(const EC_KEY *key);
int EC_GROUP_get_curve_name(const EC_GROUP *group);

BIO *BIO_new(const BIO_METHOD *method);
const BIO_METHOD *BIO_s_mem(void);
int BIO_free(BIO *bio);
long BIO_ctrl(BIO *bio, int command, long number, void *pointer);
size_t BIO_ctrl_pending(BIO *bio);
int BIO_read(BIO *bio, void *data, int size);
int BIO_write(BIO *bio, const void *data, int size);

SSL *SSL_new(SSL_CTX *context);
void SSL_free(SSL *ssl);
void SSL_set_bio(SSL *ssl, BIO *in, BIO *out);
void SSL_set_accept_state(SSL *ssl);
void SSL_set_connect_state(SSL *ssl);
long SSL_ctrl(SSL *ssl, int command, long number, void *pointer);
int SSL_do_handshake(SSL *ssl);
int SSL_get_error(const SSL *ssl, int result);
int SSL_read(SSL *ssl, void *buffer, int size);
int SSL_write(SSL *ssl, const void *data, int size);
int SSL_shutdown(SSL *ssl);
int SSL_version(const SSL *ssl);
const char *SSL_get_version(const SSL *ssl);
int SSL_session_reused(const SSL *ssl);
const SSL_CIPHER *SSL_get_current_cipher(const SSL *ssl);
const char *SSL_CIPHER_standard_name(const SSL_CIPHER *cipher);
X509 *SSL_get_peer_certificate(const SSL *ssl);
void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char **protocol, unsigned int *size);
int SSL_export_keying_material(SSL *ssl, unsigned char *out, size_t size, const char *label, size_t label_size,
                               const unsigned char *context, size_t context_size, int use_context);
"""

_ACCEPT = 1
SPACE = 1 << 16
"""Bytes of the buffer that each thread has."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a call failed, as the library says it.

    Attributes:
        of_tls: whether its TLS part says so.
        number: the reason's number.
        text: the reason in words.
    """

    of_tls: bool
    number: int
    text: str


class Library:
    """The loaded library.

    Args:
        ffi: with its declarations.
        functions: the library.

    Attributes:
        version: of the package, and what the library in it calls itself.
        raised: what callbacks raised.
    """

    def __init__(self, ffi: FFI, functions: Any) -> None:  # noqa: ANN401  # cffi has no types
        self.ffi: Any = ffi
        self.functions = functions
        text: bytes = self.ffi.string(functions.OpenSSL_version(0))
        self.version = f"{package_version()}, {text.decode('ascii', 'replace')}"
        self._buffers = threading.local()
        self.raised = Raised()
        # Whatever happens in it gives 0, which refuses.
        self.accept_any = ffi.callback(
            "int(X509_STORE_CTX *, void *)", lambda _chain, _: _ACCEPT, error=0, onerror=self.raised.keep
        )

    @property
    def buffer(self) -> Any:  # noqa: ANN401  # likewise
        """This thread's buffer of `SPACE` bytes."""
        try:
            return self._buffers.space
        except AttributeError:
            self._buffers.space = self.ffi.new("unsigned char[]", SPACE)
            return self._buffers.space

    def owned(self, made: Any, free: Any) -> Any:  # noqa: ANN401  # likewise
        """Give what was made, freed with the object that is given. Raises MemoryError where nothing was."""
        if made == self.ffi.NULL:
            raise MemoryError(f"Tongsuo made nothing: {self.reason().text}")
        return self.ffi.gc(made, free)

    def reason(self) -> Reason:
        """Give the first reason in the thread's queue of errors, which is the cause of those behind it; empties it."""
        code = self.functions.ERR_get_error()
        self.functions.ERR_clear_error()
        if not code:
            return Reason(of_tls=False, number=0, text="no reason given")
        # ERR_GET_LIB, ERR_GET_REASON of openssl/err.h
        found = self.functions.ERR_reason_error_string(code)
        text = self.ffi.string(found).decode("ascii", "replace") if found != self.ffi.NULL else f"error {code:08X}"
        return Reason(of_tls=code >> 24 & 0xFF == LIB_SSL, number=code & 0xFFF, text=text)


@functools.cache
def load() -> Library:
    """Load the library, once for a process.

    Raises:
        NoInstanceError: the package is missing, has no library for this platform, or one that this is not made for.
    """
    path = library_path()
    if path is None:
        raise NoInstanceError(f"TLS wrapper tongsuo: the package tongsuopy is not installed; {_INSTALL}")
    return _loaded(path)


def _loaded(path: Path) -> Library:
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        functions = opened(ffi, path)
        for name in dir(functions):
            getattr(functions, name)
    except (OSError, AttributeError) as error:
        raise NoInstanceError(f"TLS wrapper tongsuo: the library in tongsuopy does not load: {error}") from error
    if functions.OpenSSL_version_num() >> 12 != _SERIES:
        found = ffi.string(functions.OpenSSL_version(0)).decode("ascii", "replace")
        raise NoInstanceError(
            f"TLS wrapper tongsuo: the library in tongsuopy is {found}, expected one made from OpenSSL 1.1.1"
        )
    functions.OPENSSL_init_ssl(INIT_NO_LOAD_CONFIG, ffi.NULL)
    return Library(ffi, functions)
