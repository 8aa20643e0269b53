"""The `tongsuo` TLS wrapper: TLS with SM2 certificates (RFC 8998), by the library in the package `tongsuopy`.

What a side offers follows from its certificate:
- SM2: TLS_SM4_GCM_SM3, curveSM2 and sm2sig_sm3 alone, as RFC 8998 3.3 demands of both ends.
- a server with another key: the suites of TLS 1.3 that everybody knows, and nothing of RFC 8998.
- a client with another key or none: both, and the server chooses. It gets through to an SM2 server that demands no
  certificate. One that does takes none but of SM2 keys, and is told so by the alert certificate_required.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers import tongsuo_library as numbers
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.own_certificate import own_certificate, require_pair
from rats_tls.tls_wrappers.tongsuo_library import Library, load
from rats_tls.tls_wrappers.tongsuo_session import TongsuoTlsSession

_OPTIONS = (
    numbers.OP_NO_TICKET | numbers.OP_NO_COMPRESSION | numbers.OP_NO_RENEGOTIATION | numbers.OP_CIPHER_SERVER_PREFERENCE
)
_MESSAGE_OVERHEAD = 64
"""Above what a Certificate message of one certificate adds to it, RFC 8446 4.4.2: 1 + 3 + 3 + 2 bytes."""
_TLS12_SUITES = b"ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class _Offer:
    """What is offered or taken, best first, in the library's names."""

    suites: bytes
    groups: bytes
    signatures: bytes

    def __add__(self, other: _Offer) -> _Offer:
        return _Offer(
            self.suites + b":" + other.suites,
            self.groups + b":" + other.groups,
            self.signatures + b":" + other.signatures,
        )


_INTERNATIONAL = _Offer(
    suites=b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
    groups=b"X25519:P-256:P-384",
    # Those of PKCS #1 are for signatures of certificates alone in TLS 1.3 (RFC 8446 4.2.3).
    signatures=b"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512"
    b":RSA+SHA256:RSA+SHA384:RSA+SHA512",
)
_SHANGMI = _Offer(suites=b"TLS_SM4_GCM_SM3", groups=b"SM2", signatures=b"sm2sig_sm3")


@dataclass(frozen=True, slots=True)
class _Own:
    """This side's certificate and key, as the library holds them."""

    certificate: Any
    key: Any
    sm2: bool


class TongsuoTlsContext:
    """One side's settings in an SSL_CTX; shared by threads.

    Args:
        library: the library.
        context: the SSL_CTX, freed with its object.
        server: whether its connections accept.
        kept: what the context refers to.
    """

    __slots__ = ("_context", "_kept", "_library", "_server")

    def __init__(self, library: Library, context: Any, *, server: bool, kept: object) -> None:  # noqa: ANN401  # cffi has no types
        self._library = library
        self._context = context
        self._server = server
        self._kept = kept

    def session(self, server_hostname: str | None = None) -> TongsuoTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        library, lib = self._library, self._library.functions
        name = None if self._server else server_name(server_hostname)
        lib.ERR_clear_error()
        ssl = library.owned(lib.SSL_new(self._context), lib.SSL_free)
        incoming, outgoing = (library.owned(lib.BIO_new(lib.BIO_s_mem()), lib.BIO_free) for _ in range(2))
        lib.SSL_set_bio(ssl, incoming, outgoing)
        for bio in (incoming, outgoing):
            library.ffi.gc(bio, None)  # it is the connection's from here on
        if self._server:
            lib.SSL_set_accept_state(ssl)
        else:
            lib.SSL_set_connect_state(ssl)
        if name is not None:
            copied = library.ffi.new("char[]", name)
            kind = numbers.TLSEXT_NAMETYPE_HOST_NAME
            if lib.SSL_ctrl(ssl, numbers.CTRL_SET_TLSEXT_HOSTNAME, kind, copied) != 1:
                raise ConfigurationError(
                    f"server_hostname: got {server_hostname!r}, expected a host name: {library.reason().text}"
                )
        return TongsuoTlsSession(library, ssl, (incoming, outgoing), self)


class TongsuoTlsWrapper:
    """TLS 1.3, and 1.2 with extended master secret, by Tongsuo.

    Raises:
        NoInstanceError: the package `tongsuopy` is missing, or has no library that this is made for.
    """

    name = "tongsuo"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=True,
        exporter_with_context=True,
        alpn=True,
        tls12=True,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {
                KeyAlgorithm.EC_P256,
                KeyAlgorithm.EC_P384,
                KeyAlgorithm.RSA_3072,
                KeyAlgorithm.ED25519,
                KeyAlgorithm.SM2,
            }
        ),
        caution="for SM2 alone: its library is of February 2023, made from OpenSSL 1.1.1h, and nobody maintains it",
    )

    def __init__(self) -> None:
        self._library = load()

    @property
    def version(self) -> str:
        """Versions of `tongsuopy` and of the library in it."""
        return self._library.version

    def context(self, config: TlsConfig) -> TongsuoTlsContext:
        """Load `config`. With an SM2 certificate TLS 1.2 is not offered, even where it is allowed.

        Raises:
            ConfigurationError: key or certificate is missing, malformed, too large, or one does not fit the other.
        """
        library, lib, null = self._library, self._library.functions, self._library.ffi.NULL
        own = self._own(config)
        server = config.role == "server"
        lib.ERR_clear_error()
        context = library.owned(
            lib.SSL_CTX_new(lib.TLS_server_method() if server else lib.TLS_client_method()), lib.SSL_CTX_free
        )
        sm2 = own is not None and own.sm2
        lowest = numbers.TLS1_2_VERSION if config.allow_tls12 and not sm2 else numbers.TLS1_3_VERSION
        lib.SSL_CTX_ctrl(context, numbers.CTRL_SET_MIN_PROTO_VERSION, lowest, null)
        lib.SSL_CTX_ctrl(context, numbers.CTRL_SET_MAX_PROTO_VERSION, numbers.TLS1_3_VERSION, null)
        lib.SSL_CTX_set_options(context, _OPTIONS)
        lib.SSL_CTX_set_num_tickets(context, 0)
        lib.SSL_CTX_ctrl(context, numbers.CTRL_SET_SESS_CACHE_MODE, numbers.SESS_CACHE_OFF, null)
        lib.SSL_CTX_ctrl(context, numbers.CTRL_MODE, numbers.MODE_RELEASE_BUFFERS, null)
        longest = DEFAULT_LIMITS.certificate_read + _MESSAGE_OVERHEAD
        lib.SSL_CTX_ctrl(context, numbers.CTRL_SET_MAX_CERT_LIST, longest, null)
        self._offer(context, _SHANGMI if sm2 else _INTERNATIONAL if server else _INTERNATIONAL + _SHANGMI)
        lib.SSL_CTX_set_cert_verify_callback(context, library.accept_any, null)
        if not server:
            lib.SSL_CTX_set_verify(context, numbers.VERIFY_PEER, null)
        elif config.request_peer_certificate:
            lib.SSL_CTX_set_verify(context, numbers.VERIFY_PEER | numbers.VERIFY_FAIL_IF_NO_PEER_CERT, null)
        if own is not None and not (
            lib.SSL_CTX_use_certificate(context, own.certificate) == lib.SSL_CTX_use_PrivateKey(context, own.key) == 1
        ):
            raise self._refuses(library.reason().text)
        kept = self._negotiate(context, config) if config.alpn else None
        return TongsuoTlsContext(library, context, server=server, kept=kept)

    def _offer(self, context: Any, offer: _Offer) -> None:  # noqa: ANN401  # likewise
        library, lib = self._library, self._library.functions
        # The suite of RFC 8998 goes with its group and signatures, and with no others (RFC 8998 3.3).
        lib.SSL_CTX_enable_sm_tls13_strict(context)
        done = [
            lib.SSL_CTX_set_ciphersuites(context, offer.suites),
            lib.SSL_CTX_set_cipher_list(context, _TLS12_SUITES),
        ]
        for command, names in (
            (numbers.CTRL_SET_GROUPS_LIST, offer.groups),
            (numbers.CTRL_SET_SIGALGS_LIST, offer.signatures),
        ):
            done.append(lib.SSL_CTX_ctrl(context, command, 0, library.ffi.new("char[]", names)))
        if done != [1] * len(done):
            raise ConfigurationError(f"TLS wrapper tongsuo lacks what it was made for: {library.reason().text}")

    def _negotiate(self, context: Any, config: TlsConfig) -> object:  # noqa: ANN401  # likewise
        """Offer protocols, or choose the first of the server's that the client offers. Gives what must be kept."""
        ffi, lib = self._library.ffi, self._library.functions
        encoded = b"".join(bytes([len(name)]) + name for name in (each.encode("ascii") for each in config.alpn))
        if config.role == "client":
            if lib.SSL_CTX_set_alpn_protos(context, encoded, len(encoded)) != 0:
                raise ConfigurationError(f"TLS wrapper tongsuo refuses the ALPN protocols {config.alpn}")
            return None
        own = ffi.new("unsigned char[]", encoded)

        def select(_ssl: object, out: Any, size: Any, offered: Any, offered_size: int, _: object) -> int:  # noqa: ANN401  # likewise
            if not offered_size:
                return numbers.TLSEXT_ERR_NOACK
            chosen = lib.SSL_select_next_proto(
                ffi.cast("unsigned char **", out), size, own, len(encoded), offered, offered_size
            )
            # Without one in common, TLS goes on without ALPN.
            return numbers.TLSEXT_ERR_OK if chosen == numbers.NPN_NEGOTIATED else numbers.TLSEXT_ERR_NOACK

        callback = ffi.callback(
            "int(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)",
            select,
            error=numbers.TLSEXT_ERR_ALERT_FATAL,
            onerror=self._library.raised.keep,
        )
        lib.SSL_CTX_set_alpn_select_cb(context, callback, ffi.NULL)
        return own, callback

    def _own(self, config: TlsConfig) -> _Own | None:
        pair = require_pair(self.name, self.capabilities, config)
        if pair is None:
            return None
        lib = self._library.functions
        certificate = self._decoded(lib.d2i_X509, pair[0], lib.X509_free)
        key = self._decoded(lib.d2i_AutoPrivateKey, pair[1], lib.EVP_PKEY_free)
        # It stays the certificate's; a key that cannot be read is none of SM2.
        public = lib.X509_get0_pubkey(certificate)
        sm2 = public != self._library.ffi.NULL and bool(lib.EVP_PKEY_is_sm2(public))
        if not sm2:
            own_certificate(self.name, self.capabilities, config)
        elif not lib.EVP_PKEY_is_sm2(key):
            lib.ERR_clear_error()
            raise ConfigurationError(
                "TLS wrapper tongsuo: the certificate is not of the private key that comes with it"
            )
        return _Own(certificate, key, sm2)

    def _decoded(self, decode: Any, der: bytes, free: Any) -> Any:  # noqa: ANN401  # likewise
        ffi, lib = self._library.ffi, self._library.functions
        lib.ERR_clear_error()
        start = ffi.from_buffer("const unsigned char[]", der)
        end = ffi.new("const unsigned char **", start)
        found = decode(ffi.NULL, end, len(der))
        if found == ffi.NULL:
            raise self._refuses(self._library.reason().text)
        owned = ffi.gc(found, free)
        if end[0] - ffi.cast("const unsigned char *", start) != len(der):
            raise self._refuses("bytes behind it")
        lib.ERR_clear_error()
        return owned

    def _refuses(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"TLS wrapper tongsuo refuses certificate or key: {why}")
