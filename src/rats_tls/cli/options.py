"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from rats_tls.cli.screen import Screen
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.explanation import document_schema

_F = TypeVar("_F", bound=Callable[..., object])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MARGIN = timedelta(hours=1)
_KEY_ALGORITHMS = tuple(key.value for key in KeyAlgorithm if key is not KeyAlgorithm.RSA)
LOG_LEVEL_VARIABLE = "RATS_TLS_GLOBAL_LOG_LEVEL"
_LOG_LEVELS = {
    "off": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
"""The levels of C rats-tls."""


def _debug(_ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        logging.getLogger().setLevel(logging.DEBUG)


def debug_option(command: _F) -> _F:
    """Add --debug; `rats_tls.cli.screen.debugging` tells of it."""
    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_debug,
        help="Show debug messages, and the traceback of errors and refusals.",
    )(command)


def _log_level(_ctx: click.Context, _parameter: click.Parameter, name: str | None) -> None:
    # --debug, which comes first, asks for more than any level.
    if name is not None and not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger().setLevel(_LOG_LEVELS[name])


def trust_anchors_option(command: _F) -> _F:
    """Add --trust-anchors."""
    return click.option(
        "--trust-anchors",
        type=_FILE,
        multiple=True,
        metavar="FILE",
        help="Root certificates (PEM) to trust beside the vendors' own, such as those of simulated TEEs.",
    )(command)


def endorsements_file_option(command: _F) -> _F:
    """Add --endorsements-file."""
    return click.option(
        "--endorsements-file",
        "endorsements_files",
        type=_FILE,
        multiple=True,
        metavar="FILE",
        help="Endorsements: Intel JSON bundle, AMD or PCK certificates (PEM, DER), CRL, certificate table.",
    )(command)


def event_log_option(command: _F) -> _F:
    """Add --event-log."""
    return click.option(
        "--event-log",
        type=_FILE,
        metavar="FILE",
        help="Event log of bare Evidence: CCEL's data, or dstack's JSON. It must replay to the registers.",
    )(command)


def simulated_target_enclave_option(command: _F) -> _F:
    """Add --simulated-target-enclave."""
    return click.option(
        "--simulated-target-enclave",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIRECTORY",
        help="Simulated world whose machine checks SGX local reports (sgx_la). It proves nothing.",
    )(command)


def judging_options(command: _F) -> _F:
    """Add the options of a command that judges a peer or Evidence."""
    for option in reversed(
        (
            click.option("--policy", "policy_file", type=_FILE, metavar="FILE", help="Appraisal Policy (TOML)."),
            trust_anchors_option,
            endorsements_file_option,
            simulated_target_enclave_option,
            click.option("--json", "as_json", is_flag=True, help="Print JSON documents, one a line."),
            debug_option,
        )
    ):
        command = option(command)
    return command


def _print_schema(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        Screen().verbatim(json.dumps(document_schema(), indent=2) + "\n")
        ctx.exit()


def explaining_options(command: _F) -> _F:
    """Add the options that say in which forms a verdict is told."""
    for option in reversed(
        (
            click.option("--checks", is_flag=True, help="List every check, one a line."),
            click.option(
                "--explain",
                is_flag=True,
                help="Explain every check: expected, got, source; what was not checked; how far the TCB is behind.",
            ),
            click.option(
                "--claims",
                is_flag=True,
                help="List every claim, of refused Evidence too: the values to pin in a policy.",
            ),
            click.option(
                "--html",
                "html_file",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Write the explanation as one HTML page besides.",
            ),
            click.option(
                "--ear",
                "ear_key",
                type=_FILE,
                metavar="KEY.pem",
                help="Print an EAR instead, signed with this private key (P-256 or P-384).",
            ),
            click.option(
                "--json-schema",
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_schema,
                help="Print the JSON Schema of --json documents and exit.",
            ),
        )
    ):
        command = option(command)
    return command


def _instance_option(
    name: str, short: str, meaning: str, *, kind: str | None = None, default: str | None = None
) -> Callable[[_F], _F]:
    """Give the option that names an instance of a kind, which is the option's name in the plural where none is said."""
    kind = kind or f"{name}s"

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        from rats_tls.registry import instance_names  # noqa: PLC0415  # loaded only where a shell asks; loads no instance

        return [found for found in instance_names(kind) if found.startswith(incomplete)]

    return click.option(
        f"--{name}",
        short,
        default=default,
        show_default=default is not None,
        metavar="NAME",
        shell_complete=complete,
        help=meaning,
    )


def verifier_option(command: _F) -> _F:
    """Add --verifier."""
    return _instance_option("verifier", "-v", "Accept Evidence of this type alone; the policy needs an entry for it.")(
        command
    )


def crypto_option(command: _F) -> _F:
    """Add --crypto."""
    return _instance_option("crypto", "-c", "Crypto wrapper.", kind="crypto_wrappers", default="openssl")(command)


def connection_options(command: _F) -> _F:
    """Add the options of a command that makes connections."""
    for option in reversed(
        (
            click.option("--ip", "-i", default="127.0.0.1", show_default=True, help="Address."),
            click.option("--port", "-p", type=click.IntRange(0, 65535), default=1234, show_default=True, help="Port."),
            attester_options,
            verifier_option,
            _instance_option("tls", "-t", "TLS wrapper.", kind="tls_wrappers", default="openssl"),
            crypto_option,
            click.option(
                "--key-algorithm",
                type=click.Choice(_KEY_ALGORITHMS),
                default=KeyAlgorithm.EC_P256.value,
                show_default=True,
                help="Algorithm of this side's TLS key.",
            ),
            click.option("--mutual", "-m", is_flag=True, help="Both sides attest; it is an error if one cannot."),
            click.option(
                "--claim",
                "claims",
                multiple=True,
                metavar="NAME=VALUE",
                help="Custom claim, bound to this side's Evidence.",
            ),
            click.option(
                "--endorsements", "-e", is_flag=True, help="Send the Endorsements of this side's Evidence too."
            ),
            click.option(
                "--log-level",
                "-l",
                type=click.Choice(tuple(_LOG_LEVELS), case_sensitive=False),
                envvar=LOG_LEVEL_VARIABLE,
                show_envvar=True,
                expose_value=False,
                callback=_log_level,
                help="What is logged on standard error: warn and above without it.",
            ),
            simulation_options,
        )
    ):
        command = option(command)
    return command


def attester_options(command: _F) -> _F:
    """Add --attester and --attester-option."""
    command = click.option(
        "--attester-option",
        "attester_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Setting of the attester, such as qgs=vsock:2:4050 of tdx_ecdsa (docs/attesters.md).",
    )(command)
    return _instance_option("attester", "-a", "What collects this side's Evidence; auto picks the TEE here.")(command)


def simulation_options(command: _F) -> _F:
    """Add the options of simulated attesters."""
    command = click.option(
        "--simulate",
        "states",
        multiple=True,
        metavar="STATE",
        help="State of the simulated TEE: debug, out-of-date, or FIELD=VALUE.",
    )(command)
    return click.option(
        "--simulation",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIRECTORY",
        help="Simulated world for `simulated_*` attesters. Simulated TEEs prove nothing.",
    )(command)


def parse_claims(claims: tuple[str, ...]) -> dict[str, bytes]:
    """Read NAME=VALUE pairs.

    Raises:
        click.BadParameter: a pair without a name or `=`, or that is not UTF-8.
    """
    parsed: dict[str, bytes] = {}
    for claim in claims:
        name, sign, value = claim.partition("=")
        if not name or not sign:
            raise click.BadParameter(f"got {claim!r}, expected NAME=VALUE", param_hint="--claim")
        try:
            name.encode()
            parsed[name] = value.encode()
        except UnicodeEncodeError:
            raise click.BadParameter(f"got {claim!r}, expected UTF-8", param_hint="--claim") from None
    return parsed


def parse_time(text: str | None) -> datetime:
    """Read an RFC 3339 time; now when None.

    Raises:
        click.BadParameter: not such a time, one without a zone, or of a year at the limits of Python's calendar.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"got {text!r}, expected a time such as 2026-01-31T12:00:00Z", param_hint="--at"
        ) from None
    if time.tzinfo is None:
        raise click.BadParameter(f"got {text!r}: a time needs its zone, for example a Z at the end", param_hint="--at")
    try:
        time = time.astimezone(UTC)
        # What is compared with it may lie a clock skew before or behind.
        _ = (time - _MARGIN, time + _MARGIN)
    except OverflowError:
        raise click.BadParameter(
            f"got {text!r}, expected a time within the years 1 to 9999", param_hint="--at"
        ) from None
    return time
