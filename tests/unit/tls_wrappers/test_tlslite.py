from __future__ import annotations

import importlib
import signal
import sys
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, TlsError
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.tlslite import TlsliteTlsWrapper, make_settings
from support.channels import NOW, certificate, key
from support.forging_peer import shaken
from support.interrupting import INTERRUPTS, interrupted
from support.tls import config, connected, handshake, pump, read_exactly, sessions
from support.tlslite_peer import HostilePeer

TLS = TlsliteTlsWrapper()
OPENSSL = OpensslTlsWrapper()
inner = importlib.import_module("rats_tls.tls_wrappers.tlslite_connection")


def self_signed(holder: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    builder = x509.CertificateBuilder(name, name, holder.public_key(), 7)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(holder, hashes.SHA256()).public_bytes(Encoding.DER)


def mixed(client: Any, server: Any, **more: Any) -> tuple[Any, Any]:
    ends = client.context(config("client", **more)).session(), server.context(config("server", **more)).session()
    handshake(*ends)
    pump(*ends)
    return ends


# --- signals -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_handshake_that_was_interrupted_is_never_complete(role: str, number: signal.Signals) -> None:
    """The library's generator is over then, as it is behind a handshake that is complete."""
    ours = TLS.context(config(role)).session()
    peer = OPENSSL.context(config("server" if role == "client" else "client", serial=2)).session()
    ends = (ours, peer) if role == "client" else (peer, ours)
    with interrupted(number, "tlslite_session.py", "_finish"), pytest.raises(INTERRUPTS[number]):
        handshake(*ends)
    for call in (ours.handshake, lambda: ours.read(1), lambda: ours.write(b"x")):
        with pytest.raises(TlsError, match="interrupted"):
            call()


@pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("file", "function", "call"),
    [("tlslite_connection.py", "send_data", "write"), ("tlslite/tlsrecordlayer.py", "readAsync", "read")],
)
def test_an_interrupt_in_data_goes_on_and_ends_the_connection(
    file: str, function: str, call: str, number: signal.Signals
) -> None:
    client, _ = connected(TLS)
    calls = {"write": lambda: client.write(bytes(100)), "read": lambda: client.read(100)}
    with interrupted(number, file, function), pytest.raises(INTERRUPTS[number]):
        calls[call]()
    for again in calls.values():
        with pytest.raises(TlsError, match="interrupted"):
            again()
    client.data_to_send()
    client.close()
    assert client.data_to_send() == b""


# --- what the library says, in our words -------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "name"), [*ALERTS.items(), (243, "alert_243")])
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            session.handshake()
        assert caught.value.peer_alert == name
        assert not caught.value.truncated


@pytest.mark.parametrize("error", [ValueError, SyntaxError, TypeError, AssertionError, KeyError, RecursionError])
@pytest.mark.parametrize("role", ["client", "server"])
def test_whatever_it_raises_is_a_refusal_and_the_peer_is_told(
    role: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("by surprise")

    ours = TLS.context(config(role)).session()
    peer = OPENSSL.context(config("server" if role == "client" else "client")).session()
    ends = (ours, peer) if role == "client" else (peer, ours)
    monkeypatch.setattr("ecdsa.keys.VerifyingKey.verify_digest", fail)
    if error is AssertionError:  # tlslite-ng itself takes that for a signature that does not verify
        monkeypatch.setattr("tlslite.utils.ecdsakey.ECDSAKey.verify", fail)
    with pytest.raises(TlsError):
        handshake(*ends)
    for _ in range(2):
        with pytest.raises(TlsError):
            ours.handshake()
        with pytest.raises(TlsError):
            ours.read(1)
    peer.receive_from_wire(ours.data_to_send())
    with pytest.raises(TlsError, match="the peer sent alert"):
        peer.handshake() and peer.read(1)


def test_a_message_that_cannot_be_read_is_told_without_a_traceback() -> None:
    session = TLS.context(config("server")).session()
    session.receive_from_wire(b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00")
    with pytest.raises(TlsError) as caught:
        session.handshake()
    assert caught.value.message.startswith("TLS handshake: decode_error (")
    assert "raceback" not in caught.value.message
    assert session.data_to_send()[:1] == b"\x15"


# --- keys of peers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bits", [1024, 2047, 2048])
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_short_rsa_key_is_refused(role: str, bits: int) -> None:
    """NIST SP 800-131A revision 2, 3: whoever breaks the key can prove to hold it. tlslite-ng's servers take any."""
    holder = rsa.generate_private_key(65537, bits)
    shown = self_signed(holder)
    ours = TLS.context(config(role)).session()
    peer = shaken(ours, server=role == "client", shown=shown, holder=holder, scheme="rsa_pss_rsae_sha256")
    if bits == 2048:
        with peer:
            assert ours.peer_certificate == shown
        return
    with pytest.raises(TlsError) as caught, peer:
        pass
    assert not caught.value.truncated
    assert caught.value.peer_alert is None
    assert ours.peer_certificate is None


# --- settings ----------------------------------------------------------------------------------------------------
def test_settings_leave_nothing_but_a_full_handshake() -> None:
    settings = make_settings()
    assert settings.versions == [(3, 4)]
    assert (settings.minVersion, settings.maxVersion) == ((3, 4), (3, 4))
    assert (settings.ticketKeys, settings.ticket_count, settings.pskConfigs) == ([], 0, [])
    assert settings.dc_sig_algs == []
    assert settings.certificate_compression_receive == settings.certificate_compression_send == []
    assert not settings.use_heartbeat_extension
    assert settings.rsaSchemes == ["pss"]


def test_a_client_offers_nothing_that_is_not_wanted() -> None:
    session = TLS.context(config("client")).session("a.example")
    session.handshake()
    offered = {each.extType for each in _hello(session).extensions}
    # session_ticket, compress_certificate, delegated_credential, pre_shared_key, early_data, psk_key_exchange_modes,
    # post_handshake_auth, heartbeat
    assert offered & {35, 27, 34, 41, 42, 45, 49, 15} == set()
    assert {0, 43, 51} <= offered


def _hello(session: Any) -> Any:
    from tlslite.messages import ClientHello
    from tlslite.utils.codec import Parser

    parser = Parser(bytearray(session.data_to_send()[5:]))
    parser.get(1)
    return ClientHello().parse(parser)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_3072])
def test_it_talks_to_openssl_both_ways(algorithm: KeyAlgorithm) -> None:
    """OpenSSL 4 refuses a CertificateRequest that offers compressed certificates of no algorithm."""
    for pair in ((TLS, OPENSSL), (OPENSSL, TLS)):
        client, server = mixed(*pair, algorithm=algorithm)
        assert client.peer_certificate == server.peer_certificate == certificate(algorithm)
        client.write(b"to")
        server.write(b"fro")
        pump(client, server)
        assert (server.read(9), client.read(9)) == (b"to", b"fro")


def test_a_request_after_the_handshake_is_an_unexpected_message() -> None:
    """RFC 8446 4.6.2. By itself, a client with a certificate offers to answer it and does."""
    client, server = shaken_with_hostile_server()
    server.request_certificate_now()
    client.receive_from_wire(server.output())
    with pytest.raises(TlsError, match="unexpected_message"):
        client.read(1)


def shaken_with_hostile_server() -> tuple[Any, HostilePeer]:
    client, server = TLS.context(config("client")).session(), HostilePeer("server")
    for _ in range(4):
        client.handshake()
        server.feed(client.data_to_send())
        server.advance()
        client.receive_from_wire(server.output())
    return client, server


# --- bounds ------------------------------------------------------------------------------------------------------
def test_tickets_and_later_messages_leave_nothing_behind() -> None:
    client, server = shaken_with_hostile_server()
    for number in range(50):
        server.send_ticket(number)
    server.write(b"x")
    client.receive_from_wire(server.output())
    assert client.read(1) == b"x"
    connection = client._connection
    assert len(connection.tickets) == len(connection.session.tickets) == 0
    assert not hasattr(connection._handshake_hash, "_handshake_buffer")
    assert connection._first_handshake_hashes is None


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_message_without_end_is_cut_off(role: str) -> None:
    session = TLS.context(config(role)).session()
    session.handshake()
    kind = b"\x02" if role == "client" else b"\x01"
    session.receive_from_wire(b"\x16\x03\x03\x40\x00" + kind + b"\xff\xff\xff" + bytes(16_380))
    for _ in range(inner.LARGEST_MESSAGE // 16_384):
        assert not session.handshake()
        session.receive_from_wire(b"\x16\x03\x03\x40\x00" + bytes(16_384))
    with pytest.raises(TlsError, match="above"):
        session.handshake()


def test_a_compressed_certificate_is_not_taken() -> None:
    """A few bytes of it can stand for any number (RFC 8879 4)."""
    from tlslite.messages import CompressedCertificate

    peer = HostilePeer("client")
    peer.tls._create_cert_msg = lambda *_, **__: CompressedCertificate(0, (3, 4)).create(1, _chain(), b"")
    server = TLS.context(config("server")).session()
    peer.advance()
    server.receive_from_wire(peer.output())
    assert not server.handshake()
    peer.feed(server.data_to_send())
    peer.advance()
    server.receive_from_wire(peer.output())
    with pytest.raises(TlsError, match="unexpected_message"):
        server.handshake()


def _chain() -> Any:
    from tlslite.x509 import X509
    from tlslite.x509certchain import X509CertChain

    leaf = X509()
    leaf.parseBinary(bytearray(certificate()))
    return X509CertChain([leaf])


def test_the_peers_close_notify_ends_one_direction_only() -> None:
    """RFC 8446 6.1; tlslite-ng by itself would answer it and end both."""
    client, server = connected(TLS)
    client.close()
    pump(client, server)
    assert server.read(1) == b""
    assert server.data_to_send() == b""
    server.write(b"y" * 40_000)
    server.close()
    pump(server, client)
    assert read_exactly(client, 40_000) == b"y" * 40_000
    assert client.read(1) == b""


# --- the key that was proved -------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519])
@pytest.mark.parametrize("role", ["client", "server"])
def test_the_key_that_was_proved_must_be_the_one_that_others_read(
    role: str, algorithm: KeyAlgorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parser is not strict: a certificate may hold one key for it and another one for everybody else."""
    other = x509.load_der_x509_certificate(certificate(KeyAlgorithm.EC_P384))
    other_of_kind = _other_key(algorithm)
    for reads in (lambda _der: other, lambda _der: other_of_kind):
        client, server = sessions(TLS, config("client", algorithm=algorithm), config("server", algorithm=algorithm))
        ours = client if role == "client" else server
        with monkeypatch.context() as patch:
            patch.setattr("rats_tls.tls_wrappers.tlslite_session.x509.load_der_x509_certificate", reads)
            with pytest.raises(TlsError, match="does not hold the key"):
                handshake(client, server)
        assert ours.peer_certificate is None or ours._error is not None


def _other_key(algorithm: KeyAlgorithm) -> Any:
    from types import SimpleNamespace

    from cryptography.hazmat.primitives.serialization import load_der_private_key

    from support.channels import CRYPTO

    made = load_der_private_key(CRYPTO.generate_key(algorithm).pkcs8(), None)
    return SimpleNamespace(public_key=made.public_key)


def test_a_certificate_that_nobody_else_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_der: bytes) -> None:
        raise ValueError("no certificate")

    client, server = sessions(TLS, config("client"), config("server"))
    monkeypatch.setattr("rats_tls.tls_wrappers.tlslite_session.x509.load_der_x509_certificate", fail)
    with pytest.raises(TlsError, match="cannot be read"):
        handshake(client, server)


def test_a_protocol_that_was_not_offered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = sessions(TLS, config("client", alpn=("a", "b")), config("server", alpn=("b",)))
    monkeypatch.setattr(inner.Connection, "_serverTLS13Handshake", _choosing(b"c"))
    with pytest.raises(TlsError, match="not offered"):
        handshake(client, server)


def _choosing(name: bytes) -> Any:
    from tlslite.tlsconnection import TLSConnection

    class Any_(list):  # noqa: N801
        def __contains__(self, _: object) -> bool:
            return True

    def run(self: Any, settings: Any, hello: Any, *more: Any) -> Any:
        hello.getExtension(16).protocol_names = [bytearray(name)]
        yield from TLSConnection._serverTLS13Handshake(self, settings, hello, *more[:5], Any_(), *more[6:])

    return run


# --- versions ----------------------------------------------------------------------------------------------------
def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tlslite", None)
    with pytest.raises(NoInstanceError, match=r"TLS wrapper tlslite: .*; pip install 'rats-tls\[tlslite\]'"):
        TlsliteTlsWrapper()


@pytest.mark.parametrize("version", ["0.8.2", "0.9.0a9", "0.9.0b1", "0.7.9", "unknown", ""])
def test_an_older_release_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlslite.__version__", version)
    with pytest.raises(NoInstanceError, match=r"expected at least 0\.9\.0b2; pip install 'rats-tls\[tlslite\]'"):
        TlsliteTlsWrapper()


@pytest.mark.parametrize("version", ["0.9.0b2", "0.9.0b3", "0.9.0rc1", "0.9.0", "0.10.0a1", "1.0.0"])
def test_a_later_release_is_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlslite.__version__", version)
    assert TlsliteTlsWrapper().version == f"tlslite-ng {version}"


def test_a_release_that_lacks_what_is_overridden_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("tlslite.tlsrecordlayer.TLSRecordLayer._getNextRecordFromSocket")
    with pytest.raises(NoInstanceError, match="lacks _getNextRecordFromSocket"):
        TlsliteTlsWrapper()


def test_a_key_that_it_cannot_take_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SyntaxError("no key")

    monkeypatch.setattr("tlslite.utils.keyfactory.parsePEMKey", fail)
    with pytest.raises(ConfigurationError, match="no key"):
        TLS.context(config("server"))


def test_a_name_that_it_takes_for_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="server_hostname"):
        TLS.context(config("client")).session("under_score.example")


def test_keys_are_not_written_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key(KeyAlgorithm.EC_P256)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("opened a file")

    monkeypatch.setattr("builtins.open", fail)
    TLS.context(config("server"))
