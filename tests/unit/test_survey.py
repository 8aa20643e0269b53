"""Which instances can be used here, and why others cannot."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from rats_tls import registry
from rats_tls.core.errors import ConfigurationError, NoInstanceError, UnsupportedError
from rats_tls.crypto_wrappers import certificate_building
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.survey import KINDS, Instance, Origin, State, fastest_crypto, sm2_libraries, survey
from rats_tls.survey_wrappers import SPEED
from support.instances import CRYPTO_WRAPPERS, TLS_WRAPPERS, UNAVAILABLE
from support.machine import lacking
from support.sides import SGX, context


class Unloadable(EntryPoint):
    """Of a package that must not be loaded by looking."""

    def load(self) -> object:
        raise AssertionError("loaded")


def found(kind: str, name: str) -> list[Instance]:
    return [instance for instance in survey() if (instance.kind, instance.name) == (kind, name)]


def offer(monkeypatch: pytest.MonkeyPatch, *offered: tuple[str, str]) -> None:
    def points(*, group: str) -> list[EntryPoint]:
        return [Unloadable(name, "third.party:Thing", group) for kind, name in offered if group == f"rats_tls.{kind}"]

    monkeypatch.setattr("rats_tls.registry.entry_points", points)


def test_every_instance_of_every_kind() -> None:
    assert tuple(registry.BUILT_IN) == KINDS
    names = {(instance.kind, instance.name) for instance in survey()}
    assert {(kind, name) for kind in KINDS for name in registry.BUILT_IN[kind]} <= names
    assert {("attesters", name) for name in registry.SIMULATED_ATTESTERS} <= names


def test_what_proves_nothing_is_told_apart() -> None:
    proving = {(instance.kind, instance.name) for instance in survey() if instance.proves}
    assert proving == {
        *(("verifiers", name) for name in ("sgx_ecdsa", "tdx_ecdsa", "sev_snp", "sev", "csv")),
        *(("tls_wrappers", tls.name) for tls in TLS_WRAPPERS if tls.name != "null"),
        *(("crypto_wrappers", crypto.name) for crypto in CRYPTO_WRAPPERS),
    }


def test_capabilities_are_tried() -> None:
    (openssl,), (null,) = found("crypto_wrappers", "openssl"), found("crypto_wrappers", "null")
    assert [name for name, able in openssl.capabilities.items() if not able] == ["sm2 keys"]
    assert not any(null.capabilities.values())
    assert openssl.capabilities.keys() == null.capabilities.keys()
    assert "OpenSSL" in openssl.version


def test_libraries_for_sm2(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_one_alone(name: str) -> object:
        if name == "gmalg":
            return probe(name)
        raise UnsupportedError(f"no {name}")

    probe = choosing.probe
    monkeypatch.setattr(choosing, "_found", {})
    monkeypatch.setattr(choosing, "probe", of_one_alone)
    first, second, last = sm2_libraries()
    assert (first.name, first.state, first.used, first.note) == ("libcrypto", State.NOT_USABLE, False, "no libcrypto")
    assert (second.name, second.note) == ("tongsuo", "no tongsuo")
    assert (last.name, last.state, last.used, last.note) == ("gmalg", State.USABLE, True, "")
    assert last.version.startswith("gmalg ")
    (openssl,), (null,) = found("crypto_wrappers", "openssl"), found("crypto_wrappers", "null")
    assert openssl.capabilities["SM2 signatures"] is True
    assert null.capabilities["SM2 signatures"] is False


@pytest.mark.parametrize("error", [NoInstanceError("no such library"), ImportError("no such library")])
def test_a_built_in_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(name: str) -> object:
        raise error

    monkeypatch.setattr("rats_tls.registry.tls_wrapper", fails)
    (openssl,) = found("tls_wrappers", "openssl")
    assert (openssl.state, openssl.proves) == (State.NOT_USABLE, False)
    assert openssl.note.endswith("no such library")
    (crypto,) = found("crypto_wrappers", "openssl")
    assert crypto.state is State.USABLE


def test_other_packages_are_named_and_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("attesters", "third"), ("verifiers", "twice"), ("verifiers", "twice"))
    (third,) = found("attesters", "third")
    assert (third.origin, third.state, third.proves) == (Origin.PACKAGE, State.NOT_LOADED, False)
    assert third.note.startswith("third.party:Thing of ")
    assert [instance.state for instance in found("verifiers", "twice")] == [State.NOT_USABLE] * 2


@pytest.mark.parametrize(
    ("kind", "name"), [("attesters", "null"), ("attesters", "simulated_sev_snp"), ("crypto_wrappers", "nullcrypto")]
)
def test_names_that_no_package_can_offer(monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    offer(monkeypatch, (kind, name))
    (theirs,) = [instance for instance in found(kind, name) if instance.origin is Origin.PACKAGE]
    assert theirs.state is State.NOT_USABLE
    assert "the name is built in" in theirs.note


@pytest.mark.parametrize("name", ["awslc", "wolfcrypt", "pycryptodome", "gm"])
def test_what_makes_no_certificates_says_so_and_is_not_recommended(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ("crypto_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["crypto_wrappers", name], install="what .ci/run installs")
    monkeypatch.setattr(certificate_building, "find_spec", lambda _: None)
    (default,), (made,) = found("crypto_wrappers", "openssl"), found("crypto_wrappers", name)
    assert made.state is State.USABLE
    assert made.note.endswith(f" keys: pip install 'rats-tls[{name}]'")
    assert made.capabilities["certificates"] is (name == "gm")  # whose other keys are openssl's
    if name != "gm":
        assert not registry.crypto_wrapper(name).capabilities.certificates
        fast = replace(made, capabilities={**made.capabilities, SPEED: 100_000_000})
        assert fastest_crypto((default, fast)) is None
        with pytest.raises(
            ConfigurationError, match=rf"no certificates for ec-p256 keys: pip .*\[{name}\]'; .*openssl'"
        ):
            context(SGX, crypto=name)


def test_the_fastest_crypto_wrapper_is_named_where_it_is_worth_it() -> None:
    def wrapper(name: str, rate: int, state: State = State.USABLE) -> Instance:
        return Instance(
            kind="crypto_wrappers",
            name=name,
            origin=Origin.BUILT_IN,
            state=state,
            note="",
            capabilities={SPEED: rate},
        )

    default = wrapper("openssl", 1000)
    assert fastest_crypto((default, wrapper("slow", 500), wrapper("fast", 3100))) == ("fast", 3.1)
    assert fastest_crypto((default, wrapper("a little faster", 1200), wrapper("slow", 500))) is None
    assert fastest_crypto((default, wrapper("not here", 9000, State.NOT_USABLE))) is None
    assert fastest_crypto((wrapper("fast", 3100),)) is None
    assert fastest_crypto(()) is None
