"""The command `rats-tls`: its group, and how errors end."""

from __future__ import annotations

import os

import click

from rats_tls._version import __version__
from rats_tls.cli.groups import COMPLETION_VARIABLE, PROGRAM, LazyGroup, examples, help_without_command
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen, print_error, start_logging
from rats_tls.cli.streams import OutputError, guard_standard_streams
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import ExitCode

COMMANDS = {
    "client": ("rats_tls.cli.client:client", "Connect to an attested server and judge it."),
    "collect": ("rats_tls.cli.collect:collect", "Write Evidence of the TEE that this runs in to a file."),
    "completion": ("rats_tls.cli.completion:completion", "Print the script for completion in a shell."),
    "demo": ("rats_tls.cli.demo:demo", "Show two simulated TEEs that attest to each other."),
    "doctor": ("rats_tls.cli.doctor:doctor", "Show what can be used on this machine, and why the rest cannot."),
    "endorsements": ("rats_tls.cli.endorsements:endorsements", "Fetch, carry, verify and list Endorsements."),
    "inspect": ("rats_tls.cli.inspect:inspect", "Show every field of Evidence, certificates, and other files."),
    "policy": ("rats_tls.cli.policy:policy", "Make, check, compare and try out Appraisal Policies."),
    "server": ("rats_tls.cli.server:server", "Serve attested connections and echo what clients send."),
    "simulate": ("rats_tls.cli.simulate:simulate", "Make simulated TEEs, for development and tests."),
    "verify": ("rats_tls.cli.verify:verify", "Judge Evidence, or a certificate that carries it, from a file."),
}
"""Where each command is, loaded when it is called, and what the list of commands says of it."""


@click.group(
    cls=LazyGroup,
    commands_in_modules=COMMANDS,
    invoke_without_command=True,
    epilog=examples("rats-tls demo", "rats-tls doctor", "rats-tls client --help"),
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name=PROGRAM)
@debug_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Attested TLS: both ends prove what they are before a byte moves.

    Exit codes: 0 ok, 1 usage, 2 malformed, 3 not authentic, 4 Endorsements missing or expired, 5 policy, 6 no usable
    instance, 7 connection or TLS failure, 8 refused by the peer, 70 internal error, 130 interrupted,
    143 terminated.
    """
    help_without_command(ctx)


def run() -> int:
    """Run the command that the arguments name; give the exit code."""
    guard_standard_streams()
    start_logging()
    try:
        if asked := os.environ.get(COMPLETION_VARIABLE):
            from rats_tls.cli.completion import answer  # noqa: PLC0415  # loaded only where a shell asks

            return answer(cli, asked)
        # Outside its standalone mode click returns the code of an Exit; what commands return is None.
        return int(cli.main(prog_name=PROGRAM, standalone_mode=False) or 0)
    except click.ClickException as error:
        print_error("usage", f"{error.format_message()} (--help tells more)")
        code = ExitCode.USAGE
    except click.Abort:
        code = ExitCode.USAGE
    except OutputError as error:
        print_error("output", str(error))
        code = ExitCode.USAGE
    except RatsTlsError as error:
        print_error(error.refusal.label, error.message)
        Screen(stderr=True).traceback(error)
        code = error.refusal.exit_code
    except Exception as error:  # noqa: BLE001  # the last line of defence: never a traceback without --debug
        print_error("internal", f"{type(error).__name__}: {error} (--debug shows where)")
        Screen(stderr=True).traceback(error)
        code = ExitCode.INTERNAL
    return int(code)
