"""libgnutls by cffi: declarations, numbers, and how bytes get in and out of its sessions.

Names and numbers are those of gnutls/gnutls.h of GnuTLS 3.7.9, without GNUTLS_; a test compares all of them with the
header that is installed.
"""

from __future__ import annotations

import errno
import functools
import threading
from types import TracebackType
from typing import Any

from cffi import FFI

from rats_tls.core.errors import NoInstanceError
from rats_tls.tls_wrappers.callbacks import Raised

SONAMES = ("libgnutls.so.30", "libgnutls.30.dylib")
"""Linux, macOS: the library's interface is the same since GnuTLS 3.6."""
FIRST_VERSION = "3.7.0"
INSTALL = "install libgnutls30 (Debian, Ubuntu) or gnutls (Fedora, Homebrew)"
SPACE = 65_536
"""Bytes that one `read` gives at most."""

TYPES = """
typedef struct gnutls_session_int *gnutls_session_t;
typedef struct gnutls_certificate_credentials_st *gnutls_certificate_credentials_t;
typedef struct gnutls_priority_st *gnutls_priority_t;
typedef void *gnutls_transport_ptr_t;
typedef struct { unsigned char *data; unsigned int size; } gnutls_datum_t;
typedef ssize_t (*gnutls_pull_func)(gnutls_transport_ptr_t, void *, size_t);
typedef ssize_t (*gnutls_push_func)(gnutls_transport_ptr_t, const void *, size_t);
typedef int (*gnutls_keylog_func)(gnutls_session_t, const char *, const gnutls_datum_t *);
"""
"""Enumerations have no negative members and are `unsigned int` in calls."""
FUNCTIONS = """
const char *gnutls_check_version(const char *required);
const char *gnutls_strerror(int code);

int gnutls_priority_init(gnutls_priority_t *made, const char *priorities, const char **wrong);
void gnutls_priority_deinit(gnutls_priority_t priority);
int gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *made);
void gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials);
int gnutls_certificate_set_x509_key_mem(gnutls_certificate_credentials_t credentials,
    const gnutls_datum_t *certificate, const gnutls_datum_t *key, unsigned int format);

int gnutls_init(gnutls_session_t *made, unsigned int flags);
void gnutls_deinit(gnutls_session_t session);
void gnutls_session_set_keylog_function(gnutls_session_t session, gnutls_keylog_func keep);
int gnutls_priority_set(gnutls_session_t session, gnutls_priority_t priority);
int gnutls_credentials_set(gnutls_session_t session, unsigned int type, void *credentials);
void gnutls_certificate_server_set_request(gnutls_session_t session, unsigned int request);
void gnutls_handshake_set_max_packet_length(gnutls_session_t session, size_t max);
int gnutls_alpn_set_protocols(gnutls_session_t session, const gnutls_datum_t *protocols, unsigned int count,
    unsigned int flags);
int gnutls_server_name_set(gnutls_session_t session, unsigned int type, const void *name, size_t size);
void gnutls_transport_set_ptr(gnutls_session_t session, gnutls_transport_ptr_t pointer);
void gnutls_transport_set_pull_function(gnutls_session_t session, gnutls_pull_func pull);
void gnutls_transport_set_push_function(gnutls_session_t session, gnutls_push_func push);

int gnutls_handshake(gnutls_session_t session);
ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t size);
ssize_t gnutls_record_send(gnutls_session_t session, const void *data, size_t size);
int gnutls_bye(gnutls_session_t session, unsigned int how);
unsigned int gnutls_alert_get(gnutls_session_t session);
int gnutls_alert_send(gnutls_session_t session, unsigned int level, unsigned int alert);
int gnutls_error_to_alert(int code, int *level);

const gnutls_datum_t *gnutls_certificate_get_peers(gnutls_session_t session, unsigned int *count);
int gnutls_alpn_get_selected_protocol(gnutls_session_t session, gnutls_datum_t *protocol);
int gnutls_session_is_resumed(gnutls_session_t session);
unsigned int gnutls_session_ext_master_secret_status(gnutls_session_t session);
unsigned int gnutls_protocol_get_version(gnutls_session_t session);
unsigned int gnutls_kx_get(gnutls_session_t session);
unsigned int gnutls_cipher_get(gnutls_session_t session);
const char *gnutls_cipher_get_name(unsigned int cipher);
unsigned int gnutls_group_get(gnutls_session_t session);
const char *gnutls_group_get_name(unsigned int group);
unsigned int gnutls_prf_hash_get(gnutls_session_t session);
int gnutls_prf_rfc5705(gnutls_session_t session, size_t label_size, const char *label, size_t context_size,
    const char *context, size_t size, char *out);
"""

# gnutls_init_flags_t. Bit 2 is DATAGRAM: what is taken for NONBLOCK there gives DTLS.
SERVER = 1
CLIENT = 1 << 1
NONBLOCK = 1 << 3
FORCE_CLIENT_CERT = 1 << 9
NO_TICKETS = 1 << 10

CERT_IGNORE = 0
CERT_REQUIRE = 2
CRD_CERTIFICATE = 1
X509_FMT_DER = 0
ALPN_SERVER_PRECEDENCE = 1 << 1
NAME_DNS = 1
SHUT_WR = 1
AL_FATAL = 2
A_HANDSHAKE_FAILURE = 40
A_BAD_CERTIFICATE = 42

TLS1_2 = 4
TLS1_3 = 5
KX_ECDHE_RSA = 12
KX_ECDHE_ECDSA = 13
DIG_SHA256 = 6
DIG_SHA384 = 7

E_FATAL_ALERT_RECEIVED = -12
E_WARNING_ALERT_RECEIVED = -16
E_DECRYPTION_FAILED = -24
E_AGAIN = -28
E_INTERRUPTED = -52
E_PREMATURE_TERMINATION = -110


class Wire:
    """The bytes between one session and its peer, as libgnutls asks for them.

    Attributes:
        incoming: from the peer, not yet taken.
        outgoing: due to the peer.
        ended: whether the transport is closed.
        starved: whether libgnutls asked for more than there was. Set to False before each call.
    """

    __slots__ = ("ended", "incoming", "outgoing", "starved")

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False
        self.starved = False


class _Space(threading.local):
    """One buffer for each thread."""

    def __init__(self, ffi: FFI) -> None:
        self.pointer = ffi.new("char[]", SPACE)


class Library:
    """libgnutls, loaded. It and all that is made of it are shared by threads; a session is used by one at a time.

    Attributes:
        ffi: its cffi instance.
        lib: its functions.
        version: its version.
        space: a buffer of `SPACE` bytes for each thread.
        pull: reads from a `Wire`, whose handle is the transport pointer.
        push: writes to it.
    """

    def __init__(self, ffi: FFI, lib: Any) -> None:  # noqa: ANN401  # cffi has no types
        self.ffi = ffi
        self.lib = lib
        self.version: str = self.text(lib.gnutls_check_version(ffi.NULL))
        self.space = _Space(ffi)
        self._raised = Raised()
        self.pull: Any = ffi.callback("gnutls_pull_func", self._pull, error=-1, onerror=self._keep)
        self.push: Any = ffi.callback("gnutls_push_func", self._push, error=-1, onerror=self._keep)

    def _keep(self, kind: object, error: BaseException, traceback: TracebackType | None) -> None:
        self._raised.keep(kind, error, traceback)
        self.ffi.errno = errno.EIO  # what it was before may say that libgnutls should try again

    def raised(self) -> BaseException | None:
        """Give and forget what a callback raised in this thread."""
        return self._raised.take()

    def _pull(self, handle: Any, into: Any, size: int) -> int:  # noqa: ANN401  # likewise
        wire: Wire = self.ffi.from_handle(handle)
        size = min(size, len(wire.incoming))
        if size:
            self.ffi.memmove(into, wire.incoming, size)
            del wire.incoming[:size]
        elif not wire.ended:
            wire.starved = True
            self.ffi.errno = errno.EAGAIN
            return -1
        return size

    def _push(self, handle: Any, data: Any, size: int) -> int:  # noqa: ANN401  # likewise
        wire: Wire = self.ffi.from_handle(handle)
        wire.outgoing += self.ffi.buffer(data, size)
        return size

    def text(self, pointer: Any) -> str:  # noqa: ANN401  # likewise
        """Give a C string; "" for NULL."""
        return "" if pointer == self.ffi.NULL else self.ffi.string(pointer).decode("utf-8", "replace")

    def reason(self, code: int) -> str:
        """Give what libgnutls says of an error code, as a part of a sentence."""
        said = self.text(self.lib.gnutls_strerror(code)).rstrip(".")
        return said[:1].lower() + said[1:] if said[1:2].islower() else said


@functools.cache
def load(sonames: tuple[str, ...]) -> Library:
    """Load the first of `sonames` that is here, once for a process.

    Raises:
        NoInstanceError: there is none, or it is too old.
    """
    ffi = FFI()
    ffi.cdef(TYPES + FUNCTIONS)
    problems = []
    for soname in sonames:
        try:
            lib = ffi.dlopen(soname)
        except OSError as error:
            problems.append(str(error))
            continue
        if lib.gnutls_check_version(FIRST_VERSION.encode()) == ffi.NULL:
            found = ffi.string(lib.gnutls_check_version(ffi.NULL)).decode("ascii", "replace")
            raise NoInstanceError(f"TLS wrapper gnutls: {soname} is GnuTLS {found}, expected {FIRST_VERSION} or later")
        return Library(ffi, lib)
    raise NoInstanceError(f"TLS wrapper gnutls: libgnutls is not here ({'; '.join(problems)}); {INSTALL}")
