"""A group whose commands are loaded when they are called: each takes its time to import."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

PROGRAM = "rats-tls"
COMPLETION_VARIABLE = "_RATS_TLS_COMPLETE"
"""Environment variable by which the script of `rats-tls completion` asks; its name is click's rule."""


class LazyGroup(click.Group):
    """A group that knows its commands by name.

    Args:
        commands_in_modules: by name, `module:attribute` of the command, and what the list of commands says of it.
        settings: of click's group.
    """

    def __init__(
        self,
        *,
        commands_in_modules: Mapping[str, tuple[str, str]],
        **settings: Any,  # noqa: ANN401  # click's
    ) -> None:
        super().__init__(**settings)
        self._in_modules = dict(commands_in_modules)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Give the names of all commands."""
        return sorted(self._in_modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Load one command."""
        if cmd_name not in self._in_modules:
            return None
        module, _, attribute = self._in_modules[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without loading them."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._in_modules[name][1]) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._in_modules[name][1]) for name in self.list_commands(ctx)])


def examples(*commands: str) -> str:
    """Give the end of a command's help: examples, each line as it is written."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def help_without_command(ctx: click.Context) -> None:
    """Print a group's help, on standard output, where no command was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
