"""The format of the history's file: the scripts in `migrations/`, one for each version."""

import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from prober.sqlite import SchemaSpec, open_to_write

FILE_NAME = "history.sqlite3"
_APPLICATION_ID = 0x70726F68  # "proh"


def split_statements(script: str) -> tuple[str, ...]:
    """Return the statements of an SQL script, apart."""
    found, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return tuple(found)


def _migrations() -> tuple[tuple[str, ...], ...]:
    scripts = files("prober.history").joinpath("migrations").iterdir()
    ordered = sorted((script.name, script) for script in scripts if script.name.endswith(".sql"))
    return tuple(split_statements(script.read_text()) for _, script in ordered)


FORMAT = SchemaSpec("history", _APPLICATION_ID, _migrations())


def migrate(directory: Path, on_quarantine: Callable[[Path, str], None]) -> None:
    """Let a file that an earlier prober wrote be readable; raises OSError.

    `on_set_aside` hears of a file that could not be used: its new name, and why.
    """
    path = directory / FILE_NAME
    if path.exists():
        open_to_write(path, FORMAT, on_quarantine).close()
