"""Where commands print: consoles that never fail for a character, and JSON one document a line."""

import io
import json
import sys
from collections.abc import Mapping

import click
from rich.console import Console

# Without a terminal rich would fold at 80; a file or a pager folds by itself, or need not.
_WIDTH_OF_A_FILE = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr; what its encoding lacks is printed as `?`."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    width = None if stream.isatty() else _WIDTH_OF_A_FILE
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(document: Mapping[str, object]) -> None:
    """Print one document in one line."""
    click.echo(json_text(document))


def json_text(document: Mapping[str, object]) -> str:
    """Return one document in one line."""
    return json.dumps(document, allow_nan=False)
