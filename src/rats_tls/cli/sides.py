"""Turns a command's options into a Context, and tells what came of a connection."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from rats_tls.cli.options import load_policy, parse_claims
from rats_tls.cli.render import show_refusal, show_result
from rats_tls.context import Context
from rats_tls.core.documents import Json, refusal_document, result_document
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.core.results import AttestationResult
from rats_tls.files import load_endorsements, load_trust_anchors
from rats_tls.registry import SIMULATED_ATTESTERS, attester, simulated_attester


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOptions:
    """Options that `server` and `client` share, as given."""

    policy_file: Path | None
    trust_anchors: tuple[Path, ...]
    endorsements_files: tuple[Path, ...]
    attester: str | None
    tls: str
    crypto: str
    mutual: bool
    claims: tuple[str, ...]
    provide_endorsements: bool
    simulation: Path | None
    states: tuple[str, ...]


def make_context(options: SideOptions, *, default_attester: str | None) -> Context:
    """Make the Context that the options ask for.

    Raises:
        RatsTlsError: options or files that do not go together.
    """
    policy = load_policy(options.policy_file)
    for entry in policy.entries if policy is not None else ():
        if entry.tee is TeeType.NULL:
            click.echo(f"warning: policy entry {entry.name!r} accepts peers that prove nothing", err=True)
    return Context(
        policy=policy,
        attester=_make_attester(options, default_attester),
        mutual=True if options.mutual else None,
        tls=options.tls,
        crypto=options.crypto,
        trust_anchors=load_trust_anchors(*options.trust_anchors),
        endorsements=load_endorsements(*options.endorsements_files),
        provide_endorsements=options.provide_endorsements,
        custom_claims=parse_claims(options.claims),
    )


def _make_attester(options: SideOptions, default: str | None) -> Attester | None:
    name = options.attester or default
    if name not in SIMULATED_ATTESTERS:
        if options.states or options.simulation:
            raise click.UsageError(
                "--simulation and --simulate go with a simulated attester (--attester simulated_...)"
            )
        return attester(name) if name is not None else None
    if options.simulation is None:
        raise click.UsageError(f"--attester {name} needs --simulation DIRECTORY")
    return simulated_attester(name, options.simulation, parse_states(options.states))


def parse_states(states: tuple[str, ...]) -> dict[str, str | bool]:
    """Read the states of a simulated TEE: a bare name is a flag, else FIELD=VALUE.

    Raises:
        click.BadParameter: no name.
    """
    parsed: dict[str, str | bool] = {}
    for state in states:
        name, sign, value = state.partition("=")
        if not name:
            raise click.BadParameter(f"got {state!r}, expected NAME or FIELD=VALUE", param_hint="--simulate")
        parsed[name.replace("-", "_")] = value if sign else True
    return parsed


class Reporter:
    """Prints what happens, for a person or as JSON lines; safe to use from several threads."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(emoji=False)
        self._lock = threading.Lock()

    def event(self, name: str, text: str, **facts: Json) -> None:
        """Tell one event: `text` to a person, `name` and `facts` as JSON."""
        with self._lock:
            if self._as_json:
                _print_line({"event": name, **facts})
            else:
                self._console.print(text, markup=False, highlight=False)

    def accepted(self, result: AttestationResult | None, *, title: str) -> None:
        """Tell that a connection is accepted by both sides."""
        with self._lock:
            if self._as_json:
                _print_line({"event": "accepted", "peer": result_document(result) if result is not None else None})
            elif result is None:
                self._console.print(f"{title}: this side judges nobody", markup=False)
            else:
                show_result(self._console, result, title=title)

    def refused(self, error: RatsTlsError, *, title: str) -> None:
        """Tell that a connection was refused or failed."""
        with self._lock:
            if self._as_json:
                _print_line({"event": "refused", **refusal_document(error)})
            else:
                show_refusal(self._console, error, title=title)


def _print_line(document: Mapping[str, Json]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
