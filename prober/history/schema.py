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


def _missing(connection: sqlite3.Connection) -> str | None:
    """Return what a file of the current version lacks, None if nothing."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != len(_MIGRATIONS):
        return None
    found = _columns(connection)
    lacking = sorted(
        name for name, columns in _EXPECTED.items() if columns - found.get(name, set())
    )
    return f"it lacks {', '.join(lacking)}" if lacking else None


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    rows = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
        " WHERE m.type = 'table'"
    )
    tables: dict[str, set[str]] = {}
    for table, column in rows:
        tables.setdefault(table, set()).add(column)
    return tables


def _expected() -> dict[str, set[str]]:
    connection = sqlite3.connect(":memory:")
    try:
        for migration in _MIGRATIONS:
            for statement in migration:
                connection.execute(statement)
        return _columns(connection)
    finally:
        connection.close()


_MIGRATIONS = _migrations()
_EXPECTED = _expected()
FORMAT = SchemaSpec("history", _APPLICATION_ID, _MIGRATIONS, check=_missing)


def migrate(directory: Path, on_quarantine: Callable[[Path, str], None]) -> None:
    """Bring the file of an earlier version up to date, if there is one; raises OSError.

    `on_quarantine` is called for a file that could not be used, with its new name and why.
    """
    path = directory / FILE_NAME
    if path.exists():
        open_to_write(path, FORMAT, on_quarantine).close()
