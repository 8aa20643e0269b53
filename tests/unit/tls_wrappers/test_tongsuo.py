"""What is peculiar to the TLS wrapper `tongsuo`: RFC 8998, TLS 1.2, its library's numbers and failures."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, SignatureError, TlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsConfig, TlsSession
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.x509 import Certificate
from rats_tls.tls_wrappers import tongsuo_library
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.c_layout import measured
from support.channels import certificate, key
from support.commands import environment
from support.endurance import resident_bytes
from support.gm import sm2_config
from support.machine import lacking
from support.tls import StdlibPeer, config, handshake, pump

MEGABYTE = 1 << 20
OP_NO_EXTENDED_MASTER_SECRET = 1  # openssl/ssl.h of OpenSSL 3, SSL_OP_BIT(0)


@pytest.fixture
def tls() -> TongsuoTlsWrapper:
    try:
        return TongsuoTlsWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="rats-tls[tongsuo]")


def connected(tls: TongsuoTlsWrapper, client: TlsConfig, server: TlsConfig) -> tuple[TlsSession, TlsSession]:
    ends = tls.context(client).session("server.example"), tls.context(server).session()
    handshake(*ends)
    return ends


def client_hello(session: TlsSession) -> tuple[bytes, dict[int, bytes]]:
    """Cipher suites and extensions of the ClientHello that is due (RFC 8446 4.1.2)."""
    session.handshake()
    body = session.data_to_send()[5 + 4 + 2 + 32 :]
    body = body[1 + body[0] :]
    size = int.from_bytes(body[:2], "big")
    suites, body = bytes(body[2 : 2 + size]), body[2 + size :]
    body = body[1 + body[0] + 2 :]
    extensions = {}
    while body:
        size = int.from_bytes(body[2:4], "big")
        extensions[int.from_bytes(body[:2], "big")] = bytes(body[4 : 4 + size])
        body = body[4 + size :]
    return suites, extensions


class TestShangMi:
    def test_both_ends(self, tls: TongsuoTlsWrapper) -> None:
        mine, theirs = sm2_config("client", serial=1), sm2_config("server", serial=2)
        client, server = connected(tls, mine, theirs)
        assert (client.peer_certificate, server.peer_certificate) == (theirs.certificate, mine.certificate)
        facts = client.facts()
        assert facts == server.facts()
        assert (facts.version, facts.cipher, facts.group) == ("TLSv1.3", "TLS_SM4_GCM_SM3", "curveSM2")
        assert facts.hash is HashAlgorithm.SM3
        assert client.exporter("a label", b"x", 64) == server.exporter("a label", b"x", 64)
        client.write(b"a" * 100_000)
        pump(client, server)
        assert server.read(16) == b"a" * 16

    def test_the_largest_certificate(self, tls: TongsuoTlsWrapper) -> None:
        size = tls.capabilities.largest_certificate
        client, server = connected(tls, sm2_config("client", size=size), sm2_config("server", size=size, serial=2))
        assert size - 2 <= len(client.peer_certificate or b"") <= size
        assert size - 2 <= len(server.peer_certificate or b"") <= size

    @pytest.mark.parametrize("allow_tls12", [False, True])
    def test_an_sm2_client_offers_nothing_else(self, tls: TongsuoTlsWrapper, allow_tls12: bool) -> None:
        suites, extensions = client_hello(tls.context(replace(sm2_config("client"), allow_tls12=allow_tls12)).session())
        assert suites == bytes.fromhex("00c6 00ff")  # RFC 8998 2; RFC 5746's signal
        assert extensions[10] == bytes.fromhex("0002 0029")  # curveSM2, RFC 8998 3.3.1.1
        assert extensions[13] == bytes.fromhex("0002 0708")  # sm2sig_sm3
        assert extensions[43] == bytes.fromhex("02 0304")
        assert extensions[51][2:4] == bytes.fromhex("0029")

    def test_a_client_without_sm2_certificate_offers_both(self, tls: TongsuoTlsWrapper) -> None:
        suites, extensions = client_hello(tls.context(config("client")).session())
        assert suites == bytes.fromhex("1302 1303 1301 00c6 00ff")
        assert extensions[10] == bytes.fromhex("0008 001d 0017 0018 0029")
        assert extensions[13].endswith(bytes.fromhex("0708"))
        client, server = connected(tls, config("client"), config("server", serial=2))
        assert client.facts().cipher == server.facts().cipher == "TLS_AES_256_GCM_SHA384"

    def test_an_sm2_server_that_demands_no_certificate(self, tls: TongsuoTlsWrapper) -> None:
        theirs = replace(sm2_config("server"), request_peer_certificate=False)
        for mine in (config("client"), config("client", present=False)):
            client, server = connected(tls, mine, theirs)
            assert client.facts().hash is HashAlgorithm.SM3
            assert client.peer_certificate == theirs.certificate
            assert server.peer_certificate is None

    def test_an_sm2_server_takes_no_other_key_of_a_client(self, tls: TongsuoTlsWrapper) -> None:
        client, server = tls.context(config("client")).session(), tls.context(sm2_config("server")).session()
        with pytest.raises(TlsError, match="certificate"):
            handshake(client, server)
        client.receive_from_wire(server.data_to_send())
        assert client.handshake()
        with pytest.raises(TlsError) as caught:
            client.read(1)
        assert caught.value.peer_alert == "certificate_required"

    @pytest.mark.parametrize("gm_server", [False, True])
    def test_a_peer_that_does_not_do_it(self, tls: TongsuoTlsWrapper, gm_server: bool) -> None:
        other = OpensslTlsWrapper()
        client = (other.context(config("client")) if gm_server else tls.context(sm2_config("client"))).session()
        server = (tls.context(sm2_config("server")) if gm_server else other.context(config("server"))).session()
        with pytest.raises(TlsError, match="cipher"):
            handshake(client, server)
        client.receive_from_wire(server.data_to_send())
        with pytest.raises(TlsError) as caught:
            client.handshake()
        assert caught.value.peer_alert == "handshake_failure"

    def test_a_server_that_mixes_it_with_other_keys(self, tls: TongsuoTlsWrapper) -> None:
        """RFC 8998 3.3: its suite goes with sm2sig_sm3 alone."""

        class Lax(TongsuoTlsWrapper):
            def _offer(self, context: Any, offer: Any) -> None:
                super()._offer(context, replace(offer, suites=b"TLS_SM4_GCM_SM3", groups=b"SM2:X25519"))
                ffi = __import__("cffi").FFI()
                ffi.cdef("void SSL_CTX_disable_sm_tls13_strict(void *);")
                functions = ffi.dlopen(str(tongsuo_library._path()))
                functions.SSL_CTX_disable_sm_tls13_strict(ffi.cast("void *", _address(context)))

        client, server = tls.context(config("client")).session(), Lax().context(config("server")).session()
        with pytest.raises(TlsError):
            handshake(client, server)

    @pytest.mark.parametrize("side", ["client", "server"])
    def test_a_handshake_that_was_changed(self, tls: TongsuoTlsWrapper, side: str) -> None:
        client, server = tls.context(sm2_config("client")).session(), tls.context(sm2_config("server")).session()
        client.handshake()
        server.receive_from_wire(client.data_to_send())
        server.handshake()
        flight = bytearray(server.data_to_send())
        if side == "client":
            flight[-1] ^= 1
            client.receive_from_wire(flight)
            with pytest.raises(TlsError):
                client.handshake()
            return
        client.receive_from_wire(flight)
        client.handshake()
        flight = bytearray(client.data_to_send())
        flight[-1] ^= 1
        server.receive_from_wire(flight)
        with pytest.raises(TlsError):
            server.handshake()

    def test_the_signature_is_by_the_user_id_of_tls(self, tls: TongsuoTlsWrapper) -> None:
        """RFC 8998 3.2.1, over the transcript as RFC 8446 4.4.3 signs it; another library verifies."""
        theirs = sm2_config("server")
        messages: list[bytes] = []
        context = tls.context(sm2_config("client"))
        keep = _messages_into(context, messages)
        client, server = context.session(), tls.context(theirs).session()
        handshake(client, server)
        at = next(n for n, message in enumerate(messages) if message[0] == 15)  # CertificateVerify
        scheme, signature = messages[at][4:6], messages[at][8:]
        assert scheme == bytes.fromhex("0708")
        crypto = OpensslCryptoWrapper()
        transcript = crypto.digest(HashAlgorithm.SM3, b"".join(messages[:at]))
        signed = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + transcript
        point = Certificate.from_der(theirs.certificate or b"").spki[-64:]
        crypto.load_sm2_point(point, b"TLSv1.3+GM+Cipher+Suite").verify(SignatureAlgorithm.SM2_SM3, signature, signed)
        with pytest.raises(SignatureError):
            crypto.load_sm2_point(point, b"1234567812345678").verify(SignatureAlgorithm.SM2_SM3, signature, signed)
        assert keep is not None

    def test_key_and_certificate_must_fit(self, tls: TongsuoTlsWrapper) -> None:
        good, other = sm2_config("server"), sm2_config("server", other_key=True)
        for certificate_, private in (
            (good.certificate, other.private_key),
            (good.certificate, key(KeyAlgorithm.EC_P256).pkcs8()),
            (certificate(), good.private_key),
            ((good.certificate or b"") + b"\0", good.private_key),
            (good.certificate, (good.private_key or b"") + b"\0"),
            (good.certificate, b""),
        ):
            with pytest.raises(ConfigurationError):
                tls.context(replace(good, certificate=certificate_, private_key=private))


def _messages_into(context: Any, messages: list[bytes]) -> object:
    """Keep the handshake messages of a context's connections. Gives what must live as long."""
    ffi = __import__("cffi").FFI()
    ffi.cdef("void SSL_CTX_set_msg_callback(void *, void (*)(int, int, int, const void *, size_t, void *, void *));")
    functions = ffi.dlopen(str(tongsuo_library._path()))

    def note(_out: int, _version: int, kind: int, data: Any, size: int, _ssl: Any, _: Any) -> None:
        if kind == 22:  # handshake
            messages.append(bytes(ffi.buffer(data, size)))

    callback = ffi.callback("void(int, int, int, const void *, size_t, void *, void *)", note)
    functions.SSL_CTX_set_msg_callback(ffi.cast("void *", int(_address(context._context))), callback)
    return callback, functions


def _address(pointer: Any) -> int:
    ffi = __import__("cffi").FFI()
    return int(ffi.cast("uintptr_t", pointer))


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
        ffi = __import__("cffi").FFI()
        ffi.cdef("int SSL_renegotiate(void *); unsigned long SSL_clear_options(void *, unsigned long);")
        functions = ffi.dlopen(str(tongsuo_library._path()))
        asking = ffi.cast("void *", _address(client._ssl))
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


def test_a_certificate_is_given_once_its_key_is_proved(tls: TongsuoTlsWrapper) -> None:
    client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    for end, other in ((client, server), (server, client)):
        assert end.peer_certificate is None
        flight = other.data_to_send()
        while flight:
            size = 5 + int.from_bytes(flight[3:5], "big")
            end.receive_from_wire(flight[:size])
            flight = flight[size:]
            assert end.handshake() is (not flight)
            assert (end.peer_certificate is None) is bool(flight)


def test_a_server_sends_nothing_behind_its_handshake(tls: TongsuoTlsWrapper) -> None:
    """Not even tickets that hold nothing."""
    client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert server.handshake()
    assert server.data_to_send() == b""


class TestErrors:
    """The queue of errors is shared with whoever calls the same library in the thread."""

    def leave_one(self, tls: TongsuoTlsWrapper) -> None:
        ffi, functions = tls._library.ffi, tls._library.functions
        der = ffi.new("unsigned char[]", b"\x30\x00")
        assert functions.d2i_X509(ffi.NULL, ffi.new("const unsigned char **", der), 2) == ffi.NULL

    def test_one_of_somebody_else_is_none_of_a_connection(self, tls: TongsuoTlsWrapper) -> None:
        client, server = tls.context(config("client")).session(), tls.context(config("server")).session()
        self.leave_one(tls)
        assert not server.handshake()
        handshake(client, server)
        for end, other in ((client, server), (server, client)):
            self.leave_one(tls)
            assert end.read(1) is None
            self.leave_one(tls)
            end.write(b"!")
            other.receive_from_wire(end.data_to_send())
            assert other.read(2) == b"!"
        self.leave_one(tls)
        client.close()
        self.leave_one(tls)
        tls.context(sm2_config("client"))

    def test_none_is_left(self, tls: TongsuoTlsWrapper) -> None:
        client, server = tls.context(config("client", present=False)).session(), tls.context(config("server")).session()
        with pytest.raises(TlsError, match="peer did not return a certificate"):
            handshake(client, server)
        assert tls._library.functions.ERR_get_error() == 0
        with pytest.raises(ConfigurationError):
            tls.context(replace(sm2_config("server"), certificate=b"none"))
        assert tls._library.functions.ERR_get_error() == 0

    def test_only_its_tls_part_tells_of_alerts(self, tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        reason = tongsuo_library.Reason(of_tls=False, number=1048, text="something else")
        monkeypatch.setattr(tls._library, "reason", lambda: reason)
        session = tls.context(config("server")).session()
        session.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TlsError, match="something else") as caught:
            session.handshake()
        assert caught.value.peer_alert is None

    @pytest.mark.parametrize(
        "data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"]
    )
    def test_what_is_no_tls(self, tls: TongsuoTlsWrapper, data: bytes) -> None:
        session = tls.context(config("server")).session()
        session.receive_from_wire(data)
        with pytest.raises(TlsError, match="does not speak TLS"):
            session.handshake()

    def test_a_peer_that_leaves_within_the_handshake(self, tls: TongsuoTlsWrapper) -> None:
        session = tls.context(config("client")).session()
        session.handshake()
        session.receive_from_wire(bytes.fromhex("15 0303 0002 0100"))  # close_notify
        with pytest.raises(TlsError, match="close_notify") as caught:
            session.handshake()
        assert not caught.value.truncated
        assert caught.value.peer_alert == "close_notify"

    def test_what_needs_a_complete_handshake(self, tls: TongsuoTlsWrapper) -> None:
        session = tls.context(config("client")).session()
        session.close()
        assert session.data_to_send() == b""
        for attempt in (lambda: session.write(b"early"), session.facts):
            with pytest.raises(TlsError, match="not complete"):
                attempt()


def test_no_authentication_after_the_handshake_is_offered(tls: TongsuoTlsWrapper) -> None:
    _, extensions = client_hello(tls.context(config("client")).session())
    assert 49 not in extensions  # post_handshake_auth, RFC 8446 4.2.6: a request is then an unexpected message


@pytest.mark.parametrize("size", [66_000, 200_000])
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_certificate_that_is_too_large_is_refused(tls: TongsuoTlsWrapper, role: str, size: int) -> None:
    peer = StdlibPeer(server_side=role == "client", context=_presenting(certificate(size=size), role == "client"))
    session = tls.context(config(role)).session()
    with pytest.raises(TlsError, match="excessive message size"):
        _exchange(session, peer)


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_largest_certificate_that_is_read(tls: TongsuoTlsWrapper, role: str) -> None:
    der = certificate(size=DEFAULT_LIMITS.certificate_read)
    peer = StdlibPeer(server_side=role == "client", context=_presenting(der, role == "client"))
    session = tls.context(config(role)).session()
    _exchange(session, peer)
    assert session.peer_certificate == der


def _exchange(session: TlsSession, peer: StdlibPeer) -> None:
    for _ in range(4):
        session.handshake()
        peer.feed(session.data_to_send())
        peer.advance()
        session.receive_from_wire(peer.output())


def _presenting(der: bytes, server_side: bool) -> ssl.SSLContext:
    import tempfile

    context = StdlibPeer(server_side=server_side).context
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "peer.pem")
        private = ssl.DER_cert_to_PEM_cert(key(KeyAlgorithm.EC_P256).pkcs8()).replace("CERTIFICATE", "PRIVATE KEY")
        path.write_text(private + ssl.DER_cert_to_PEM_cert(der))
        context.load_cert_chain(path)
    return context


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("refusing", ["client", "server"])
def test_a_callback_that_raises_refuses(tls: TongsuoTlsWrapper, refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = tls.context(config("client")).session(), tls.context(config("server", serial=2)).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    server.handshake()
    client.receive_from_wire(server.data_to_send())
    if refusing == "server":
        client.handshake()
        server.receive_from_wire(client.data_to_send())
    monkeypatch.setattr(tongsuo_library, "_ACCEPT", "no number: cffi raises")
    with pytest.raises(TlsError, match="certificate verify failed"):
        (client if refusing == "client" else server).handshake()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_alpn_callback_that_raises_refuses(tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = (
        tls.context(config(role, alpn=("rats-tls/1",), serial=number))
        for number, role in enumerate(("client", "server"), 1)
    )
    monkeypatch.setattr(
        tls._library, "functions", SimpleNamespace(**{**_functions(tls), "SSL_select_next_proto": None})
    )
    broken = tls.context(config("server", alpn=("rats-tls/1",), serial=2))
    with pytest.raises(TlsError):
        handshake(client.session(), broken.session())
    handshake(client.session(), server.session())


def _functions(tls: TongsuoTlsWrapper) -> dict[str, Any]:
    return {name: getattr(tls._library.functions, name) for name in dir(tls._library.functions)}


class TestLibrary:
    def test_the_package_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tongsuo_library.load.cache_clear()
        monkeypatch.setattr(tongsuo_library, "find_spec", lambda _: None)
        try:
            with pytest.raises(NoInstanceError, match=r"tongsuopy is not installed; pip install 'rats-tls\[tongsuo\]'"):
                TongsuoTlsWrapper()
        finally:
            tongsuo_library.load.cache_clear()

    @pytest.mark.parametrize("path", ["/nowhere/_tongsuo.so", "libm.so.6", "libssl.so.3"])
    def test_a_library_that_is_another(self, path: str) -> None:
        with pytest.raises(NoInstanceError, match="TLS wrapper tongsuo: the library in tongsuopy does not load"):
            tongsuo_library._loaded(Path(path))

    def test_a_library_of_another_series(self, tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tongsuo_library, "_SERIES", 0x30000)
        with pytest.raises(NoInstanceError, match=r"is OpenSSL 1\.1\.1h .* expected one made from"):
            tongsuo_library._loaded(tongsuo_library._path())

    def test_its_version_names_both(self, tls: TongsuoTlsWrapper) -> None:
        assert re.match(r"tongsuopy \d+\.\d+\.\d+, OpenSSL 1\.1\.1", tls.version)

    def test_no_configuration_of_openssl_is_read(self, tls: TongsuoTlsWrapper, tmp_path: Path) -> None:
        (tmp_path / "openssl.cnf").write_text(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nVerifyMode = Require\n"
        )
        program = """
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.tls import config, handshake
tls = TongsuoTlsWrapper()
ends = [tls.context(config(role, present=role == "server", mutual=False)).session() for role in ("client", "server")]
handshake(*ends)
"""
        settings = {
            **environment(),
            "OPENSSL_CONF": str(tmp_path / "openssl.cnf"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        subprocess.run([sys.executable, "-c", program], env=settings, check=True, timeout=60)

    def test_numbers(self, tmp_path: Path) -> None:
        """Those of 1.1.1 are also those of OpenSSL 3."""
        prefixes = {
            **dict.fromkeys(("CTRL_", "MODE_", "OP_", "SESS_", "VERIFY_", "ERROR_", "R_", "AD_"), "SSL_"),
            **dict.fromkeys(("TLSEXT_", "TLS1_", "NID_", "BIO_"), ""),
            **dict.fromkeys(("INIT_", "NPN_"), "OPENSSL_"),
        }
        other = {
            "TLSEXT_ERR_OK": "SSL_TLSEXT_ERR_OK",
            "TLSEXT_ERR_ALERT_FATAL": "SSL_TLSEXT_ERR_ALERT_FATAL",
            "TLSEXT_ERR_NOACK": "SSL_TLSEXT_ERR_NOACK",
            "TLSEXT_NAMETYPE_HOST_NAME": "TLSEXT_NAMETYPE_host_name",
            "NID_X9_62_PRIME256V1": "NID_X9_62_prime256v1",
            "NID_SECP384R1": "NID_secp384r1",
            "NID_SM2": "NID_sm2",
            "LIB_SSL": "ERR_LIB_SSL",
        }
        own = {
            name: value
            for name, value in vars(tongsuo_library).items()
            if name.isupper() and name != "SPACE" and not name.startswith("_") and isinstance(value, int)
        }
        expressions = {
            name: other.get(name)
            or next(before + name for prefix, before in prefixes.items() if name.startswith(prefix))
            for name in own
        }
        headers = ("openssl/ssl.h", "openssl/err.h", "openssl/obj_mac.h")
        assert measured(tmp_path, expressions, headers=headers) == own
        assert len(own) > 30


class TestEndurance:
    def test_nothing_is_kept_of_connections(self, tls: TongsuoTlsWrapper) -> None:
        clients = tls.context(config("client", alpn=("a",)))
        servers = tls.context(config("server", serial=2, alpn=("a",)))

        def work(times: int) -> None:
            for _ in range(times):
                client, server = clients.session("server.example"), servers.session()
                handshake(client, server)
                assert client.facts().group
                assert client.peer_certificate
                client.exporter("a label", b"", 32)
                server.receive_from_wire(b"\x17\x03\x03\x00\x04none")
                with pytest.raises(TlsError):
                    server.read(1)

        work(150)
        before = resident_bytes()
        work(500)
        assert resident_bytes() - before < MEGABYTE / 2

    def test_nothing_is_kept_of_contexts(self, tls: TongsuoTlsWrapper) -> None:
        configs = [sm2_config("client"), replace(config("server"), alpn=("a", "b"))]

        def work(times: int) -> None:
            for _ in range(times):
                for each in configs:
                    tls.context(each).session()

        work(150)
        before = resident_bytes()
        work(500)
        assert resident_bytes() - before < MEGABYTE / 2

    def test_threads_share_contexts(self, tls: TongsuoTlsWrapper) -> None:
        clients, servers = tls.context(sm2_config("client")), tls.context(sm2_config("server", serial=2))

        def once(number: int) -> bytes | None:
            client, server = clients.session(), servers.session()
            handshake(client, server)
            client.write(number.to_bytes(2, "big") * 10_000)
            pump(client, server)
            read = b""
            while data := server.read(65_536):
                read += data
            return read

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(once, range(60)))
        assert answers == [number.to_bytes(2, "big") * 10_000 for number in range(60)]
