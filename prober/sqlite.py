"""SQLite files that outlive the process: private, versioned, and set aside when they are broken.

A file that is corrupt, foreign, or of a later version is renamed and a new one is begun. All that
SQLite raises comes out as OSError, but from connections themselves: see `as_os_error`.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BUSY_SECONDS = 5.0

Check = Callable[[sqlite3.Connection], str | None]
"""Returns why a file cannot be used, None if all is well."""


@dataclass(frozen=True, slots=True)
class SchemaSpec:
    """What a file holds: `migrations[n]` are the statements that lead from version n to n + 1.

    `kind` is what it is called in messages. `fill` adds what a new file holds from birth; `check`
    looks at an existing one.
    """

    kind: str
    application_id: int
    migrations: tuple[tuple[str, ...], ...]
    check: Check | None = None
    initialize: Callable[[sqlite3.Connection], None] | None = None

    @property
    def version(self) -> int:
        """The version that this prober writes."""
        return len(self.migrations)


def open_to_write(
    path: Path, form: SchemaSpec, on_set_aside: Callable[[Path, str], None]
) -> sqlite3.Connection:
    """Open a file in a directory that exists; make it, or bring it up to date, if need be.

    `on_set_aside` hears of a file that could not be used: its new name, and why.
    """
    with translate_sqlite_errors(path):
        why = _unusable(path, form)
        if why is not None:
            on_set_aside(quarantine(path), why)
        return _opened(path, form)


def open_to_read(path: Path, form: SchemaSpec) -> sqlite3.Connection | None:
    """Open a file beside a daemon that writes it; None if there is no usable one."""
    if not path.exists():
        return None
    with translate_sqlite_errors(path):
        if path.stat().st_size == 0 or _unusable(path, form) is not None:
            return None
        connection = _connect(path, "ro")
        if connection.execute("PRAGMA user_version").fetchone()[0] == form.version:
            return connection
        connection.close()  # just born, or an earlier prober's
        return None


@contextmanager
def translate_sqlite_errors(path: Path | None = None) -> Iterator[None]:
    """Let SQLite's errors out as OSError."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(None, str(error), None if path is None else str(path)) from error


def quarantine(path: Path) -> Path:
    """Rename a file and what SQLite keeps beside it; return the new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
    )


def _unusable(path: Path, form: SchemaSpec) -> str | None:
    """Return why a file that exists is not ours to use, None if all is well."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = _connect(path, "ro")
    try:
        return _why_unusable(connection, form)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return f"it is no {form.kind} of prober"
        raise
    except sqlite3.DatabaseError as error:
        return f"it is corrupt: {error}"
    finally:
        connection.close()


def _why_unusable(connection: sqlite3.Connection, form: SchemaSpec) -> str | None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return None  # as empty as a process that was killed at its birth leaves it
    why = None if form.check is None else form.check(connection)
    if application != form.application_id:
        return f"it is no {form.kind} of prober"
    if not 0 < version <= form.version:
        return f"its version is {version}, this prober writes version {form.version}"
    return why


def _opened(path: Path, form: SchemaSpec) -> sqlite3.Connection:
    with suppress(FileExistsError):  # nobody else may read it, from the first byte
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path, "rw")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, form)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, form: SchemaSpec) -> None:
    """Take each step in one transaction: half a step is none."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.isolation_level = None
    for number, statements in enumerate(form.migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        if number == 1 and form.initialize is not None:
            form.initialize(connection)
        connection.execute(f"PRAGMA application_id = {form.application_id}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    connection.isolation_level = "DEFERRED"
