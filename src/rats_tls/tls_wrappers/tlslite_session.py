"""Connections of the `tlslite` wrapper. Imported only where tlslite-ng is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tlslite.constants import CipherSuite, GroupName, SignatureScheme
from tlslite.errors import (
    BaseTLSException,
    TLSAbruptCloseError,
    TLSDecryptionFailed,
    TLSIllegalParameterException,
    TLSLocalAlert,
    TLSRemoteAlert,
)

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError, UnsupportedError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.tls import TlsConfig, TlsFacts
from rats_tls.tls_wrappers.alerts import ALERT_NUMBERS, alert_name
from rats_tls.tls_wrappers.sessions import PlainBytesSession, speaks_tls
from rats_tls.tls_wrappers.tlslite_connection import Connection, Memory

_SMALLEST_RSA = 2048
_WAITS = 0
# Algorithms of CertificateVerify by kind of key (RFC 8446 4.2.3). tlslite-ng's clients do not look whether the one that
# a server used was offered.
_SIGNED = {
    "ecdsa": frozenset(
        {
            SignatureScheme.ecdsa_secp256r1_sha256,
            SignatureScheme.ecdsa_secp384r1_sha384,
            SignatureScheme.ecdsa_secp521r1_sha512,
        }
    ),
    "rsa": frozenset(
        {
            SignatureScheme.rsa_pss_rsae_sha256,
            SignatureScheme.rsa_pss_rsae_sha384,
            SignatureScheme.rsa_pss_rsae_sha512,
        }
    ),
    "rsa-pss": frozenset(
        {SignatureScheme.rsa_pss_pss_sha256, SignatureScheme.rsa_pss_pss_sha384, SignatureScheme.rsa_pss_pss_sha512}
    ),
    "Ed25519": frozenset({SignatureScheme.ed25519}),
}


class _RefusedError(Exception):
    """What this side refuses after tlslite-ng was content, and the alert for it."""

    def __init__(self, alert: str, why: str) -> None:
        super().__init__(why)
        self.alert = alert


class TlsliteTlsSession(PlainBytesSession):
    """One connection. Used by one thread at a time.

    Args:
        config: one side's settings.
        settings: tlslite-ng's.
        chain: its own X509CertChain, or None.
        key: its private key, or None.
        hostname: sent as SNI, or None.
    """

    __slots__ = (
        *(
            "_alpn",
            "_config",
            "_connection",
            "_first",
            "_memory",
            "_peer",
            "_peer_closed",
            "_plain",
            "_reading",
            "_steps",
        ),
    )

    def __init__(self, config: TlsConfig, settings: Any, chain: Any, key: Any, hostname: str | None) -> None:  # noqa: ANN401  # it has no types
        super().__init__()
        protocols = tuple(protocol.encode("ascii") for protocol in config.alpn)
        self._config = config
        self._memory = Memory()
        self._first: int | None = None  # byte of the peer's
        self._connection = Connection(self._memory, protocols)
        self._peer_closed = False
        self._peer: bytes | None = None
        self._alpn: str | None = None
        self._plain = bytearray()  # of one record at most
        self._reading: Iterator[Any] | None = None
        self._steps: Iterator[Any] = (
            self._connection.handshakeClientCert(
                certChain=chain,
                privateKey=key,
                settings=settings,
                reqTack=False,
                serverName=hostname,
                async_=True,
                alpn=[bytearray(each) for each in protocols] or None,
            )
            if config.role == "client"
            else self._connection.handshakeServerAsync(
                certChain=chain, privateKey=key, settings=settings, reqCert=config.request_peer_certificate
            )
        )

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        try:
            for step in self._steps:
                if step == _WAITS:
                    return False
            self._finish()
        except BaseException as error:  # its parsers and python-ecdsa raise anything on garbage
            raise self._failed("handshake", error) from error
        self._complete = True
        return True

    def _finish(self) -> None:
        """Take what the handshake came to. Raises _RefusedError."""
        connection, client = self._connection, self._config.role == "client"
        session = connection.session
        if connection.version != (3, 4) or connection.resumed:
            raise _RefusedError("protocol_version", "not a full handshake of TLS 1.3")
        chain = session.serverCertChain if client else session.clientCertChain
        if chain is not None and chain.getNumCerts():
            self._peer = bytes(chain.x509List[0].bytes)
            _require_same_key(chain.x509List[0], self._peer)
            if client and connection.serverSigAlg not in _SIGNED.get(chain.x509List[0].certAlg, ()):
                raise _RefusedError("illegal_parameter", "the server signed by an algorithm that was not offered")
        elif client or self._config.request_peer_certificate:
            raise _RefusedError("certificate_required", "the peer presented no certificate")
        if session.appProto:
            self._alpn = bytes(session.appProto).decode("ascii", "replace")
            if self._alpn not in self._config.alpn:
                raise _RefusedError("illegal_parameter", "the server chose a protocol that was not offered")
        connection.forget_handshake()

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        if self._first is None and data:
            self._first = data[0]
        self._memory.incoming += data

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._memory.ended = True

    def data_to_send(self) -> bytearray:
        """Give and forget the bytes due to the peer."""
        out, self._memory.outgoing = self._memory.outgoing, bytearray()
        return out

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        if not self._plain and not self._peer_closed:
            self._require_complete("read")
            if not self._read_record():
                return None
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _read_record(self) -> bool:
        """Decrypt the next record of data. Returns whether there was one, or the end."""
        if self._reading is None:
            self._connection.closed = False  # its own state is of both directions
            self._reading = self._connection.readAsync()
        try:
            for step in self._reading:
                if isinstance(step, int):
                    if step == _WAITS:
                        return False
                    continue
                self._reading = None
                self._plain += step
                self._peer_closed = not step
                return True
        except BaseException as error:  # likewise
            raise self._failed("read", error) from error
        return False

    def _encrypt(self, data: bytes) -> None:
        try:
            self._connection.send_data(data)
        except BaseException as error:  # likewise
            raise self._failed("write", error) from error

    def _send_close_notify(self) -> None:
        self._connection.send_close_notify()

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        return self._peer if self._complete else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._alpn

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self._connection.resumed)

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash."""
        session = self._connection.session
        cipher = CipherSuite.ietfNames.get(session.cipherSuite, "") if session is not None else ""
        group = self._connection.ecdhCurve
        return TlsFacts(
            version="TLSv1.3" if self._complete else "",
            cipher=cipher,
            group=str(GroupName.toStr(group)) if group is not None else "",
            hash=HashAlgorithm.SHA384 if cipher.endswith("SHA384") else HashAlgorithm.SHA256,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Raise UnsupportedError: tlslite-ng's takes no context."""
        raise UnsupportedError(
            f"TLS wrapper tlslite has no exporter with a context (label {label!r}, {len(context)}, {length} bytes)"
        )

    def _failed(self, doing: str, error: BaseException) -> TlsError:
        if interrupts(error):
            # A generator that was left is over, and would look as if it had done its work.
            self._error = TlsError(f"TLS {doing}: interrupted by {type(error).__name__}")
            raise error
        alert = 0
        if isinstance(error, TLSRemoteAlert):
            name = alert_name(error.description)
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif isinstance(error, TLSAbruptCloseError):
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        else:
            if isinstance(error, TLSLocalAlert):  # sent by tlslite-ng
                said = f"{alert_name(error.description)}{f' ({error.message})' if error.message else ''}"
            else:
                alert = _alert_for(error)
                kind = "" if isinstance(error, BaseTLSException | _RefusedError) else f"{type(error).__name__}: "
                said = f"{kind}{error}"
            if not speaks_tls(self._first):
                said = f"the peer does not speak TLS ({said})"
            self._error = TlsError(f"TLS {doing}: {said}")
        if alert:
            self._connection.send_fatal(alert)
        return self._error


def _alert_for(error: BaseException) -> int:
    """Give the alert for a failure for which tlslite-ng sent none."""
    if isinstance(error, _RefusedError):
        return ALERT_NUMBERS[error.alert]
    if isinstance(error, TLSDecryptionFailed):  # it raises this for signatures and Finished that do not verify
        return ALERT_NUMBERS["decrypt_error"]
    if isinstance(error, TLSIllegalParameterException):
        return ALERT_NUMBERS["illegal_parameter"]
    return ALERT_NUMBERS["decode_error" if isinstance(error, SyntaxError | ValueError) else "internal_error"]


def _require_same_key(certificate: Any, der: bytes) -> None:  # noqa: ANN401  # tlslite-ng has no types
    """Require that the key that was proved to be held is the one that everybody else reads in the certificate.

    tlslite-ng's parser takes much that is no DER: a certificate may hold one key for it and another one for the
    appraisal.

    Raises:
        _RefusedError: it is another one, or none that can be read.
    """
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except Exception as error:  # whatever it is, it is no certificate
        raise _RefusedError("bad_certificate", "the peer's certificate cannot be read") from error
    proved = certificate.publicKey
    if isinstance(key, ec.EllipticCurvePublicKey):
        same = certificate.certAlg == "ecdsa" and proved.public_key.to_string("uncompressed") == key.public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
    elif isinstance(key, ed25519.Ed25519PublicKey):
        same = certificate.certAlg == "Ed25519" and proved.public_key.to_string() == key.public_bytes(
            Encoding.Raw, PublicFormat.Raw
        )
    elif isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        same = (
            certificate.certAlg in ("rsa", "rsa-pss")
            and key.key_size >= _SMALLEST_RSA
            and (int(proved.n), int(proved.e)) == (numbers.n, numbers.e)
        )
    else:
        same = False  # of a kind that nobody is asked for
    if not same:
        raise _RefusedError("bad_certificate", "the peer's certificate does not hold the key that was proved")
