"""`-` in the place of a file: standard input for what is read, standard output for what is written, byte for byte."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.screen import Screen
from rats_tls.core.errors import ConfigurationError
from rats_tls.files import MAX_FILE, read_file


class Standard(Enum):
    """What `-` stands for. A file of that name is `./-`."""

    STREAM = "-"

    def __str__(self) -> str:
        return self.value


Place = Path | Standard
"""A file, or a standard stream."""


class PlaceType(click.Path):
    """A file's name, or `-`."""

    def __init__(self, *, exists: bool) -> None:
        super().__init__(exists=exists, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  # click's
        """Give a Place. Raises click.BadParameter."""
        if value in {"-", Standard.STREAM}:
            return Standard.STREAM
        if value == "":
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


class OutputFile(click.Path):
    """The name of a file to write, which cannot be a standard stream."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  # click's
        """Give a path. Raises click.BadParameter."""
        if value == "":
            self.fail("the name is empty", param, ctx)
        if value == "-":
            self.fail("standard output is for the Evidence alone; a file of that name is ./-", param, ctx)
        return super().convert(value, param, ctx)


def input_name(place: Place) -> str:
    """Say what is read, for people."""
    return "standard input" if isinstance(place, Standard) else str(place)


def require_one_stream(**places: Place | None) -> None:
    """Require that not more than one input is standard input, which can be read once.

    Args:
        places: inputs, each under the name that the user knows it by.

    Raises:
        click.UsageError: more are.
    """
    named = [name for name, place in places.items() if isinstance(place, Standard)]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)}: only one of them can be standard input (-)")


def read_place(place: Place) -> bytes:
    """Read a file, or standard input to its end, of at most `MAX_FILE` bytes.

    Raises:
        ConfigurationError: it cannot be read, or is larger; the message names it.
    """
    if isinstance(place, Path):
        return read_file(place)
    if sys.stdin is None:
        raise ConfigurationError(f"{input_name(place)}: it is closed")
    try:
        data = sys.stdin.buffer.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: closed
        raise ConfigurationError(f"{input_name(place)}: {getattr(error, 'strerror', None) or error}") from error
    if len(data or b"") > MAX_FILE:
        raise ConfigurationError(f"{input_name(place)}: larger than {MAX_FILE} bytes")
    return data or b""


def require_no_terminal(screen: Screen) -> None:
    """Require that standard output takes bytes that a terminal would not show. Raises click.UsageError."""
    if screen.is_terminal:
        raise click.UsageError("standard output is a terminal, and Evidence is binary: name a file, or pipe it on")
