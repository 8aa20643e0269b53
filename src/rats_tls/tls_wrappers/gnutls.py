"""A TLS wrapper over GnuTLS, a TLS library of its own descent, by cffi.

TLS 1.3, and 1.2 with extended master secret where it is asked for. Nothing is resumed: no tickets are sent, none are
used, and there is no cache. Early data and authentication after the handshake are off unless a session asks for them.
"""

from __future__ import annotations

from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers import gnutls_library as gnutls
from rats_tls.tls_wrappers.gnutls_session import GnutlsTlsSession
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.own_certificate import own_certificate

# Key exchange with forward secrecy and AEAD ciphers only; no SHA-1. Groups and other signatures are GnuTLS's defaults.
# By -VERS-ALL, in place of -VERS-TLS-ALL, a client of TLS 1.2 would be told of cipher suites; the versions of DTLS that
# stay are not used.
_PRIORITIES = (
    "NORMAL:-VERS-TLS-ALL:{versions}:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM"
    ":+CHACHA20-POLY1305:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1"
)
_AROUND_CERTIFICATES = 8192
"""Room for the handshake's other messages."""


class GnutlsTlsContext:
    """One side's settings in GnuTLS's credentials and priorities; shared by threads.

    Args:
        library: the loaded library.
        config: one side's settings.
        own: DER of the certificate and of its key, or None.

    Raises:
        ConfigurationError: GnuTLS refuses one of them.
    """

    __slots__ = (
        "_alpn",
        "_alpn_memory",
        "_credentials",
        "_flags",
        "_largest_handshake",
        "_lib",
        "_library",
        "_priority",
        "_request",
    )

    def __init__(self, library: gnutls.Library, config: TlsConfig, own: tuple[bytes, bytes] | None) -> None:
        self._library = library
        self._lib = library.lib
        self._request: int | None = None
        # GnuTLS limits a message together with all that came before it from both ends, own certificate included.
        own_size = len(own[0]) if own is not None else 0
        self._largest_handshake = DEFAULT_LIMITS.certificate_read + own_size + _AROUND_CERTIFICATES
        self._flags = gnutls.NONBLOCK | gnutls.NO_TICKETS
        if config.role == "server":
            self._flags |= gnutls.SERVER
            self._request = gnutls.CERT_REQUIRE if config.request_peer_certificate else gnutls.CERT_IGNORE
        else:
            # A client presents its certificate whatever issuers the server names: ours has none but itself.
            self._flags |= gnutls.CLIENT | gnutls.FORCE_CLIENT_CERT
        self._priority = self._made_priority(config)
        self._credentials = self._made_credentials(own)
        # Memory that `_alpn` points to; GnuTLS copies it into each connection.
        protocols = [library.ffi.from_buffer(protocol.encode("ascii")) for protocol in config.alpn]
        self._alpn_memory = protocols
        self._alpn = library.ffi.new(
            "gnutls_datum_t[]", [(library.ffi.cast("unsigned char *", p), len(p)) for p in protocols]
        )
        self.session()  # raises for what GnuTLS takes at the start of a connection only

    def session(self, server_hostname: str | None = None) -> GnutlsTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        ffi, lib = self._library.ffi, self._lib
        name = server_name(server_hostname)
        made = ffi.new("gnutls_session_t *")
        self._require(lib.gnutls_init(made, self._flags), "a connection")
        session = ffi.gc(made[0], lib.gnutls_deinit)
        # Where the environment names a SSLKEYLOGFILE, GnuTLS writes every secret of the connection there.
        lib.gnutls_session_set_keylog_function(session, ffi.NULL)
        self._require(lib.gnutls_priority_set(session, self._priority), "the priorities")
        self._require(lib.gnutls_credentials_set(session, gnutls.CRD_CERTIFICATE, self._credentials), "the credentials")
        lib.gnutls_handshake_set_max_packet_length(session, self._largest_handshake)
        if self._request is not None:
            lib.gnutls_certificate_server_set_request(session, self._request)
        if count := len(self._alpn):
            code = lib.gnutls_alpn_set_protocols(session, self._alpn, count, gnutls.ALPN_SERVER_PRECEDENCE)
            self._require(code, "the ALPN protocols")
        if name is not None and self._flags & gnutls.CLIENT:
            self._require(lib.gnutls_server_name_set(session, gnutls.NAME_DNS, name, len(name)), "server_hostname")
        wire = gnutls.Wire()
        handle = ffi.new_handle(wire)
        lib.gnutls_transport_set_ptr(session, handle)
        lib.gnutls_transport_set_pull_function(session, self._library.pull)
        lib.gnutls_transport_set_push_function(session, self._library.push)
        return GnutlsTlsSession(self._library, session, handle, wire, self)

    def _made_priority(self, config: TlsConfig) -> Any:  # noqa: ANN401  # cffi has no types
        versions = "+VERS-TLS1.3:+VERS-TLS1.2" if config.allow_tls12 else "+VERS-TLS1.3"
        made = self._library.ffi.new("gnutls_priority_t *")
        text = _PRIORITIES.format(versions=versions).encode("ascii")
        self._require(self._lib.gnutls_priority_init(made, text, self._library.ffi.NULL), "the priorities")
        return self._library.ffi.gc(made[0], self._lib.gnutls_priority_deinit)

    def _made_credentials(self, own: tuple[bytes, bytes] | None) -> Any:  # noqa: ANN401  # likewise
        ffi, lib = self._library.ffi, self._lib
        made = ffi.new("gnutls_certificate_credentials_t *")
        self._require(lib.gnutls_certificate_allocate_credentials(made), "credentials")
        credentials = ffi.gc(made[0], lib.gnutls_certificate_free_credentials)
        if own is not None:
            memory = [ffi.from_buffer("unsigned char[]", each) for each in own]
            certificate, key = (ffi.new("gnutls_datum_t *", (each, len(each))) for each in memory)
            code = lib.gnutls_certificate_set_x509_key_mem(credentials, certificate, key, gnutls.X509_FMT_DER)
            self._require(code, "certificate or key")
        return credentials

    def _require(self, code: int, what: str) -> None:
        if code < 0:
            raise ConfigurationError(f"TLS wrapper gnutls refuses {what}: {self._library.reason(code)}")


class GnutlsTlsWrapper:
    """TLS by GnuTLS.

    Raises:
        NoInstanceError: libgnutls is not here, or too old.
    """

    name = "gnutls"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=True,
        exporter_with_context=True,
        alpn=True,
        tls12=True,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519}
        ),
        chosen_alerts=True,
    )

    def __init__(self) -> None:
        self._library = gnutls.load(gnutls.SONAMES)

    @property
    def version(self) -> str:
        """Version of libgnutls."""
        return f"GnuTLS {self._library.version}"

    def context(self, config: TlsConfig) -> GnutlsTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: key or certificate is missing, malformed, too large, or one does not fit the other;
                GnuTLS takes no such protocols for ALPN.
        """
        own = own_certificate(self.name, self.capabilities, config)
        return GnutlsTlsContext(self._library, config, None if own is None else (own.der, own.pkcs8))
