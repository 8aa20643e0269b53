"""`rats-tls inspect`: show what a file or a server's certificate says, field by field."""

from __future__ import annotations

import re
from pathlib import Path

import click

from rats_tls.cli.groups import examples
from rats_tls.cli.options import debug_option
from rats_tls.cli.render import show_tree
from rats_tls.cli.screen import Screen, Styled
from rats_tls.inspection.files import inspect_file
from rats_tls.inspection.peer import inspect_server
from rats_tls.inspection.tree import Inspection

SCHEMA = "rats-tls/inspection/1"
_SERVER = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:/]+)):(?P<port>\d{1,5})")
_NOTE = "nothing here is verified: whoever made it may have written anything"


@click.command(
    epilog=examples(
        "rats-tls inspect quote.bin",
        "rats-tls inspect collateral.json --json",
        "rats-tls inspect 127.0.0.1:1234",
    )
)
@click.argument("target", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="For connecting to a server and its handshake.",
)
@debug_option
def inspect(target: str, as_json: bool, seconds: float) -> None:
    """Show every field of TARGET: its name, value, size, and what its bits mean.

    TARGET is a file or a server (HOST:PORT). A file may hold Evidence, an event log, a certificate, a PEM chain, a
    revocation list, Endorsements, or a policy. Of a server the certificate is taken; it is not judged.

    Nothing is verified: `verify` and `client` judge.
    """
    server = _SERVER.fullmatch(target)
    path = Path(target)
    if not path.exists() and server is None:
        raise click.UsageError(f"{target}: no such file, and no HOST:PORT")
    screen = Screen()
    if server is not None and not path.exists():
        port = int(server["port"])
        if not 0 < port < 65_536:
            raise click.UsageError(f"{target}: got port {port}, expected 1 to 65535")
        Screen(stderr=True).line(
            Styled("warning", "yellow"), ": the server is NOT judged: anyone may answer there, with any certificate"
        )
        found = inspect_server(server["address"] or server["host"], port, seconds=seconds)
    else:
        found = inspect_file(path)
    _show(screen, found, target, as_json=as_json)


def _show(screen: Screen, found: Inspection, target: str, *, as_json: bool) -> None:
    if as_json:
        screen.document(
            {
                "schema": SCHEMA,
                "target": target,
                "kind": found.kind,
                "size": found.size,
                "verified": False,
                "note": _NOTE,
                "fields": [node.document() for node in found.fields],
            }
        )
        return
    screen.line(
        Styled(" not verified ", "black on yellow"),
        " ",
        Styled(Path(target).name or target, "bold"),
        f"  {found.kind}, {found.size} bytes",
    )
    screen.line("  ", Styled(_NOTE, "yellow"))
    show_tree(screen, found.fields)
