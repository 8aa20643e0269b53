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


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"SSH-2.0-x\r\n",
        bytes(99),
    ],
    ids=["request", "short request", "proxy", "response", "ssh", "short ssh", "zeros"],
)
@pytest.mark.parametrize(("tls", "role"), SIDES, ids=lambda value: getattr(value, "name", value))
def test_a_peer_that_does_not_speak_tls(tls: TlsWrapper, role: str, data: bytes, ended: bool, mutual: bool) -> None:
    demands = mutual and tls.capabilities.mutual_server
    session = tls.context(config(role, mutual=demands)).session()
    if role == "client":
        session.handshake()
    session.receive_from_wire(data)
    if ended:
        session.receive_eof()
    for _ in range(2):
        with pytest.raises(TlsError, match=r"handshake: the peer does not speak TLS \(") as caught:
            session.handshake()
        assert caught.value.peer_alert is None


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("tls", WRAPPERS, ids=lambda tls: tls.name)
def test_a_broken_record_later_is_no_other_protocol(tls: TlsWrapper, ours: str) -> None:
    session = connected(tls)[ours == "server"]
    session.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TlsError) as caught:
        session.read(10)
    assert "does not speak TLS" not in str(caught.value)
