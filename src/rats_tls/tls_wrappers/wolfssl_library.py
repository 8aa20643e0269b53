"""wolfSSL's library, by cffi in ABI mode: names, constants, and the callbacks that every connection shares."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cffi import FFI

from rats_tls.native import wolfssl
from rats_tls.native.wolfssl import Tables, opened
from rats_tls.tls_wrappers.callbacks import Raised
from rats_tls.tls_wrappers.wolfssl_wire import Wire

# Source of what follows: wolfssl/ssl.h and wolfssl/error-ssl.h of wolfSSL 5.5.4.
SUCCESS = wolfssl.SUCCESS
FILETYPE_ASN1 = 2
VERIFY_PEER = 1
VERIFY_FAIL_IF_NO_PEER_CERT = 2
SESS_CACHE_OFF = 0
ERROR_WANT_READ = 2
ERROR_ZERO_RETURN = 6
FATAL_ERROR = -313
HANDSHAKE_SIZE_ERROR = -404
CBIO_ERR_GENERAL = -1
CBIO_ERR_WANT_READ = -2
CBIO_ERR_CONN_CLOSE = -5
SNI_HOST_NAME = 0
ALPN_CONTINUE_ON_MISMATCH = 2
ALERT_FATAL = 2
TLSEXT_ERR_OK = 0
TLSEXT_ERR_ALERT_FATAL = 2
TLSEXT_ERR_NOACK = 3
GROUPS = (29, 23, 24)
"""x25519, secp256r1 and secp384r1 (RFC 8446 4.2.7), in the order in which a client prefers them."""

TYPES = """
typedef struct WOLFSSL_METHOD WOLFSSL_METHOD;
typedef struct WOLFSSL_CTX WOLFSSL_CTX;
typedef struct WOLFSSL WOLFSSL;
typedef struct WOLFSSL_X509 WOLFSSL_X509;
typedef struct WOLFSSL_X509_STORE WOLFSSL_X509_STORE;
typedef struct WOLFSSL_X509_STORE_CTX WOLFSSL_X509_STORE_CTX;
typedef struct { int code; int level; } WOLFSSL_ALERT;
typedef struct { WOLFSSL_ALERT last_rx; WOLFSSL_ALERT last_tx; } WOLFSSL_ALERT_HISTORY;
typedef int (*VerifyCallback)(int, WOLFSSL_X509_STORE_CTX *);
typedef int (*CallbackIO)(WOLFSSL *, char *, int, void *);
typedef int (*CallbackALPNSelect)(WOLFSSL *, const unsigned char **, unsigned char *, const unsigned char *,
                                  unsigned int, void *);
"""
FUNCTIONS = (
    wolfssl.FUNCTIONS
    + """
const char *wolfSSL_ERR_reason_error_string(unsigned long);
void wolfSSL_ERR_clear_error(void);
void wc_ecc_fp_free(void);
WOLFSSL_METHOD *wolfTLSv1_3_client_method(void);
WOLFSSL_METHOD *wolfTLSv1_3_server_method(void);
WOLFSSL_CTX *wolfSSL_CTX_new(WOLFSSL_METHOD *);
void wolfSSL_CTX_free(WOLFSSL_CTX *);
void wolfSSL_CTX_set_verify(WOLFSSL_CTX *, int, VerifyCallback);
int wolfSSL_CTX_use_certificate_buffer(WOLFSSL_CTX *, const unsigned char *, long, int);
int wolfSSL_CTX_use_PrivateKey_buffer(WOLFSSL_CTX *, const unsigned char *, long, int);
int wolfSSL_CTX_set_cipher_list(WOLFSSL_CTX *, const char *);
int wolfSSL_CTX_set1_sigalgs_list(WOLFSSL_CTX *, const char *);
int wolfSSL_CTX_set_groups(WOLFSSL_CTX *, int *, int);
int wolfSSL_CTX_no_ticket_TLSv13(WOLFSSL_CTX *);
long wolfSSL_CTX_set_session_cache_mode(WOLFSSL_CTX *, long);
void wolfSSL_CTX_SetIORecv(WOLFSSL_CTX *, CallbackIO);
void wolfSSL_CTX_SetIOSend(WOLFSSL_CTX *, CallbackIO);
void wolfSSL_CTX_set_alpn_select_cb(WOLFSSL_CTX *, CallbackALPNSelect, void *);
WOLFSSL *wolfSSL_new(WOLFSSL_CTX *);
void wolfSSL_free(WOLFSSL *);
void wolfSSL_SetIOReadCtx(WOLFSSL *, void *);
void wolfSSL_SetIOWriteCtx(WOLFSSL *, void *);
int wolfSSL_UseSNI(WOLFSSL *, unsigned char, const void *, unsigned short);
int wolfSSL_UseALPN(WOLFSSL *, char *, unsigned int, unsigned char);
int wolfSSL_ALPN_GetProtocol(WOLFSSL *, char **, unsigned short *);
void wolfSSL_KeepArrays(WOLFSSL *);
int wolfSSL_export_keying_material(WOLFSSL *, unsigned char *, size_t, const char *, size_t, const unsigned char *,
                                   size_t, int);
int wolfSSL_connect(WOLFSSL *);
int wolfSSL_accept(WOLFSSL *);
int wolfSSL_read(WOLFSSL *, void *, int);
int wolfSSL_write(WOLFSSL *, const void *, int);
int wolfSSL_shutdown(WOLFSSL *);
int wolfSSL_get_error(WOLFSSL *, int);
int wolfSSL_state(WOLFSSL *);
int wolfSSL_get_alert_history(WOLFSSL *, WOLFSSL_ALERT_HISTORY *);
int wolfSSL_session_reused(WOLFSSL *);
const char *wolfSSL_get_version(const WOLFSSL *);
int wolfSSL_get_current_cipher_suite(WOLFSSL *);
const char *wolfSSL_get_curve_name(WOLFSSL *);
WOLFSSL_X509_STORE *wolfSSL_X509_STORE_new(void);
int wolfSSL_set0_verify_cert_store(WOLFSSL *, WOLFSSL_X509_STORE *);
int wolfSSL_X509_STORE_CTX_get_error_depth(WOLFSSL_X509_STORE_CTX *);
WOLFSSL_X509 *wolfSSL_X509_STORE_CTX_get_current_cert(WOLFSSL_X509_STORE_CTX *);
const unsigned char *wolfSSL_X509_get_der(WOLFSSL_X509 *, int *);
"""
)
OPTIONAL = {
    "alpn": ("wolfSSL_CTX_set_alpn_select_cb", "wolfSSL_UseALPN", "wolfSSL_ALPN_GetProtocol"),
    "exporter": ("wolfSSL_export_keying_material", "wolfSSL_KeepArrays"),
    "errors": ("wolfSSL_ERR_clear_error",),
    "tables": ("wc_ecc_fp_free",),
}
"""What a build may leave out, and the names that each takes."""


class _Thread(threading.local):
    """What is a thread's own.

    Attributes:
        wire: of the connection that it shakes hands on, if any: wolfSSL calls back within the call, in its thread.
        tables: goes with the thread.
    """

    def __init__(self, free_tables: Callable[[], None]) -> None:
        self.wire: Wire | None = None
        self.tables = Tables(free_tables)


class Library:
    """The library, loaded.

    Attributes:
        ffi: with the declarations.
        lib: the functions.
        version: "wolfSSL 5.5.4".
        has: keys of `OPTIONAL` that it was built with.
    """

    def __init__(self, ffi: Any, lib: Any, version: str, has: frozenset[str]) -> None:  # noqa: ANN401  # cffi has no types
        self.ffi = ffi
        self.lib = lib
        self.version = version
        self.has = has
        self._thread = _Thread(lib.wc_ecc_fp_free if "tables" in has else lambda: None)
        self._raised = Raised()
        # An exception in a callback gives the value of `error`, which refuses or fails, and is kept for the caller.
        keep = self._raised.keep
        self.accept = ffi.callback("VerifyCallback", self._accept, error=0, onerror=keep)
        self.receive = ffi.callback("CallbackIO", self._receive, error=CBIO_ERR_GENERAL, onerror=keep)
        self.send = ffi.callback("CallbackIO", self._send, error=CBIO_ERR_GENERAL, onerror=keep)
        self.select = ffi.callback("CallbackALPNSelect", self._select, error=TLSEXT_ERR_ALERT_FATAL, onerror=keep)

    def raised(self) -> BaseException | None:
        """Give and forget what a callback raised in this thread: wolfSSL goes on after some, without ALPN say."""
        return self._raised.take()

    @contextlib.contextmanager
    def leaf_certificate_to(self, wire: Wire) -> Iterator[None]:
        """Within this, the leaf certificate that this thread's connection verifies is handed to `wire`."""
        self._thread.wire = wire
        try:
            yield
        finally:
            self._thread.wire = None

    def _accept(self, _ok: int, store: object) -> int:
        """Take any certificate, with any finding about it; its key is proved by CertificateVerify, which comes next.

        The DER is taken here: what wolfSSL gives after the handshake is a copy, which some builds cannot make of a
        certificate with an Ed25519 key (5.5.4 of Debian).
        """
        if self.lib.wolfSSL_X509_STORE_CTX_get_error_depth(store) != 0:
            return 1
        wire = self._thread.wire
        size = self.ffi.new("int *")
        der = self.lib.wolfSSL_X509_get_der(self.lib.wolfSSL_X509_STORE_CTX_get_current_cert(store), size)
        if wire is None or not der:
            return 0
        wire.certificate = self.ffi.buffer(der, size[0])[:]
        return 1

    def _receive(self, _ssl: object, buffer: object, size: int, context: object) -> int:
        wire: Wire = self.ffi.from_handle(context)
        data = wire.take(size)
        if not data:
            return CBIO_ERR_CONN_CLOSE if wire.ended else CBIO_ERR_WANT_READ
        self.ffi.memmove(buffer, data, len(data))
        return len(data)

    def _send(self, _ssl: object, buffer: object, size: int, context: object) -> int:
        wire: Wire = self.ffi.from_handle(context)
        wire.out.append(self.ffi.buffer(buffer, size)[:])
        return size

    def _select(self, _ssl: object, out: Any, length: Any, offered: Any, size: int, context: object) -> int:  # noqa: ANN401  # likewise
        own: tuple[bytes, ...] = self.ffi.from_handle(context)
        listed = self.ffi.buffer(offered, size)[:]
        places: dict[bytes, int] = {}
        at = 0
        while at < size:
            places.setdefault(listed[at + 1 : at + 1 + listed[at]], at)
            at += 1 + listed[at]
        for protocol in own:
            if protocol in places:  # the first of the server's protocols that the client offers
                out[0] = offered + places[protocol] + 1
                length[0] = len(protocol)
                return TLSEXT_ERR_OK
        return TLSEXT_ERR_NOACK

    def text(self, code: int) -> str:
        """Give wolfSSL's own words for an error of its."""
        said = self.lib.wolfSSL_ERR_reason_error_string(self.ffi.cast("unsigned long", code))
        words = self.ffi.string(said).decode("ascii", "replace") if said else ""
        return f"{words} (wolfSSL error {code})"

    def forget_errors(self) -> None:
        """Empty this thread's queue of errors, which some builds keep: accepted certificates leave entries there."""
        if "errors" in self.has:
            self.lib.wolfSSL_ERR_clear_error()


@functools.cache
def library() -> Library:
    """Load wolfSSL from the loader's standard path; once for a process.

    Raises:
        NoInstanceError: it is not installed, too old, or was built without what this wrapper cannot do without.
    """
    ffi = FFI()
    ffi.cdef(TYPES + FUNCTIONS)
    found = opened("TLS wrapper wolfssl", ffi, FUNCTIONS, OPTIONAL)
    return Library(ffi, found.lib, f"wolfSSL {found.number}", found.has)
