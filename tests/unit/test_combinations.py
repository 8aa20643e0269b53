"""Settings that wrappers cannot do are refused when the Context is made, and the nearest that they can is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.appraisers import make_appraiser
from rats_tls.combinations import Needs, require_combination
from rats_tls.context import Context
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsContext
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.tls_self_test import TriedTlsWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.policies import null_policy
from support.sides import CSV, SGX, TDX, context, policy_for

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
            "presents no ec-p256 keys; the nearest that does: tls='openssl'; here key_algorithm rsa-3072 works",
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


@pytest.mark.parametrize(
    ("tls", "crypto", "said"),
    [
        (
            "openssl",
            "openssl",
            r"openssl presents no sm2 keys; the nearest that does: tls='tongsuo', crypto='gm'; here",
        ),
        (
            "openssl",
            "gm",
            r"openssl presents no sm2 keys; the nearest that does: tls='tongsuo'; here key_algorithm ec-p256",
        ),
        (
            "tongsuo",
            "openssl",
            r"openssl makes no sm2 keys; the nearest that does: crypto='gm'; here key_algorithm ec-p",
        ),
    ],
)
def test_sm2_is_led_to_what_does_it(tls: str, crypto: str, said: str) -> None:
    for kind, name in (("tls_wrappers", "tongsuo"), ("crypto_wrappers", "gm")):
        if (kind, name) in UNAVAILABLE:
            lacking(UNAVAILABLE[kind, name], install="what .ci/run installs")
    with pytest.raises(ConfigurationError, match=said):
        context(SGX, TDX, key_algorithm=KeyAlgorithm.SM2, tls=tls, crypto=crypto)


def test_nothing_that_is_installed() -> None:
    needs = Needs(key_algorithm=KeyAlgorithm.RSA, preamble=True)
    with pytest.raises(ConfigurationError, match=r"presents no rsa keys and has no ALPN.*; no wrapper that is instal"):
        require_combination(needs, Lesser(alpn=False), OpensslCryptoWrapper())


def test_null_tls_presents_any_key() -> None:
    require_combination(Needs(key_algorithm=P256), NullTlsWrapper(), OpensslCryptoWrapper())


@pytest.mark.parametrize(
    ("tls", "attests", "judges", "said"),
    [
        (
            "rustls",
            SGX,
            TDX,
            (
                "as a client: TLS wrapper rustls does no clients; as a server: TLS wrapper rustls cannot demand a "
                "client's certificate, which a server with a policy must; the nearest that does: tls='openssl'"
            ),
        ),
        ("rustls", None, TDX, "TLS wrapper rustls does no clients; the nearest that does: tls='openssl'"),
    ],
)
def test_settings_that_fit_no_role(tls: str, attests: str | None, judges: str, said: str) -> None:
    if ("tls_wrappers", tls) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", tls], install="what .ci/run installs")
    with pytest.raises(ConfigurationError) as caught:
        context(attests, judges, tls=tls)
    assert str(caught.value) == said


def test_settings_that_fit_one_role() -> None:
    """In the role that it cannot have it is refused before anything is connected."""
    if ("tls_wrappers", "stdlib") in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", "stdlib"], install="what .ci/run installs")
    made = context(SGX, TDX, tls="stdlib")
    made.channel()
    said = "stdlib cannot demand a client's certificate, which a server with a policy must; the nearest that does: tls="
    with pytest.raises(ConfigurationError, match=said):
        made.listen(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("lacks", "settings", "said"),
    [
        ({"alpn": False}, {}, "TLS wrapper lesser has no ALPN, without which there is no preamble; the nearest"),
        ({"tls12": False}, {"allow_tls12": True}, "TLS wrapper lesser offers no TLS 1.2 with extended master secret"),
    ],
)
def test_what_settings_need(lacks: dict[str, object], settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        context(None, TDX, tls=TriedTlsWrapper(Lesser(**lacks), Lesser(**lacks).capabilities), **settings)


def test_a_policy_needs_a_crypto_wrapper_that_verifies() -> None:
    with pytest.raises(ConfigurationError, match="crypto wrapper null verifies nothing; the nearest that does: "):
        context(None, TDX, crypto="null")
    context(None, null_policy(), crypto="null")


def test_a_wrapper_that_makes_no_connections_in_memory() -> None:
    lesser = Lesser(memory=False, sockets=False)
    made = context(None, TDX, tls=TriedTlsWrapper(lesser, lesser.capabilities))
    with pytest.raises(ConfigurationError, match="TLS wrapper lesser makes no connections in memory; the nearest"):
        made.channel()
    with pytest.raises(ConfigurationError, match="TLS wrapper lesser makes no connections in memory; the nearest"):
        made.connect(("127.0.0.1", 1))


def test_caution_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    if ("tls_wrappers", "tlslite") in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", "tlslite"], install="what .ci/run installs")
    context(CSV, SGX, tls="tlslite")
    (line,) = (record.getMessage() for record in caplog.records if record.name == "rats_tls.context")
    assert line.startswith("TLS wrapper tlslite: not for production")


def test_what_is_without_protection_is_said(caplog: pytest.LogCaptureFixture) -> None:
    unbound = policy_for(SGX, bindings=(Binding.NONE,))
    context(SGX, unbound, tls="nulltls")
    Context(policy=null_policy(bindings=(Binding.NONE,)), tls="null", crypto="nullcrypto")
    lines = [record.getMessage() for record in caplog.records if record.name == "rats_tls.context"]
    said = "TLS wrapper null: nothing is encrypted, and no peer proves to hold a key"
    assert lines == [said, said, "crypto wrapper null: it makes no keys and verifies nothing"]


def test_a_server_by_rustls_is_warned_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What it lacks are clients, which are refused."""
    if ("tls_wrappers", "rustls") in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", "rustls"], install="what .ci/run installs")
    context(SGX, tls="rustls").channel(server_side=True)
    assert not [record for record in caplog.records if record.name == "rats_tls.context"]


@pytest.mark.parametrize("crypto", ["null", NullCryptoWrapper()], ids=["by name", "made"])
def test_who_judges_outside_a_connection_verifies(crypto: str | NullCryptoWrapper) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^crypto wrapper null verifies nothing; the nearest that does: crypto='openssl'$"
    ):
        make_appraiser(policy_for(SGX), crypto=crypto)
