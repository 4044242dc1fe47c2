"""The command reference: what each command prints for `--help`."""

from copy import copy

import click

from prober.cli.main import COMMANDS, main


def command_reference() -> str:
    """Return a heading and the help text of each command."""
    parent = click.Context(
        main,
        info_name="prober",
        terminal_width=100,
        max_content_width=100,
        **main.context_settings,
    )
    parts = []
    for name in COMMANDS:
        found = main.get_command(parent, name)
        assert found is not None  # noqa: S101 -- it is in the table
        # click keeps the help option that it makes first, with the names of that context.
        command = copy(found)
        command._help_option = None  # noqa: SLF001 -- there is no other way to forget it
        context = click.Context(
            command, info_name=name, parent=parent, terminal_width=100, max_content_width=100
        )
        parts.append(f"## prober {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)
