from __future__ import annotations

import errno
import ssl

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.tls_wrappers import gnutls_library as gnutls
from rats_tls.tls_wrappers.alerts import ALERTS
from support.channels import Cut, bytewise, whole
from support.instances import tls_wrapper_of_a_module
from support.tls import StdlibPeer, config, connected, handshake, sessions

TLS = tls_wrapper_of_a_module("gnutls")
FATAL = {number: name for number, name in ALERTS.items() if name not in {"close_notify", "user_canceled"}}


# --- the peer's alerts and noise -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "name"), FATAL.items())
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("client")).session()
    session.handshake()
    session.data_to_send()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    with pytest.raises(TlsError) as caught:
        session.handshake()
    assert caught.value.peer_alert == name
    assert name in str(caught.value)
    assert not caught.value.truncated
    assert session.data_to_send() == b""  # no alert answers one


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_refusal_of_the_certificate_by_openssls_clients_is_told(cut: Cut) -> None:
    """They send this alert without encryption."""
    client = StdlibPeer(server_side=False)
    client.context.verify_mode = ssl.CERT_REQUIRED
    client = StdlibPeer(server_side=False, context=client.context)
    server = TLS.context(config("server")).session()
    client.advance()
    server.receive_from_wire(client.output())
    server.handshake()
    client.feed(server.data_to_send())
    with pytest.raises(ssl.SSLError):
        client.advance()
    alert = client.output()
    assert alert[0] == 0x15
    for piece in cut(alert[:-1]):
        server.receive_from_wire(piece)
        assert not server.handshake()
    server.receive_from_wire(alert[-1:])
    with pytest.raises(TlsError) as caught:
        server.handshake()
    assert caught.value.peer_alert == "unknown_ca"
    assert server.data_to_send() == b""


def test_what_does_not_decrypt_is_told_as_no_alert() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    server.receive_from_wire(b"\x17\x03\x03\x00\x17" + bytes(23))
    with pytest.raises(TlsError, match="decryption has failed") as caught:
        server.handshake()
    assert caught.value.peer_alert is None


def test_a_warning_ends_no_handshake() -> None:
    """As servers of TLS 1.2 send one for a name that they do not know (RFC 6066 3)."""
    client = TLS.context(config("client", present=False, allow_tls12=True)).session("x.example")
    server = StdlibPeer(server_side=True, maximum=ssl.TLSVersion.TLSv1_2)
    client.handshake()
    server.feed(client.data_to_send())
    server.advance()
    client.receive_from_wire(b"\x15\x03\x03\x00\x02\x01\x70" + server.output())
    client.handshake()
    server.feed(client.data_to_send())
    server.advance()
    client.receive_from_wire(server.output())
    assert client.handshake()


def test_nothing_is_kept_behind_the_end_or_a_failure() -> None:
    client, server = connected(TLS)
    server.close()
    client.receive_from_wire(server.data_to_send() + b"x" * 1000)
    assert client.read(10) == b""
    client.receive_from_wire(b"x" * 1000)
    server.receive_from_wire(b"\x17\x03\x03\x00\x05xxxxx" + b"x" * 1000)
    with pytest.raises(TlsError):
        server.read(10)
    server.receive_from_wire(b"x" * 1000)
    assert not client._wire.incoming
    assert not server._wire.incoming


# --- order of calls ----------------------------------------------------------------------------------------------
def test_data_waits_for_the_handshake() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    for doing in (
        lambda: client.read(1),
        lambda: client.write(b"x"),
        lambda: server.read_into(memoryview(bytearray(9))),
    ):
        with pytest.raises(TlsError, match="the handshake is not complete"):
            doing()
    client.close()
    assert client.data_to_send() == b""
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert not server.handshake()  # GnuTLS could export from here on
    with pytest.raises(TlsError, match="the handshake is not complete"):
        server.exporter("label", b"", 32)
    handshake(client, server)
    assert client.read(0) is None


def test_what_was_given_belongs_to_the_caller() -> None:
    """A buffer that he looks into cannot grow."""
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    kept = [memoryview(client.data_to_send())]
    for _ in range(3):
        for source, target in ((client, server), (server, client)):
            source.handshake()
            kept.append(memoryview(source.data_to_send()))
            target.receive_from_wire(bytes(kept[-1]))
            kept.append(memoryview(source.data_to_send()))
    assert client.handshake()
    assert server.handshake()


def test_an_alert_ends_a_handshake_too() -> None:
    client, server = sessions(TLS, config("client"), config("server", serial=2))
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    server.alert("access_denied")
    with pytest.raises(TlsError, match="this side has ended the connection by alert access_denied"):
        server.handshake()
    client.receive_from_wire(server.data_to_send())
    assert client.handshake()  # the whole of the server's flight came before
    with pytest.raises(TlsError) as caught:
        client.read(10)
    assert caught.value.peer_alert == "access_denied"


def test_nothing_follows_the_end() -> None:
    client, server = connected(TLS)
    client.close()
    end = client.data_to_send()
    client.close()
    client.alert("access_denied")
    assert client.data_to_send() == b""
    server.receive_from_wire(end)
    assert server.read(10) == b""
    server.alert("access_denied")
    assert server.data_to_send()
    server.close()
    server.alert("internal_error")
    assert server.data_to_send() == b""


def test_a_read_gives_what_many_records_hold() -> None:
    client, server = connected(TLS)
    data = bytes(range(256)) * 200  # four records
    client.write(data)
    server.receive_from_wire(client.data_to_send())
    buffer = bytearray(60_000)
    assert server.read_into(memoryview(buffer)) == len(data)
    assert buffer[: len(data)] == data
    with pytest.raises((TypeError, BufferError)):
        server.read_into(memoryview(bytes(10)))


def test_a_failure_behind_data_is_told_by_the_next_read() -> None:
    client, server = connected(TLS)
    client.write(b"first")
    server.receive_from_wire(client.data_to_send() + b"\x17\x03\x03\x00\x20" + bytes(32))
    assert server.read(100) == b"first"
    with pytest.raises(TlsError):
        server.read(100)


# --- callbacks -----------------------------------------------------------------------------------------------------
class Broken:
    """Raises whatever is done with it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __len__(self) -> int:
        raise self.error

    def __iadd__(self, other: object) -> object:
        raise self.error

    def clear(self) -> None:
        pass


def test_a_callback_that_raises_fails_the_handshake() -> None:
    client, _ = sessions(TLS, config("client"), config("server", serial=2))
    reason = RuntimeError("no memory")
    client._wire.outgoing = Broken(reason)
    with pytest.raises(TlsError, match="handshake") as caught:
        client.handshake()
    assert caught.value.__cause__ is reason
    client._wire.outgoing = bytearray()
    with pytest.raises(TlsError):
        client.handshake()
    assert client.data_to_send() == b""


def test_an_interrupt_within_a_callback_goes_on() -> None:
    client, _ = connected(TLS)
    client._wire.outgoing = Broken(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        client.write(b"x")
    with pytest.raises(TlsError):
        client.write(b"x")


def test_a_pull_that_raises_is_no_wish_for_more() -> None:
    library = TLS._library
    wire = gnutls.Wire()
    handle = library.ffi.new_handle(wire)
    wire.incoming = Broken(RuntimeError("no memory"))
    library.ffi.errno = errno.EAGAIN
    assert library.pull(handle, library.ffi.new("char[8]"), 8) == -1
    assert library.ffi.errno == errno.EIO
    assert isinstance(library.raised(), RuntimeError)
    assert library.raised() is None
    assert not wire.starved


def test_a_callback_that_cannot_even_begin_fails_the_call(capfd: pytest.CaptureFixture[str]) -> None:
    library = TLS._library
    space = library.ffi.new("char[8]")
    assert library.pull(library.ffi.NULL, space, 8) == -1
    assert library.push(library.ffi.NULL, space, 8) == -1
    assert library.raised() is not None
    assert capfd.readouterr() == ("", "")
