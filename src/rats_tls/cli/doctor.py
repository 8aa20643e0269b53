"""`rats-tls doctor`: which instances can be used on this machine, and why others cannot."""

from __future__ import annotations

import platform

import click

from rats_tls._version import __version__
from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Cell, Screen, Styled
from rats_tls.core.documents import Json, to_json
from rats_tls.core.refusals import ExitCode
from rats_tls.survey import (
    KINDS,
    Instance,
    Sm2Library,
    State,
    detect,
    fastest_crypto,
    picked_attester,
    sm2_libraries,
    survey,
    why_no_tee,
)

SCHEMA = "rats-tls/doctor/1"
_TITLES = {
    "attesters": "Attesters",
    "verifiers": "Verifiers",
    "tls_wrappers": "TLS wrappers",
    "crypto_wrappers": "Crypto wrappers",
}
_STYLES = {State.USABLE: "green", State.NOT_USABLE: "red", State.NOT_LOADED: "yellow"}
_TABLES = ("tls_wrappers", "crypto_wrappers")
"""Kinds whose capabilities differ enough for a table."""


@click.command(epilog=examples("rats-tls doctor", "rats-tls doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def doctor(as_json: bool) -> None:
    """Show what can be used on this machine, and why the rest cannot.

    Each instance of each kind is listed with its version and what it can do. Instances of other packages are named
    but not loaded. A machine without a TEE is a good one: it judges peers, and attests with simulated TEEs.

    Exit code 0 if something of each kind can be used, else 6.
    """
    detected = detect()
    found = survey(detected)
    no_tee, picked = why_no_tee(detected), picked_attester(detected)
    sm2 = sm2_libraries()
    fastest = fastest_crypto(found)
    lacking = [kind for kind in KINDS if not _works(kind, found)]
    screen = Screen()
    if as_json:
        screen.document(
            {
                "schema": SCHEMA,
                "version": __version__,
                "python": platform.python_version(),
                "machine": _machine(),
                "usable": not lacking,
                "lacking": to_json(lacking),
                "tee": no_tee is None,
                "no_tee_because": no_tee,
                "attester": picked,
                "fastest_crypto": fastest[0] if fastest is not None else None,
                "instances": to_json(found),
                "sm2": to_json(sm2),
            }
        )
    else:
        screen.line(Styled(f"rats-tls {__version__}", "bold"), f", Python {platform.python_version()}, ", _machine())
        for kind in KINDS:
            _show_kind(screen, kind, [instance for instance in found if instance.kind == kind])
        _show_sm2(screen, sm2)
        screen.line()
        if picked is None:
            screen.line(
                Styled("no TEE", "yellow"),
                ": this machine can judge peers; it can attest with simulated TEEs only.",
                hanging=0,
            )
        else:
            screen.line(Styled("TEE", "green"), f": attester auto picks {picked}", hanging=0)
        if fastest is not None:
            name, times = fastest
            screen.line(
                Styled("fastest", "green"),
                f": crypto wrapper {name} verifies P-384 {times:.1f} times as fast as the default: --crypto {name}",
                hanging=0,
            )
        for kind in lacking:
            screen.line(Styled("problem", "red"), f": {_TITLES[kind]}: none can be used here", hanging=0)
        if not lacking:
            screen.line(Styled("good", "green"), ": something of each kind can be used here.", hanging=0)
    if lacking:
        raise click.exceptions.Exit(int(ExitCode.NO_INSTANCE))


def _works(kind: str, found: tuple[Instance, ...]) -> bool:
    """Whether something of a kind can be used; an attester need not prove anything, the others must."""
    usable = [instance for instance in found if instance.kind == kind and instance.state is State.USABLE]
    return any(instance.proves or kind == "attesters" for instance in usable)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"


def _show_kind(screen: Screen, kind: str, found: list[Instance]) -> None:
    screen.line()
    screen.line(Styled(_TITLES[kind], "bold"))
    rows: list[list[Cell]] = []
    for instance in found:
        version = instance.version if kind in _TABLES and instance.version != "none" else ""
        text = "; ".join(part for part in (instance.note, version) if part)
        rows.append([instance.name, Styled(instance.state.value, _STYLES[instance.state]), text])
    screen.columns(rows)
    able = [instance for instance in found if instance.capabilities]
    if kind in _TABLES and able:
        for some in _side_by_side(able, screen.width):
            screen.line()
            table: list[list[Cell]] = [["", *(instance.name for instance in some)]]
            table += [
                [name, *(_word(instance.capabilities.get(name)) for instance in some)] for name in some[0].capabilities
            ]
            screen.columns(table)


def _side_by_side(able: list[Instance], width: int | None) -> list[list[Instance]]:
    """Part instances into groups whose tables fit the width."""
    labels = 2 + max(len(name) for name in able[0].capabilities)
    groups: list[list[Instance]] = [[]]
    used = labels
    for instance in able:
        needed = 2 + max(len(text) for text in (instance.name, *map(_word, instance.capabilities.values())))
        if width is not None and groups[-1] and used + needed > width:
            groups.append([])
            used = labels
        groups[-1].append(instance)
        used += needed
    return groups


def _show_sm2(screen: Screen, libraries: tuple[Sm2Library, ...]) -> None:
    screen.line()
    screen.line(Styled("libraries for SM2", "bold"), " (Hygon CSV); the first that is usable is used")
    rows: list[list[Cell]] = []
    for library in libraries:
        text = "; ".join(part for part in ("used" if library.used else "", library.note, library.version) if part)
        rows.append([library.name, Styled(library.state.value, _STYLES[library.state]), text])
    screen.columns(rows)


def _word(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value is not None else ""
