"""The TLS wrapper `tongsuo` in TLS 1.2: extended master secret, no renegotiation, no resumption."""

from __future__ import annotations

import ssl

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsSession
from rats_tls.tls_wrappers import tongsuo_library
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.channels import certificate
from support.tls import StdlibPeer, config, handshake
from support.tongsuo import address, connected, here, more_functions

OP_NO_EXTENDED_MASTER_SECRET = 1  # openssl/ssl.h of OpenSSL 3, SSL_OP_BIT(0)


@pytest.fixture
def tls() -> TongsuoTlsWrapper:
    return here()


class TestTls12:
    def _stdlib(self, *, server_side: bool, extended: bool = True) -> StdlibPeer:
        peer = StdlibPeer(server_side=server_side, maximum=ssl.TLSVersion.TLSv1_2)
        if not extended:
            peer.context.options |= OP_NO_EXTENDED_MASTER_SECRET
        return StdlibPeer(server_side=server_side, context=peer.context)

    def _shake(self, session: TlsSession, peer: StdlibPeer) -> bool:
        for _ in range(6):
            done = session.handshake()
            peer.feed(session.data_to_send())
            peer.advance()
            session.receive_from_wire(peer.output())
            if done and peer.handshaken:
                return True
        return False

    @pytest.mark.parametrize("role", ["client", "server"])
    def test_where_it_is_allowed(self, tls: TongsuoTlsWrapper, role: str) -> None:
        session = tls.context(config(role, allow_tls12=True)).session()
        peer = self._stdlib(server_side=role == "client")
        assert self._shake(session, peer)
        facts = session.facts()
        assert facts.version == "TLSv1.2"
        assert facts.cipher == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        assert facts.hash is HashAlgorithm.SHA384
        assert not session.resumed
        assert session.peer_certificate == certificate(serial=9)

    @pytest.mark.parametrize("role", ["client", "server"])
    def test_without_extended_master_secret(self, tls: TongsuoTlsWrapper, role: str) -> None:
        session = tls.context(config(role, allow_tls12=True)).session()
        peer = self._stdlib(server_side=role == "client", extended=False)
        for _ in range(2):
            with pytest.raises(TlsError, match="without extended master secret"):
                self._shake(session, peer)
        assert session.data_to_send() == b""
        with pytest.raises(TlsError):
            session.write(b"secret")

    @pytest.mark.parametrize("tickets", [False, True])
    @pytest.mark.parametrize("mutual", [False, True])
    def test_nothing_is_resumed(self, tls: TongsuoTlsWrapper, tickets: bool, mutual: bool) -> None:
        server = tls.context(config("server", allow_tls12=True, mutual=mutual))
        peer = self._stdlib(server_side=False)
        if not tickets:
            peer.context.options |= ssl.OP_NO_TICKET
        first = StdlibPeer(server_side=False, context=peer.context)
        earlier = server.session()
        assert self._shake(earlier, first)
        assert first.tls.session is not None
        assert not first.tls.session.has_ticket
        again, session = (
            StdlibPeer(server_side=False, context=peer.context, session=first.tls.session),
            server.session(),
        )
        assert self._shake(session, again)
        assert not again.tls.session_reused
        assert not session.resumed
        assert not earlier.resumed

    def test_the_best_version_is_taken(self, tls: TongsuoTlsWrapper) -> None:
        client, server = connected(
            tls, config("client", allow_tls12=True), config("server", allow_tls12=True, serial=2)
        )
        assert client.facts().version == server.facts().version == "TLSv1.3"

    def test_a_renegotiation_is_refused(self, tls: TongsuoTlsWrapper) -> None:
        client = tls.context(config("client", allow_tls12=True)).session()
        server_context = tls.context(config("server", allow_tls12=True, serial=2))
        tls._library.functions.SSL_CTX_ctrl(
            server_context._context, tongsuo_library.CTRL_SET_MAX_PROTO_VERSION, 0x0303, tls._library.ffi.NULL
        )
        server = server_context.session()
        handshake(client, server)
        ffi, functions = more_functions(
            "int SSL_renegotiate(void *); unsigned long SSL_clear_options(void *, unsigned long);"
        )
        asking = ffi.cast("void *", address(client._ssl))
        assert client.facts().version == "TLSv1.2"
        functions.SSL_clear_options(asking, tongsuo_library.OP_NO_RENEGOTIATION)
        assert functions.SSL_renegotiate(asking) == 1
        tls._library.functions.SSL_do_handshake(client._ssl)
        server.receive_from_wire(client.data_to_send())
        assert server.read(1) is None
        client.receive_from_wire(server.data_to_send())
        with pytest.raises(TlsError, match="renegotiation"):
            client.read(1)
        assert server.peer_certificate == certificate(serial=1)
