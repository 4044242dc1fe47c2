"""SQLite files that survive a restart: private, versioned, and quarantined if they are broken.

A file that is corrupt, foreign, or of a later version is renamed, and a new one is created. The
functions here raise OSError for all errors of SQLite. Connections themselves raise sqlite3.Error;
`translate_sqlite_errors` converts those.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BUSY_SECONDS = 5.0

Check = Callable[[sqlite3.Connection], str | None]
"""Returns why a file cannot be used, or None if it can."""


@dataclass(frozen=True, slots=True)
class SchemaSpec:
    """The schema of a file: `migrations[n]` are the statements from version n to n + 1.

    `kind` is the name of such a file in messages. `initialize` adds the first rows to a new file,
    and `check` verifies an existing one.
    """

    kind: str
    application_id: int
    migrations: tuple[tuple[str, ...], ...]
    check: Check | None = None
    initialize: Callable[[sqlite3.Connection], None] | None = None

    @property
    def version(self) -> int:
        """The schema version that this prober writes."""
        return len(self.migrations)


def open_to_write(
    path: Path, schema: SchemaSpec, on_quarantine: Callable[[Path, str], None]
) -> sqlite3.Connection:
    """Open a file in an existing directory; create it or migrate it if necessary.

    If the file cannot be used, it is renamed and `on_quarantine(new name, reason)` is called.
    """
    with translate_sqlite_errors(path):
        reason = _unusable_reason(path, schema)
        if reason is not None:
            on_quarantine(quarantine(path), reason)
        return _open_for_writing(path, schema)


def open_to_read(path: Path, schema: SchemaSpec) -> sqlite3.Connection | None:
    """Open a file that a daemon may be writing; None if there is no usable one."""
    if not path.exists():
        return None
    with translate_sqlite_errors(path):
        if path.stat().st_size == 0 or _unusable_reason(path, schema) is not None:
            return None
        connection = _connect(path, "ro")
        if connection.execute("PRAGMA user_version").fetchone()[0] == schema.version:
            return connection
        connection.close()  # not yet created completely, or not yet migrated
        return None


@contextmanager
def translate_sqlite_errors(path: Path | None = None) -> Iterator[None]:
    """Raise OSError in place of SQLite's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(None, str(error), None if path is None else str(path)) from error


def quarantine(path: Path) -> Path:
    """Rename a file together with its WAL and shared memory; return the new name.

    A WAL that stayed behind would be replayed into the next file of the old name.
    """
    number = 1
    while (renamed := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{renamed}{suffix}")
    return renamed


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
    )


def _unusable_reason(path: Path, schema: SchemaSpec) -> str | None:
    """Return why an existing file cannot be used, or None if it can (or does not exist)."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = _connect(path, "ro")
    try:
        return _schema_problem(connection, schema)
    except sqlite3.OperationalError as error:  # busy or unreadable says nothing about the content
        if "no such table" in str(error):
            return f"it is not a {schema.kind} of prober"
        raise
    except sqlite3.DatabaseError as error:
        return f"it is corrupt: {error}"
    finally:
        connection.close()


def _schema_problem(connection: sqlite3.Connection, schema: SchemaSpec) -> str | None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return None  # empty: a process was killed while it created the file
    problem = None if schema.check is None else schema.check(connection)
    if application != schema.application_id:
        return f"it is not a {schema.kind} of prober"
    if not 0 < version <= schema.version:
        return f"its version is {version}, this prober writes version {schema.version}"
    return problem


def _open_for_writing(path: Path, schema: SchemaSpec) -> sqlite3.Connection:
    with suppress(FileExistsError):  # SQLite would create it readable by others
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path, "rw")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, schema: SchemaSpec) -> None:
    """Run each migration in a transaction, so that a crash leaves none half done."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.isolation_level = None
    for number, statements in enumerate(schema.migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        if number == 1 and schema.initialize is not None:
            schema.initialize(connection)
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    connection.isolation_level = "DEFERRED"
