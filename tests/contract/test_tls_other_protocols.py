"""A peer that speaks another protocol is told from one that breaks TLS."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsWrapper
from support.instances import TLS_WRAPPERS
from support.tls import config, connected

WRAPPERS = [tls for tls in TLS_WRAPPERS if tls.capabilities.encrypts]
SIDES = [
    (tls, role) for tls in WRAPPERS for role in ("client", "server") if role == "server" or tls.capabilities.clients
]


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-OpenSSH_9.9\r\n"])
@pytest.mark.parametrize(("tls", "role"), SIDES, ids=lambda value: getattr(value, "name", value))
def test_a_peer_that_does_not_speak_tls(tls: TlsWrapper, role: str, data: bytes, ended: bool) -> None:
    session = tls.context(config(role, mutual=False)).session()
    if role == "client":
        session.handshake()
    session.receive_from_wire(data)
    if ended:
        session.receive_eof()
    for _ in range(2):
        with pytest.raises(TlsError, match=r"handshake: the peer does not speak TLS \(") as caught:
            session.handshake()
        assert caught.value.peer_alert is None


@pytest.mark.parametrize("tls", WRAPPERS, ids=lambda tls: tls.name)
def test_a_broken_record_later_is_no_other_protocol(tls: TlsWrapper) -> None:
    _, server = connected(tls)
    server.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TlsError) as caught:
        server.read(10)
    assert "does not speak TLS" not in str(caught.value)
