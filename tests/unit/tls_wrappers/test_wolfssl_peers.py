"""The `wolfssl` wrapper against peers that show what they do not hold, or what is no certificate."""

from __future__ import annotations

import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import NoInstanceError, TlsError, UnsupportedError
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from support.channels import NOW, certificate, key
from support.der import spki_of
from support.forging_peer import asks_for_a_certificate, shaken
from support.instances import CRYPTO_WRAPPERS
from support.machine import lacking
from support.tls import StdlibPeer, config, handshake


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    try:
        return WolfsslTlsWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="libwolfssl35")


def holder() -> ec.EllipticCurvePrivateKey:
    """The key that peers here sign with."""
    return load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None)


def made(public: object, *, days: tuple[int, int] = (-1, 9), critical: bool = False, ca: bool = False) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = NOW.replace(year=2026)
    builder = (
        x509.CertificateBuilder(name, name, public, 7)
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca, None), critical=False)
    )
    if critical:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x"), True)
    return builder.sign(holder(), hashes.SHA256()).public_bytes(Encoding.DER)


def good() -> bytes:
    return made(holder().public_key())


def point_off_the_curve() -> bytes:
    point = holder().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return good().replace(point, point[:-1] + bytes([point[-1] ^ 1]))


def badly_signed() -> bytes:
    der = good()
    return der[:-4] + bytes([der[-4] ^ 1]) + der[-3:]


TAKEN = {
    "as it should be": good,
    "expired": lambda: made(holder().public_key(), days=(-900, -800)),
    "not yet valid": lambda: made(holder().public_key(), days=(8000, 9000)),
    "an issuer's": lambda: made(holder().public_key(), ca=True),
    "badly signed": badly_signed,
}
"""The judgement of these comes later, by their DER."""
REFUSED = {
    "no DER": lambda: bytes(range(200)),
    "no certificate": lambda: b"\x30\x03\x02\x01\x05",
    "nothing": lambda: b"",
    "cut": lambda: good()[:-5],
    "of X25519": lambda: made(x25519.X25519PrivateKey.generate().public_key()),
    "of Ed448": lambda: made(ed448.Ed448PrivateKey.generate().public_key()),
    "of DSA": lambda: made(dsa.generate_private_key(2048).public_key()),
    "of RSA": lambda: made(rsa.generate_private_key(65537, 2048).public_key()),
    "of P-521": lambda: made(ec.generate_private_key(ec.SECP521R1()).public_key()),
    "of secp256k1": lambda: made(ec.generate_private_key(ec.SECP256K1()).public_key()),
    "of another P-256 key": lambda: made(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "of no point of the curve": point_off_the_curve,
    "with an unknown critical extension": lambda: made(holder().public_key(), critical=True),
}


def new(tls: WolfsslTlsWrapper, *, peer_is_server: bool):
    return tls.context(config("client", present=False) if peer_is_server else config("server", serial=2)).session()


@pytest.mark.parametrize("peer_is_server", [False, True])
@pytest.mark.parametrize("name", TAKEN)
def test_a_certificate_whose_key_is_proved_is_taken(tls: WolfsslTlsWrapper, name: str, peer_is_server: bool) -> None:
    session, shown = new(tls, peer_is_server=peer_is_server), TAKEN[name]()
    with shaken(session, server=peer_is_server, shown=shown):
        assert session.peer_certificate == shown


@pytest.mark.parametrize("peer_is_server", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_a_certificate_whose_key_is_not_proved_is_refused(
    tls: WolfsslTlsWrapper, name: str, peer_is_server: bool
) -> None:
    session, shown = new(tls, peer_is_server=peer_is_server), REFUSED[name]()
    with pytest.raises(TlsError) as caught, shaken(session, server=peer_is_server, shown=shown):
        pass
    assert not caught.value.truncated
    assert caught.value.peer_alert is None
    assert session.peer_certificate is None


@pytest.mark.parametrize("peer_is_server", [False, True])
def test_bytes_behind_a_certificate_are_not_seen(tls: WolfsslTlsWrapper, peer_is_server: bool) -> None:
    """wolfSSL cuts them off before anybody sees them; what is judged is the certificate, which they do not change."""
    session, shown = new(tls, peer_is_server=peer_is_server), good()
    with shaken(session, server=peer_is_server, shown=shown + bytes(3)):
        assert session.peer_certificate == shown


@pytest.mark.parametrize("peer_is_server", [False, True])
@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        (KeyAlgorithm.EC_P256, "ecdsa_sha1"),
        (KeyAlgorithm.EC_P256, "ecdsa_sha224"),
        (KeyAlgorithm.RSA_3072, "rsa_pkcs1_sha1"),
        (KeyAlgorithm.RSA_3072, "rsa_pkcs1_sha224"),
        (KeyAlgorithm.RSA_3072, "rsa_pkcs1_sha256"),
    ],
)
def test_signatures_of_earlier_versions_are_refused(
    tls: WolfsslTlsWrapper, algorithm: KeyAlgorithm, scheme: str, peer_is_server: bool
) -> None:
    """RFC 8446 4.4.3; a client's too, though wolfSSL's servers name most of these in their CertificateRequest."""
    session = new(tls, peer_is_server=peer_is_server)
    shown = certificate(algorithm)
    with (
        pytest.raises(TlsError) as caught,
        shaken(session, server=peer_is_server, shown=shown, algorithm=algorithm, scheme=scheme),
    ):
        pass
    assert not caught.value.truncated
    assert caught.value.peer_alert is None
    assert session.peer_certificate is None


@pytest.mark.parametrize("peer_is_server", [False, True])
@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        (KeyAlgorithm.EC_P256, "ecdsa_secp256r1_sha256"),
        (KeyAlgorithm.EC_P384, "ecdsa_secp384r1_sha384"),
        (KeyAlgorithm.RSA_3072, "rsa_pss_rsae_sha256"),
        (KeyAlgorithm.RSA_3072, "rsa_pss_rsae_sha512"),
    ],
)
def test_the_peer_proves_the_key_that_it_shows(
    tls: WolfsslTlsWrapper, algorithm: KeyAlgorithm, scheme: str, peer_is_server: bool
) -> None:
    """The forged signatures above are refused for what they are: the same peer that signs as it should is taken."""
    session, shown = new(tls, peer_is_server=peer_is_server), certificate(algorithm)
    with shaken(session, server=peer_is_server, shown=shown, algorithm=algorithm, scheme=scheme):
        assert session.peer_certificate == shown


WEAK = {
    "RSA of 1,024 bits": lambda: rsa.generate_private_key(65537, 1024),
    "RSA of 1,536 bits": lambda: rsa.generate_private_key(65537, 1536),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
}


@pytest.mark.parametrize("name", WEAK)
def test_client_keys_that_wolfssl_takes_are_taken_by_no_crypto_wrapper(tls: WolfsslTlsWrapper, name: str) -> None:
    """Its servers ask for more kinds of key than they are set to (docs/tls-and-crypto.md): no appraisal takes them."""
    session, holder = new(tls, peer_is_server=False), WEAK[name]()
    shown = made(holder.public_key())
    try:
        with shaken(session, server=False, shown=shown, holder=holder):
            assert session.peer_certificate == shown
    except TlsError:  # other builds
        assert session.peer_certificate is None
    for crypto in CRYPTO_WRAPPERS:
        with pytest.raises(UnsupportedError):
            crypto.load_public_key(spki_of(holder.public_key()))


@pytest.mark.parametrize("peer_is_server", [False, True])
def test_a_certificate_of_another_ed25519_key_is_refused(tls: WolfsslTlsWrapper, peer_is_server: bool) -> None:
    algorithm = KeyAlgorithm.ED25519
    own, other = certificate(algorithm), made(key.__wrapped__(algorithm).public_key._key)
    with shaken(new(tls, peer_is_server=peer_is_server), server=peer_is_server, shown=own, algorithm=algorithm):
        pass
    session = new(tls, peer_is_server=peer_is_server)
    with (
        pytest.raises(TlsError) as caught,
        shaken(session, server=peer_is_server, shown=other, algorithm=algorithm),
    ):
        pass
    assert not caught.value.truncated
    assert caught.value.peer_alert is None


@pytest.mark.parametrize("present", [False, True])
def test_authentication_after_the_handshake_is_an_error(tls: WolfsslTlsWrapper, present: bool) -> None:
    """wolfSSL itself would answer, with certificate and signature, though the client never offered to."""
    session = tls.context(config("client", present=present)).session()
    with shaken(session, server=True, shown=certificate(), after=asks_for_a_certificate) as wire:
        session.receive_from_wire(wire.recv(65_536))
        for _ in range(2):
            with pytest.raises(TlsError, match="authentication after the handshake"):
                session.read(100)
        assert session.data_to_send() == b""
        with pytest.raises(TlsError):
            session.write(b"data")


def test_a_server_may_ask_for_another_group(tls: WolfsslTlsWrapper) -> None:
    """RFC 8446 4.1.4: the client shows a share of x25519 first."""
    context = StdlibPeer(server_side=True).context
    context.set_ecdh_curve("secp384r1")
    server, client = (
        StdlibPeer(server_side=True, context=context),
        tls.context(config("client", present=False)).session(),
    )
    for _ in range(4):
        done = client.handshake()
        server.feed(client.data_to_send())
        server.advance()
        client.receive_from_wire(server.output())
    assert done
    assert client.facts().group == "secp384r1"


def test_of_a_chain_the_leaf_is_given(tls: WolfsslTlsWrapper) -> None:
    leaf, issuer = certificate(serial=9), made(holder().public_key(), ca=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain.pem")
        private = holder().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + "".join(map(ssl.DER_cert_to_PEM_cert, (leaf, issuer))).encode())
        context.load_cert_chain(path)
    servers = tls.context(config("server", serial=2))
    for _ in range(2):
        client, server = StdlibPeer(server_side=False, context=context), servers.session()
        for _ in range(3):
            client.advance()
            server.receive_from_wire(client.output())
            done = server.handshake()
            client.feed(server.data_to_send())
        assert done
        assert server.peer_certificate == leaf


# --- forgers over wolfSSL itself, in any kind of key -------------------------------------------------------------
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize(
    ("shown", "signs"),
    [
        (KeyAlgorithm.EC_P384, None),
        (KeyAlgorithm.RSA_3072, None),
        (KeyAlgorithm.ED25519, KeyAlgorithm.EC_P256),
        (KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_3072),
        (KeyAlgorithm.RSA_3072, KeyAlgorithm.EC_P384),
    ],
)
def test_a_certificate_of_another_key_is_refused(
    tls: WolfsslTlsWrapper, role: str, shown: KeyAlgorithm, signs: KeyAlgorithm | None
) -> None:
    forger = tls.context(config(role, algorithm=shown))
    der = (key(signs) if signs is not None else key.__wrapped__(shown)).pkcs8()
    assert tls._library.lib.wolfSSL_CTX_use_PrivateKey_buffer(forger._context, der, len(der), 2) == 1
    honest = tls.context(config("server" if role == "client" else "client", serial=2)).session()
    client, server = (forger.session(), honest) if role == "client" else (honest, forger.session())
    with pytest.raises(TlsError) as caught:
        handshake(client, server)
    assert caught.value.peer_alert is None
    with pytest.raises(TlsError) as again:
        honest.handshake()
    assert again.value is caught.value  # it is the honest side that refused
    assert honest.peer_certificate is None
