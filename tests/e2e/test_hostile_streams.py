"""Peers that send records without data, ends behind full records, or nothing at all: times hold and nothing is lost."""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key
from OpenSSL import SSL

from rats_tls import channel_settings, connection_pumps
from rats_tls.connection import Connection
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import HandshakeTimeoutError, RatsTlsError, TlsError
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_calls import PublicCalls
from support.channels import certificate, key
from support.sides import SGX, connected_pair, context

RECORD = 16_384
WAYS = {"direct": OpensslTlsWrapper(), "carried": OpensslTlsWrapper(PublicCalls())}
over = pytest.mark.parametrize("tls", WAYS.values(), ids=WAYS)


def ends(tls: OpensslTlsWrapper, **more: Any) -> tuple[Connection, Connection]:
    return connected_pair(context(SGX, tls=tls, **more), context(None, SGX, tls=tls, **more))


# --- ends behind full records ----------------------------------------------------------------------------------------
@over
@pytest.mark.parametrize("size", [RECORD - 1, RECORD, 2 * RECORD, 8 * RECORD])
@pytest.mark.parametrize("ahead", [False, True])
def test_the_end_behind_a_full_record_is_seen(tls: OpensslTlsWrapper, size: int, ahead: bool) -> None:
    server, client = ends(tls)
    server.settimeout(5)
    sending = threading.Thread(target=lambda: (client.sendall(b"x" * size), client.shutdown(socket.SHUT_WR)))
    sending.start()
    got = 0
    if ahead:
        time.sleep(0.1)
        assert (server.pending() > 0) is tls.capabilities.sockets
    while data := server.recv(65_536):
        got += len(data)
    assert got == size
    sending.join(5)
    for end in (server, client):
        end.close()


@over
def test_a_failure_behind_a_full_record_is_seen(tls: OpensslTlsWrapper) -> None:
    server, client = ends(tls)
    server.settimeout(5)
    client.sendall(b"y" * RECORD)
    client._wire.socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    time.sleep(0.1)
    assert len(server.recv(65_536)) == RECORD
    with pytest.raises(TlsError):
        server.recv(65_536)
    for end in (server, client):
        end.close()


# --- close_notify ----------------------------------------------------------------------------------------------------
@over
def test_close_notify_comes_though_the_socket_was_full(tls: OpensslTlsWrapper) -> None:
    """Writes of one size until the peer's buffers are full to the last byte, then the end."""

    def run(writes: int | None) -> tuple[int, bool]:
        left, right = socket.socketpair()
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        server = context(SGX, tls=tls).wrap_socket(left, server_side=True)
        client = context(None, SGX, tls=tls).wrap_socket(right)
        thread = threading.Thread(target=server.handshake)
        thread.start()
        client.handshake()
        thread.join(20)
        for end in (server, client):
            end.settimeout(10)
        done = 0

        def send() -> None:
            nonlocal done
            with suppress(RatsTlsError):
                while writes is None or done < writes:
                    server.sendall(b"d" * 100)
                    done += 1
                server.close()

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        time.sleep(0.2)
        stuck = done
        if writes is None:
            client.close()
            server.close()
            sending.join(10)
            return stuck, False
        clean = False
        with suppress(TlsError):
            while client.recv(65_536):
                pass
            clean = True
        sending.join(10)
        client.close()
        return stuck, clean

    fit, _ = run(None)
    assert fit > 1
    for writes in (fit - 1, fit, fit + 1):
        assert run(writes)[1], f"the end behind {writes} writes was cut off"


# --- lost writes -----------------------------------------------------------------------------------------------------
@over
def test_a_write_does_not_return_as_if_sent_where_the_connection_failed_meanwhile(tls: OpensslTlsWrapper) -> None:
    server, client = ends(tls)
    server.settimeout(10)
    outcome: list[str] = []

    def send() -> None:
        try:
            server.sendall(b"q" * (16 << 20))
        except RatsTlsError as error:
            outcome.append(type(error).__name__)
        else:
            outcome.append("sent")

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(0.2)
    client.sendall(b"y" * RECORD)
    client._wire.socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    time.sleep(0.1)
    with suppress(RatsTlsError):
        while server.recv(65_536):
            pass
    client._wire.abandon()
    sending.join(10)
    assert outcome
    assert outcome != ["sent"]
    server.close()


def test_an_exception_within_a_write_gives_the_buffer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = ends(WAYS["direct"])
    client.settimeout(10)
    buffer = bytearray(b"A" * (8 << 20))

    class InterruptedByUserError(Exception):
        pass

    def interrupted(*_: object) -> None:
        raise InterruptedByUserError

    with monkeypatch.context() as patch:
        patch.setattr(connection_pumps, "wait", interrupted)
        with pytest.raises(InterruptedByUserError):
            client.sendall(buffer)
    buffer[:] = b"B" * len(buffer)
    buffer.extend(b"grows")  # raises while it is lent
    server.settimeout(10)
    sending = threading.Thread(target=client.close)
    sending.start()
    got = bytearray()
    with suppress(RatsTlsError):
        while data := server.recv(65_536):
            got += data
    assert set(got) == {ord("A")}
    sending.join(10)
    server.close()


# --- records without data --------------------------------------------------------------------------------------------
_TICKET = b"\x04\0\0\x0e" + b"\0\0\x0e\x10" + bytes(4) + b"\0" + b"\0\x01t" + b"\0\0"  # RFC 8446 4.6.1


class Flood(threading.Thread):
    """A server by pyOpenSSL that knows its traffic secret, and sends tickets without end and nothing else."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._socket = sock

    def run(self) -> None:
        with suppress(OSError):
            seal, sequence = self._shake_hands()
            body = _TICKET * 900 + b"\x16"
            header = b"\x17\x03\x03" + (len(body) + 16).to_bytes(2, "big")
            while not self.over.is_set():
                out = bytearray()
                for _ in range(16):
                    out += header + seal(sequence, body, header)
                    sequence += 1
                self._socket.sendall(out)

    def _shake_hands(self) -> tuple[Any, int]:
        """Give what seals a record, and the number of the next one (RFC 8446 5.3)."""
        secrets: dict[bytes, bytes] = {}

        def note(_: SSL.Connection, line: bytes) -> None:
            label, _, secret = line.split()
            secrets[label] = bytes.fromhex(secret.decode())

        made = SSL.Context(SSL.TLS_SERVER_METHOD)
        made.use_certificate(x509.load_der_x509_certificate(certificate()))
        made.use_privatekey(load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None))
        made.set_alpn_select_callback(lambda *_: b"rats-tls/1")
        made.set_keylog_callback(note)
        connection = SSL.Connection(made, None)
        connection.set_accept_state()
        done = False
        while not done:
            connection.bio_write(self._socket.recv(65_536))
            with suppress(SSL.WantReadError):
                connection.do_handshake()
                done = True
            last = b""
            with suppress(SSL.WantReadError):
                last = connection.bio_read(1 << 17)
            self._socket.sendall(last)
        sequence = offset = 0
        while offset < len(last):
            sequence += 1
            offset += 5 + int.from_bytes(last[offset + 3 : offset + 5], "big")
        name = connection.get_cipher_name() or ""
        digest, size = ("sha384" if name.endswith("384") else "sha256"), (32 if "256_GCM" in name else 16)
        secret = secrets[b"SERVER_TRAFFIC_SECRET_0"]
        aead, iv = AESGCM(_expand(secret, b"key", size, digest)), _expand(secret, b"iv", 12, digest)

        def seal(number: int, body: bytes, header: bytes) -> bytes:
            return aead.encrypt((int.from_bytes(iv, "big") ^ number).to_bytes(12, "big"), body, header)

        return seal, sequence


def _expand(secret: bytes, label: bytes, size: int, digest: str) -> bytes:
    """HKDF-Expand-Label without context (RFC 8446 7.1), for one block."""
    info = size.to_bytes(2, "big") + bytes([len(label) + 6]) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\x01", digest)[:size]


@contextmanager
def flooded(tls: OpensslTlsWrapper, seconds: float) -> Iterator[Connection]:
    """Give a client's connection that is flooded once TLS stands, and may take `seconds` for its handshake."""
    left, right = socket.socketpair()
    flood = Flood(left)
    flood.start()
    yield context(None, SGX, tls=tls, limits=Limits(handshake_seconds=seconds)).wrap_socket(right)
    flood.over.set()
    left.close()
    flood.join(20)


@over
def test_a_flood_of_tickets_keeps_no_thread_beyond_its_time(tls: OpensslTlsWrapper) -> None:
    with flooded(tls, 1.0) as client:
        started = time.monotonic()
        with pytest.raises(HandshakeTimeoutError):
            client.handshake()
        assert time.monotonic() - started < 3


@over
def test_a_flood_of_tickets_does_not_keep_a_connection_from_being_closed(tls: OpensslTlsWrapper) -> None:
    with flooded(tls, 8.0) as client:
        outcome: list[BaseException] = []

        def shake_hands() -> None:
            try:
                client.handshake()
            except RatsTlsError as error:
                outcome.append(error)

        thread = threading.Thread(target=shake_hands)
        thread.start()
        time.sleep(0.5)
        started = time.monotonic()
        client.close()
        assert time.monotonic() - started < 3
        thread.join(20)
        assert outcome


# --- times -----------------------------------------------------------------------------------------------------------
@over
def test_a_peer_that_trickles_a_record_does_not_renew_the_timeout(tls: OpensslTlsWrapper) -> None:
    server, client = ends(tls)
    server.settimeout(0.4)
    stop = threading.Event()

    def trickle() -> None:
        for byte in b"\x17\x03\x03\x40\x00" + bytes(100):
            if stop.wait(0.1):
                return
            client._wire.socket.send(bytes([byte]))

    thread = threading.Thread(target=trickle)
    thread.start()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out"):
        server.recv(10)
    assert time.monotonic() - started < 2
    stop.set()
    thread.join(20)
    for end in (server, client):
        end.close()


@over
def test_a_handshake_that_runs_out_of_time_ends_then_and_not_a_second_later(tls: OpensslTlsWrapper) -> None:
    left, right = socket.socketpair()
    left.settimeout(0.3)
    started = time.monotonic()
    with pytest.raises(HandshakeTimeoutError):
        context(None, SGX, tls=tls).wrap_socket(left).handshake()
    assert time.monotonic() - started < 0.9
    right.close()


@over
def test_a_handshake_that_waits_to_send_does_not_spin(tls: OpensslTlsWrapper) -> None:
    """The peer sends more than a ClientHello and reads nothing."""
    left, right = socket.socketpair()
    for end in (left, right):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    client = context(None, SGX, tls=tls)
    channel = client.channel()
    hello = channel.data_to_send()
    right.setblocking(False)
    right.send(bytes(hello) + b"\x17\x03\x03\x00\x20" + bytes(32))
    server = context(SGX, tls=tls, limits=Limits(handshake_seconds=1.0)).wrap_socket(left, server_side=True)
    used = time.process_time()
    with pytest.raises(RatsTlsError):
        server.handshake()
    assert time.process_time() - used < 0.7
    right.close()


@over
def test_two_ends_that_both_have_much_to_say_do_not_wait_for_each_other(
    tls: OpensslTlsWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endorsements of a size that no buffer between them holds."""
    usual = channel_settings.endorsements_to_documents

    def padded(endorsements: Any) -> dict[Any, bytes]:
        return {kind: data.ljust(250_000) for kind, data in usual(endorsements).items()}

    monkeypatch.setattr(channel_settings, "endorsements_to_documents", padded)
    server, client = (context(SGX, SGX, tls=tls, limits=Limits(handshake_seconds=10)) for _ in range(2))
    left, right = socket.socketpair()
    with server.wrap_socket(left, server_side=True) as one, client.wrap_socket(right) as other:
        thread = threading.Thread(target=one.handshake)
        thread.start()
        other.handshake()
        thread.join(20)
        assert one.peer is not None
        assert other.peer is not None


def test_a_shared_descriptor_keeps_its_flags() -> None:
    left, right = socket.socketpair()
    other = os.dup(left.fileno())
    server = context(SGX).wrap_socket(left, server_side=True, shared=True)
    client = context(None, SGX).wrap_socket(right)
    thread = threading.Thread(target=server.handshake)
    thread.start()
    client.handshake()
    thread.join(20)
    assert os.get_blocking(other)
    server.sendall(b"heard")
    assert client.recv(10) == b"heard"
    os.close(other)
    for end in (server, client):
        end.close()


# --- before acceptance -----------------------------------------------------------------------------------------------
@over
def test_data_that_waits_in_the_socket_while_the_peer_is_judged_is_early(tls: OpensslTlsWrapper) -> None:
    """The client accepts first, and does not wait for the server's word."""
    judging, go_on = threading.Event(), threading.Event()

    def confirm(*_: object) -> None:
        judging.set()
        go_on.wait(20)

    left, right = socket.socketpair()
    server = context(SGX, SGX, tls=tls, confirm=confirm).wrap_socket(left, server_side=True)
    client = context(SGX, SGX, tls=tls).wrap_socket(right)
    outcome: list[BaseException] = []

    def serve() -> None:
        try:
            server.handshake()
        except RatsTlsError as error:
            outcome.append(error)

    def connect() -> None:
        with suppress(RatsTlsError):
            client.handshake()

    threads = [threading.Thread(target=serve), threading.Thread(target=connect)]
    for thread in threads:
        thread.start()
    assert judging.wait(20)
    time.sleep(0.3)  # the client has accepted by now, and waits
    with client._wire.state_lock:
        session = client._wire.channel._tls
        assert session is not None
        session.write(b"early")
        if not tls.capabilities.sockets:
            right.send(session.data_to_send())
    time.sleep(0.1)
    go_on.set()
    for thread in threads:
        thread.join(20)
    (error,) = outcome
    assert isinstance(error, RatsTlsError)
    assert error.refusal is Refusal.EARLY_DATA
    for end in (server, client):
        end.close()


def test_wrapping_a_socket_sends_nothing() -> None:
    left, right = socket.socketpair()
    right.close()
    connection = context(None, SGX).wrap_socket(left)
    with pytest.raises(RatsTlsError):
        connection.handshake()
