"""The default TLS wrapper: OpenSSL, through pyOpenSSL.

TLS 1.3 only. Resumption is impossible: nothing is kept on the server's side, and a client is never given a session.
pyOpenSSL cannot set the number of TLS 1.3 tickets, so a server still sends two NewSessionTicket messages; with
OP_NO_TICKET and no cache they are bare handles of nothing, and offering one leads to a full handshake.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import cast

from OpenSSL import SSL
from OpenSSL import __version__ as library_version

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import NonBlockingSocket, TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.openssl_binding import best_calls
from rats_tls.tls_wrappers.openssl_calls import Calls
from rats_tls.tls_wrappers.openssl_session import (
    OpensslSocketTlsSession,
    OpensslTlsSession,
    reason,
)
from rats_tls.tls_wrappers.own_certificate import own_certificate

_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


class OpensslTlsContext:
    """One side's settings in an `SSL.Context`; shared by threads."""

    __slots__ = ("_calls", "_context", "_server")

    def __init__(self, context: SSL.Context, calls: Calls, *, server: bool) -> None:
        self._context = context
        self._calls = calls
        self._server = server

    def session(self, server_hostname: str | None = None) -> OpensslTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        return OpensslTlsSession(self._connection(None, server_hostname), self._calls)

    def socket_session(self, sock: NonBlockingSocket, server_hostname: str | None = None) -> OpensslSocketTlsSession:
        """Start a connection over `sock`, connected and non-blocking. Raises as `session`."""
        return OpensslSocketTlsSession(self._connection(sock, server_hostname), self._calls)

    def _connection(self, sock: NonBlockingSocket | None, server_hostname: str | None) -> SSL.Connection:
        connection = SSL.Connection(self._context, cast("socket.socket | None", sock))  # only its descriptor is used
        if self._server:
            connection.set_accept_state()
        else:
            if name := server_name(server_hostname):
                connection.set_tlsext_host_name(name)
            connection.set_connect_state()
        return connection


class OpensslTlsWrapper:
    """TLS 1.3 by OpenSSL. Offers no TLS 1.2: pyOpenSSL cannot tell whether extended master secret was used.

    Args:
        calls: how bytes get in and out of connections; the fastest that works here when left out.
    """

    name = "openssl"
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
    )

    def __init__(self, calls: Calls | None = None) -> None:
        self._calls = calls or best_calls()
        self.capabilities = replace(type(self).capabilities, sockets=self._calls.sockets)

    @property
    def version(self) -> str:
        """Versions of pyOpenSSL and of the OpenSSL under it."""
        text = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace")
        return f"pyOpenSSL {library_version}, {text}"

    def context(self, config: TlsConfig) -> OpensslTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: key or certificate is missing, malformed, too large, or one does not fit the other;
                TLS 1.2 asked for.
        """
        if config.allow_tls12:
            raise ConfigurationError(
                "TLS wrapper openssl offers no TLS 1.2: pyOpenSSL cannot tell whether extended master secret was used"
            )
        server = config.role == "server"
        context = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION)
        context.set_options(_OPTIONS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 34 KB less for a connection that waits
        if not server:
            self._calls.accept_any_certificate(context, SSL.VERIFY_PEER)
        elif config.request_peer_certificate:
            self._calls.accept_any_certificate(context, SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        self._load_certificate(context, config)
        protocols = [protocol.encode("ascii") for protocol in config.alpn]
        if protocols and server:
            self._calls.choose_protocol(context, protocols)
        elif protocols:
            context.set_alpn_protos(protocols)
        return OpensslTlsContext(context, self._calls, server=server)

    def _load_certificate(self, context: SSL.Context, config: TlsConfig) -> None:
        own = own_certificate(self.name, self.capabilities, config)
        if own is None:
            return
        try:
            context.use_certificate(own.certificate)
            context.use_privatekey(own.key)
            context.check_privatekey()
        except SSL.Error as error:
            raise ConfigurationError(f"TLS wrapper openssl refuses certificate or key: {reason(error)}") from error
