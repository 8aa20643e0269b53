"""What every TLS wrapper refuses, and what it says then."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsWrapper
from support.channels import certificate, key
from support.tls import config, handshake, sessions
from support.tls_contract import ENCRYPTING, MUTUAL, ROLES, in_roles, ours_and_peer, over


@over(MUTUAL)
def test_a_client_without_certificate_is_refused_and_told(tls: TlsWrapper) -> None:
    client, server = sessions(tls, config("client", present=False), config("server"))
    with pytest.raises(TlsError, match="certificate") as caught:
        handshake(client, server)
    assert caught.value.peer_alert is None
    client.receive_from_wire(server.data_to_send())
    assert client.handshake()  # in TLS 1.3 the client is done before the server judges
    with pytest.raises(TlsError) as caught:
        client.read(10)
    assert caught.value.peer_alert == "certificate_required"


@in_roles(ROLES)
@pytest.mark.parametrize("position", [5, 20, -1])
def test_a_tampered_record_is_refused_and_stays_so(tls: TlsWrapper, role: str, position: int) -> None:
    server, client = ours_and_peer(tls, role)
    client.write(b"x" * 100)
    record = bytearray(client.data_to_send())
    record[position] ^= 1
    server.receive_from_wire(bytes(record))
    client.write(b"more")
    server.receive_from_wire(client.data_to_send())
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            server.read(100)
        assert not caught.value.truncated
    with pytest.raises(TlsError):
        server.write(b"after")
    server.close()


@in_roles(ROLES)
@given(data=st.binary(min_size=1, max_size=300), record=st.booleans())
@settings(max_examples=80, deadline=None)
def test_garbage_raises_tls_errors_only(tls: TlsWrapper, role: str, data: bytes, record: bool) -> None:
    session = tls.context(config(role, mutual=tls.capabilities.mutual_server)).session()
    session.data_to_send()
    session.receive_from_wire(b"\x16\x03\x03" + len(data).to_bytes(2, "big") + data if record else data)
    try:
        assert not session.handshake()
        session.receive_eof()
        session.handshake()
    except TlsError as error:
        assert error.message  # noqa: PT017  # any TlsError will do, nothing else
    else:
        raise AssertionError("garbage completes a handshake")
    session.data_to_send()


@over(ENCRYPTING)
def test_key_and_certificate_must_fit(tls: TlsWrapper) -> None:
    good = config("server")
    values = {"role": "server", "request_peer_certificate": False}
    other = key(KeyAlgorithm.EC_P384).pkcs8()
    too_large = certificate(size=DEFAULT_LIMITS.certificate_made + 100)
    for cert, private in (
        (good.certificate, other),
        (good.certificate, b"not a key"),
        (b"not a certificate", good.private_key),
        (good.certificate, None),
        (None, good.private_key),
        (None, None),
        (too_large, good.private_key),
    ):
        with pytest.raises(ConfigurationError):
            tls.context(type(good)(certificate=cert, private_key=private, **values))
