"""What a peer of the `gnutls` wrapper sends behind the handshake: tickets, key updates, requests, renegotiation."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import warnings
from collections.abc import Iterable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from OpenSSL import SSL

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.tls_wrappers.gnutls_session import GnutlsTlsSession
from support.channels import certificate, key
from support.instances import tls_wrapper_of_a_module
from support.tls import config, handshake, sessions
from support.tlslite_peer import MemorySocket

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tlslite imports asyncore
    from tlslite.api import X509, HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
    from tlslite.constants import AlertDescription, KeyUpdateMessageType
    from tlslite.errors import TLSRemoteAlert
    from tlslite.messages import ApplicationData

TLS = tls_wrapper_of_a_module("gnutls")


class TlslitePeer:
    """A server over tlslite-ng, which sends what other libraries cannot be brought to send.

    Attributes:
        wire: its bytes.
        tls: its connection, whose generators give 0 where they wait for bytes.
    """

    def __init__(self, session: GnutlsTlsSession) -> None:
        self.wire = MemorySocket()
        self.tls = TLSConnection(self.wire)
        private = load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        settings = HandshakeSettings()
        settings.ticket_count = 0
        steps = self.tls.handshakeServerAsync(
            certChain=X509CertChain([X509().parse(ssl.DER_cert_to_PEM_cert(certificate(serial=9)))]),
            privateKey=parsePEMKey(pem, private=True),
            settings=settings,
        )
        done = False
        for _ in range(6):
            ready = session.handshake()
            self.wire.incoming += session.data_to_send()
            done = done or 0 not in itertools.islice(steps, 1)
            session.receive_from_wire(self.wire.output())
        assert ready
        assert done

    def sends(self, steps: Iterable[int]) -> bytes:
        """Give what tlslite sends by these steps."""
        assert 0 not in list(steps)
        return self.wire.output()

    def sends_data(self, data: bytes) -> bytes:
        return self.sends(self.tls.writeAsync(data))

    def reads(self, session: GnutlsTlsSession) -> bytes:
        self.wire.incoming += session.data_to_send()
        data = next(iter(self.tls.readAsync(min=1)))
        assert data != 0
        return bytes(data)


def connected_to_tlslite() -> tuple[GnutlsTlsSession, TlslitePeer]:
    session = TLS.context(config("client", present=False)).session()
    return session, TlslitePeer(session)


@pytest.mark.parametrize("answer", [KeyUpdateMessageType.update_not_requested, KeyUpdateMessageType.update_requested])
def test_key_updates_are_taken_and_answered(answer: int) -> None:
    session, peer = connected_to_tlslite()
    wire = peer.sends_data(b"before ")
    for number in range(3):
        wire += peer.sends(peer.tls.send_keyupdate_request(answer))
        wire += peer.sends_data(b"%d" % number)
    session.receive_from_wire(wire)
    assert session.read(100) == b"before 012"
    session.write(b"back")
    assert peer.reads(session) == b"back"


def test_a_read_goes_on_behind_records_without_data() -> None:
    """A key update ends libgnutls's call: data behind it would else wait for bytes that never come."""
    session, peer = connected_to_tlslite()
    update = peer.sends(peer.tls.send_keyupdate_request(KeyUpdateMessageType.update_not_requested))
    empty = peer.sends(peer.tls._sendMsg(ApplicationData().create(bytearray())))
    session.receive_from_wire(update + empty + peer.sends_data(b"data"))
    assert session.read(100) == b"data"
    session.receive_from_wire(peer.sends(peer.tls._sendMsg(ApplicationData().create(bytearray()))))
    assert session.read(100) is None  # no end


def test_authentication_after_the_handshake_is_refused() -> None:
    session, peer = connected_to_tlslite()
    peer.tls._pha_supported = True
    session.receive_from_wire(peer.sends(peer.tls.request_post_handshake_auth()))
    for _ in range(2):
        with pytest.raises(TlsError, match="unexpected"):
            session.read(100)
    alert = session.data_to_send()
    assert alert
    peer.wire.incoming += alert
    with pytest.raises(TLSRemoteAlert) as caught:
        list(peer.tls.readAsync(min=1))
    assert caught.value.description == AlertDescription.unexpected_message


@pytest.mark.parametrize("name", ["REHANDSHAKE", "REAUTH_REQUEST", "GOT_APPLICATION_DATA"])
@pytest.mark.parametrize("call", ["gnutls_record_recv", "gnutls_handshake"])
def test_what_libgnutls_leaves_to_its_caller_is_an_error(name: str, call: str) -> None:
    code = {"REHANDSHAKE": -37, "REAUTH_REQUEST": -424, "GOT_APPLICATION_DATA": -38}[name]
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    if call == "gnutls_record_recv":
        handshake(client, server)

    class Lib:
        def __getattr__(self, attribute: str) -> object:
            return (lambda *_: code) if attribute == call else getattr(TLS._library.lib, attribute)

    client._lib = Lib()
    for _ in range(2):
        with pytest.raises(TlsError):
            client.read(10) if call == "gnutls_record_recv" else client.handshake()


def openssl_with_tls12(role: str) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
    if role == "server":
        context.use_certificate(x509.load_der_x509_certificate(certificate(serial=9)))
        context.use_privatekey(load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None))
    peer = SSL.Connection(context, None)
    if role == "server":
        peer.set_accept_state()
    else:
        peer.set_connect_state()
    return peer


def exchange(session: GnutlsTlsSession, peer: SSL.Connection) -> None:
    if data := session.data_to_send():
        peer.bio_write(bytes(data))
    with contextlib.suppress(SSL.WantReadError):
        peer.do_handshake()
    with contextlib.suppress(SSL.WantReadError):
        session.receive_from_wire(peer.bio_read(65_536))


@pytest.mark.parametrize("role", ["client", "server"])
def test_renegotiation_is_refused(role: str) -> None:
    session = TLS.context(config(role, mutual=False, allow_tls12=True)).session()
    peer = openssl_with_tls12("server" if role == "client" else "client")
    for _ in range(4):
        done = session.handshake()
        exchange(session, peer)
    assert done
    assert session.facts().version == "TLSv1.2"
    peer.send(b"before")
    session.receive_from_wire(peer.bio_read(65_536))
    assert session.read(100) == b"before"
    assert peer.renegotiate()
    exchange(session, peer)
    for _ in range(2):
        with pytest.raises(TlsError, match=r"re-?handshake|renegotiat"):
            session.read(100)
    with pytest.raises(TlsError):
        session.write(b"more")
    peer.bio_write(bytes(session.data_to_send()))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        peer.recv(10)
