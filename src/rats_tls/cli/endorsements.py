"""`rats-tls endorsements`: what judges Evidence, ahead of need: fetched, carried, verified, listed."""

from __future__ import annotations

import click

from rats_tls.cli.groups import LazyGroup, examples, help_without_command
from rats_tls.cli.options import debug_option

_HERE = "rats_tls.cli"
COMMANDS = {
    "export": (f"{_HERE}.endorsements_store:export", "Write a store's items into a bundle."),
    "fetch": (f"{_HERE}.endorsements_fetch:fetch", "Fetch what Evidence, FMSPCs and chips need."),
    "import": (f"{_HERE}.endorsements_store:import_", "Verify bundles and files, and keep what is good in a store."),
    "list": (f"{_HERE}.endorsements_list:list_", "Show what expires when, the first first."),
    "prune": (f"{_HERE}.endorsements_store:prune", "Delete from a store what has expired."),
    "verify": (f"{_HERE}.endorsements_verify:verify", "Verify what a store, bundle or file holds."),
}


@click.group(
    cls=LazyGroup,
    commands_in_modules=COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=examples(
        "rats-tls endorsements fetch quote.bin --output bundle.zip",
        "rats-tls endorsements import bundle.zip --store endorsements/",
        "rats-tls endorsements list endorsements/",
    ),
)
@debug_option
@click.pass_context
def endorsements(ctx: click.Context) -> None:
    """Fetch, carry, verify and list Endorsements: what judges Evidence.

    A bundle is one file with everything that judges given Evidence, families of platforms (FMSPCs) or chips. It
    proves nothing by itself: whatever is imported is verified first, as is everything in each appraisal again.
    """
    help_without_command(ctx)
