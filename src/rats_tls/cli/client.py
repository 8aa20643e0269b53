"""`rats-tls client`: judge a server, be judged where it asks, and exchange data."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import click

from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import lookup_options
from rats_tls.cli.options import connection_options, judging_options
from rats_tls.cli.sides import Reporter, SideOptions, address_text, make_context
from rats_tls.connection import Connection
from rats_tls.context import Context
from rats_tls.core.errors import ConnectionFailedError, RatsTlsError

_TIMEOUT_SECONDS = 30.0
_LARGEST_INPUT = 16 * 1024 * 1024
"""Bytes of standard input that are read: the answer is kept whole too."""
_PIECE = 65_536


@click.command(
    epilog=examples(
        "rats-tls client -p 1234 --policy server.toml --message hello",
        "rats-tls client --policy server.toml < file",
        "rats-tls client -m -a simulated_sev_snp --simulation world/ -e \\",
        "    --policy world/simulated_sgx_ecdsa-policy.toml \\",
        "    --trust-anchors world/trust-anchors.pem --message hello",
    )
)
@connection_options
@judging_options
@lookup_options
@click.option("--message", metavar="TEXT", help="Send TEXT; standard input (16 MiB at most) is sent without it.")
def client(ip: str, port: int, as_json: bool, message: str | None, **options: Any) -> None:  # noqa: ANN401  # click's
    """Connect to an attested server, judge it, send a message and print the answer.

    A client judges its server: --policy is required.
    """
    if options["policy_file"] is None:
        raise click.UsageError("give --policy FILE: a client judges its server, or does not talk to it")
    reporter = Reporter(as_json=as_json)
    address = address_text((ip, port))
    title = f"server {address}"
    with reporter.preparing(address):
        context = make_context(SideOptions.taken_from(options), default_attester=None)
        context.prepare()  # what cannot work is said before anybody is dialed
    try:
        with _connect(context, ip, port) as connection:
            connection.handshake()
            reporter.accepted(connection.peer, title=title)
            data = os.fsencode(message) if message is not None else _standard_input()
            answer = _exchange(connection, data)
            text = answer.decode("utf-8", "replace")
            reporter.event(
                "answer",
                f"sent {len(data)} bytes, got {len(answer)} back: {text[:200]}",
                sent=len(data),
                received=len(answer),
                data=text,
            )
            if len(answer) < len(data):
                raise ConnectionFailedError(
                    f"it closed the connection early: got {len(answer)} bytes back, expected {len(data)}"
                )
    except RatsTlsError as error:
        reporter.ended(error, title=title)
        raise click.exceptions.Exit(int(error.refusal.exit_code)) from error


def _connect(context: Context, ip: str, port: int) -> Connection:
    try:
        sock = socket.create_connection((ip, port), _TIMEOUT_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConnectionFailedError(f"no connection: {reason or error}") from error
    return context.wrap_socket(sock)


def _standard_input() -> bytes:
    """Read it to its end, piece by piece: within a single call for all of an endless input no signal is answered."""
    data = bytearray()
    while sys.stdin is not None and (piece := sys.stdin.buffer.read(_PIECE)):
        data += piece
        if len(data) > _LARGEST_INPUT:
            raise click.UsageError(f"standard input: more than {_LARGEST_INPUT} bytes, which is the most that is sent")
    return bytes(data)


def _exchange(connection: Connection, data: bytes) -> bytes:
    """Send in pieces and read each piece's echo, so that neither side waits for the other to read."""
    answer = bytearray()
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        connection.sendall(piece)
        expected = start + len(piece)
        while len(answer) < expected:
            received = connection.recv()
            if not received:
                return bytes(answer)
            answer += received
    return bytes(answer)
