from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, TlsError, UnsupportedError
from rats_tls.tls_wrappers import wolfssl, wolfssl_library
from rats_tls.tls_wrappers.alerts import ALERTS
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from rats_tls.tls_wrappers.wolfssl_library import Library
from rats_tls.tls_wrappers.wolfssl_wire import Wire
from support.channels import certificate
from support.endurance import resident_bytes
from support.machine import lacking
from support.tls import config, connected, handshake, pump, sessions

ALL = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
FATAL = {number: name for number, name in ALERTS.items() if name not in {"close_notify", "user_canceled"}}


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    try:
        return WolfsslTlsWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="libwolfssl35")


def over(made: Library, monkeypatch: pytest.MonkeyPatch) -> WolfsslTlsWrapper:
    monkeypatch.setattr(wolfssl, "library", lambda: made)
    return WolfsslTlsWrapper()


def lesser(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, without: str) -> WolfsslTlsWrapper:
    """Over the library as another build would have it."""
    whole = tls._library
    return over(Library(whole.ffi, whole.lib, whole.version, whole.has - {without}), monkeypatch)


class Odd:
    """wolfSSL's functions, some of which do something else."""

    def __init__(self, lib: object, **functions: object) -> None:
        self._lib = lib
        vars(self).update(functions)

    def __getattr__(self, name: str) -> object:
        return getattr(self._lib, name)


def extensions(hello: bytes) -> tuple[str, dict[int, bytes]]:
    """Cipher suites and extensions of a ClientHello in one record (RFC 8446 4.1.2)."""
    body = hello[5 + 4 + 2 + 32 :]
    body = body[1 + body[0] :]
    size = int.from_bytes(body[:2], "big")
    suites, body = body[2 : 2 + size].hex(), body[2 + size :]
    body, found = body[1 + body[0] + 2 :], {}
    while body:
        end = 4 + int.from_bytes(body[2:4], "big")
        found[int.from_bytes(body[:2], "big")] = bytes(body[4:end])
        body = body[end:]
    return suites, found


# --- what is offered ---------------------------------------------------------------------------------------------
def test_a_client_offers_no_more_than_it_should(tls: WolfsslTlsWrapper) -> None:
    session = tls.context(config("client")).session()
    session.handshake()
    suites, found = extensions(session.data_to_send())
    assert suites == "130113021303"  # no CCM, and none that does not encrypt (RFC 9150)
    assert found[43] == b"\x02\x03\x04"  # supported_versions
    assert found[10].hex() == "0006001d00170018"  # supported_groups
    assert not found.keys() & {35, 41, 42, 49}  # session_ticket, pre_shared_key, early_data, post_handshake_auth
    assert not {found[13][at] for at in range(2, len(found[13]), 2)} & {1, 2, 3}  # MD5, SHA-1, SHA-224


def test_a_suite_that_does_not_encrypt_is_refused(tls: WolfsslTlsWrapper) -> None:
    client, server = tls.context(config("client")), tls.context(config("server", serial=2))
    suites = b"TLS13-SHA256-SHA256"
    assert tls._library.lib.wolfSSL_CTX_set_cipher_list(client._context, suites) == 1
    session = client.session()
    session.handshake()
    hello = session.data_to_send()
    if "c0b4" not in extensions(hello)[0]:
        lacking("libwolfssl has no suites of RFC 9150")
    # Ours stay in the list, so that they have to go from the hello.
    hello = hello.replace(bytes.fromhex("0008130113021303c0b4"), bytes.fromhex("0008c0b4c0b4c0b4c0b4"))
    peer = server.session()
    peer.receive_from_wire(hello)
    with pytest.raises(TlsError, match="match cipher suite"):
        peer.handshake()


def test_a_request_for_authentication_after_the_handshake_is_not_taken(tls: WolfsslTlsWrapper) -> None:
    _, server = connected(tls)
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("int wolfSSL_request_certificate(WOLFSSL *);", override=True)
    if not hasattr(lib, "wolfSSL_request_certificate"):
        lacking("libwolfssl does no post-handshake authentication")
    assert "will not do post handshake" in tls._library.text(lib.wolfSSL_request_certificate(server._ssl))


@pytest.mark.parametrize("role", ["client", "server"])
def test_no_sessions_are_kept(tls: WolfsslTlsWrapper, role: str) -> None:
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("long wolfSSL_CTX_get_session_cache_mode(WOLFSSL_CTX *);", override=True)
    assert lib.wolfSSL_CTX_get_session_cache_mode(tls.context(config(role))._context) == 0


# --- what a peer may do ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("role", ["client", "server"])
def test_it_speaks_with_openssl(tls: WolfsslTlsWrapper, algorithm: KeyAlgorithm, role: str) -> None:
    other = OpensslTlsWrapper()
    ours = tls.context(config(role, algorithm=algorithm, serial=1)).session()
    against = "server" if role == "client" else "client"
    theirs = other.context(config(against, algorithm=algorithm, serial=2)).session()
    client, server = (ours, theirs) if role == "client" else (theirs, ours)
    handshake(client, server)
    pump(client, server)
    assert ours.peer_certificate == certificate(algorithm, serial=2)
    assert theirs.peer_certificate == certificate(algorithm, serial=1)
    assert ours.facts() == theirs.facts()
    assert ours.exporter("a label", b"context", 32) == theirs.exporter("a label", b"context", 32)


@pytest.mark.parametrize(("number", "name"), FATAL.items())
def test_alerts_of_the_peer_are_told_by_name(tls: WolfsslTlsWrapper, number: int, name: str) -> None:
    session = tls.context(config("client")).session()
    session.handshake()
    session.receive_from_wire(b"\x15\x03\x03\x00\x02\x02" + bytes([number]))
    for _ in range(2):
        with pytest.raises(TlsError, match=f"the peer sent alert {name}$") as caught:
            session.handshake()
        assert caught.value.peer_alert == name
        assert not caught.value.truncated


def test_key_updates_of_a_peer_are_followed(tls: WolfsslTlsWrapper) -> None:
    ffi, lib = tls._library.ffi, tls._library.lib
    ffi.cdef("int wolfSSL_update_keys(WOLFSSL *);", override=True)
    for one, other in (connected(tls), reversed(connected(tls))):
        assert lib.wolfSSL_update_keys(one._ssl) == 1
        one.write(b"there")
        pump(one, other)
        assert other.read(10) == b"there"
        other.write(b"back")
        pump(other, one)
        assert one.read(10) == b"back"
        for _ in range(20):
            assert lib.wolfSSL_update_keys(one._ssl) == 1
        pump(one, other)
        assert other.read(10) is None
        assert one.read(10) is None


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("size", [30_000, 61_440])
def test_a_certificate_that_is_too_large_is_refused_at_once(tls: WolfsslTlsWrapper, role: str, size: int) -> None:
    theirs = OpensslTlsWrapper().context(config(role, size=size)).session()
    ours = tls.context(config("server" if role == "client" else "client", serial=2)).session()
    client, server = (theirs, ours) if role == "client" else (ours, theirs)
    begun = time.monotonic()
    with pytest.raises(TlsError, match="too large"):
        handshake(client, server)
    assert time.monotonic() - begun < 1
    with pytest.raises(TlsError, match="too large"):
        ours.handshake()
    assert ours.peer_certificate is None


# --- the end -----------------------------------------------------------------------------------------------------
def test_after_both_have_closed_the_library_is_asked_for_nothing(tls: WolfsslTlsWrapper) -> None:
    """Behind both close_notify wolfSSL clears a connection, and a call on it begins another handshake."""
    client, server = connected(tls)
    facts, peer = server.facts(), server.peer_certificate
    client.close()
    pump(client, server)
    assert server.read(10) == b""
    server.close()
    assert server.data_to_send()
    assert [server.read(10), server.read_into(memoryview(bytearray(10)))] == [b"", 0]
    assert server.handshake()
    assert not server.data_to_send()
    assert (server.facts(), server.peer_certificate, server.alpn, server.resumed) == (facts, peer, None, False)
    with pytest.raises(TlsError, match="closed"):
        server.exporter("a label", b"", 32)


def test_a_close_that_cannot_be_sent(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tls._library
    made = type("Failing", (Library,), {})(whole.ffi, whole.lib, whole.version, whole.has)
    _, server = connected(over(made, monkeypatch))
    server._wire.out = None
    with pytest.raises(TlsError, match="close: a callback failed"):
        server.close()
    with pytest.raises(TlsError, match="close: a callback failed"):
        server.read(10)
    assert made.raised() is None  # nothing of it reaches the next connection of this thread


def test_nothing_is_read_or_written_before_the_handshake(tls: WolfsslTlsWrapper) -> None:
    client, _ = sessions(tls, config("client"), config("server", serial=2))
    with pytest.raises(TlsError, match="not complete"):
        client.write(b"early")
    with pytest.raises(TlsError, match="not complete"):
        client.read(10)
    client.close()
    assert client.data_to_send() == b""
    assert client.peer_certificate is None


# --- callbacks ---------------------------------------------------------------------------------------------------
def fails(*_: object) -> int:
    raise RuntimeError("a defect")


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("callback", ["_accept", "_receive", "_send", "_select"])
def test_a_callback_that_raises_refuses(
    tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, callback: str, role: str
) -> None:
    if (callback, role) == ("_select", "client"):
        role = "server"  # which alone selects
    whole = tls._library
    made = type("Failing", (Library,), {callback: fails})(whole.ffi, whole.lib, whole.version, whole.has)
    ours = over(made, monkeypatch).context(config(role, alpn=("h2",), serial=1)).session()
    theirs = tls.context(config("server" if role == "client" else "client", alpn=("h2",), serial=2)).session()
    client, server = (ours, theirs) if role == "client" else (theirs, ours)
    for _ in range(2):
        with pytest.raises(TlsError, match="a callback failed: RuntimeError"):
            handshake(client, server)
    assert ours.peer_certificate is None


def test_what_callbacks_that_raise_tell_wolfssl(tls: WolfsslTlsWrapper) -> None:
    whole = tls._library
    raising = dict.fromkeys(("_accept", "_receive", "_send", "_select"), fails)
    made = type("Failing", (Library,), raising)(whole.ffi, whole.lib, whole.version, whole.has)
    none = whole.ffi.NULL
    assert made.accept(0, none) == 0
    assert made.receive(none, none, 1, none) == made.send(none, none, 1, none) == wolfssl_library.CBIO_ERR_GENERAL
    assert made.select(none, none, none, none, 0, none) == wolfssl_library.TLSEXT_ERR_ALERT_FATAL
    assert isinstance(made.raised(), RuntimeError)
    assert made.raised() is None


def test_an_issuers_certificate_is_not_the_peers(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tls._library

    deep = Odd(whole.lib, wolfSSL_X509_STORE_CTX_get_error_depth=lambda _: 1)
    made = over(Library(whole.ffi, deep, whole.version, whole.has), monkeypatch)
    client, server = sessions(made, config("client"), config("server", serial=2))
    with pytest.raises(TlsError, match="presents no certificate"):
        handshake(client, server)


@pytest.mark.parametrize("answer", [0, 1])
def test_a_certificate_that_nobody_saw_is_none(
    tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    whole = tls._library
    blind = type("Blind", (Library,), {"_accept": lambda *_: answer})
    made = over(blind(whole.ffi, whole.lib, whole.version, whole.has), monkeypatch)
    for role in ("client", "server"):
        ours = made.context(config(role)).session()
        theirs = tls.context(config("server" if role == "client" else "client", serial=2)).session()
        client, server = (ours, theirs) if role == "client" else (theirs, ours)
        with pytest.raises(TlsError, match="presents no certificate" if answer else r"(?i)certificate|signer|self"):
            handshake(client, server)
        with pytest.raises(TlsError):
            ours.handshake()


def test_a_certificate_of_no_connection_is_not_taken(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tls._library
    lost = type("Lost", (Library,), {"leaf_certificate_to": lambda *_: contextlib.nullcontext()})
    made = over(lost(whole.ffi, whole.lib, whole.version, whole.has), monkeypatch)
    client, server = sessions(made, config("client"), config("server", serial=2))
    with pytest.raises(TlsError) as caught:
        handshake(client, server)
    assert "presents no certificate" not in caught.value.message  # it was refused before that


# --- other builds, settings ---------------------------------------------------------------------------------------
def test_a_build_without_exporter(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lesser(tls, monkeypatch, "exporter")
    assert not other.capabilities.exporter_with_context
    client, _ = connected(other)
    with pytest.raises(UnsupportedError, match="HAVE_KEYING_MATERIAL"):
        client.exporter("a label", b"", 32)


def test_a_build_without_alpn(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lesser(tls, monkeypatch, "alpn")
    assert not other.capabilities.alpn
    client, _ = connected(other)
    assert client.alpn is None
    with pytest.raises(ConfigurationError, match="ALPN"):
        other.context(config("client", alpn=("h2",)))


def test_what_the_library_does_not_take_is_told(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wolfssl, "_CIPHERS", b"TLS13-NONE-SUCH")
    with pytest.raises(ConfigurationError, match="does not take the cipher suites"):
        tls.context(config("client"))


@pytest.mark.parametrize(
    ("call", "answer", "words"),
    [
        ("wolfSSL_CTX_set1_sigalgs_list", 0, "does not take the signature algorithms"),
        ("wolfSSL_CTX_set_groups", 0, "does not take the groups"),
        ("wolfSSL_CTX_no_ticket_TLSv13", -173, "session tickets cannot be switched off"),
        ("wolfSSL_CTX_use_certificate_buffer", -140, "does not take the certificate: ASN parsing error"),
        ("wolfSSL_CTX_use_PrivateKey_buffer", -140, "does not take the private key: ASN parsing error"),
        ("wolfSSL_set0_verify_cert_store", 0, "does not take the certificate store"),
    ],
)
def test_settings_that_fail_are_told(
    tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, call: str, answer: int, words: str
) -> None:
    whole = tls._library
    odd = Odd(whole.lib, **{call: lambda *_: answer})
    made = over(Library(whole.ffi, odd, whole.version, whole.has), monkeypatch)
    with pytest.raises(ConfigurationError, match=words):
        made.context(config("server")).session()


@pytest.mark.parametrize("number", [0x05005004, 0x05006004, 0x05006006, 0x05008004])
def test_versions_with_known_defects_are_told(
    tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = tls._library
    odd = Odd(whole.lib, wolfSSL_lib_version_hex=lambda: number)
    made = over(Library(whole.ffi, odd, whole.version, whole.has), monkeypatch)
    assert ("known defects" in made.capabilities.caution) is (number < 0x05006006)


def test_advice_for_larger_certificates(tls: WolfsslTlsWrapper) -> None:
    able = replace(tls.capabilities, largest_certificate=5000)
    assert "-DMAX_CERTIFICATE_SZ=" in able.larger_certificates


# --- threads, memory ---------------------------------------------------------------------------------------------
def shake(clients: wolfssl.WolfsslTlsContext, servers: wolfssl.WolfsslTlsContext) -> None:
    client, server = clients.session(), servers.session()
    handshake(client, server)
    client.write(b"x")
    pump(client, server)
    assert server.read(1) == b"x"


def test_threads_share_contexts(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))
    done: list[int] = []

    def work() -> None:
        for _ in range(10):
            shake(clients, servers)
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4


def test_threads_that_end_leave_no_memory_behind(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))

    def end_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=shake, args=(clients, servers))
            thread.start()
            thread.join()

    end_threads(5)
    before = resident_bytes()
    end_threads(30)
    assert resident_bytes() - before < 8_000_000  # left behind they are 1.6 MB each


def test_connections_leave_no_memory_behind(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))

    def connections(count: int) -> None:
        for _ in range(count):
            shake(clients, servers)
            half, _ = clients.session(), servers.session()
            half.handshake()

    connections(100)
    before = resident_bytes()
    connections(400)
    assert resident_bytes() - before < 1_000_000


def test_a_wire_gives_bytes_once_and_in_order() -> None:
    wire = Wire()
    wire.feed(b"abc")
    assert [wire.take(2), wire.take(0)] == [b"ab", b""]
    wire.feed(bytearray(b"de"))
    assert [wire.take(9), wire.take(9)] == [b"cde", b""]
    wire.out += [b"x", b"y"]
    assert [wire.drain(), wire.drain()] == [b"xy", b""]


def test_a_wire_measures_the_records_that_are_due() -> None:
    wire = Wire()
    wire.out += [b"\x17\x03\x03\x00\x04none", b"\x17\x03\x03\x00\x01a\x17\x03\x03\x00\x02bc"]
    assert [wire.longest_record(at) for at in (0, 1, 2)] == [9, 7, 0]
