"""The command `rats-tls`: its group, and how errors end."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import NoReturn

import click
from rich.console import Console

from rats_tls import __version__
from rats_tls.cli.client import client
from rats_tls.cli.demo import demo
from rats_tls.cli.server import server
from rats_tls.cli.simulate import simulate
from rats_tls.cli.verify import verify
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import ExitCode


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rats-tls")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error, and debug messages.")
def cli(debug: bool) -> None:
    """Attested TLS: both ends prove what they are before a byte moves.

    Exit codes: 0 ok, 1 usage, 2 malformed, 3 not authentic, 4 Endorsements missing or expired, 5 policy,
    6 no usable instance, 7 connection or TLS failure, 8 refused by the peer, 70 internal error.
    """
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s: %(message)s")


cli.add_command(client)
cli.add_command(demo)
cli.add_command(server)
cli.add_command(simulate)
cli.add_command(verify)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    debug = "--debug" in sys.argv
    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    try:
        # Outside its standalone mode click returns the code of an Exit; what commands return is None.
        code = ExitCode(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        errors.print("[red]error[/]: usage: ", end="")
        errors.print(f"{error.format_message()} (--help tells more)", markup=False)
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.USAGE
    except BrokenPipeError:
        # The reader of a pipe has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except RatsTlsError as error:
        if debug:
            traceback.print_exc()
        errors.print(f"[red]error[/]: {error.refusal.label}: ", end="")
        errors.print(error.message, markup=False)
        code = error.refusal.exit_code
    except Exception as error:  # noqa: BLE001  # the last line of defence: never a traceback without --debug
        if debug:
            traceback.print_exc()
        errors.print(f"[red]error[/]: internal: {type(error).__name__}: ", end="")
        errors.print(f"{error} (--debug shows where)", markup=False)
        code = ExitCode.INTERNAL
    sys.exit(int(code))
