from __future__ import annotations

import pytest

from rats_tls.core.errors import InternalError, PeerRefusedError, ProtocolError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.refusals import WireCode
from rats_tls.preamble.exchange import Exchange, Offer
from rats_tls.preamble.frames import Frame, FrameType
from rats_tls.preamble.hello import Hello


def exchange(role: str) -> Exchange:
    hello = Hello(bindings=("certificate",), attests=True, demands=True)
    return Exchange(role, Offer(hello=hello, evidence=None, documents={}), DEFAULT_LIMITS)


def frames(data: bytes) -> list[Frame]:
    found = []
    while data:
        size = 4 + int.from_bytes(data[1:4], "big")
        found.append(Frame(FrameType(data[0]), data[4:size]))
        data = data[size:]
    return found


def test_the_client_speaks_first_and_the_server_answers() -> None:
    client, server = exchange("client"), exchange("server")
    client.start()
    server.start()
    assert server.data_to_send() == b""
    (hello,) = frames(client.data_to_send())
    assert hello.type is FrameType.HELLO
    server.take(hello.to_bytes())
    assert server.peer_complete
    (answer,) = frames(server.data_to_send())
    client.take(answer.to_bytes())
    for side, other in ((client, server), (server, client)):
        side.accept()
        (accepted,) = frames(side.data_to_send())
        other.take(accepted.to_bytes())
    assert all((client.own_accepted, client.peer_accepted, server.own_accepted, server.peer_accepted))


def test_accepted_is_said_once_and_not_before_the_peer_has_spoken() -> None:
    client, server = exchange("client"), exchange("server")
    with pytest.raises(InternalError):
        server.accept()
    client.start()
    server.take(frames(client.data_to_send())[0].to_bytes())
    server.accept()
    with pytest.raises(InternalError):
        server.accept()


def test_nothing_is_due_after_accepted() -> None:
    client, server = exchange("client"), exchange("server")
    client.start()
    server.take(frames(client.data_to_send())[0].to_bytes())
    client.take(frames(server.data_to_send())[0].to_bytes())
    client.accept()
    (accepted,) = frames(client.data_to_send())
    server.take(accepted.to_bytes())
    with pytest.raises(ProtocolError, match="before this side accepted"):
        server.take(accepted.to_bytes())


def test_refusing_is_possible_until_the_own_accepted() -> None:
    client, server = exchange("client"), exchange("server")
    client.start()
    server.take(frames(client.data_to_send())[0].to_bytes())
    server.data_to_send()
    server.refuse(WireCode.BUSY)
    (refused,) = frames(server.data_to_send())
    with pytest.raises(PeerRefusedError) as caught:
        client.take(refused.to_bytes())
    assert caught.value.wire_code is WireCode.BUSY
    server.accept()
    server.data_to_send()
    server.refuse(WireCode.BUSY)
    assert server.data_to_send() == b""
