"""tlslite-ng: TLS 1.3 in pure Python, a third implementation that shares no code with the others.

For tests, for comparison and for platforms without any other: 70 to 200 times slower than OpenSSL, and its timing
depends on its secrets. It has an exporter, but none that takes a context, so only certificates bind Evidence.

Releases before 0.9.0b2 fail as mutual clients against every other server. Its servers refuse a client that offers TLS
1.3 alone and groups that RFC 8446 4.2.7 leaves out, as wolfSSL 5.5.4 does by itself.
"""

from __future__ import annotations

import importlib
import re
import warnings
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError
from rats_tls.core.extras import pip_install
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsCapabilities, TlsConfig
from rats_tls.tls_wrappers.hostnames import server_name
from rats_tls.tls_wrappers.own_certificate import own_certificate

if TYPE_CHECKING:
    from rats_tls.tls_wrappers.tlslite_session import TlsliteTlsSession

_WANTED = "0.9.0b2"
_INSTALL = pip_install("tls_wrappers", "tlslite")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_TLS13 = (3, 4)


class TlsliteTlsContext:
    """One side's settings; shared by threads.

    Args:
        config: the settings.
        settings: tlslite-ng's.
        chain: its X509CertChain, or None.
        key: its private key, or None.
    """

    __slots__ = ("_chain", "_config", "_key", "_settings")

    def __init__(self, config: TlsConfig, settings: Any, chain: Any, key: Any) -> None:  # noqa: ANN401  # it has no types
        self._config = config
        self._settings = settings
        self._chain = chain
        self._key = key

    def session(self, server_hostname: str | None = None) -> TlsliteTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        sessions = importlib.import_module("rats_tls.tls_wrappers.tlslite_session")
        name = server_name(server_hostname) if self._config.role == "client" else None
        if name is not None and not importlib.import_module("tlslite.utils.dns_utils").is_valid_hostname(name):
            raise ConfigurationError(
                f"server_hostname: got {server_hostname!r}, which tlslite-ng takes for no host name"
            )
        session: TlsliteTlsSession = sessions.TlsliteTlsSession(
            self._config, self._settings, self._chain, self._key, name.decode("ascii") if name else None
        )
        return session


class TlsliteTlsWrapper:
    """TLS 1.3 by tlslite-ng.

    Raises:
        NoInstanceError: tlslite-ng is not installed, is too old, or lacks what is used of it.
    """

    name = "tlslite"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=True,
        exporter_with_context=False,
        alpn=True,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset(
            {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519}
        ),
        slow=True,
        caution="not for production: pure Python, its timing tells secrets",
    )

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():  # it imports asyncore, which it does not need
                warnings.simplefilter("ignore", DeprecationWarning)
                self._version = str(importlib.import_module("tlslite").__version__)
        except ImportError as error:
            raise NoInstanceError(f"TLS wrapper tlslite: tlslite-ng does not load: {error}; {_INSTALL}") from error
        if _order(self._version) < _order(_WANTED):
            raise NoInstanceError(
                f"TLS wrapper tlslite: got tlslite-ng {self._version}, expected at least {_WANTED}; {_INSTALL}"
            )
        try:
            connections = importlib.import_module("rats_tls.tls_wrappers.tlslite_connection")
            probe = connections.TLSConnection(connections.Memory())
            lacking = [name for name in connections.OVERRIDDEN if not hasattr(probe, name)]
            make_settings()
        except Exception as error:  # whatever another release raises
            raise NoInstanceError(f"TLS wrapper tlslite does not know tlslite-ng {self._version}: {error}") from error
        if lacking:
            raise NoInstanceError(
                f"TLS wrapper tlslite does not know tlslite-ng {self._version}: a connection lacks {', '.join(lacking)}"
            )

    @property
    def version(self) -> str:
        """Version of tlslite-ng."""
        return f"tlslite-ng {self._version}"

    def context(self, config: TlsConfig) -> TlsliteTlsContext:
        """Load `config`.

        Raises:
            ConfigurationError: key or certificate is missing, malformed, too large, or one does not fit the other;
                TLS 1.2 asked for.
        """
        if config.allow_tls12:
            raise ConfigurationError("TLS wrapper tlslite offers no TLS 1.2")
        own = own_certificate(self.name, self.capabilities, config)
        if own is None:
            return TlsliteTlsContext(config, make_settings(), None, None)
        try:
            x509 = importlib.import_module("tlslite.x509").X509()
            x509.parseBinary(bytearray(own.der))
            chain = importlib.import_module("tlslite.x509certchain").X509CertChain([x509])
            pem = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
            key = importlib.import_module("tlslite.utils.keyfactory").parsePEMKey(
                pem, private=True, implementations=["python"]
            )
        except Exception as error:  # whatever its parsers raise
            raise ConfigurationError(f"TLS wrapper tlslite refuses certificate or key: {error}") from error
        return TlsliteTlsContext(config, make_settings(), chain, key)


def make_settings() -> Any:  # noqa: ANN401  # tlslite-ng has no types
    """Give tlslite-ng's settings for TLS 1.3 without anything that rule 10 forbids (docs/rules-of-trust.md)."""
    settings = importlib.import_module("tlslite.handshakesettings").HandshakeSettings()
    settings.minVersion = settings.maxVersion = _TLS13
    settings.versions = [_TLS13]
    settings.cipherNames = ["chacha20-poly1305", "aes256gcm", "aes128gcm"]  # the first is the fastest in Python
    settings.cipherImplementations = ["python"]
    settings.eccCurves = ["x25519", "secp256r1", "secp384r1", "secp521r1"]
    settings.keyShares = ["x25519"]
    settings.dhGroups = []
    settings.ecdsaSigHashes = ["sha256", "sha384", "sha512"]
    settings.rsaSigHashes = ["sha256", "sha384", "sha512"]
    settings.rsaSchemes = ["pss"]  # RFC 8446 4.2.3: no PKCS #1 v1.5 in CertificateVerify
    settings.dsaSigHashes = []
    settings.more_sig_schemes = ["Ed25519"]
    settings.minKeySize = 2048
    settings.pskConfigs = []
    settings.ticketKeys = []
    settings.ticket_count = 0
    settings.max_early_data = 1  # byte of it that is skipped, the least that there is: records of it are bad records
    settings.dc_sig_algs = []  # a delegated credential would stand in for the certificate's key (RFC 9345)
    settings.certificate_compression_send = []
    settings.certificate_compression_receive = []
    settings.use_heartbeat_extension = False
    settings.record_size_limit = None
    return settings.validate()


def _order(version: str) -> tuple[int, ...]:
    """Give what versions are compared by: a pre-release comes before its release. () for what is no version."""
    found = _VERSION.match(version)
    if found is None:
        return ()
    stage = {"a": 0, "b": 1, "rc": 2, None: 3}[found[4]]
    return (int(found[1]), int(found[2]), int(found[3]), stage, int(found[5] or 0))
