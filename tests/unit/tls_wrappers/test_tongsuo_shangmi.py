"""The TLS wrapper `tongsuo` with SM2 certificates: RFC 8998, what it offers, and who else gets through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, SignatureError, TlsError
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.x509 import Certificate
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.channels import certificate, key
from support.gm import sm2_config
from support.tls import config, handshake, pump
from support.tongsuo import address, client_hello, connected, here, more_functions


@pytest.fixture
def tls() -> TongsuoTlsWrapper:
    return here()


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
                ffi, functions = more_functions("void SSL_CTX_disable_sm_tls13_strict(void *);")
                functions.SSL_CTX_disable_sm_tls13_strict(ffi.cast("void *", address(context)))

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
    ffi, functions = more_functions(
        "void SSL_CTX_set_msg_callback(void *, void (*)(int, int, int, const void *, size_t, void *, void *));"
    )

    def note(_out: int, _version: int, kind: int, data: Any, size: int, _ssl: Any, _: Any) -> None:
        if kind == 22:  # handshake
            messages.append(bytes(ffi.buffer(data, size)))

    callback = ffi.callback("void(int, int, int, const void *, size_t, void *, void *)", note)
    functions.SSL_CTX_set_msg_callback(ffi.cast("void *", int(address(context._context))), callback)
    return callback, functions
