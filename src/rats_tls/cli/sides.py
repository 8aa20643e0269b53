"""Turns a command's options into a Context, and tells what came of a connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.lookups import LookupOptions
from rats_tls.cli.options import parse_claims
from rats_tls.cli.render import show_failure, show_refusal, show_result
from rats_tls.cli.screen import Screen, Styled, print_error
from rats_tls.cli.streams import OutputError
from rats_tls.cli.verifiers import chosen_verifiers
from rats_tls.context import Context
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.documents import Json, refusal_document, result_document
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester, Verifier
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.files import load_endorsements, load_policy, load_trust_anchors
from rats_tls.registry import SIMULATED_ATTESTERS, attester, required_settings, simulated_attester

_FAILURES = frozenset(
    {
        *(Refusal.CONFIGURATION, Refusal.NO_INSTANCE, Refusal.COLLECTION, Refusal.TLS, Refusal.CONNECTION),
        *(Refusal.TIMEOUT, Refusal.INTERNAL),
    }
)
"""Ends of a connection that are nobody's judgement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOptions:
    """Options that `server` and `client` share, as given."""

    policy_file: Path | None
    trust_anchors: tuple[Path, ...]
    endorsements_files: tuple[Path, ...]
    lookup: LookupOptions
    attester: str | None
    attester_options: tuple[str, ...]
    verifier: str | None
    simulated_target_enclave: Path | None
    tls: str
    crypto: str
    key_algorithm: str
    mutual: bool
    claims: tuple[str, ...]
    endorsements: bool
    simulation: Path | None
    states: tuple[str, ...]

    @classmethod
    def taken_from(cls, parameters: dict[str, Any]) -> SideOptions:
        """Make them of a command's parameters."""
        return cls(lookup=LookupOptions.taken_from(parameters), **parameters)


def make_context(options: SideOptions, *, default_attester: str | None) -> Context:
    """Make the Context that the options ask for.

    Raises:
        RatsTlsError: options or files that do not go together.
    """
    policy = load_policy(options.policy_file) if options.policy_file is not None else None
    verifiers: dict[TeeType, Verifier] | None = None
    if policy is not None:
        policy, verifiers = chosen_verifiers(policy, options.verifier, options.simulated_target_enclave)
    elif options.verifier is not None or options.simulated_target_enclave is not None:
        named = "--verifier" if options.verifier is not None else "--simulated-target-enclave"
        raise click.UsageError(f"{named} needs --policy FILE: it narrows a policy and replaces none")
    for entry in policy.entries if policy is not None else ():
        if entry.tee is TeeType.NULL:
            Screen(stderr=True).line(
                Styled("warning", "yellow"), f": policy entry {entry.name!r} accepts peers that prove nothing"
            )
    return Context(
        policy=policy,
        attester=_own_attester(options, default_attester),
        mutual=True if options.mutual else None,
        verifiers=verifiers,
        tls=options.tls,
        crypto=options.crypto,
        key_algorithm=KeyAlgorithm(options.key_algorithm),
        trust_anchors=load_trust_anchors(*options.trust_anchors),
        endorsements=options.lookup.endorsements(load_endorsements(*options.endorsements_files)),
        provide_endorsements=options.endorsements,
        custom_claims=parse_claims(options.claims),
    )


def make_attester(name: str, settings: tuple[str, ...], simulation: Path | None, states: tuple[str, ...]) -> Attester:
    """Make the Attester that the options ask for.

    Args:
        name: of `--attester`.
        settings: of `--attester-option`.
        simulation: of `--simulation`.
        states: of `--simulate`.

    Raises:
        RatsTlsError: it cannot be made.
        click.UsageError: options that do not go together.
    """
    if not name:
        raise click.BadParameter("the name is empty", param_hint="--attester")
    if name not in SIMULATED_ATTESTERS:
        if states or simulation:
            raise _not_simulated()
        if settings and name == "auto":
            raise _of_no_attester()
        parsed = _parse_settings(settings)
        for wanted, meaning in required_settings(name).items():
            if wanted not in parsed:
                raise click.UsageError(f"--attester {name} needs --attester-option {wanted}={meaning}")
        return attester(name, parsed)
    if settings:
        raise click.UsageError("--attester-option goes with the attester of a TEE; of simulated ones --simulate is")
    if simulation is None:
        raise click.UsageError(f"--attester {name} needs --simulation DIRECTORY")
    return simulated_attester(name, simulation, parse_states(states))


def _own_attester(options: SideOptions, default: str | None) -> Attester | None:
    """Make the Attester of this side, if it has any. Raises as `make_attester`."""
    name = default if options.attester is None else options.attester
    if name is not None:
        return make_attester(name, options.attester_options, options.simulation, options.states)
    if options.states or options.simulation:
        raise _not_simulated()
    if options.attester_options:
        raise _of_no_attester()
    return None


def _not_simulated() -> click.UsageError:
    return click.UsageError("--simulation and --simulate go with a simulated attester (--attester simulated_...)")


def _of_no_attester() -> click.UsageError:
    return click.UsageError("--attester-option goes with --attester NAME: it is a setting of that one")


def _parse_settings(settings: tuple[str, ...]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not name or not sign:
            raise click.BadParameter(f"got {setting[:80]!r}, expected NAME=VALUE", param_hint="--attester-option")
        key = name.replace("-", "_")
        if key in parsed:
            raise click.BadParameter(f"{name[:40]} is given twice", param_hint="--attester-option")
        if not value:
            raise click.BadParameter(f"{name[:40]} is empty", param_hint="--attester-option")
        parsed[key] = value
    return parsed


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
    """Prints what happens, for a person or as JSON lines; safe to use from several threads.

    Attributes:
        serving: whether this side serves many: a failed connection is then an event of its log and not the end of the
            command, and it goes on when nobody takes its output.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.serving = False
        self._as_json = as_json
        self._screen = Screen()
        self._lock = threading.Lock()

    def event(self, name: str, text: str, **facts: Json) -> None:
        """Tell one event: `text` to a person, `name` and `facts` as JSON."""
        with self._telling():
            if self._as_json:
                self._screen.document({"event": name, **facts})
            else:
                self._screen.line(text)

    def accepted(self, result: AttestationResult | None, *, title: str) -> None:
        """Tell that a connection is accepted by both sides."""
        with self._telling():
            if self._as_json:
                peer = result_document(result) if result is not None else None
                self._screen.document({"event": "accepted", "address": address_of(title), "peer": peer})
            elif result is None:
                self._screen.line(f"{title}: this side judges nobody")
            else:
                show_result(self._screen, result, title=title)

    @contextmanager
    def preparing(self, address: str) -> Iterator[None]:
        """Within it, an error that is raised is told to programs, as a failed connection is; people see it anyway."""
        try:
            yield
        except RatsTlsError as error:
            if self._as_json:
                self._screen.document(_failure_document(error, address))
            raise

    def ended(self, error: RatsTlsError, *, title: str) -> None:
        """Tell that a connection was refused, by either side, or failed."""
        failed = error.refusal in _FAILURES
        with self._telling():
            if self._as_json and failed:
                self._screen.document(_failure_document(error, address_of(title)))
            elif self._as_json:
                self._screen.document({"event": "refused", "address": address_of(title), **refusal_document(error)})
            elif not failed:
                show_refusal(self._screen, error, title=title)
            elif self.serving:
                show_failure(self._screen, error, title=title)
            if failed and not self.serving:
                print_error(error.refusal.label, f"{title}: {error.message}")
            Screen(stderr=True).traceback(error)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OutputError as error:
                if not self.serving:
                    raise
                Screen(stderr=True).line(Styled("warning", "yellow"), f": {error}; going on without output")


def _failure_document(error: RatsTlsError, address: str) -> dict[str, Json]:
    return {"event": "failed", "address": address, **refusal_document(error), "verdict": "failed"}


def address_text(address: object) -> str:
    """Give a socket's address as people write it."""
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(title: str) -> str:
    """Give the address in a title such as "client 127.0.0.1:1234"."""
    return title.partition(" ")[2]
