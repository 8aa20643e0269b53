"""What is peculiar to the TLS wrapper `tongsuo` whatever the certificate: sizes, callbacks, errors, endurance."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsSession
from rats_tls.tls_wrappers import tongsuo_library
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.channels import certificate, key
from support.endurance import resident_bytes
from support.gm import sm2_config
from support.tls import StdlibPeer, config, handshake, pump
from support.tongsuo import client_hello, here

MEGABYTE = 1 << 20


@pytest.fixture
def tls() -> TongsuoTlsWrapper:
    return here()


def test_a_certificate_is_given_once_its_key_is_proved(tls: TongsuoTlsWrapper) -> None:
    client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    for end, other in ((client, server), (server, client)):
        assert end.peer_certificate is None
        flight = other.data_to_send()
        while flight:
            size = 5 + int.from_bytes(flight[3:5], "big")
            end.receive_from_wire(flight[:size])
            flight = flight[size:]
            assert end.handshake() is (not flight)
            assert (end.peer_certificate is None) is bool(flight)


def test_a_server_sends_nothing_behind_its_handshake(tls: TongsuoTlsWrapper) -> None:
    """Not even tickets that hold nothing."""
    client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert server.data_to_send() == b""


class TestErrors:
    """The queue of errors is shared with whoever calls the same library in the thread."""

    def leave_one(self, tls: TongsuoTlsWrapper) -> None:
        ffi, functions = tls._library.ffi, tls._library.functions
        der = ffi.new("unsigned char[]", b"\x30\x00")
        assert functions.d2i_X509(ffi.NULL, ffi.new("const unsigned char **", der), 2) == ffi.NULL

    def test_one_of_somebody_else_is_none_of_a_connection(self, tls: TongsuoTlsWrapper) -> None:
        client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
        self.leave_one(tls)
        assert not server.handshake()
        handshake(client, server)
        for end, other in ((client, server), (server, client)):
            self.leave_one(tls)
            assert end.read(1) is None
            self.leave_one(tls)
            end.write(b"!")
            other.receive_from_wire(end.data_to_send())
            assert other.read(2) == b"!"
        self.leave_one(tls)
        client.close()
        self.leave_one(tls)
        tls.context(sm2_config("client"))

    def test_none_is_left(self, tls: TongsuoTlsWrapper) -> None:
        client, server = tls.context(config("client", present=False)).session(), tls.context(config("server")).session()
        with pytest.raises(TlsError, match="peer did not return a certificate"):
            handshake(client, server)
        assert tls._library.functions.ERR_get_error() == 0
        with pytest.raises(ConfigurationError):
            tls.context(replace(sm2_config("server"), certificate=b"none"))
        assert tls._library.functions.ERR_get_error() == 0

    def test_only_its_tls_part_tells_of_alerts(self, tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        reason = tongsuo_library.Reason(of_tls=False, number=1048, text="something else")
        monkeypatch.setattr(tls._library, "reason", lambda: reason)
        session = tls.context(config("server")).session()
        session.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TlsError, match="something else") as caught:
            session.handshake()
        assert caught.value.peer_alert is None

    @pytest.mark.parametrize(
        "data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"]
    )
    def test_what_is_no_tls(self, tls: TongsuoTlsWrapper, data: bytes) -> None:
        session = tls.context(config("server")).session()
        session.receive_from_wire(data)
        with pytest.raises(TlsError, match="does not speak TLS"):
            session.handshake()

    def test_a_peer_that_leaves_within_the_handshake(self, tls: TongsuoTlsWrapper) -> None:
        session = tls.context(config("client")).session()
        session.handshake()
        session.receive_from_wire(bytes.fromhex("15 0303 0002 0100"))  # close_notify
        with pytest.raises(TlsError, match="close_notify") as caught:
            session.handshake()
        assert not caught.value.truncated
        assert caught.value.peer_alert == "close_notify"

    def test_what_needs_a_complete_handshake(self, tls: TongsuoTlsWrapper) -> None:
        session = tls.context(config("client")).session()
        session.close()
        assert session.data_to_send() == b""
        for attempt in (lambda: session.write(b"early"), session.facts):
            with pytest.raises(TlsError, match="not complete"):
                attempt()


def test_no_authentication_after_the_handshake_is_offered(tls: TongsuoTlsWrapper) -> None:
    _, extensions = client_hello(tls.context(config("client")).session())
    assert 49 not in extensions  # post_handshake_auth, RFC 8446 4.2.6: a request is then an unexpected message


@pytest.mark.parametrize("size", [66_000, 200_000])
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_certificate_that_is_too_large_is_refused(tls: TongsuoTlsWrapper, role: str, size: int) -> None:
    peer = StdlibPeer(server_side=role == "client", context=_presenting(certificate(size=size), role == "client"))
    session = tls.context(config(role)).session()
    with pytest.raises(TlsError, match="excessive message size"):
        _exchange(session, peer)


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_largest_certificate_that_is_read(tls: TongsuoTlsWrapper, role: str) -> None:
    der = certificate(size=DEFAULT_LIMITS.certificate_read)
    peer = StdlibPeer(server_side=role == "client", context=_presenting(der, role == "client"))
    session = tls.context(config(role)).session()
    _exchange(session, peer)
    assert session.peer_certificate == der


def _exchange(session: TlsSession, peer: StdlibPeer) -> None:
    for _ in range(4):
        session.handshake()
        peer.feed(session.data_to_send())
        peer.advance()
        session.receive_from_wire(peer.output())


def _presenting(der: bytes, server_side: bool) -> ssl.SSLContext:
    import tempfile

    context = StdlibPeer(server_side=server_side).context
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "peer.pem")
        private = ssl.DER_cert_to_PEM_cert(key(KeyAlgorithm.EC_P256).pkcs8()).replace("CERTIFICATE", "PRIVATE KEY")
        path.write_text(private + ssl.DER_cert_to_PEM_cert(der))
        context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("refusing", ["client", "server"])
def test_a_callback_that_raises_refuses(tls: TongsuoTlsWrapper, refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = tls.context(config("client")).session(), tls.context(config("server", serial=2)).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    if refusing == "server":
        client.handshake()
        server.receive_from_wire(client.data_to_send())
    monkeypatch.setattr(tongsuo_library, "_ACCEPT", "no number: cffi raises")
    with pytest.raises(TlsError, match="a callback failed: TypeError"):
        (client if refusing == "client" else server).handshake()


def test_an_alpn_callback_that_raises_refuses(tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = (
        tls.context(config(role, alpn=("rats-tls/1",), serial=number))
        for number, role in enumerate(("client", "server"), 1)
    )
    monkeypatch.setattr(
        tls._library, "functions", SimpleNamespace(**{**_functions(tls), "SSL_select_next_proto": None})
    )
    broken = tls.context(config("server", alpn=("rats-tls/1",), serial=2))
    with pytest.raises(TlsError):
        handshake(client.session(), broken.session())
    handshake(client.session(), server.session())


def _functions(tls: TongsuoTlsWrapper) -> dict[str, Any]:
    return {name: getattr(tls._library.functions, name) for name in dir(tls._library.functions)}


class TestEndurance:
    def test_nothing_is_kept_of_connections(self, tls: TongsuoTlsWrapper) -> None:
        clients = tls.context(config("client", alpn=("a",)))
        servers = tls.context(config("server", serial=2, alpn=("a",)))

        def work(times: int) -> None:
            for _ in range(times):
                client, server = clients.session("server.example"), servers.session()
                handshake(client, server)
                assert client.facts().group
                assert client.peer_certificate
                client.exporter("a label", b"", 32)
                server.receive_from_wire(b"\x17\x03\x03\x00\x04none")
                with pytest.raises(TlsError):
                    server.read(1)

        work(150)
        before = resident_bytes()
        work(500)
        assert resident_bytes() - before < MEGABYTE / 2

    def test_nothing_is_kept_of_contexts(self, tls: TongsuoTlsWrapper) -> None:
        configs = [sm2_config("client"), replace(config("server"), alpn=("a", "b"))]

        def work(times: int) -> None:
            for _ in range(times):
                for each in configs:
                    tls.context(each).session()

        work(150)
        before = resident_bytes()
        work(500)
        assert resident_bytes() - before < MEGABYTE / 2

    def test_threads_share_contexts(self, tls: TongsuoTlsWrapper) -> None:
        clients, servers = tls.context(sm2_config("client")), tls.context(sm2_config("server", serial=2))

        def once(number: int) -> bytes | None:
            client, server = clients.session(), servers.session()
            handshake(client, server)
            client.write(number.to_bytes(2, "big") * 10_000)
            pump(client, server)
            read = b""
            while data := server.read(65_536):
                read += data
            return read

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(once, range(60)))
        assert answers == [number.to_bytes(2, "big") * 10_000 for number in range(60)]
