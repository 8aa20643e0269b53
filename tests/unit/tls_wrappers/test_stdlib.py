from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rats_tls.core.errors import ConfigurationError, TlsError
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.stdlib import StdlibTlsWrapper
from support.tls import config, connected, handshake, pump, read_exactly, sessions

TLS = StdlibTlsWrapper()
KEY = b"PRIVATE KEY"
# OpenSSL 3 has no words for those; it names the number.
NAMED = {number: name for number, name in ALERTS.items() if number not in (0, 90, 100, 113, 115)}


@pytest.mark.parametrize(("number", "name"), NAMED.items())
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            session.handshake()
        assert caught.value.peer_alert == name
        assert not caught.value.truncated


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_a_peer_that_does_not_speak_tls(data: bytes) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(data)
    with pytest.raises(TlsError, match=r"handshake: the peer does not speak TLS \("):
        session.handshake()


def test_a_server_that_is_to_demand_a_certificate_is_refused() -> None:
    """CERT_NONE would ask for none, and every other mode takes none that no CA signed."""
    with pytest.raises(ConfigurationError, match="cannot demand a client's certificate"):
        TLS.context(config("server", mutual=True))


@pytest.mark.parametrize("role", ["client", "server"])
def test_settings_leave_no_way_to_resume_renegotiate_or_authenticate_later(role: str) -> None:
    context = TLS.context(config(role, mutual=False))._context
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
    for option in (ssl.OP_NO_TICKET, ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION):
        assert context.options & option
    assert not context.post_handshake_auth
    if role == "server":
        assert context.num_tickets == 0


def test_a_server_sends_nothing_behind_its_handshake() -> None:
    """Not even a ticket without content."""
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert server.data_to_send() == b""


# --- where the key is while `ssl` reads it -----------------------------------------------------------------------
def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


class _Reader:
    """Stands in for `load_cert_chain` and looks at what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = Path()
        self.content = b""
        self.password: str | None = None
        self.modes = (0, 0)
        genuine = ssl.SSLContext.load_cert_chain

        def load(context: ssl.SSLContext, path: str, password: str | None = None) -> None:
            self.path, self.password, self.content = Path(path), password, Path(path).read_bytes()
            self.modes = (Path(path).parent.stat().st_mode & 0o777, Path(path).stat().st_nlink)
            genuine(context, path, password=password)

        monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)


def test_the_key_is_read_from_memory_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = _Reader(monkeypatch)
    before = _descriptors()
    TLS.context(config("client"))
    assert reader.path.parent == Path("/proc/self/fd")
    assert b"BEGIN " + KEY in reader.content
    assert reader.modes[1] == 0  # no directory names it
    assert _descriptors() <= before  # closed


@pytest.mark.parametrize("lacks", ["memfd", "proc"])
def test_without_it_the_key_is_encrypted_and_removed(
    lacks: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if lacks == "memfd":
        monkeypatch.delattr(os, "memfd_create")
    else:
        exists = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path: "/proc/" not in str(path) and exists(path))
    reader = _Reader(monkeypatch)
    passwords = set()
    for _ in range(2):
        TLS.context(config("client"))
        assert reader.path.is_relative_to(tmp_path)
        assert reader.modes[0] == 0o700
        assert b"BEGIN ENCRYPTED " + KEY in reader.content
        assert b"BEGIN " + KEY not in reader.content
        assert reader.password is not None
        with pytest.raises(TypeError):
            load_pem_private_key(reader.content, None)
        load_pem_private_key(reader.content, reader.password.encode())
        passwords.add(reader.password)
        assert list(tmp_path.iterdir()) == []
    assert len(passwords) == 2


def test_a_key_that_ssl_refuses_is_a_configuration_error_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ssl.SSLError(1, "refused")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    before = _descriptors()
    with pytest.raises(ConfigurationError, match="refused"):
        TLS.context(config("client"))
    assert _descriptors() <= before
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(ConfigurationError, match="refused"):
        TLS.context(config("client"))
    assert list(tmp_path.iterdir()) == []


# --- close -------------------------------------------------------------------------------------------------------
def test_close_loses_nothing_that_came_before_it() -> None:
    """`unwrap` fails for good on data in front of the peer's close_notify, so it must not see any."""
    client, server = connected(TLS)
    server.write(b"a" * 40_000)
    client.receive_from_wire(server.data_to_send())
    assert client.read(1) == b"a"  # the rest of this record is in OpenSSL, two more are in the BIO
    client.close()
    server.write(b"b" * 10)
    server.close()
    pump(client, server)
    assert server.read(10) == b""
    client.receive_eof()
    assert client.read_into(memoryview(bytearray(9))) == 9
    assert read_exactly(client, 40_000 - 10 + 10) == b"a" * 39_990 + b"b" * 10
    assert client.read(1) == b""


def test_a_record_in_pieces_survives_close() -> None:
    client, server = connected(TLS)
    server.write(b"x" * 100)
    record = server.data_to_send()
    client.receive_from_wire(record[:20])
    assert client.read(10) is None
    client.receive_from_wire(record[20:60])
    client.close()
    client.receive_from_wire(record[60:])
    assert client.read(200) == b"x" * 100


def test_close_before_the_handshake_is_complete_does_nothing() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.close()
    handshake(client, server)
    client.write(b"x")
    pump(client, server)
    assert server.read(1) == b"x"


def test_version_names_the_library_underneath() -> None:
    assert "OpenSSL" in TLS.version.split(",")[1]
