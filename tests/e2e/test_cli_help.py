"""The help of every command: it fits 80 columns and shows an example that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from rats_tls.cli.app import cli
from support.commands import run, run_in_terminal
from support.paths import REPOSITORY


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


COMMANDS = dict(commands())


def examples_of(command: click.Command) -> list[str]:
    """The examples of a command's help, lines that go on joined."""
    assert command.epilog is not None
    lines = command.epilog.replace("\\\n", " ").splitlines()
    assert lines[:2] == ["\b", "Examples:"]
    return [line.strip() for line in lines[2:]]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_help_fits(path: tuple[str, ...], columns: str) -> None:
    ended = run(*path, "--help", env={"COLUMNS": columns, "NO_COLOR": "1"})
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[0].startswith(" ".join(("Usage: rats-tls", *path)))
    assert max(map(len, lines)) <= 80
    assert "  Examples:" in lines
    assert "\x1b" not in ended.stdout
    # Nothing is cut: click ends a text that it shortens so.
    assert not [line for line in lines[1:] if re.search(r"\w\.\.\.$", line)]


def test_help_in_a_terminal() -> None:
    code, output = run_in_terminal("--help")
    assert code == 0
    assert max(map(len, output.splitlines())) <= 80
    assert all(name in output for (name, *rest) in filter(None, COMMANDS) if not rest)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_can_be_typed(path: tuple[str, ...]) -> None:
    """Their options exist: each is parsed as the command line would."""
    for example in examples_of(COMMANDS[path]):
        words = shlex.split(
            example.replace('eval "$(', "").replace(')"', "").partition(" > ")[0].partition(" < ")[0], True
        )
        assert words[0] == "rats-tls"
        named = max((known for known in COMMANDS if tuple(words[1 : len(known) + 1]) == known), key=len)
        command = COMMANDS[named]
        known = {opt for parameter in command.params for opt in (*parameter.opts, "--help", "-h")}
        assert {word for word in words[1:] if word.startswith("-") and word != "-"} <= known, example
        assert not path or named[: len(path)] == path, f"{example}: of another command"


def test_the_page_names_every_command_and_option() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    names = {path[-1] for path in COMMANDS if path}
    options = {
        parameter.opts[0] if parameter.opts[0].startswith("--") else parameter.opts[-1]
        for path, command in COMMANDS.items()
        if path and path[0] != "simulate"
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    assert [name for name in sorted(names | options) if name not in page] == []


def test_every_option_says_what_it_does() -> None:
    mute = [
        (" ".join(path), parameter.name)
        for path, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert mute == []
