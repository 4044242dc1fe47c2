"""`prober completion` and `prober man`: what a shell and `man` need, made from the commands."""

import re

import click
from click.shell_completion import get_completion_class

from prober.cli.main import COMMANDS, main
from prober.version import VERSION

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_PROBER_COMPLETE"
# Lines that roff would read as its own commands, and characters that it would change.
_CONTROL = re.compile(r"^([.'])", re.MULTILINE)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print a script that lets SHELL complete commands and options.

    \b
    Examples:
      prober completion bash >/etc/bash_completion.d/prober
      prober completion zsh >/usr/local/share/zsh/site-functions/_prober
      prober completion fish >/etc/fish/completions/prober.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 -- click has all of _SHELLS
    # click.source() would ask bash for its version, which need not be installed here.
    completer = found(main, {}, "prober", _VARIABLE)
    click.echo(found.source_template % completer.source_vars())


@click.command()
def man() -> None:
    """Print the manual page of all commands.

    \b
    Example:
      prober man >/usr/local/share/man/man1/prober.1
    """
    click.echo(manual_page(), nl=False)


def manual_page() -> str:
    """Return the manual page in roff, with the macros of man(7)."""
    context = click.Context(main, info_name="prober", **main.context_settings)
    parts = [
        f'.TH PROBER 1 "" "prober {VERSION}" "User Commands"\n',
        ".SH NAME\nprober \\- synthetic health prober that names the culprit of each failure\n",
        ".SH SYNOPSIS\n.B prober\n[OPTIONS] COMMAND [ARGS]...\n",
        ".SH DESCRIPTION\n",
        _preformatted(main.help or ""),
        ".SH COMMANDS\n",
    ]
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None  # noqa: S101 -- it is in the table
        own = click.Context(command, info_name=name, parent=context, max_content_width=78)
        parts.append(f'.SS "prober {name}"\n{_preformatted(command.get_help(own))}')
    return "".join(parts)


def _preformatted(text: str) -> str:
    """Return text as lines that stay as they are."""
    lines = text.replace("\b\n", "").expandtabs().strip("\n")
    escaped = _CONTROL.sub(r"\\&\1", lines.replace("\\", "\\e").replace("-", "\\-"))
    return f".nf\n{escaped}\n.fi\n"
