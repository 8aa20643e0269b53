"""rustls with aws-lc-rs, through the PyPI package `rtls`: servers that demand no certificate, and nothing else.

What rtls 2026.9.21 cannot do, as measured:

- A **client** that is to take certificates which no CA signed (CERT_NONE) does not check CertificateVerify: it takes
  any server that sends a copy of somebody's certificate. Every other mode wants a CA. So there are no clients here.
- A server never asks for a client's certificate, whatever its verify_mode: a client without one passes.
- There is no exporter.

Servers keep no session that could be resumed: what they send as tickets are handles of nothing. rtls takes keys as
bytes, so no file is written. The layer of it that imitates `ssl` cannot tell close_notify from a connection that was
cut, so the classes under it are used (`rtls._rustls`).
"""

from __future__ import annotations

import importlib
import ssl
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError
from rats_tls.core.extras import pip_install
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers.own_certificate import OwnCertificate, own_certificate
from rats_tls.tls_wrappers.rustls_session import RustlsTlsSession

_INSTALL = pip_install("tls_wrappers", "rustls")
_TLS13 = 0x0304  # RFC 8446 4.1.2
_NEEDED = {
    "RustlsConfigBuilder": (
        *("build_server_connection", "set_alpn", "set_max_version", "set_min_version", "set_server_cert_chain_pem"),
    ),
    "RustlsServerConnection": (
        *("alpn_protocol", "is_handshaking", "negotiated_cipher_suite", "process_new_packets", "protocol_version"),
        *(
            "read_plaintext",
            "read_tls",
            "send_close_notify",
            "wants_read",
            "wants_write",
            "write_plaintext",
            "write_tls",
        ),
    ),
}
"""What is used of `rtls._rustls`."""


class RustlsTlsContext:
    """A server's settings; shared by threads.

    Args:
        builder: makes configurations for rustls, `rtls._rustls.RustlsConfigBuilder`.
    """

    __slots__ = ("_builder",)

    def __init__(self, builder: Any) -> None:  # noqa: ANN401  # rtls has no types
        self._builder = builder

    def session(self, server_hostname: str | None = None) -> RustlsTlsSession:  # noqa: ARG002  # the Protocol's argument
        """Start a connection in memory. The builder gives each a store of sessions of its own."""
        return RustlsTlsSession(self._builder.build_server_connection())


class RustlsTlsWrapper:
    """TLS 1.3 by rustls, for servers that demand no certificate.

    Raises:
        NoInstanceError: rtls is not installed, or lacks what is used of it.
    """

    name = "rustls"
    capabilities = TlsCapabilities(
        encrypts=True,
        clients=False,
        mutual_server=False,
        exporter_with_context=False,
        alpn=True,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519}
        ),
    )

    def __init__(self) -> None:
        try:
            self._rtls = importlib.import_module("rtls")
            self._rustls = importlib.import_module("rtls._rustls")
        except ImportError as error:
            raise NoInstanceError(f"TLS wrapper rustls: rtls does not load: {error}; {_INSTALL}") from error
        for name, calls in _NEEDED.items():
            found = getattr(self._rustls, name, None)
            lacking = [call for call in calls if not hasattr(found, call)]
            if lacking:
                raise NoInstanceError(
                    f"TLS wrapper rustls does not know rtls {self._rtls.__version__}: {name} lacks {', '.join(lacking)}"
                )

    @property
    def version(self) -> str:
        """Versions of rtls, rustls and the provider of its cryptography."""
        inner = self._rustls
        return (
            f"rtls {self._rtls.__version__}, rustls {inner.rustls_version()}, "
            f"{inner.crypto_provider()} {inner.crypto_provider_version()}"
        )

    def context(self, config: TlsConfig) -> RustlsTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: for a client, or a server that demands its clients' certificates; TLS 1.2 asked for; key
                or certificate is missing, malformed, too large, or one does not fit the other.
        """
        if config.role != "server":
            raise ConfigurationError(
                "TLS wrapper rustls is for servers only: a client by rtls does not check that the server holds the key "
                "of its certificate"
            )
        if config.request_peer_certificate:
            raise ConfigurationError("TLS wrapper rustls cannot demand a client's certificate: rtls never asks for one")
        if config.allow_tls12:
            raise ConfigurationError(
                "TLS wrapper rustls offers no TLS 1.2: rtls does not tell of extended master secret"
            )
        own = own_certificate(self.name, self.capabilities, config)
        if own is None:
            raise ConfigurationError("TLS wrapper rustls: a server has certificate and private key")
        builder = self._rustls.RustlsConfigBuilder()
        builder.set_min_version(_TLS13)
        builder.set_max_version(_TLS13)
        try:
            builder.set_server_cert_chain_pem(*_pem(own), None)
        except ssl.SSLError as error:
            raise ConfigurationError(f"TLS wrapper rustls refuses certificate or key: {error}") from error
        if config.alpn:
            builder.set_alpn([protocol.encode("ascii") for protocol in config.alpn])
        return RustlsTlsContext(builder)


def _pem(own: OwnCertificate) -> tuple[bytes, bytes]:
    return (
        ssl.DER_cert_to_PEM_cert(own.der).encode("ascii"),
        own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
