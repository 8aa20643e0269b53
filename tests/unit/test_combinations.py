"""Settings that wrappers cannot do are refused when the Context is made, and the nearest that they can is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.combinations import Needs, require_combination
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsContext
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.sides import CSV, SGX, TDX, context

P256 = KeyAlgorithm.EC_P256


class Lesser:
    """A TLS wrapper that lacks something."""

    name = "lesser"
    version = "1"

    def __init__(self, **lacks: object) -> None:
        self.capabilities: TlsCapabilities = replace(OpensslTlsWrapper().capabilities, **lacks)

    def context(self, config: TlsConfig) -> TlsContext:
        raise AssertionError(f"loaded for {config.role}")


@pytest.mark.parametrize(
    ("needs", "lacks", "said"),
    [
        (Needs(client=True), {"clients": False}, "does no clients; the nearest that does: tls='openssl'"),
        (
            Needs(mutual_server=True),
            {"mutual_server": False},
            (
                "cannot demand a client's certificate, which a server with a policy must; "
                "the nearest that does: tls='openssl'"
            ),
        ),
        (Needs(preamble=True), {"alpn": False}, "has no ALPN, without which there is no preamble; the nearest"),
        (Needs(memory=True), {"memory": False}, "makes no connections in memory; the nearest"),
        (
            Needs(key_algorithm=P256),
            {"key_algorithms": frozenset({KeyAlgorithm.RSA_3072})},
            "presents no ec-p256 keys; key_algorithm rsa-3072 works",
        ),
        (
            Needs(key_algorithm=P256, mutual_server=True),
            {"key_algorithms": frozenset({KeyAlgorithm.RSA_3072}), "mutual_server": False},
            "presents no ec-p256 keys and cannot demand",
        ),
    ],
)
def test_what_a_tls_wrapper_lacks(needs: Needs, lacks: dict[str, object], said: str) -> None:
    require_combination(needs, OpensslTlsWrapper(), OpensslCryptoWrapper())
    with pytest.raises(ConfigurationError) as caught:
        require_combination(needs, Lesser(**lacks), OpensslCryptoWrapper())
    assert str(caught.value).startswith(f"TLS wrapper lesser {said}")


def test_what_a_crypto_wrapper_lacks() -> None:
    for needs, said in (
        (Needs(judges=True), "verifies nothing; the nearest that does: crypto='openssl'"),
        (Needs(key_algorithm=P256), "makes no ec-p256 keys; the nearest that does: crypto='openssl'"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            require_combination(needs, OpensslTlsWrapper(), NullCryptoWrapper())
        assert str(caught.value) == f"crypto wrapper null {said}"


def test_another_key_is_nearer_than_another_library() -> None:
    with pytest.raises(ConfigurationError, match="openssl presents no sm2 keys; key_algorithm ec-p256 works"):
        context(SGX, TDX, key_algorithm=KeyAlgorithm.SM2, crypto="openssl")


def test_nothing_that_is_installed() -> None:
    needs = Needs(key_algorithm=KeyAlgorithm.RSA, preamble=True)
    with pytest.raises(ConfigurationError, match=r"presents no rsa keys and has no ALPN.*; no TLS wrapper"):
        require_combination(needs, Lesser(alpn=False), OpensslCryptoWrapper())


def test_null_tls_presents_any_key() -> None:
    require_combination(Needs(key_algorithm=P256), NullTlsWrapper(), OpensslCryptoWrapper())


@pytest.mark.parametrize(
    ("tls", "server_side", "said"),
    [
        ("stdlib", True, "TLS wrapper stdlib cannot demand a client's certificate"),
        ("rustls", True, "TLS wrapper rustls cannot demand a client's certificate"),
        ("rustls", False, "TLS wrapper rustls does no clients"),
    ],
)
def test_in_a_context(tls: str, server_side: bool, said: str) -> None:
    """In the role that it cannot have it is refused before anything is connected; in others it is not."""
    if ("tls_wrappers", tls) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", tls], install="what .ci/run installs")
    made = context(SGX, TDX, tls=tls)
    with pytest.raises(ConfigurationError, match=said):
        made.channel(server_side=server_side)


def test_caution_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    if ("tls_wrappers", "tlslite") in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", "tlslite"], install="what .ci/run installs")
    context(CSV, SGX, tls="tlslite")
    (line,) = (record.getMessage() for record in caplog.records if record.name == "rats_tls.context")
    assert line.startswith("TLS wrapper tlslite: not for production")
