"""`mcodec completion`."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a shell's completion script.

    \b
    bash:  mcodec completion bash > ~/.local/share/bash-completion/completions/mcodec
    zsh:   mcodec completion zsh > "${fpath[1]}/_mcodec"
    fish:  mcodec completion fish > ~/.config/fish/completions/mcodec.fish
    """  # noqa: D301 (click reads the control character)
    from click.shell_completion import get_completion_class

    from mcodec.cli.app import cli

    found = get_completion_class(shell)
    assert found is not None  # the choices are click's own
    click.echo(found(cli, {}, "mcodec", "_MCODEC_COMPLETE").source())
