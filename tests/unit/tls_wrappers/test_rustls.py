from __future__ import annotations

import importlib
import sys
import threading
from types import SimpleNamespace

import pytest

from rats_tls.core.errors import ConfigurationError, NoInstanceError, TlsError
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.rustls import RustlsTlsWrapper
from support.channels import certificate
from support.tls import config, connected, handshake, pump, read_exactly
from support.tlslite_peer import HostilePeer

TLS = RustlsTlsWrapper()


@pytest.mark.parametrize(("number", "name"), [*ALERTS.items(), (243, "alert_243")])
def test_alerts_of_the_peer_are_told_by_name(number: int, name: str) -> None:
    session = TLS.context(config("server", mutual=False)).session()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            session.handshake()
        assert caught.value.peer_alert == name


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", bytes(99)])
def test_a_peer_that_does_not_speak_tls_is_told_so(data: bytes) -> None:
    session = TLS.context(config("server", mutual=False)).session()
    session.receive_from_wire(data)
    with pytest.raises(TlsError, match=r"handshake: the peer does not speak TLS \("):
        session.handshake()
    assert session.data_to_send()[:1] == b"\x15"


def test_a_client_is_refused() -> None:
    """rtls checks no CertificateVerify where no CA is given, so nobody would have proved to hold a key."""
    with pytest.raises(ConfigurationError, match="does not check that the server holds the key"):
        TLS.context(config("client"))


def test_the_reason_still_stands() -> None:
    """When this fails, a release of rtls checks CertificateVerify without a CA: clients can be let in, and tried."""
    builder = importlib.import_module("rtls._rustls").RustlsConfigBuilder()
    builder.set_verify_mode(0)  # CERT_NONE
    builder.set_check_hostname(False)
    client, server = builder.build_client_connection("192.0.2.1"), HostilePeer("server", holds_key=False)
    for _ in range(4):
        while client.wants_write():
            server.feed(client.write_tls())
        server.advance()
        data = server.output()
        while data:
            data = data[client.read_tls(data) :]
            client.process_new_packets()
    assert not client.is_handshaking()
    assert client.peer_certificates() == [certificate(serial=9)]


def test_a_server_that_is_to_demand_a_certificate_is_refused() -> None:
    """rtls completes such handshakes without asking for one."""
    with pytest.raises(ConfigurationError, match="cannot demand a client's certificate"):
        TLS.context(config("server", mutual=True))


def test_a_bad_record_does_not_take_the_data_before_it_along() -> None:
    client, server = connected(TLS)
    client.write(b"data")
    good = client.data_to_send()
    client.write(b"more")
    bad = bytearray(client.data_to_send())
    bad[-1] ^= 1
    server.receive_from_wire(good + bytes(bad))
    assert server.read(100) == b"data"
    for _ in range(2):
        with pytest.raises(TlsError):
            server.read(100)
    assert server.data_to_send()


@pytest.mark.parametrize("behind_handshake", [False, True])
def test_a_record_that_claims_more_than_any_has_is_refused_before_it_comes(behind_handshake: bool) -> None:
    """RFC 8446 5.2: nobody waits for it, or keeps its bytes."""
    if behind_handshake:
        _, session = connected(TLS)
    else:
        session = TLS.context(config("server", mutual=False)).session()
    go_on = (lambda: session.read(100)) if behind_handshake else session.handshake
    session.receive_from_wire((b"\x17" if behind_handshake else b"\x16") + b"\x03\x03\xff\xff" + bytes(9))
    for _ in range(2):
        with pytest.raises(TlsError) as caught:
            go_on()
        assert not caught.value.truncated


def test_the_largest_record_is_waited_for() -> None:
    _, session = connected(TLS)
    session.receive_from_wire(b"\x17\x03\x03\x41\x00" + bytes(9))
    assert session.read(100) is None


def test_much_more_than_its_buffers_take_goes_through_at_once() -> None:
    client, server = connected(TLS)
    data = bytes(range(256)) * 4096
    server.write(data)
    client.write(data)
    pump(client, server)
    assert read_exactly(server, len(data)) == data
    assert read_exactly(client, len(data)) == data


def test_nothing_is_written_before_the_handshake_is_complete() -> None:
    session = TLS.context(config("server", mutual=False)).session()
    with pytest.raises(TlsError, match="not complete"):
        session.write(b"early")


def test_one_context_serves_threads() -> None:
    servers, clients = TLS.context(config("server", mutual=False)), OpensslTlsWrapper().context(config("client"))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                handshake(clients.session(), servers.session())
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtls", None)
    with pytest.raises(NoInstanceError, match=r"rats-tls\[rustls\]"):
        RustlsTlsWrapper()


@pytest.mark.parametrize(
    ("owner", "call"), [("RustlsConfigBuilder", "set_min_version"), ("RustlsServerConnection", "wants_read")]
)
def test_a_release_that_lacks_what_is_used_is_not_used(owner: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = importlib.import_module("rtls._rustls")
    kept = {each: None for each in dir(getattr(genuine, owner)) if each != call and not each.startswith("__")}
    lesser = SimpleNamespace(
        **{name: getattr(genuine, name) for name in dir(genuine) if name != owner}, **{owner: SimpleNamespace(**kept)}
    )
    monkeypatch.setitem(sys.modules, "rtls._rustls", lesser)
    with pytest.raises(NoInstanceError, match=call):
        RustlsTlsWrapper()


def test_version_names_all_three_libraries() -> None:
    assert [part.split()[0] for part in TLS.version.split(", ")] == ["rtls", "rustls", "aws-lc-rs"]
