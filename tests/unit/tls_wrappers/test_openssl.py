from __future__ import annotations

import pytest
from OpenSSL import SSL

from rats_tls.core.errors import TlsError
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_binding import BindingCalls
from rats_tls.tls_wrappers.openssl_calls import Calls, PublicCalls
from rats_tls.tls_wrappers.openssl_session import OpensslTlsSession
from support.tls import StdlibPeer, config, sessions

TLS = OpensslTlsWrapper()

# RFC 8446 B.2, the fatal ones of use to a peer.
ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}


@pytest.mark.parametrize(("number", "name"), ALERTS.items())
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    with pytest.raises(TlsError) as caught:
        session.handshake()
    assert caught.value.peer_alert == name
    assert name in str(caught.value)
    assert not caught.value.truncated


def test_a_failed_handshake_has_an_alert_for_the_peer() -> None:
    _, server = sessions(TLS, config("client"), config("server"))
    server.receive_from_wire(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    with pytest.raises(TlsError):
        server.handshake()
    assert server.data_to_send()[:1] == b"\x15"
    with pytest.raises(TlsError):
        server.handshake()


@pytest.mark.parametrize("calls", [PublicCalls(), BindingCalls()], ids=["public", "binding"])
def test_a_resumed_session_shows(calls: Calls) -> None:
    """The contexts of the wrapper cannot resume; one that can is made here to see that `resumed` would tell."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    calls.accept_any_certificate(context, SSL.VERIFY_PEER)
    server = StdlibPeer(server_side=True)

    def connect(peer: StdlibPeer, session: SSL.Session | None) -> tuple[SSL.Connection, OpensslTlsSession]:
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        if session is not None:
            connection.set_session(session)
        client = OpensslTlsSession(connection, calls)
        for _ in range(3):
            client.handshake()
            peer.feed(client.data_to_send())
            peer.advance()
            client.receive_from_wire(peer.output())
        peer.tls.write(b"!")
        client.receive_from_wire(peer.output())
        assert client.read(1) == b"!"
        return connection, client

    connection, first = connect(server, None)
    assert not first.resumed
    again = StdlibPeer(server_side=True, context=server.context)
    _, second = connect(again, connection.get_session())
    assert again.tls.session_reused
    assert second.resumed


@pytest.mark.parametrize("role", ["client", "server"])
def test_no_session_is_cached(role: str) -> None:
    """OP_NO_TICKET alone already leads to full handshakes; a cache would be a second way to resume."""
    context = TLS.context(config(role))._context
    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    forbidden = SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION
    assert context.set_options(0) & forbidden == forbidden


def test_version_names_both_libraries() -> None:
    assert TLS.version.startswith("pyOpenSSL ")
    assert "OpenSSL" in TLS.version.split(",")[1]
