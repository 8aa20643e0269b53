"""Attacks on TLS itself, over every wrapper that encrypts: the rules of trust (docs/rules-of-trust.md, rule 10) and of
RFC 8446 that a wrapper leaves to its library. The peer is scripted over tlslite-ng, or over Python's `ssl`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import RatsTlsError, TlsError
from rats_tls.core.limits import Limits
from rats_tls.core.tls import TlsSession, TlsWrapper
from support.channels import certificate, key
from support.client_hello import extensions
from support.sides import SGX, context
from support.tls import StdlibPeer, config
from support.tls_contract import CLIENTS, ENCRYPTING, ROLES, in_roles, over
from support.tlslite_peer import HELLO_REQUEST, AlertLevel, HostilePeer, TLSRemoteAlert

JUDGING = tuple((tls, role) for tls, role in ROLES if role == "client" or tls.capabilities.mutual_server)
"""Those that are given their peer's certificate."""
OTHER = {"client": "server", "server": "client"}
ALGORITHMS = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
HUGE = 200_000
REPETITIONS = 50


def session_of(tls: TlsWrapper, role: str) -> TlsSession:
    return tls.context(config(role, mutual=tls.capabilities.mutual_server)).session()


def shake_hands(ours: TlsSession, peer: HostilePeer) -> bool:
    """Whether both ends have completed. Raises TlsError."""
    for _ in range(8):
        done = ours.handshake()
        peer.feed(ours.data_to_send())
        peer.advance()
        ours.receive_from_wire(peer.output())
        if done and peer.complete:
            return True
    return False


def refused(ours: TlsSession, peer: HostilePeer, *, told: bool = True) -> None:
    """Ours has a fatal error, now and from now on, and the peer gets a fatal alert (where `told`) and nothing else."""
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            ours.read(100)
        assert not caught.value.truncated
        assert caught.value.peer_alert is None
    with pytest.raises(TlsError):
        ours.write(b"on")
    answer = ours.data_to_send()
    assert len(answer) < 200  # no certificate: it has 5,000 bytes
    if not told:
        assert not answer
        return
    peer.feed(answer)
    with pytest.raises(TLSRemoteAlert) as alert:
        peer.read()
    assert alert.value.level == AlertLevel.fatal


# --- proof of possession ---------------------------------------------------------------------------------------------
@in_roles(JUDGING)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_certificate_whose_key_the_peer_does_not_hold_is_refused(
    tls: TlsWrapper, role: str, algorithm: KeyAlgorithm
) -> None:
    """Rule 10 (DESIGN 4.10), RFC 8446 4.4.3: whoever copies a certificate proves nothing without its key."""
    honest, ours = HostilePeer(OTHER[role], algorithm=algorithm), session_of(tls, role)
    assert shake_hands(ours, honest)
    assert ours.peer_certificate == certificate(algorithm, serial=9)

    liar, ours = HostilePeer(OTHER[role], algorithm=algorithm, holds_key=False), session_of(tls, role)
    for _ in range(2):
        with pytest.raises(TlsError):
            shake_hands(ours, liar)
        assert ours.peer_certificate is None


@over(CLIENTS)
def test_a_signature_by_an_algorithm_that_was_not_offered_is_refused(tls: TlsWrapper) -> None:
    """RFC 8446 4.2.3, 4.4.3: CertificateVerify by RSA is by RSASSA-PSS; PKCS #1 v1.5 is a downgrade."""
    assert shake_hands(session_of(tls, "client"), HostilePeer("server", algorithm=KeyAlgorithm.RSA_3072))
    server = HostilePeer("server", algorithm=KeyAlgorithm.RSA_3072, scheme="rsa_pkcs1_sha256")
    ours = session_of(tls, "client")
    with pytest.raises(TlsError):
        shake_hands(ours, server)
    assert ours.peer_certificate is None


# --- key exchange ----------------------------------------------------------------------------------------------------
@over(CLIENTS)
@pytest.mark.parametrize("dropped", [False, True])
def test_a_server_that_exchanges_no_key_is_refused_at_once(tls: TlsWrapper, dropped: bool) -> None:
    """RFC 8446 4.1.3, 9.2: without a key share, and no pre-shared key, everybody knows the keys (CVE-2023-3724)."""

    def rewrite(count: int, message: bytes) -> bytes:
        return _without_extension(message, KEY_SHARE) if count == 1 and dropped else message

    client, server = session_of(tls, "client"), HostilePeer("server", rewrite=rewrite)
    client.handshake()
    server.feed(client.data_to_send())
    server.advance()
    flight = server.output()
    hello = flight[: 5 + int.from_bytes(flight[3:5], "big")]
    assert hello[5] == 2  # ServerHello, alone in its record: what comes behind it could not be decrypted
    client.receive_from_wire(hello)
    if dropped:
        with pytest.raises(TlsError):
            client.handshake()
    else:
        assert not client.handshake()


KEY_SHARE = 51


def _without_extension(message: bytes, dropped: int) -> bytes:
    """A ServerHello without one of its extensions (RFC 8446 4.1.3)."""
    at = 4 + 2 + 32
    at += 1 + message[at] + 2 + 1  # legacy_session_id_echo, cipher_suite, legacy_compression_method
    head, body, kept = message[4:at], message[at + 2 :], b""
    while body:
        end = 4 + int.from_bytes(body[2:4], "big")
        if int.from_bytes(body[:2], "big") != dropped:
            kept += body[:end]
        body = body[end:]
    assert len(kept) < len(message[at + 2 :])
    hello = head + len(kept).to_bytes(2, "big") + kept
    return message[:1] + len(hello).to_bytes(3, "big") + hello


# --- broken messages -------------------------------------------------------------------------------------------------
@in_roles(ROLES)
def test_broken_handshake_messages_raise_tls_errors_only(tls: TlsWrapper, role: str) -> None:
    """Rule 5 (DESIGN 4.5), behind encryption too: what completes has the certificate that was sent, and its key."""
    generator = random.Random(7)
    ours = tls.context(config(role, mutual=tls.capabilities.mutual_server))
    for attempt in range(30):
        session, sent = ours.session(), bytearray()
        peer = HostilePeer(OTHER[role], rewrite=_breaking(1 + attempt % 6, generator, sent))
        try:
            complete = _shaken_through(session, peer)
        except TlsError as error:
            assert error.message  # noqa: PT017  # any TlsError will do, nothing else
            continue
        if complete and session.peer_certificate is not None:
            assert session.peer_certificate in sent


def _breaking(number: int, generator: random.Random, sent: bytearray) -> Callable[[int, bytes], bytes]:
    def rewrite(count: int, message: bytes) -> bytes:
        changed = bytearray(message)
        if count == number:
            position = generator.randrange(4, min(len(changed), generator.choice((12, 80, 400, 10_000))))
            match generator.randrange(3):
                case 0:
                    changed[position] ^= 1 << generator.randrange(8)
                case 1:
                    del changed[position : position + generator.choice((1, 2, 9))]
                case _:
                    changed[position:position] = bytes(generator.choice((1, 2, 9)))
            changed[1:4] = (len(changed) - 4).to_bytes(3, "big")  # RFC 8446 4: else nothing but the length is broken
        sent.extend(changed)
        return bytes(changed)

    return rewrite


def _shaken_through(ours: TlsSession, peer: HostilePeer) -> bool:
    """As `shake_hands`, whatever tlslite-ng thinks of what it has sent and of the answers."""
    done = False
    for _ in range(5):
        done = ours.handshake()
        peer.feed(ours.data_to_send())
        with contextlib.suppress(Exception):
            peer.advance()
        ours.receive_from_wire(peer.output())
    return done


# --- after the handshake ---------------------------------------------------------------------------------------------
@over(CLIENTS)
def test_authentication_after_the_handshake_is_refused(tls: TlsWrapper) -> None:
    """Rule 10 (DESIGN 4.10), RFC 8446 4.6.2: a certificate is presented once, in the handshake."""
    client, server = session_of(tls, "client"), HostilePeer("server")
    assert shake_hands(client, server)
    client.data_to_send()
    server.request_certificate_now()
    client.receive_from_wire(server.output())
    # wolfSSL itself would answer with its certificate: all that it sends then is dropped.
    refused(client, server, told=tls.name != "wolfssl")


@in_roles(ROLES)
def test_renegotiation_is_refused(tls: TlsWrapper, role: str) -> None:
    """Rule 10 (DESIGN 4.10), RFC 8446 4.1.2: there is none in TLS 1.3, and a hello after the handshake ends it."""
    ours, peer = session_of(tls, role), HostilePeer(OTHER[role])
    assert shake_hands(ours, peer)
    peer.read()  # tickets, if any
    ours.data_to_send()
    peer.send_handshake_message(HELLO_REQUEST if role == "client" else peer.tls.first_message)
    ours.receive_from_wire(peer.output())
    refused(ours, peer)


# --- resumption and early data ---------------------------------------------------------------------------------------
@over(ENCRYPTING)
def test_early_data_is_never_delivered(tls: TlsWrapper) -> None:
    """Rule 10 (DESIGN 4.10), RFC 8446 4.2.10: early data can be replayed. A server skips it, or ends the handshake."""
    ours, client = session_of(tls, "server"), HostilePeer("client", early_data=True)
    client.advance()
    ours.receive_from_wire(client.output())
    for record in (b"early secret".ljust(64, b"\0"), bytes(64), b"GET / HTTP/1.1\r\n".ljust(64, b"\x17")):
        ours.receive_from_wire(b"\x17\x03\x03" + len(record).to_bytes(2, "big") + record)
    try:
        complete = shake_hands(ours, client)
    except TlsError:
        with pytest.raises(TlsError):
            ours.read(1000)
        return
    except TLSRemoteAlert:
        complete = False
    if complete:
        assert not ours.resumed
        assert ours.read(1000) is None
        client.write(b"in time")
        ours.receive_from_wire(client.output())
        assert ours.read(1000) == b"in time"
    else:
        with pytest.raises(TlsError):
            ours.read(1000)


@over(CLIENTS)
def test_a_servers_tickets_are_never_used(tls: TlsWrapper) -> None:
    """Rule 10 (DESIGN 4.10), RFC 8446 4.6.1, 2.2: whoever resumes is shown no certificate."""
    settings = tls.context(config("client"))
    for connection in range(3):
        client, server = settings.session("server.example"), HostilePeer("server")
        client.handshake()
        hello = client.data_to_send()
        assert extensions(hello) & {41, 42} == set()  # pre_shared_key, early_data
        server.feed(hello)
        assert shake_hands(client, server)
        assert not client.resumed
        for number in range(3):
            server.send_ticket(16 * connection + number)
        server.write(b"behind them")
        client.receive_from_wire(server.output())
        assert client.read(100) == b"behind them"
        client.close()


# --- size ------------------------------------------------------------------------------------------------------------
def _presenting(role: str, ders: list[bytes], folder: Path) -> ssl.SSLContext:
    made = StdlibPeer(server_side=role == "server", serial=None).context
    path = folder / "peer.pem"
    pem = load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.write_bytes(pem + "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode())
    made.load_cert_chain(path)
    return made


def _exchange(session: TlsSession, peer: StdlibPeer) -> None:
    for _ in range(6):
        assert not (session.handshake() and session.peer_certificate)
        peer.feed(bytes(session.data_to_send()))
        peer.advance()
        session.receive_from_wire(peer.output())


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@in_roles(JUDGING)
@pytest.mark.parametrize("shape", ["leaf", "chain"])
def test_more_certificate_than_any_is_cut_off(tls: TlsWrapper, role: str, shape: str, tmp_path: Path) -> None:
    """Rule 5 (DESIGN 4.5): what a peer makes this side keep is bounded, and nothing of it stays behind."""
    ders = (
        [certificate(size=HUGE, serial=9)] if shape == "leaf" else [certificate(serial=each) for each in range(1, 41)]
    )
    theirs, ours = (
        _presenting(OTHER[role], ders, tmp_path),
        tls.context(config(role, mutual=tls.capabilities.mutual_server)),
    )

    def attempt() -> None:
        session, peer = ours.session(), StdlibPeer(server_side=role == "client", context=theirs)
        with pytest.raises(TlsError) as caught:
            _exchange(session, peer)
        assert caught.value.message
        assert caught.value.peer_alert is None
        assert not caught.value.truncated
        assert session.peer_certificate is None

    repetitions = 6 if tls.capabilities.slow else REPETITIONS
    grown = []
    while not grown or (
        grown[-1] > repetitions * HUGE / 4 and len(grown) < 4
    ):  # the allocator settles, a leak does not
        before = _resident()
        for _ in range(repetitions):
            attempt()
        grown.append(_resident() - before)
    assert grown[-1] <= repetitions * HUGE / 4


# --- time ------------------------------------------------------------------------------------------------------------
GARBAGE = bytes(range(256)) * 40
STALLED = {
    "silence": b"",
    "half a record": b"\x16\x03\x03\x40\x00" + bytes(99),
    "half a message": b"\x16\x03\x03\x00\x06\x02\x00\x40\x00\x03\x03",
}


@in_roles(ROLES)
@pytest.mark.parametrize("sent", [*STALLED.values(), GARBAGE], ids=[*STALLED, "garbage"])
def test_a_handshake_ends_in_its_time_whatever_the_peer_does(tls: TlsWrapper, role: str, sent: bytes) -> None:
    """Rule 5 (DESIGN 4.5): a peer that says nothing, half of something or garbage holds nobody."""
    limits = Limits(handshake_seconds=0.3)
    attests, judges = (None, SGX) if role == "client" else (SGX, None)
    made = context(attests, judges, tls=tls, limits=limits)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    with peer, made.wrap_socket(accepted, server_side=role == "server") as connection:
        peer.sendall(sent)
        started = time.monotonic()
        with pytest.raises(RatsTlsError):
            connection.handshake()
        assert time.monotonic() - started < 2.3
