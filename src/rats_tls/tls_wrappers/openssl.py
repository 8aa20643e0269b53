"""The default TLS wrapper: OpenSSL, through pyOpenSSL, in memory.

TLS 1.3 only. Resumption is impossible: nothing is kept on the server's side, and a client is never given a session.
pyOpenSSL cannot set the number of TLS 1.3 tickets, so a server still sends two NewSessionTicket messages; with
OP_NO_TICKET and no cache they are bare handles of nothing, and offering one leads to a full handshake.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto
from OpenSSL import __version__ as library_version

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.core.interfaces import TlsCapabilities, TlsConfig, TlsFacts
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.tls_wrappers.openssl_buffers import Buffers, best_buffers

# OpenSSL's reasons for alerts that it received: "tlsv13 alert certificate required", "ssl/tls alert bad certificate",
# "tls alert bad record mac"; for a few older ones the word is left out.
_ALERT = re.compile(r"(?:ssl/tls|tls|sslv3|tlsv1|tlsv13) alert (.+)|tlsv1 (unsupported extension|unrecognized name)")
_UNEXPECTED_EOF = "unexpected eof while reading"
# What the first bytes of HTTP, SSH, SMTP, ... or of noise look like to OpenSSL.
_NOT_TLS = frozenset({"wrong version number", "http request", "https proxy request"})

_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


@dataclass(slots=True)
class _PeerCertificateSeen:
    """Whether this handshake itself carried the peer's certificate; a resumed one does not."""

    seen: bool = False


class OpensslTlsSession:
    """One connection over memory BIOs. Used by one thread at a time.

    Args:
        connection: in accept or connect state, of a context whose verify callback is `_accept_any_certificate`.
        buffers: how bytes get in and out of it.
    """

    __slots__ = ("_buffers", "_certificate", "_closed", "_complete", "_connection", "_error", "_facts", "_out")

    def __init__(self, connection: SSL.Connection, buffers: Buffers) -> None:
        self._certificate = _PeerCertificateSeen()
        self._connection = connection
        self._buffers = buffers
        self._complete = False
        self._closed = False
        self._error: TlsError | None = None
        self._facts: TlsFacts | None = None
        self._out: list[bytes | bytearray] = []
        connection.set_app_data(self._certificate)

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise self._failed("handshake", error) from error
        self._complete = True
        return True

    def receive_from_wire(self, data: bytes) -> None:
        """Take bytes from the peer."""
        view = memoryview(data)
        while view:
            view = view[self._connection.bio_write(view) :]

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._connection.bio_shutdown()

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        self._buffers.drain(self._connection, self._out)
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        self._raise_earlier_error()
        try:
            data, behind = self._buffers.read(self._connection, size)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise self._failed("read", error) from error
        if behind is not None:
            self._failed("read", behind)  # raised by the next call, once these bytes were taken
        return data

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._raise_earlier_error()
        if self._closed:
            raise TlsError("TLS write: this side has sent close_notify")
        view = memoryview(data).cast("B")
        if not view:
            return
        try:
            self._buffers.write(self._connection, view, self._out)
        except SSL.Error as error:
            raise self._failed("write", error) from error

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if self._closed or not self._complete or self._error is not None:
            return
        self._closed = True
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise self._failed("close", error) from error

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        certificate = self._connection.get_peer_certificate()
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) if certificate is not None else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    @property
    def resumed(self) -> bool:
        """Whether a peer certificate is known that this handshake did not carry."""
        return not self._certificate.seen and self._connection.get_peer_certificate() is not None

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash."""
        if self._facts is None:
            facts = self._read_facts()
            if not self._complete:
                return facts
            self._facts = facts
        return self._facts

    def _read_facts(self) -> TlsFacts:
        cipher = self._connection.get_cipher_name() or ""
        return TlsFacts(
            version=self._connection.get_protocol_version_name(),
            cipher=cipher,
            group=self._connection.get_group_name() or "",
            hash=HashAlgorithm.SHA384 if cipher.endswith("SHA384") else HashAlgorithm.SHA256,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises TlsError before the handshake is complete."""
        if not self._complete:
            raise TlsError("TLS exporter: the handshake is not complete")
        try:
            return self._connection.export_keying_material(label.encode("ascii"), length, context)
        except SSL.Error as error:
            raise TlsError(f"TLS exporter: {_reason(error)}") from error

    def _raise_earlier_error(self) -> None:
        # OpenSSL names the reason once only; later calls on a failed connection give none.
        if self._error is not None:
            raise self._error

    def _failed(self, doing: str, error: SSL.Error) -> TlsError:
        reason = _reason(error)
        if isinstance(error, SSL.SysCallError) or reason == _UNEXPECTED_EOF:
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        elif alert := _ALERT.fullmatch(reason):
            name = (alert[1] or alert[2]).replace(" ", "_")
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not self._complete and reason in _NOT_TLS:
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({reason})")
        else:
            self._error = TlsError(f"TLS {doing}: {reason}")
        return self._error


class OpensslTlsContext:
    """One side's settings in an `SSL.Context`; shared by threads."""

    __slots__ = ("_buffers", "_context", "_server")

    def __init__(self, context: SSL.Context, buffers: Buffers, *, server: bool) -> None:
        self._context = context
        self._buffers = buffers
        self._server = server

    def session(self, server_hostname: str | None = None) -> OpensslTlsSession:
        """Start a connection in memory.

        Raises:
            ConfigurationError: `server_hostname` is no host name.
        """
        connection = SSL.Connection(self._context, None)
        if self._server:
            connection.set_accept_state()
        else:
            if server_hostname and not _is_address(server_hostname):
                connection.set_tlsext_host_name(_sni(server_hostname))
            connection.set_connect_state()
        return OpensslTlsSession(connection, self._buffers)


class OpensslTlsWrapper:
    """TLS 1.3 by OpenSSL. Offers no TLS 1.2: pyOpenSSL cannot tell whether extended master secret was used.

    Args:
        buffers: how bytes get in and out of connections; the fastest that works here when left out.
    """

    name = "openssl"
    capabilities = TlsCapabilities(
        encrypts=True,
        mutual_server=True,
        exporter_with_context=True,
        alpn=True,
        tls12=False,
        largest_certificate=DEFAULT_LIMITS.certificate_made,
        key_algorithms=frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072}),
    )

    def __init__(self, buffers: Buffers | None = None) -> None:
        self._buffers = buffers or best_buffers()

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
        if not server:
            context.set_verify(SSL.VERIFY_PEER, _accept_any_certificate)
        elif config.request_peer_certificate:
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any_certificate)
        self._load_certificate(context, config)
        protocols = [protocol.encode("ascii") for protocol in config.alpn]
        if protocols and server:
            # The first of the server's protocols that the client offers; without one, TLS goes on without ALPN.
            context.set_alpn_select_callback(
                lambda _, offered: next((p for p in protocols if p in offered), SSL.NO_OVERLAPPING_PROTOCOLS)
            )
        elif protocols:
            context.set_alpn_protos(protocols)
        return OpensslTlsContext(context, self._buffers, server=server)

    def _load_certificate(self, context: SSL.Context, config: TlsConfig) -> None:
        if config.certificate is None or config.private_key is None:
            if config.role == "server" or config.certificate is not None or config.private_key is not None:
                raise ConfigurationError("TLS wrapper openssl: certificate and private key go together")
            return
        largest = self.capabilities.largest_certificate
        if len(config.certificate) > largest:
            raise ConfigurationError(
                f"TLS certificate: got {len(config.certificate)} bytes, expected at most {largest}"
            )
        try:
            key = serialization.load_der_private_key(config.private_key, None)
            if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise ConfigurationError(f"TLS wrapper openssl presents no {type(key).__name__}")
            context.use_certificate(x509.load_der_x509_certificate(config.certificate))
            context.use_privatekey(key)
            context.check_privatekey()
        except SSL.Error as error:
            raise ConfigurationError(f"TLS wrapper openssl refuses certificate or key: {_reason(error)}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"TLS wrapper openssl refuses certificate or key: {error}") from error


def _accept_any_certificate(
    connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int
) -> bool:
    """Accept whatever chain the peer presents: its Evidence is judged later, outside the handshake.

    Possession of the leaf's key is proved by CertificateVerify, which OpenSSL checks in any case. Runs once for each
    finding about the chain, so at least twice for a self-signed leaf, and must not raise.
    """
    certificate = connection.get_app_data()
    if isinstance(certificate, _PeerCertificateSeen):
        certificate.seen = True
    return True


def _reason(error: SSL.Error) -> str:
    """Give OpenSSL's innermost reason in words."""
    queue = error.args[0] if error.args else []
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1]) or "no reason given"
    return "no reason given"


def _is_address(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True


def _sni(hostname: str) -> bytes:
    try:
        return hostname.encode("idna")
    except UnicodeError as error:
        raise ConfigurationError(f"server_hostname: got {hostname!r}, expected a host name: {error}") from error
