"""Finding instances by name: built-in ones, and third parties' by entry point."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rats_tls import registry
from rats_tls.attesters.null import NullAttester
from rats_tls.core.errors import ConfigurationError, DecodeError, NoInstanceError, RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester, CryptoWrapper, Verifier
from rats_tls.core.tls import TlsWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.tls_wrappers import tongsuo_library
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper

FINDERS: dict[str, Callable[[str], object]] = {
    "attesters": registry.attester,
    "verifiers": registry.verifier,
    "tls_wrappers": registry.tls_wrapper,
    "crypto_wrappers": registry.crypto_wrapper,
}
PROTOCOLS = {"attesters": Attester, "verifiers": Verifier, "tls_wrappers": TlsWrapper, "crypto_wrappers": CryptoWrapper}


BUILT_IN_HERE = [
    (kind, name)
    for kind in FINDERS
    for name in registry.BUILT_IN[kind]
    # Intel's library is needed, or settings.
    if name not in {"sgx_ecdsa_qve", "qvl-host"} and (kind, name) not in {("attesters", "sgx_la"), ("attesters", "sev")}
]


class Third:
    """An Attester of a third party."""

    name = "third"
    tee_type = TeeType.SEV_SNP

    def collect(self, report_data: bytes) -> None:
        return None


class NotAnAttester:
    """Lacks what an Attester has."""


def raises_of_its_own() -> None:
    raise DecodeError("Plugin", "", None, "says no")


def fails() -> None:
    raise ValueError("no device")


@dataclass
class Offered:
    """Stands for the installed packages; counts what is loaded."""

    points: dict[str, list[EntryPoint]] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, value: str = "unit.test_registry:Third") -> None:
        offered = self

        class Counting(EntryPoint):
            def load(self) -> object:
                offered.loaded.append(self.name)
                return super().load()

        self.points.setdefault(f"rats_tls.{kind}", []).append(Counting(name, value, f"rats_tls.{kind}"))

    def __call__(self, *, group: str) -> list[EntryPoint]:
        return self.points.get(group, [])


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Offered:
    found = Offered()
    monkeypatch.setattr("rats_tls.registry.entry_points", found)
    return found


@pytest.mark.parametrize(("kind", "name"), BUILT_IN_HERE)
def test_built_in_instances(kind: str, name: str) -> None:
    made = FINDERS[kind](name)
    assert isinstance(made, PROTOCOLS[kind])
    assert made.name == name


def test_the_defaults_are_what_they_are_called() -> None:
    assert isinstance(registry.tls_wrapper("openssl"), OpensslTlsWrapper)
    assert isinstance(registry.crypto_wrapper("openssl"), OpensslCryptoWrapper)
    assert isinstance(registry.attester("null"), NullAttester)


def test_verifiers_by_tee_type() -> None:
    made = registry.verifiers([TeeType.SGX_ECDSA, TeeType.TDX_ECDSA])
    assert {tee: verifier.tee_type for tee, verifier in made.items()} == {
        TeeType.SGX_ECDSA: TeeType.SGX_ECDSA,
        TeeType.TDX_ECDSA: TeeType.TDX_ECDSA,
    }
    named = {"sgx_ecdsa_qve", "qvl-host"}  # used by their names alone
    assert {str(tee) for tee in registry.verifiers()} == set(registry.BUILT_IN["verifiers"]) - named
    assert not named & {made.name for made in registry.verifiers().values()}


def test_verifiers_share_no_cache() -> None:
    one, other = (registry.verifiers([TeeType.SGX_ECDSA])[TeeType.SGX_ECDSA] for _ in range(2))
    assert one is not other


@pytest.mark.parametrize("kind", FINDERS)
def test_an_unknown_name_lists_what_there_is(kind: str, offered: Offered) -> None:
    noun = {"tls_wrappers": "TLS wrapper", "crypto_wrappers": "crypto wrapper"}.get(kind, kind.removesuffix("s"))
    with pytest.raises(NoInstanceError, match=f"^{noun} 'missing' is not known here; there are ") as caught:
        FINDERS[kind]("missing")
    assert all(name in str(caught.value) for name in registry.BUILT_IN[kind])
    assert offered.loaded == []


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        ("tls_wrappers", "gnutsl", "gnutls"),
        ("tls_wrappers", "nultls", "nulltls"),
        ("crypto_wrappers", "opensl", "openssl"),
        ("verifiers", "sev-snp", "sev_snp"),
        ("attesters", "simulated-tdx", "simulated_tdx_ecdsa"),
    ],
)
def test_a_name_that_is_nearly_one(kind: str, name: str, meant: str) -> None:
    with pytest.raises(NoInstanceError, match=f"'{name}' is not known here, did you mean '{meant}'\\? There are "):
        FINDERS[kind](name)


@pytest.mark.parametrize(("kind", "name"), registry.EXTRAS)
def test_what_installs_a_missing_library(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one form, whether a wrapper says so or its module does not load."""
    packages = {"tongsuo": "tongsuopy", "rustls": "rtls", "awslc": "awscrt", "pycryptodome": "Crypto"}
    advice = rf"rapper {name}: .*; pip install 'rats-tls\[{registry.EXTRAS[kind, name]}\]'$"
    if name not in {"wolfcrypt", "gm"}:  # their libraries are not Python's
        package = packages.get(name, name)
        for module in [package, *(each for each in sys.modules if each.startswith(f"{package}."))]:
            monkeypatch.setitem(sys.modules, module, None)
        if name == "tongsuo":
            monkeypatch.setattr("rats_tls.native.tongsuo.find_spec", lambda _: None)
            monkeypatch.setattr("rats_tls.tls_wrappers.tongsuo.load", tongsuo_library.load.__wrapped__)
        with pytest.raises(NoInstanceError, match=advice):
            FINDERS[kind](name)
    monkeypatch.setitem(sys.modules, registry.BUILT_IN[kind][name].partition(":")[0], None)
    with pytest.raises(NoInstanceError, match=advice):
        FINDERS[kind](name)


def test_no_tee_is_never_the_null_attester(offered: Offered) -> None:
    with pytest.raises(NoInstanceError, match="no TEE"):
        registry.attester("auto")


def test_a_third_partys_instance_runs_when_named(offered: Offered) -> None:
    offered.add("attesters", "third")
    offered.add("attesters", "other", "no.such.module:Thing")
    assert registry.attester("null").name == "null"
    assert offered.loaded == []
    assert registry.attester("third").tee_type is TeeType.SEV_SNP
    assert offered.loaded == ["third"]


def test_the_kind_is_part_of_the_name(offered: Offered) -> None:
    offered.add("attesters", "third")
    with pytest.raises(NoInstanceError, match="'third' is not known"):
        registry.verifier("third")


@pytest.mark.parametrize(
    ("kind", "name"), [("attesters", "null"), ("verifiers", "sgx_ecdsa"), ("tls_wrappers", "openssl")]
)
def test_a_built_in_name_cannot_be_taken(kind: str, name: str, offered: Offered) -> None:
    offered.add(kind, name)
    with pytest.raises(ConfigurationError, match=r"is built in; unit\.test_registry:Third may not take its name"):
        FINDERS[kind](name)
    assert offered.loaded == []


@pytest.mark.parametrize("name", registry.SIMULATED_ATTESTERS)
def test_a_simulated_name_cannot_be_taken(name: str, offered: Offered) -> None:
    offered.add("attesters", name)
    with pytest.raises(ConfigurationError, match="needs a simulated world"):
        registry.attester(name)
    assert offered.loaded == []


def test_two_packages_with_one_name(offered: Offered) -> None:
    offered.add("attesters", "third")
    offered.add("attesters", "third", "elsewhere:Third")
    with pytest.raises(ConfigurationError, match=r"several packages: unit\.test_registry:Third, elsewhere:Third"):
        registry.attester("third")
    assert offered.loaded == []


@pytest.mark.parametrize("value", ["no.such.module:Thing", "unit.test_registry:NoSuchName"])
def test_a_plug_in_that_does_not_load(value: str, offered: Offered) -> None:
    offered.add("attesters", "broken", value)
    with pytest.raises(NoInstanceError, match=r"'broken' \(.*\) does not load: ") as caught:
        registry.attester("broken")
    assert isinstance(caught.value.__cause__, ImportError | AttributeError)


def test_a_plug_in_that_cannot_be_made(offered: Offered) -> None:
    offered.add("attesters", "broken", "unit.test_registry:fails")
    with pytest.raises(NoInstanceError, match="'broken' cannot be made: ValueError: no device"):
        registry.attester("broken")


def test_a_plug_in_that_is_of_another_kind(offered: Offered) -> None:
    offered.add("attesters", "odd", "unit.test_registry:NotAnAttester")
    with pytest.raises(ConfigurationError, match="NotAnAttester is no Attester"):
        registry.attester("odd")


def test_our_errors_pass_through(offered: Offered) -> None:
    offered.add("attesters", "own", "unit.test_registry:raises_of_its_own")
    with pytest.raises(DecodeError, match="says no"):
        registry.attester("own")


def test_a_simulated_attester_needs_its_world(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs a simulated world"):
        registry.attester("simulated_sgx_ecdsa")
    with pytest.raises(RatsTlsError):
        registry.simulated_attester("simulated_sgx_ecdsa", tmp_path / "absent", {})


def test_naming_built_in_instances_imports_no_simulation() -> None:
    code = (
        "import sys; from rats_tls import registry; registry.attester('null'); registry.verifiers(); "
        "registry.tls_wrapper('openssl'); registry.crypto_wrapper('openssl'); "
        "print([name for name in sys.modules if 'simulation' in name])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("kind", "alias"), [(kind, alias) for kind in FINDERS for alias in registry.ALIASES[kind]])
def test_names_of_c_rats_tls(kind: str, alias: str, offered: Offered) -> None:
    """An alias is the built-in it stands for; nobody else can offer it."""
    offered.add(kind, alias)
    assert FINDERS[kind](alias).name == registry.ALIASES[kind][alias] == "null"  # type: ignore[attr-defined]  # all have one
    assert offered.loaded == []
