"""`rats-tls simulate`: make simulated vendors and machines, for development and tests without a TEE."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from rats_tls.cli.groups import examples, help_without_command
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import Policy


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=examples("rats-tls simulate world world/"),
)
@debug_option
@click.pass_context
def simulate(ctx: click.Context) -> None:
    """Simulated TEEs, for development and tests. They prove nothing."""
    help_without_command(ctx)


@simulate.command(
    short_help="Make simulated vendors and machines, with policies that accept them.",
    epilog=examples("rats-tls simulate world world/", "rats-tls simulate world world/ --product Genoa"),
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--product",
    "products",
    multiple=True,
    default=("Milan",),
    show_default=True,
    type=click.Choice(("Milan", "Genoa", "Turin")),
    help="AMD product that gets a root of its own.",
)
@debug_option
def world(directory: Path, products: tuple[str, ...]) -> None:
    """Make simulated vendors and machines in DIRECTORY, with policies that accept them.

    `server` and `client` use them by --simulation DIRECTORY and trust them by --trust-anchors
    DIRECTORY/trust-anchors.pem. Whoever can read DIRECTORY can claim to be any of them.
    """
    from rats_tls.simulation.policies import policy_for  # noqa: PLC0415  # loaded only where it is asked for
    from rats_tls.simulation.world import ATTESTERS, SimulatedWorld  # noqa: PLC0415  # likewise

    # That these are simulated is what was asked for; who uses them is warned.
    logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
    screen = Screen()
    with screen.status("making keys and certificates"):
        made = SimulatedWorld.create(directory, products=products)  # type: ignore[arg-type]  # one of the choices
    files = {directory / f"{name}-policy.toml": policy_for(made, name) for name in ATTESTERS}
    for path, policy in files.items():
        _write(path, policy)
    for path in (made.trust_anchors_file, *files):
        screen.line(str(path))


def _write(path: Path, policy: Policy) -> None:
    try:
        path.write_text(policy.to_toml(), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
