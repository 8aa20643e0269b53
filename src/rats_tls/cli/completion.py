"""`rats-tls completion`: the script by which a shell completes commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from rats_tls.cli.groups import COMPLETION_VARIABLE, PROGRAM, examples
from rats_tls.cli.options import debug_option
from rats_tls.cli.screen import Screen
from rats_tls.core.refusals import ExitCode

_SHELLS = ("bash", "zsh", "fish")


def answer(command: click.Command, asked: str) -> int:
    """Answer the script, which asks by an environment variable; give the exit code.

    click would write bytes around the guarded streams.
    """
    shell, _, instruction = asked.partition("_")
    found = get_completion_class(shell)
    if found is None or instruction != "complete":
        return int(ExitCode.USAGE)
    Screen().verbatim(found(command, {}, PROGRAM, COMPLETION_VARIABLE).complete())
    return int(ExitCode.OK)


@click.command(
    epilog=examples(
        'eval "$(rats-tls completion bash)"    # in ~/.bashrc',
        'eval "$(rats-tls completion zsh)"     # in ~/.zshrc',
        "rats-tls completion fish > ~/.config/fish/completions/rats-tls.fish",
    )
)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@debug_option
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the script by which SHELL completes commands, options and file names.

    zsh needs its completion system before it: autoload -Uz compinit && compinit.
    """
    if shell is None:
        raise click.UsageError(f"give a shell: {', '.join(_SHELLS)}")
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    # The class's own method would start the shell to ask for its version, and print.
    script = ShellComplete.source(found(ctx.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE))
    # A description may hold commas: only the first two separate.
    Screen().verbatim(script.strip("\n").replace('string split ","', 'string split -m 2 ","'))
