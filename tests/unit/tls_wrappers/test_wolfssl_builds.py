"""The `wolfssl` wrapper over what other builds lack, and callbacks that raise."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from rats_tls.core.errors import ConfigurationError, TlsError, UnsupportedError
from rats_tls.tls_wrappers import wolfssl, wolfssl_library
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from rats_tls.tls_wrappers.wolfssl_library import Library
from support.tls import config, connected, handshake, sessions
from support.wolfssl import Odd, here, lesser, over


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    return here()


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
