"""Finds instances of the four kinds by name: built-in ones here, third parties' by entry point.

Entry points are loaded only when named; a name that a built-in has cannot be taken. `simulated_*` attesters need a
simulated world and come from `rats_tls.simulation`, which is imported only for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from rats_tls.core.errors import ConfigurationError, NoInstanceError, RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.extras import EXTRAS, pip_install
from rats_tls.core.interfaces import Attester, CryptoWrapper, Verifier
from rats_tls.core.text import did_you_mean
from rats_tls.core.tls import TlsWrapper

__all__ = [
    "ALIASES",
    "BUILT_IN",
    "EXTRAS",
    "SIMULATED_ATTESTERS",
    "attester",
    "crypto_wrapper",
    "instance_name",
    "instance_names",
    "is_reserved",
    "offered",
    "simulated_attester",
    "simulated_local_verifier",
    "tls_wrapper",
    "verifier",
    "verifiers",
]

_NOUNS = {
    "attesters": "attester",
    "verifiers": "verifier",
    "tls_wrappers": "TLS wrapper",
    "crypto_wrappers": "crypto wrapper",
}

BUILT_IN: dict[str, dict[str, str]] = {
    "attesters": {
        "sgx_ecdsa": "rats_tls.attesters.sgx_ecdsa:SgxEcdsaAttester",
        "sgx_la": "rats_tls.attesters.sgx_la:SgxLocalAttester",
        "tdx_ecdsa": "rats_tls.attesters.tdx_ecdsa:TdxEcdsaAttester",
        "sev_snp": "rats_tls.attesters.sev_snp:SevSnpAttester",
        "csv": "rats_tls.attesters.csv:CsvAttester",
        "sev": "rats_tls.attesters.sev:SevAttester",
        "null": "rats_tls.attesters.null:NullAttester",
    },
    "verifiers": {
        "sgx_ecdsa": "rats_tls.verifiers.sgx_ecdsa:SgxEcdsaVerifier",
        "sgx_ecdsa_qve": "rats_tls.verifiers.qve.verifier:SgxEcdsaQveVerifier",
        "qvl-host": "rats_tls.verifiers.qve.verifier:QvlHostVerifier",
        "tdx_ecdsa": "rats_tls.verifiers.tdx_ecdsa:TdxEcdsaVerifier",
        "sgx_la": "rats_tls.verifiers.sgx_la:SgxLocalVerifier",
        "sev_snp": "rats_tls.verifiers.sev_snp:SevSnpVerifier",
        "sev": "rats_tls.verifiers.sev:SevVerifier",
        "csv": "rats_tls.verifiers.csv:CsvVerifier",
        "null": "rats_tls.verifiers.null:NullVerifier",
    },
    "tls_wrappers": {
        "openssl": "rats_tls.tls_wrappers.openssl:OpensslTlsWrapper",
        "gnutls": "rats_tls.tls_wrappers.gnutls:GnutlsTlsWrapper",
        "tongsuo": "rats_tls.tls_wrappers.tongsuo:TongsuoTlsWrapper",
        "wolfssl": "rats_tls.tls_wrappers.wolfssl:WolfsslTlsWrapper",
        "rustls": "rats_tls.tls_wrappers.rustls:RustlsTlsWrapper",
        "stdlib": "rats_tls.tls_wrappers.stdlib:StdlibTlsWrapper",
        "tlslite": "rats_tls.tls_wrappers.tlslite:TlsliteTlsWrapper",
        "null": "rats_tls.tls_wrappers.null:NullTlsWrapper",
    },
    "crypto_wrappers": {
        "openssl": "rats_tls.crypto_wrappers.openssl:OpensslCryptoWrapper",
        "awslc": "rats_tls.crypto_wrappers.awslc:AwslcCryptoWrapper",
        "wolfcrypt": "rats_tls.crypto_wrappers.wolfcrypt:WolfcryptCryptoWrapper",
        "pycryptodome": "rats_tls.crypto_wrappers.pycryptodome:PycryptodomeCryptoWrapper",
        "gm": "rats_tls.crypto_wrappers.gm:GmCryptoWrapper",
        "null": "rats_tls.crypto_wrappers.null:NullCryptoWrapper",
    },
}
"""Kind, instance name, and `module:class`."""

ALIASES: dict[str, dict[str, str]] = {
    "attesters": {"nullattester": "null"},
    "verifiers": {"nullverifier": "null"},
    "tls_wrappers": {"nulltls": "null"},
    "crypto_wrappers": {"nullcrypto": "null"},
}
"""Kind, and names that C rats-tls has for an instance, with its name here."""

SIMULATED_ATTESTERS = (
    "simulated_sgx_ecdsa",
    "simulated_tdx_ecdsa",
    "simulated_sgx_la",
    "simulated_sev_snp",
    "simulated_sev",
    "simulated_csv",
)


def offered(kind: str) -> tuple[EntryPoint, ...]:
    """Give the entry points of a kind, by name; none of them is loaded."""
    return tuple(sorted(entry_points(group=f"rats_tls.{kind}"), key=lambda point: point.name))


def instance_names(kind: str) -> tuple[str, ...]:
    """Give the names of a kind's instances, those of other packages too; none of them is loaded."""
    simulated = SIMULATED_ATTESTERS if kind == "attesters" else ()
    return tuple(dict.fromkeys((*BUILT_IN[kind], *simulated, *(point.name for point in offered(kind)))))


def is_reserved(kind: str, name: str) -> bool:
    """Whether a name is a built-in's, an alias or a simulated attester's, so that no package can offer it."""
    return name in (*BUILT_IN[kind], *ALIASES[kind], *(SIMULATED_ATTESTERS if kind == "attesters" else ()))


def instance_name(kind: str, name: str) -> str:
    """Give the name of an instance that may be named by an alias."""
    return ALIASES[kind].get(name, name)


def attester(name: str, settings: Mapping[str, str] | None = None) -> Attester:
    """Make the attester `name`; `auto` picks the TEE that this process runs in, and blocks while it looks for it.

    Args:
        name: of a built-in one, or one of another package.
        settings: what a built-in one is to be told, as text (docs/attesters.md).

    Raises:
        ConfigurationError: a simulated attester, which needs a simulated world: see `simulated_attester`; a setting
            that is missing, that it does not have, or a value that it does not take.
        NoInstanceError: no such attester, or `auto` finds no TEE.
    """
    if name in SIMULATED_ATTESTERS:
        raise ConfigurationError(f"attester {name} needs a simulated world")
    given: dict[str, object] = {}
    if settings:
        read = importlib.import_module("rats_tls.attesters.settings").read_settings
        given = read(instance_name("attesters", name), settings)
    if name == "auto":
        picked: Attester = importlib.import_module("rats_tls.attesters.auto").pick()
        return picked
    made = _make("attesters", name, given)
    if not isinstance(made, Attester):
        raise _wrong_kind("attesters", name, made, "Attester")
    return made


def required_settings(name: str) -> Mapping[str, str]:
    """Give the settings without which the attester `name` cannot be made, and what each is, for people."""
    required: Mapping[str, Mapping[str, str]] = importlib.import_module("rats_tls.attesters.settings").REQUIRED
    return required.get(instance_name("attesters", name), {})


def simulated_attester(name: str, directory: Path, state: Mapping[str, object]) -> Attester:
    """Make a simulated attester from the simulated world in `directory`.

    Args:
        name: one of `SIMULATED_ATTESTERS`.
        directory: where the world was created.
        state: fields of the simulated TEE's state; values may be texts.

    Raises:
        ConfigurationError: no such world, field or value.
    """
    world = importlib.import_module("rats_tls.simulation.world")
    made: Attester = world.SimulatedWorld.load(directory).attester_from_texts(name, state)
    return made


def simulated_local_verifier(directory: Path) -> Verifier:
    """Make the Verifier of SGX local reports that asks the target enclave of a simulated world's first machine.

    Args:
        directory: where the world was created.

    Raises:
        ConfigurationError: no such world.
    """
    world = importlib.import_module("rats_tls.simulation.world").SimulatedWorld.load(directory)
    factory: Callable[..., Verifier] = _load("verifiers", "sgx_la")  # type: ignore[assignment]  # takes a target enclave
    return factory(world.target_enclave())


def verifiers(names: Iterable[TeeType] | None = None) -> dict[TeeType, Verifier]:
    """Make the built-in Verifiers of `names`, or all of them, by TEE type. Each has caches of its own.

    They are those that have the TEE type's name; others are used where they are named.
    """
    wanted = [tee for tee in TeeType if tee.value in BUILT_IN["verifiers"]] if names is None else list(names)
    return {tee: verifier(tee.value) for tee in wanted}


def verifier(name: str) -> Verifier:
    """Make the Verifier `name`. Raises NoInstanceError."""
    made = _make("verifiers", name)
    if not isinstance(made, Verifier):
        raise _wrong_kind("verifiers", name, made, "Verifier")
    return made


def tls_wrapper(name: str) -> TlsWrapper:
    """Make the TLS wrapper `name`. Raises NoInstanceError."""
    made = _make("tls_wrappers", name)
    if not isinstance(made, TlsWrapper):
        raise _wrong_kind("tls_wrappers", name, made, "TlsWrapper")
    return made


def crypto_wrapper(name: str) -> CryptoWrapper:
    """Make the crypto wrapper `name`. Raises NoInstanceError."""
    made = _make("crypto_wrappers", name)
    if not isinstance(made, CryptoWrapper):
        raise _wrong_kind("crypto_wrappers", name, made, "CryptoWrapper")
    return made


def _wrong_kind(kind: str, name: str, made: object, protocol: str) -> ConfigurationError:
    return ConfigurationError(f"{_NOUNS[kind]} {name!r}: {type(made).__name__} is no {protocol}")


def _make(kind: str, name: str, settings: Mapping[str, object] | None = None) -> object:
    factory = _load(kind, name)
    try:
        return factory(**(settings or {}))
    except RatsTlsError:
        raise
    except Exception as error:
        raise NoInstanceError(f"{_NOUNS[kind]} {name!r} cannot be made: {type(error).__name__}: {error}") from error


def _load(kind: str, name: str) -> Callable[..., object]:
    """Load the class or factory of an instance; only the one that is named is imported."""
    name = instance_name(kind, name)
    built_in = BUILT_IN[kind]
    offered = [point for point in entry_points(group=f"rats_tls.{kind}") if point.name == name]
    if name in built_in:
        if offered:
            raise ConfigurationError(f"{_NOUNS[kind]} {name!r} is built in; {offered[0].value} may not take its name")
        module, _, attribute = built_in[name].partition(":")
        try:
            factory: Callable[..., object] = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            advice = pip_install(kind, name)
            raise NoInstanceError(
                f"{_NOUNS[kind]} {name}: it does not load: {error}{'; ' if advice else ''}{advice}"
            ) from error
        return factory
    if len(offered) > 1:
        raise ConfigurationError(
            f"{_NOUNS[kind]} {name!r} is offered by several packages: {', '.join(point.value for point in offered)}"
        )
    if offered:
        try:
            loaded: Callable[..., object] = offered[0].load()
        except RatsTlsError:
            raise
        except Exception as error:
            raise NoInstanceError(f"{_NOUNS[kind]} {name!r} ({offered[0].value}) does not load: {error}") from error
        return loaded
    known = sorted(instance_names(kind))
    hint = did_you_mean(name, (*known, *ALIASES[kind]))
    raise NoInstanceError(
        f"{_NOUNS[kind]} {name!r} is not known here{f'{hint} There' if hint else '; there'} are {', '.join(known)}"
    )
