"""The schema of the history's file: the scripts in `migrations/`, one for each version."""

import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from prober.sqlite import SchemaSpec, open_to_write

FILE_NAME = "history.sqlite3"
_APPLICATION_ID = 0x70726F68  # "proh"


def split_statements(script: str) -> tuple[str, ...]:
    """Return the statements of an SQL script one by one."""
    # Not sqlite3's executescript: it commits first, and a migration must be one transaction.
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return tuple(statements)


def _migrations() -> tuple[tuple[str, ...], ...]:
    scripts = files("prober.history").joinpath("migrations").iterdir()
    ordered = sorted((script.name, script) for script in scripts if script.name.endswith(".sql"))
    return tuple(split_statements(script.read_text()) for _, script in ordered)


FORMAT = SchemaSpec("history", _APPLICATION_ID, _migrations())


def migrate(directory: Path, on_quarantine: Callable[[Path, str], None]) -> None:
    """Bring the file of an earlier version up to date, if there is one; raises OSError.

    `on_quarantine` is called for a file that could not be used, with its new name and why.
    """
    path = directory / FILE_NAME
    if path.exists():
        open_to_write(path, FORMAT, on_quarantine).close()
