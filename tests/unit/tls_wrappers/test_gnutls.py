from __future__ import annotations

import contextlib
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
from OpenSSL import SSL

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.tls_wrappers import gnutls_library as gnutls
from rats_tls.tls_wrappers.gnutls import GnutlsTlsContext
from support.channels import NOW, certificate, key
from support.endurance import resident_bytes
from support.instances import tls_wrapper_of_a_module
from support.tls import StdlibPeer, config, handshake, pump, sessions

TLS = tls_wrapper_of_a_module("gnutls")


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


@pytest.mark.parametrize("allow_tls12", [False, True])
def test_a_client_presents_its_certificate_whatever_issuers_are_named(tmp_path: Path, allow_tls12: bool) -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION if allow_tls12 else SSL.TLS1_3_VERSION)
    context.use_certificate(x509.load_der_x509_certificate(certificate(serial=9)))
    context.use_privatekey(private_key())
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    other = Path(tmp_path, "other.pem")
    other.write_text(ssl.DER_cert_to_PEM_cert(signed(private_key(KeyAlgorithm.EC_P384), "another authority")))
    context.load_client_ca(bytes(other))
    server = SSL.Connection(context, None)
    server.set_accept_state()
    client = TLS.context(config("client", allow_tls12=allow_tls12)).session()
    for _ in range(3):
        client.handshake()
        if data := client.data_to_send():
            server.bio_write(bytes(data))
        with contextlib.suppress(SSL.WantReadError):
            server.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            client.receive_from_wire(server.bio_read(65_536))
    assert client.handshake()
    presented = server.get_peer_certificate(as_cryptography=True)
    assert presented is not None
    assert presented.public_bytes(Encoding.DER) == certificate()


def test_calls_do_not_wait() -> None:
    """Without it, GnuTLS may wait on what it takes for a descriptor."""
    for role in ("client", "server"):
        assert TLS.context(config(role))._flags & gnutls.NONBLOCK


def test_a_server_has_no_use_for_a_hostname() -> None:
    assert TLS.context(config("server")).session("server.example").handshake() is False


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

    for make, count, most in ((connect, 200, 6_000_000), (load, 600, 1_500_000)):
        make(20)
        before = resident_bytes()
        make(count)
        assert resident_bytes() - before < most


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
