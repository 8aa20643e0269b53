"""Python's own `ssl`, by its public calls only: nothing to install.

TLS 1.3 only. A client takes whatever certificate the server presents (CERT_NONE; the server's possession of its key is
proved by CertificateVerify in any case) and presents its own where it is asked. A server presents its own and cannot
ask: `ssl` has no callback that could accept a certificate which no known CA has signed (cpython #75425). It has no
exporter either (cpython #82133). Nothing can be resumed: a server sends no tickets (`num_tickets` is 0), and a client
is never given a session.

`ssl` loads keys from files alone; `stdlib_files` says where ours is for that moment.
"""

from __future__ import annotations

import ssl
import sys

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.own_certificate import own_certificate
from rats_tls.tls_wrappers.stdlib_files import load
from rats_tls.tls_wrappers.stdlib_session import StdlibTlsSession

_OPTIONS = ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


class StdlibTlsContext:
    """One side's settings in an `ssl.SSLContext`; shared by threads."""

    __slots__ = ("_context", "_server")

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self._context = context
        self._server = server

    def session(self, server_hostname: str | None = None) -> StdlibTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if self._server else server_name(server_hostname)
        tls = self._context.wrap_bio(
            incoming,
            outgoing,
            server_side=self._server,
            server_hostname=name.decode("ascii") if name is not None else None,
        )
        return StdlibTlsSession(tls, incoming, outgoing)


class StdlibTlsWrapper:
    """TLS 1.3 by `ssl`: clients, and servers that demand no certificate."""

    name = "stdlib"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=False,
        exporter_with_context=False,
        alpn=True,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519}
        ),
    )

    @property
    def version(self) -> str:
        """Versions of Python and of the OpenSSL that its `ssl` uses."""
        return f"Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}"

    def context(self, config: TlsConfig) -> StdlibTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: a server is to demand its clients' certificates; TLS 1.2 asked for; key or certificate
                is missing, malformed, too large, or one does not fit the other.
        """
        if config.request_peer_certificate:
            raise ConfigurationError(
                "TLS wrapper stdlib cannot demand a client's certificate: Python's ssl accepts none that no CA signed"
            )
        if config.allow_tls12:
            raise ConfigurationError(
                "TLS wrapper stdlib offers no TLS 1.2: Python's ssl cannot tell whether extended master secret was used"
            )
        server = config.role == "server"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.maximum_version = ssl.TLSVersion.TLSv1_3
        context.options |= _OPTIONS
        if server:
            context.num_tickets = 0
        own = own_certificate(self.name, self.capabilities, config)
        if own is not None:
            try:
                load(context, own)
            except OSError as error:
                raise ConfigurationError(f"TLS wrapper stdlib refuses certificate or key: {error}") from error
        if config.alpn:
            context.set_alpn_protocols(list(config.alpn))
        return StdlibTlsContext(context, server=server)
