"""`rats-tls simulate`: make simulated vendors and machines, for development and tests without a TEE."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import click

from rats_tls.cli.groups import examples, help_without_command
from rats_tls.cli.main import Tidily
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.errors import ConfigurationError, UnsupportedError


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=examples("rats-tls simulate world world/", "rats-tls simulate services world/"),
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
    files: list[Path] = []
    for name in ATTESTERS:
        try:
            policy = policy_for(made, name)
        except UnsupportedError as error:
            Screen(stderr=True).line(Styled("note", "yellow"), f": {name} is left out: {error.message}")
            continue
        files.append(directory / f"{name}-policy.toml")
        _write(files[-1], policy.to_toml())
    for path in (made.trust_anchors_file, *files):
        screen.line(str(path))


@simulate.command(
    short_help="Run the simulated vendors' web services: Intel PCS and PCCS, AMD KDS, Hygon's.",
    epilog=examples(
        "rats-tls simulate services world/",
        "rats-tls simulate services world/ --fault amd-kds:throttle=4/600",
        "rats-tls simulate services world/ --fault intel-pcs:stall=30 \\",
        "    --fault intel-pcs:only=/pckcrl",
    ),
)
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65_532),
    default=0,
    metavar="PORT",
    help="Port of PCS; PCCS, KDS and Hygon's have the next three.  [default: any free ones]",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="[SERVICE:]FAULT",
    help="What is wrong with the services, or with one of them; more than once for more. See docs/simulation.md.",
)
@click.option(
    "--machines",
    type=click.IntRange(1, 1024),
    default=4,
    show_default=True,
    metavar="N",
    help="How many platforms, and chips of each product, they know.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON documents, one a line.")
@debug_option
def services(directory: Path, port: int, faults: tuple[str, ...], machines: int, as_json: bool) -> None:
    """Run the web services of the simulated vendors in DIRECTORY, on 127.0.0.1.

    They speak as Intel's PCS and PCCS (version 4), AMD's KDS and Hygon's service do, and give out what judges the
    world's simulated TEEs. The certificate of the CA of their HTTPS is DIRECTORY/services-ca.pem, a new one each time.
    Ctrl-C (exit code 130) and SIGTERM (143) end them.
    """
    from rats_tls.simulation.services.faults import faults_by_service  # noqa: PLC0415  # loaded only where asked for
    from rats_tls.simulation.services.vendors import SERVICES, SimulatedServices  # noqa: PLC0415  # likewise
    from rats_tls.simulation.world import SimulatedWorld  # noqa: PLC0415  # likewise

    screen = Screen()
    wrong = faults_by_service(faults, SERVICES)
    with Tidily():
        with screen.status("making keys and certificates"):
            world = SimulatedWorld.load(directory)
            running = SimulatedServices(world, machines=machines, port=port)
        for service in running.all:
            service.faults = wrong[service.name]
        with running:
            authority = directory / "services-ca.pem"
            _write(authority, running.certificate_authority.decode())
            _tell(screen, {service.name: service.url for service in running.all}, authority, as_json=as_json)
            threading.Event().wait()


def _tell(screen: Screen, urls: dict[str, str], authority: Path, *, as_json: bool) -> None:
    if as_json:
        screen.document({"event": "serving", "services": dict(urls), "ca_certificate": str(authority)})
        return
    screen.columns([*urls.items(), ("CA certificate", str(authority))], indent=0)
    screen.line("serving until Ctrl-C")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
