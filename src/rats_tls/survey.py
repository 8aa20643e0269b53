"""Finds out which instances can be used here, and why others cannot. Nothing of third parties is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from rats_tls import registry
from rats_tls._version import __version__
from rats_tls.attesters.auto import Detection, availability_of, detect
from rats_tls.core.documents import Json
from rats_tls.core.errors import NoInstanceError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, TeeType
from rats_tls.core.interfaces import Attester, Verifier
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.survey_wrappers import SPEED, crypto_capabilities, tls_capabilities

_DEFAULT_CRYPTO = "openssl"
_WORTH_NAMING = 1.3

__all__ = [
    "KINDS",
    "Detection",
    "Instance",
    "Origin",
    "Sm2Library",
    "State",
    "detect",
    "picked_attester",
    "sm2_libraries",
    "survey",
    "why_no_tee",
]

KINDS = ("attesters", "verifiers", "tls_wrappers", "crypto_wrappers")


class Origin(str, Enum):
    """Where an instance comes from."""

    BUILT_IN = "built in"
    SIMULATED = "simulated"
    PACKAGE = "package"


class State(str, Enum):
    """Whether an instance can be used here."""

    USABLE = "usable"
    NOT_USABLE = "not usable"
    NOT_LOADED = "not loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance of one kind.

    Attributes:
        kind: one of `KINDS`.
        name: its name.
        origin: where it comes from.
        state: whether it can be used here; of other packages' that is not known before somebody names them.
        note: what it is, or why it cannot be used.
        version: of the library underneath, or of this package.
        capabilities: what it can do, by name.
        proves: whether what goes through it can prove something; `null` and simulated instances prove nothing.
    """

    kind: str
    name: str
    origin: Origin
    state: State
    note: str
    version: str = ""
    capabilities: dict[str, Json] = field(default_factory=dict)
    proves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sm2Library:
    """One of the libraries that SM2 can be done with; the `openssl` crypto wrapper uses the first that is usable.

    Attributes:
        name: its back end's name.
        state: whether it can be used here.
        used: whether it is the one.
        note: why it cannot be used; else "".
        version: of the library, where it can be used.
    """

    name: str
    state: State
    used: bool = False
    note: str = ""
    version: str = ""


def survey(detected: tuple[Detection, ...] | None = None) -> tuple[Instance, ...]:
    """Give every instance of every kind, in the order of `KINDS`.

    Args:
        detected: what `detect` found; it is called where left out.
    """
    found_of = {each.attester: each for each in (detect() if detected is None else detected)}
    probes = {**_PROBES, "attesters": lambda name: _attester(name, found_of.get(name))}
    found: list[Instance] = []
    for kind in KINDS:
        found += [_built_in(kind, name, probes[kind]) for name in registry.BUILT_IN[kind]]
        if kind == "attesters":
            found += [_simulated(name) for name in registry.SIMULATED_ATTESTERS]
        found += _of_packages(kind)
    return tuple(found)


def fastest_crypto(found: tuple[Instance, ...]) -> tuple[str, float] | None:
    """Name the crypto wrapper in `found` that verifies fastest, and how many times as fast as the default one it is.

    None where it is the default one, or hardly faster.
    """
    rates = {
        instance.name: int(str(instance.capabilities.get(SPEED) or 0))
        for instance in found
        if instance.kind == "crypto_wrappers"
        and instance.state is State.USABLE
        and instance.capabilities.get("certificates", True)  # else a side that presents one cannot use it
    }
    name = max(rates, key=lambda each: rates[each], default=None)
    if name is None or not rates.get(_DEFAULT_CRYPTO) or rates[name] < _WORTH_NAMING * rates[_DEFAULT_CRYPTO]:
        return None
    return name, rates[name] / rates[_DEFAULT_CRYPTO]


def why_no_tee(detected: tuple[Detection, ...] | None = None) -> str | None:
    """Say why no built-in attester finds a TEE here; None when one does.

    Args:
        detected: as for `survey`.
    """
    found = detect() if detected is None else detected
    if any(each.availability.usable for each in found):
        return None
    return "; ".join(f"{each.attester}: {each.availability.told}" for each in found)


def picked_attester(detected: tuple[Detection, ...] | None = None) -> str | None:
    """Give the name of the attester that `auto` picks here; None where it finds no TEE.

    Args:
        detected: as for `survey`.
    """
    found = detect() if detected is None else detected
    return next((each.attester for each in found if each.availability.usable), None)


def sm2_libraries() -> tuple[Sm2Library, ...]:
    """Give every library that SM2 can be done with, in the order of preference. Loads and tests those that are here."""
    used = choosing.choose().back_end
    found = []
    for name in choosing.BACK_ENDS:
        try:
            version = choosing.probe(name).version
        except UnsupportedError as error:
            found.append(Sm2Library(name=name, state=State.NOT_USABLE, note=error.message))
        else:
            chosen = used is not None and used.name == name
            found.append(Sm2Library(name=name, state=State.USABLE, used=chosen, version=version))
    return tuple(found)


def _built_in(kind: str, name: str, probe: Callable[[str], _Facts]) -> Instance:
    state, version = State.USABLE, ""
    capabilities: dict[str, Json] = {}
    try:
        note, version, capabilities = probe(name)
    except RatsTlsError as error:
        state, note = State.NOT_USABLE, error.message
    except Exception as error:  # noqa: BLE001  # a library that does not load must not hide the other instances
        state, note = State.NOT_USABLE, f"{type(error).__name__}: {error}"
    return Instance(
        kind=kind,
        name=name,
        origin=Origin.BUILT_IN,
        state=state,
        note=note,
        version=version,
        capabilities=capabilities,
        proves=state is State.USABLE and name != "null",
    )


_Facts = tuple[str, str, dict[str, Json]]


def _attester(name: str, detected: Detection | None) -> _Facts:
    if name == "null":
        return _attester_facts(registry.attester(name))
    tee = TeeType(name)
    found = detected.availability if detected is not None else availability_of(name)
    if not found.usable:
        raise NoInstanceError(found.told)
    return f"Evidence of {NAMES_BY_TEE[tee].title}, by {found.told}", __version__, {"evidence": tee.value}


def _attester_facts(made: Attester) -> _Facts:
    if made.tee_type is TeeType.NULL:
        return "collects no Evidence", __version__, {"evidence": None}
    return f"Evidence of {NAMES_BY_TEE[made.tee_type].title}", __version__, {"evidence": made.tee_type.value}


def _verifier(name: str) -> _Facts:
    made: Verifier = registry.verifier(name)
    why: str | None = getattr(made, "why_unusable", None)
    if why is not None:
        raise NoInstanceError(why)
    if made.tee_type is TeeType.CSV:
        choosing.chosen()
    if made.tee_type is TeeType.NULL:
        return "for peers without Evidence; verifies nothing", __version__, {"evidence": None}
    return f"Evidence of {NAMES_BY_TEE[made.tee_type].title}", __version__, {"evidence": made.tee_type.value}


def _tls_wrapper(name: str) -> _Facts:
    made = registry.tls_wrapper(name)
    able = made.capabilities
    does = "TLS" if able.encrypts else "no TLS"
    return _with_caution(does, able.caution), made.version, tls_capabilities(made)


def _crypto_wrapper(name: str) -> _Facts:
    made = registry.crypto_wrapper(name)
    able = made.capabilities
    does = "keys, signatures, certificates" if able.verifies else "hashes only"
    if without := sorted(key.value for key in able.generates - able.certificates):
        advice = f": {able.more_certificates}" if able.more_certificates else ""
        does = does if able.certificates else "keys, signatures"
        does += f"; no certificates for {', '.join(without)} keys{advice}"
    return _with_caution(does, able.caution), made.version, crypto_capabilities(made)


def _with_caution(does: str, caution: str) -> str:
    return f"{does}; {caution}" if caution else does


_PROBES: dict[str, Callable[[str], _Facts]] = {
    "verifiers": _verifier,
    "tls_wrappers": _tls_wrapper,
    "crypto_wrappers": _crypto_wrapper,
}


def _simulated(name: str) -> Instance:
    tee_type = TeeType(name.removeprefix("simulated_"))
    return Instance(
        kind="attesters",
        name=name,
        origin=Origin.SIMULATED,
        state=State.USABLE,
        note=f"{NAMES_BY_TEE[tee_type].title}; with --simulation DIRECTORY; proves nothing",
        version=__version__,
        capabilities={"evidence": tee_type.value},
    )


def _of_packages(kind: str) -> list[Instance]:
    offered = registry.offered(kind)
    names = [point.name for point in offered]
    found = []
    for point in offered:
        package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "a package"
        state, note = State.NOT_LOADED, f"{point.value} of {package}; loaded when it is named"
        if registry.is_reserved(kind, point.name):
            state, note = State.NOT_USABLE, f"{point.value} of {package}: the name is built in and may not be taken"
        elif names.count(point.name) > 1:
            state, note = State.NOT_USABLE, f"{point.value} of {package}: several packages offer this name"
        version = point.dist.version if point.dist is not None else ""
        found.append(
            Instance(kind=kind, name=point.name, origin=Origin.PACKAGE, state=state, note=note, version=version)
        )
    return found
