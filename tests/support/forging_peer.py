"""A peer over tlslite-ng that presents whatever bytes a test gives it as its certificate, and signs as it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
import warnings
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsSession
from support.channels import certificate, key

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports asyncore
    from tlslite.api import X509, HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
    from tlslite.constants import ExtensionType, SignatureScheme
    from tlslite.extensions import SignatureAlgorithmsExtension
    from tlslite.messages import CertificateRequest


class _Attacker(TLSConnection):
    """An end that signs CertificateVerify by `scheme`, whatever the other one offers."""

    scheme: str | None = None

    def _pickServerKeyExchangeSig(self, settings, hello, chain=None, private=None, *more, **kinds):
        if self.scheme is not None:
            return self.scheme, chain, private
        return super()._pickServerKeyExchangeSig(settings, hello, chain, private, *more, **kinds)

    def _getMsg(self, *arguments, **named):
        for step in super()._getMsg(*arguments, **named):
            if isinstance(step, CertificateRequest) and self.scheme is not None:  # it takes none that is not in it
                step.getExtension(ExtensionType.signature_algorithms).sigalgs.append(self._own_scheme())
            yield step

    def _sigHashesToList(self, settings, private=None, chain=None, version=(3, 3)):
        if self.scheme is not None and private is not None:
            return [self._own_scheme()]
        return super()._sigHashesToList(settings, private, chain, version)

    def _own_scheme(self):
        return getattr(SignatureScheme, self.scheme)


@contextlib.contextmanager
def shaken(
    session: TlsSession,
    *,
    server: bool,
    shown: bytes,
    algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
    holder: PrivateKeyTypes | None = None,
    scheme: str | None = None,
    after: Callable[[TLSConnection], None] = lambda _: None,
) -> Iterator[socket.socket]:
    """Shake hands between `session` and a tlslite peer, as far as that goes. Raises what the session raises.

    Args:
        session: new.
        server: whether the peer is the server.
        shown: what it sends as its certificate.
        algorithm: of its key.
        holder: its key, in place of the usual one of `algorithm`.
        scheme: the signature scheme that it signs by.
        after: what the peer does behind its handshake.

    Yields:
        The wire to the peer.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)
    private = holder or load_der_private_key(key(algorithm).pkcs8(), None)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    chain = X509()
    chain.parseBinary(bytearray(certificate(algorithm) if holder is None else shown))
    chain.bytes = bytearray(shown)

    def peer() -> None:
        settings = HandshakeSettings()
        settings.minVersion = (3, 4)
        connection = _Attacker(theirs)
        connection.scheme = scheme
        values = {"privateKey": parsePEMKey(pem, private=True), "settings": settings}
        # Whatever ends it: the session's word counts.
        with contextlib.suppress(Exception), theirs:
            if server:
                connection.handshakeServer(certChain=X509CertChain([chain]), **values)
            else:
                connection.handshakeClientCert(certChain=X509CertChain([chain]), **values)
            after(connection)
            connection.read(max=1, min=1)

    thread = threading.Thread(target=peer)
    thread.start()
    try:
        with ours:
            try:
                _shake_hands(session, ours)
            finally:
                with contextlib.suppress(OSError):
                    ours.sendall(session.data_to_send())
            yield ours
    finally:
        thread.join()


def asks_for_a_certificate(connection: TLSConnection) -> None:
    """Send a CertificateRequest behind the handshake (RFC 8446 4.6.2), which the client did not offer to answer."""
    extension = SignatureAlgorithmsExtension().create([SignatureScheme.ecdsa_secp256r1_sha256])
    request = CertificateRequest((3, 4)).create(context=b"context", extensions=[extension])
    for _ in connection._sendMsg(request):
        pass
    connection.write(b"behind it")


def _shake_hands(session: TlsSession, wire: socket.socket) -> None:
    for _ in range(50):
        done = session.handshake()
        wire.sendall(session.data_to_send())
        if done:
            return
        data = wire.recv(65_536)
        if not data:
            session.receive_eof()
        session.receive_from_wire(data)
    raise TlsError("the handshake does not end")
