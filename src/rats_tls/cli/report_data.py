"""Options that say what bare Evidence is bound to: bytes of the caller's, or the 64 bytes themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import click

from rats_tls.cli.standard_streams import Place, PlaceType, input_name, read_place
from rats_tls.core.binding import REPORT_DATA_SIZE

_F = TypeVar("_F", bound=Callable[..., object])


def data_options(command: _F) -> _F:
    """Add --data and --data-file."""
    command = click.option(
        "--data-file",
        type=PlaceType(exists=True),
        metavar="FILE",
        help="The same, the bytes of a file; - is standard input.",
    )(command)
    return click.option(
        "--data", metavar="TEXT", help="What the Evidence is collected for, such as a nonce of whoever judges it."
    )(command)


def given_data(data: str | None, data_file: Place | None) -> bytes | None:
    """Give the bytes that --data or --data-file name; None without either.

    What stands on the command line is taken as its bytes, in whatever encoding they are.

    Raises:
        click.UsageError: both; or nothing is in it: mostly a variable that is not set.
    """
    if data is not None and data_file is not None:
        raise click.UsageError("--data and --data-file: choose one")
    if data_file is None and data is None:
        return None
    given = os.fsencode(data) if data is not None else b""
    where = "--data"
    if data_file is not None:
        given, where = read_place(data_file), f"--data-file: {input_name(data_file)}"
    if not given:
        raise click.UsageError(f"{where} is empty: leave it out where Evidence is for nothing")
    return given


def parse_report_data(text: str, option: str) -> bytes:
    """Read 64 bytes in hexadecimal digits. Raises click.BadParameter."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter(f"got {text[:40]!r}, expected hex digits", param_hint=option) from None
    if len(data) != REPORT_DATA_SIZE:
        raise click.BadParameter(f"got {len(data)} bytes, expected {REPORT_DATA_SIZE}", param_hint=option)
    return data
