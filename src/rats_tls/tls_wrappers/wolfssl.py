"""wolfSSL, by cffi over the libwolfssl of the system or of one's own build. TLS 1.3 only.

Nothing is resumed: a server sends no tickets, no side keeps sessions, and a client is never given one. Post-handshake
authentication is never offered, which makes a request for it an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.own_certificate import own_certificate
from rats_tls.tls_wrappers.wolfssl_library import (
    ALPN_CONTINUE_ON_MISMATCH,
    FILETYPE_ASN1,
    GROUPS,
    SESS_CACHE_OFF,
    SNI_HOST_NAME,
    SUCCESS,
    VERIFY_FAIL_IF_NO_PEER_CERT,
    VERIFY_PEER,
    Library,
    library,
)
from rats_tls.tls_wrappers.wolfssl_session import WolfsslTlsSession

# A build may have more, among them suites that do not encrypt (RFC 9150).
_CIPHERS = b"TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256"
# Of certificates and of CertificateVerify (RFC 8446 4.2.3), for the keys below; a build may have SHA-1 too. Clients
# offer these alone. 5.5.4's servers ask for more, whatever is set, and take no CertificateVerify by SHA-1 or PKCS #1.
_SIGNATURES = (
    b"ECDSA+SHA256:ECDSA+SHA384:ED25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512"
)
_HANDSHAKE_OVERHEAD = 64


class WolfsslTlsContext:
    """One side's settings in a WOLFSSL_CTX; shared by threads.

    Args:
        library: the library.
        context: the WOLFSSL_CTX; frees itself.
        config: what it was made of.
        alpn: protocols, best first.
    """

    __slots__ = ("_alpn", "_context", "_library", "_needs_certificate", "_protocols", "_server")

    def __init__(self, library: Library, context: Any, config: TlsConfig, alpn: tuple[bytes, ...]) -> None:  # noqa: ANN401  # cffi has no types
        self._library = library
        self._context = context
        self._server = server = config.role == "server"
        self._needs_certificate = config.request_peer_certificate or not server
        self._alpn = alpn
        self._protocols = library.ffi.new_handle(alpn)  # lives as long as the context, which is freed with it
        if alpn and server:
            library.lib.wolfSSL_CTX_set_alpn_select_cb(context, library.select, self._protocols)

    def session(self, server_hostname: str | None = None) -> WolfsslTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        name = None if self._server else server_name(server_hostname)
        lib = self._library.lib
        made = lib.wolfSSL_new(self._context)
        if not made:
            raise MemoryError("wolfSSL makes no connection")
        ssl = self._library.ffi.gc(made, lib.wolfSSL_free)
        if name is not None:
            _require(lib.wolfSSL_UseSNI(ssl, SNI_HOST_NAME, name, len(name)), "server_hostname")
        if self._alpn and not self._server:
            listed = b",".join(self._alpn)
            _require(lib.wolfSSL_UseALPN(ssl, listed, len(listed), ALPN_CONTINUE_ON_MISMATCH), "ALPN protocols")
        if "exporter" in self._library.has:
            # The exporter's secret is there. Builds for OpenVPN, as Debian's, keep them anyway, unseen by tests.
            lib.wolfSSL_KeepArrays(ssl)
        # wolfSSL may keep the issuers in a chain that a peer sends: with the connection then, not with the context.
        _require(lib.wolfSSL_set0_verify_cert_store(ssl, lib.wolfSSL_X509_STORE_new()), "certificate store")
        return WolfsslTlsSession(
            self._library, ssl, server=self._server, needs_certificate=self._needs_certificate, keeps=self
        )


class WolfsslTlsWrapper:
    """TLS 1.3 by wolfSSL.

    Raises:
        NoInstanceError: there is no libwolfssl, or not what is needed in it.
    """

    name = "wolfssl"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=True,
        exporter_with_context=True,
        alpn=True,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519}
        ),
        larger_certificates=(
            "build wolfSSL with CFLAGS=-DMAX_CERTIFICATE_SZ="
            f"{DEFAULT_LIMITS.certificate_read + _HANDSHAKE_OVERHEAD}, its limit on a handshake message"
        ),
    )

    def __init__(self) -> None:
        self._library = library()
        has = self._library.has
        self.capabilities = replace(
            type(self).capabilities, exporter_with_context="exporter" in has, alpn="alpn" in has
        )

    @property
    def version(self) -> str:
        """Version of wolfSSL."""
        return self._library.version

    def context(self, config: TlsConfig) -> WolfsslTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: key or certificate is missing, malformed, too large, or one does not fit the other;
                TLS 1.2 or ALPN asked for where there is none.
        """
        if config.allow_tls12:
            raise ConfigurationError(
                "TLS wrapper wolfssl offers no TLS 1.2: it cannot tell whether extended master secret was used"
            )
        if config.alpn and not self.capabilities.alpn:
            raise ConfigurationError("TLS wrapper wolfssl: the library was built without ALPN callbacks")
        lib, server = self._library.lib, config.role == "server"
        method = lib.wolfTLSv1_3_server_method() if server else lib.wolfTLSv1_3_client_method()
        made = lib.wolfSSL_CTX_new(method)
        if not made:
            raise MemoryError("wolfSSL makes no context")
        context = self._library.ffi.gc(made, lib.wolfSSL_CTX_free)
        _require(lib.wolfSSL_CTX_set_cipher_list(context, _CIPHERS), "cipher suites")
        _require(lib.wolfSSL_CTX_set1_sigalgs_list(context, _SIGNATURES), "signature algorithms")
        _require(lib.wolfSSL_CTX_set_groups(context, list(GROUPS), len(GROUPS)), "groups")
        lib.wolfSSL_CTX_set_session_cache_mode(context, SESS_CACHE_OFF)
        lib.wolfSSL_CTX_SetIORecv(context, self._library.receive)
        lib.wolfSSL_CTX_SetIOSend(context, self._library.send)
        if server and lib.wolfSSL_CTX_no_ticket_TLSv13(context) != 0:
            raise ConfigurationError("TLS wrapper wolfssl: session tickets cannot be switched off")
        if not server:
            lib.wolfSSL_CTX_set_verify(context, VERIFY_PEER, self._library.accept)
        elif config.request_peer_certificate:
            mode = VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT
            lib.wolfSSL_CTX_set_verify(context, mode, self._library.accept)
        else:
            lib.wolfSSL_CTX_set_verify(context, 0, self._library.ffi.NULL)
        self._load_certificate(context, config)
        alpn = tuple(protocol.encode("ascii") for protocol in config.alpn)
        return WolfsslTlsContext(self._library, context, config, alpn)

    def _load_certificate(self, context: Any, config: TlsConfig) -> None:  # noqa: ANN401  # cffi has no types
        own = own_certificate(self.name, self.capabilities, config)
        if own is None:
            return
        lib = self._library.lib
        loaded = lib.wolfSSL_CTX_use_certificate_buffer(context, own.der, len(own.der), FILETYPE_ASN1)
        _require(loaded, "certificate", self._library.text(loaded))
        loaded = lib.wolfSSL_CTX_use_PrivateKey_buffer(context, own.pkcs8, len(own.pkcs8), FILETYPE_ASN1)
        _require(loaded, "private key", self._library.text(loaded))


def _require(done: int, what: str, why: str = "") -> None:
    if done != SUCCESS:
        raise ConfigurationError(f"TLS wrapper wolfssl does not take the {what}{': ' if why else ''}{why}")
