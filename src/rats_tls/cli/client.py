"""`rats-tls client`: judge a server, be judged where it asks, and exchange data."""

from __future__ import annotations

import sys
from typing import Any

import click

from rats_tls.cli.options import connection_options, judging_options
from rats_tls.cli.sides import Reporter, SideOptions, make_context
from rats_tls.connection import Connection
from rats_tls.core.errors import RatsTlsError

_TIMEOUT_SECONDS = 30.0


@click.command()
@connection_options
@judging_options
@click.option("--message", metavar="TEXT", help="Send TEXT; standard input is sent without it.")
def client(ip: str, port: int, as_json: bool, message: str | None, **options: Any) -> None:  # noqa: ANN401  # click's
    """Connect to an attested server, judge it, send a message and print the answer.

    A client judges its server: --policy is required.
    """
    context = make_context(SideOptions(**options), default_attester=None)
    reporter = Reporter(as_json=as_json)
    title = f"server {ip}:{port}"
    try:
        with context.connect((ip, port), timeout=_TIMEOUT_SECONDS) as connection:
            reporter.accepted(connection.peer, title=title)
            data = message.encode() if message is not None else sys.stdin.buffer.read()
            answer = _exchange(connection, data)
            reporter.event(
                "answer",
                f"sent {len(data)} bytes, got {len(answer)} back: {answer[:200].decode('utf-8', 'replace')}",
                sent=len(data),
                received=len(answer),
                data=answer.decode("utf-8", "replace"),
            )
    except RatsTlsError as error:
        reporter.refused(error, title=title)
        raise click.exceptions.Exit(int(error.refusal.exit_code)) from error


def _exchange(connection: Connection, data: bytes) -> bytes:
    """Send in pieces and read each piece's echo, so that neither side waits for the other to read."""
    answer = bytearray()
    for start in range(0, len(data), 65_536):
        piece = data[start : start + 65_536]
        connection.sendall(piece)
        expected = start + len(piece)
        while len(answer) < expected:
            received = connection.recv()
            if not received:
                return bytes(answer)
            answer += received
    return bytes(answer)
