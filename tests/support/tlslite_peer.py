"""A scripted hostile TLS 1.3 peer over tlslite-ng, without any of our code.

It makes honest handshakes by default, and is asked for one lie at a time. Imported only by tests that have looked
whether tlslite-ng is there.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from rats_tls.core.algorithms import KeyAlgorithm
from support.channels import CRYPTO, certificate, key

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports asyncore
    import tlslite  # noqa: F401
from tlslite.constants import AlertLevel, ContentType, ExtensionType, HandshakeType, SignatureScheme
from tlslite.errors import TLSRemoteAlert
from tlslite.extensions import TLSExtension
from tlslite.handshakesettings import HandshakeSettings
from tlslite.messages import CertificateRequest, ClientHello, Message
from tlslite.tlsconnection import TLSConnection
from tlslite.utils.keyfactory import parsePEMKey
from tlslite.x509 import X509
from tlslite.x509certchain import X509CertChain

__all__ = ["HELLO_REQUEST", "AlertLevel", "HostilePeer", "TLSRemoteAlert"]

HELLO_REQUEST = bytes(4)
"""RFC 5246 7.4.1.1."""

Rewrite = Callable[[int, bytes], bytes]


class MemorySocket:
    """What tlslite-ng takes for a non-blocking socket."""

    def __init__(self) -> None:
        self.incoming, self.outgoing = bytearray(), bytearray()

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError(errno.EAGAIN, "")
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes) -> int:
        self.outgoing += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.outgoing += data

    def close(self) -> None:
        pass

    def output(self) -> bytes:
        """Give and forget what was sent."""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data


class _Connection(TLSConnection):
    """A connection that tells some of the lies.

    Args:
        wire: its socket.
        scheme: what a server signs CertificateVerify by, or None for what suits its key.
        early_data: whether a client announces early data.
        rewrite: see `HostilePeer`.
    """

    def __init__(self, wire: MemorySocket, scheme: str | None, early_data: bool, rewrite: Rewrite | None) -> None:
        super().__init__(wire)
        self._scheme = scheme
        self._early_data = early_data
        self._rewrite = rewrite
        self._sent = 0
        self.first_message = b""

    def _serverTLS13Handshake(self, settings, hello, suite, own, chain, version, scheme, *more) -> Iterator[Any]:
        yield from super()._serverTLS13Handshake(
            settings, hello, suite, own, chain, version, self._scheme or scheme, *more
        )

    def _sendMsg(self, msg, *more, **named) -> Iterator[Any]:
        if isinstance(msg, ClientHello):
            if self._early_data:  # RFC 8446 4.2.10, in front of pre_shared_key, which comes last
                announced = TLSExtension(extType=ExtensionType.early_data).create(bytearray())
                msg.extensions.insert(len(msg.extensions) - 1, announced)
            self.first_message = bytes(msg.write())
        if msg.contentType == ContentType.handshake and named.get("update_hashes", True):
            msg = self._rewritten(msg)
        yield from super()._sendMsg(msg, *more, **named)

    def _queue_message(self, msg) -> None:
        super()._queue_message(self._rewritten(msg))

    def _rewritten(self, msg) -> Any:
        self._sent += 1
        return _Written(self._rewrite(self._sent, bytes(msg.write()))) if self._rewrite else msg


class _Written:
    """A handshake message as it goes over the wire, and into the peer's own transcript."""

    contentType = ContentType.handshake  # noqa: N815

    def __init__(self, data: bytes) -> None:
        self._data = data

    def write(self) -> bytearray:
        return bytearray(self._data)


class HostilePeer:
    """One end.

    Args:
        role: "client" or "server".
        algorithm: of its key.
        serial: serial number of the certificate that it presents.
        holds_key: whether it signs by that certificate's key, or by another one of its kind.
        scheme: a server: what it signs CertificateVerify by.
        early_data: a client: announce early data under a pre-shared key that nobody knows.
        request: a server: ask for the client's certificate.
        rewrite: gives what to send in place of each handshake message, by its number from 1; signatures and Finished
            are over what was sent.
    """

    def __init__(
        self,
        role: str,
        *,
        algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
        serial: int = 9,
        holds_key: bool = True,
        scheme: str | None = None,
        early_data: bool = False,
        request: bool = True,
        rewrite: Rewrite | None = None,
    ) -> None:
        self._wire = MemorySocket()
        self.tls = _Connection(self._wire, scheme, early_data, rewrite)
        x509 = X509()
        x509.parseBinary(bytearray(certificate(algorithm, serial=serial)))
        chain = X509CertChain([x509])
        private = key(algorithm) if holds_key else CRYPTO.generate_key(algorithm)
        pem = load_der_private_key(private.pkcs8(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        own = parsePEMKey(pem.decode(), private=True, implementations=["python"])
        settings = HandshakeSettings()
        settings.minVersion, settings.versions = (3, 4), [(3, 4)]
        settings.eccCurves, settings.keyShares, settings.dhGroups = ["x25519", "secp256r1", "secp384r1"], ["x25519"], []
        settings.rsaSchemes, settings.dsaSigHashes, settings.more_sig_schemes = ["pss"], [], ["Ed25519"]
        settings.use_heartbeat_extension = False
        settings.certificate_compression_receive = settings.certificate_compression_send = ["zlib"]
        if early_data:
            settings.pskConfigs = [(bytearray(b"nobody"), bytearray(32), "sha256")]
        if role == "client":
            self._steps = self.tls.handshakeClientCert(chain, own, settings=settings, async_=True)
        else:
            self._steps = self.tls.handshakeServerAsync(
                certChain=chain, privateKey=own, settings=settings, reqCert=request
            )
        self.complete = False

    def feed(self, data: bytes | bytearray) -> None:
        self._wire.incoming += data

    def advance(self) -> bool:
        """Go on with the handshake. Raises whatever tlslite-ng does."""
        if not self.complete:
            for step in self._steps:
                if step == 0:
                    return False
            self.complete = True
        return True

    def output(self) -> bytes:
        return self._wire.output()

    def read(self) -> bytes | None:
        """Data of one record, b"" at the end, None where there is none yet. Raises tlslite-ng's alerts."""
        for step in self.tls.readAsync():
            if step == 0:
                return None
            if not isinstance(step, int):
                return bytes(step)
        return None

    def write(self, data: bytes) -> None:
        for _ in self.tls.writeAsync(data):
            pass

    def send_handshake_message(self, message: bytes) -> None:
        """Send a handshake message under the keys of now, whatever it is."""
        for _ in self.tls._sendMsg(Message(ContentType.handshake, bytearray(message)), update_hashes=False):
            pass

    def request_certificate_now(self) -> None:
        """Post-handshake authentication (RFC 8446 4.6.2), whether the client offered it or not."""
        request = CertificateRequest(self.tls.version)
        request.create(context=b"now", sig_algs=[SignatureScheme.ecdsa_secp256r1_sha256])
        self.send_handshake_message(bytes(request.write()))

    def send_ticket(self, number: int) -> None:
        """Send a NewSessionTicket that invites early data (RFC 8446 4.6.1)."""
        ticket = bytes([number]) * 32
        early_data = (ExtensionType.early_data).to_bytes(2, "big") + b"\0\4" + (16_384).to_bytes(4, "big")
        body = (7200).to_bytes(4, "big") + bytes(4) + bytes([1, number]) + (32).to_bytes(2, "big") + ticket
        body += len(early_data).to_bytes(2, "big") + early_data
        self.send_handshake_message(bytes([HandshakeType.new_session_ticket]) + len(body).to_bytes(3, "big") + body)
