from __future__ import annotations

import errno
import ssl
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509.oid import NameOID

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.gnutls import GnutlsTlsContext, GnutlsTlsWrapper
from rats_tls.tls_wrappers.gnutls_library import Wire
from support.channels import NOW, certificate, key
from support.endurance import resident_bytes
from support.tls import StdlibPeer, config, connected, handshake, pump, sessions

TLS = GnutlsTlsWrapper()
FATAL = {number: name for number, name in ALERTS.items() if name not in {"close_notify", "user_canceled"}}


def private_key(algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256) -> EllipticCurvePrivateKey:
    return load_der_private_key(key(algorithm).pkcs8(), None)


def signed(private: EllipticCurvePrivateKey, name: str, *extensions: x509.ExtensionType) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, private.public_key(), 7, NOW, NOW.replace(year=2027))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)


def large(role: str, size: int) -> GnutlsTlsContext:
    """A side whose certificate may be larger than the wrapper takes."""
    settings = config(role, size=size)
    return GnutlsTlsContext(TLS._library, settings, (settings.certificate, settings.private_key))


# --- what is offered ---------------------------------------------------------------------------------------------
def extensions(hello: bytes) -> dict[int, bytes]:
    body = hello[5 + 4 + 2 + 32 :]
    for width in (1, 2, 1):
        body = body[width + int.from_bytes(body[:width], "big") :]
    body, found = body[2:], {}
    while body:
        end = 4 + int.from_bytes(body[2:4], "big")
        found[int.from_bytes(body[:2], "big")] = bytes(body[4:end])
        body = body[end:]
    return found


def test_a_client_offers_tls13_only_and_nothing_that_is_refused_later() -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    found = extensions(session.data_to_send())
    assert found[43] == b"\x02\x03\x04"  # supported_versions
    # session_ticket, pre_shared_key, early_data, psk_key_exchange_modes, post_handshake_auth, heartbeat, certificate
    # types (RFC 7250)
    assert not found.keys() & {35, 41, 42, 45, 49, 15, 19, 20}
    algorithms = {found[13][at : at + 2].hex() for at in range(2, len(found[13]), 2)}
    assert "0403" in algorithms
    assert not {each for each in algorithms if each.startswith("02")}  # SHA-1, RFC 8446 4.2.3


def test_tls12_is_offered_with_forward_secrecy_and_aead_ciphers_only() -> None:
    session = TLS.context(config("client", allow_tls12=True)).session()
    session.handshake()
    hello = session.data_to_send()
    assert extensions(hello)[43] == b"\x04\x03\x04\x03\x03"
    assert 23 in extensions(hello)  # extended_master_secret
    suites = hello[5 + 4 + 2 + 32 :][1 + hello[43] :]
    suites = suites[2 : 2 + int.from_bytes(suites[:2], "big")]
    found = {suites[at : at + 2].hex() for at in range(0, len(suites), 2)}
    # TLS 1.3; ECDHE with AES-GCM and ChaCha20; the signalling value of RFC 5746
    assert found - {"00ff"} == {"1301", "1302", "1303", "c02b", "c02c", "c02f", "c030", "cca8", "cca9"}


def test_a_server_sends_nothing_behind_its_handshake() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert server.data_to_send() == b""


def test_a_client_presents_its_certificate_whatever_issuers_are_named() -> None:
    server = StdlibPeer(server_side=True)
    server.context.verify_mode = ssl.CERT_OPTIONAL
    server.context.load_verify_locations(cadata=signed(private_key(KeyAlgorithm.EC_P384), "another authority"))
    server = StdlibPeer(server_side=True, context=server.context)
    client = TLS.context(config("client")).session()
    client.handshake()
    server.feed(client.data_to_send())
    server.advance()
    client.receive_from_wire(server.output())
    client.handshake()
    server.feed(client.data_to_send())
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):  # it came, and is not of that issuer
        server.advance()


@pytest.mark.parametrize("protocols", [("x",) * 9, ("x" * 256,)], ids=["many", "long"])
def test_alpn_that_gnutls_does_not_take_is_refused_with_the_settings(protocols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="TLS wrapper gnutls refuses the ALPN protocols: "):
        TLS.context(config("client", alpn=protocols))


# --- certificates ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("own", [5_000, 61_440, None])
@pytest.mark.parametrize("role", ["client", "server"])
def test_certificates_are_read_up_to_the_limit(role: str, own: int | None) -> None:
    """The limit is of the peer's certificate, whatever is presented oneself."""
    if own is None and role == "server":
        return
    peers = "server" if role == "client" else "client"
    here = TLS.context(config(role, size=own or 5_000, present=own is not None, mutual=True))
    for size, taken in ((65_536, True), (65_600, False), (200_000, False)):
        ends = {role: here.session(), peers: large(peers, size).session()}
        if peers == "server" and own is None:
            settings = config("server", size=size, mutual=False)
            made = GnutlsTlsContext(TLS._library, settings, (settings.certificate, settings.private_key))
            ends[peers] = made.session()
        # What the other side reads is not limited by what it presents.
        if taken:
            handshake(ends["client"], ends["server"])
            assert ends[role].peer_certificate == certificate(size=size)
            continue
        with pytest.raises(TlsError, match=r"too large|has 65\d\d\d bytes, expected at most 65536") as caught:
            handshake(ends["client"], ends["server"])
        assert caught.value.peer_alert is None
        assert ends[role].peer_certificate is None
        with pytest.raises(TlsError, match=r"too large|expected at most 65536"):
            ends[role].write(b"x")
        assert ends[role].data_to_send()


def test_gnutls_refuses_a_certificate_that_says_its_key_may_not_sign() -> None:
    """OpenSSL takes it; what is refused here is not judged at all."""
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)  # keyEncipherment
    der = signed(private_key(), "no signatures", usage)
    client = registry.tls_wrapper("openssl").context(replace(config("client"), certificate=der)).session()
    server = TLS.context(config("server", serial=2)).session()
    with pytest.raises(TlsError, match="key usage violation"):
        handshake(client, server)
    assert server.peer_certificate is None


def test_certificates_behind_the_leaf_are_passed_over() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "peer.pem")
        private = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = [certificate(serial=9), certificate(serial=10)]
        path.write_bytes(private + "".join(ssl.DER_cert_to_PEM_cert(each) for each in chain).encode())
        context = StdlibPeer(server_side=True, serial=None).context
        context.load_cert_chain(path)
    server = StdlibPeer(server_side=True, context=context)
    client = TLS.context(config("client", present=False)).session()
    for _ in range(3):
        client.handshake()
        server.feed(client.data_to_send())
        server.advance()
        client.receive_from_wire(server.output())
    assert client.peer_certificate == chain[0]


# --- interoperation ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("algorithm", sorted(TLS.capabilities.key_algorithms))
def test_openssl_and_gnutls_agree(role: str, algorithm: KeyAlgorithm) -> None:
    openssl = registry.tls_wrapper("openssl")
    client, server = (TLS, openssl) if role == "client" else (openssl, TLS)
    one = client.context(config("client", algorithm=algorithm, alpn=("a", "b"), size=61_440)).session("x.example")
    two = server.context(config("server", algorithm=algorithm, alpn=("b",), size=61_440, serial=2)).session()
    handshake(one, two)
    pump(one, two)
    assert one.peer_certificate == certificate(algorithm, size=61_440, serial=2)
    assert two.peer_certificate == certificate(algorithm, size=61_440)
    assert one.alpn == two.alpn == "b"
    assert one.exporter("label", b"context", 48) == two.exporter("label", b"context", 48)
    assert one.exporter("label", b"", 32) == two.exporter("label", b"", 32)
    assert one.facts().cipher == two.facts().cipher
    assert (one.facts().version, one.facts().hash) == (two.facts().version, two.facts().hash)
    assert one.facts().group.lower() in {"secp256r1", "x25519", "prime256v1"}


# --- the peer's alerts and noise -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "name"), FATAL.items())
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.data_to_send()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    with pytest.raises(TlsError) as caught:
        session.handshake()
    assert caught.value.peer_alert == name
    assert name in str(caught.value)
    assert not caught.value.truncated
    assert session.data_to_send() == b""  # no alert answers one


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", bytes(99)]
)
def test_a_peer_that_does_not_speak_tls(role: str, data: bytes) -> None:
    session = TLS.context(config(role)).session()
    session.handshake()
    session.receive_from_wire(data)
    with pytest.raises(TlsError, match=r"handshake: the peer does not speak TLS \("):
        session.handshake()


def test_a_broken_record_later_is_no_other_protocol() -> None:
    client, _ = connected(TLS)
    client.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TlsError) as caught:
        client.read(10)
    assert "does not speak TLS" not in str(caught.value)


def test_nothing_is_kept_behind_the_end_or_a_failure() -> None:
    client, server = connected(TLS)
    server.close()
    client.receive_from_wire(server.data_to_send() + b"x" * 1000)
    assert client.read(10) == b""
    client.receive_from_wire(b"x" * 1000)
    server.receive_from_wire(b"\x17\x03\x03\x00\x05xxxxx" + b"x" * 1000)
    with pytest.raises(TlsError):
        server.read(10)
    server.receive_from_wire(b"x" * 1000)
    assert not client._wire.incoming
    assert not server._wire.incoming


# --- order of calls ----------------------------------------------------------------------------------------------
def test_data_waits_for_the_handshake() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    for doing in (
        lambda: client.read(1),
        lambda: client.write(b"x"),
        lambda: server.read_into(memoryview(bytearray(9))),
    ):
        with pytest.raises(TlsError, match="the handshake is not complete"):
            doing()
    client.close()
    assert client.data_to_send() == b""
    handshake(client, server)
    assert client.read(0) is None


def test_an_alert_ends_a_handshake_too() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    server.alert("access_denied")
    with pytest.raises(TlsError, match="this side has ended the connection by alert access_denied"):
        server.handshake()
    client.receive_from_wire(server.data_to_send())
    assert client.handshake()  # the whole of the server's flight came before
    with pytest.raises(TlsError) as caught:
        client.read(10)
    assert caught.value.peer_alert == "access_denied"


def test_no_alert_follows_close_notify() -> None:
    client, server = connected(TLS)
    client.close()
    client.alert("access_denied")
    server.receive_from_wire(client.data_to_send())
    assert server.read(10) == b""


def test_a_read_gives_what_many_records_hold() -> None:
    client, server = connected(TLS)
    data = bytes(range(256)) * 200  # four records
    client.write(data)
    server.receive_from_wire(client.data_to_send())
    buffer = bytearray(60_000)
    assert server.read_into(memoryview(buffer)) == len(data)
    assert buffer[: len(data)] == data
    with pytest.raises((TypeError, BufferError)):
        server.read_into(memoryview(bytes(10)))


def test_a_failure_behind_data_is_told_by_the_next_read() -> None:
    client, server = connected(TLS)
    client.write(b"first")
    server.receive_from_wire(client.data_to_send() + b"\x17\x03\x03\x00\x20" + bytes(32))
    assert server.read(100) == b"first"
    with pytest.raises(TlsError):
        server.read(100)


# --- callbacks -----------------------------------------------------------------------------------------------------
class Broken:
    """Raises whatever is done with it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __len__(self) -> int:
        raise self.error

    def __iadd__(self, other: object) -> object:
        raise self.error

    def clear(self) -> None:
        pass


def test_a_callback_that_raises_fails_the_handshake() -> None:
    client, _ = sessions(TLS, config("client"), config("server", serial=2))
    reason = RuntimeError("no memory")
    client._wire.outgoing = Broken(reason)
    with pytest.raises(TlsError, match="handshake") as caught:
        client.handshake()
    assert caught.value.__cause__ is reason
    client._wire.outgoing = bytearray()
    with pytest.raises(TlsError):
        client.handshake()
    assert client.data_to_send() == b""


def test_an_interrupt_within_a_callback_goes_on() -> None:
    client, _ = connected(TLS)
    client._wire.outgoing = Broken(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        client.write(b"x")
    with pytest.raises(TlsError):
        client.write(b"x")


def test_a_pull_that_raises_is_no_wish_for_more() -> None:
    library = TLS._library
    wire = Wire()
    handle = library.ffi.new_handle(wire)
    wire.incoming = Broken(RuntimeError("no memory"))
    library.ffi.errno = errno.EAGAIN
    assert library.pull(handle, library.ffi.new("char[8]"), 8) == -1
    assert library.ffi.errno == errno.EIO
    assert isinstance(wire.failure, RuntimeError)
    assert not wire.starved


# --- memory and threads --------------------------------------------------------------------------------------------
def test_connections_and_contexts_are_freed() -> None:
    """Each holds certificates of 60 KB: 200 that stay would be seen."""
    settings = config("client", size=61_440), config("server", size=61_440, serial=2)
    contexts = TLS.context(settings[0]), TLS.context(settings[1])

    def connect(count: int) -> None:
        for _ in range(count):
            client, server = contexts[0].session(), contexts[1].session()
            handshake(client, server)
            client.write(b"x" * 20_000)
            pump(client, server)

    def load(count: int) -> None:
        for _ in range(count):
            TLS.context(settings[0])

    for make in (connect, load):
        make(20)
        before = resident_bytes()
        make(200)
        assert resident_bytes() - before < 6_000_000


def test_a_connection_outlives_the_names_of_its_context() -> None:
    client = TLS.context(config("client")).session()
    server = TLS.context(config("server", serial=2)).session()
    handshake(client, server)
    assert client.peer_certificate == certificate(serial=2)


def test_contexts_are_shared_by_threads() -> None:
    clients, servers = TLS.context(config("client")), TLS.context(config("server", serial=2))
    done: list[int] = []

    def connect() -> None:
        for _ in range(15):
            client, server = clients.session("x.example"), servers.session()
            handshake(client, server)
            client.write(b"x" * 40_000)
            pump(client, server)
            data = b""
            while more := server.read(7_000):
                data += more
            assert data == b"x" * 40_000
            done.append(1)

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 60
