"""Records of tokens that outlive the process: one SQLite file in the state directory.

It holds the key of the fingerprints, and no token. A file that is corrupt, foreign, or of a later
version is set aside under another name, and a new one is begun.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prober.outcomes import RejectionCause, TokenState
from prober.tokens.ledger import TokenRecord

FILE_NAME = "tokens.sqlite3"
_APPLICATION_ID = 0x70726F62  # "prob"
_VERSION = 1
_KEY_BYTES = 32
_BUSY_SECONDS = 5.0
_SCHEMA = (
    "CREATE TABLE fingerprint_key (key BLOB NOT NULL)",
    "CREATE TABLE token (tenant TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",
)


class LedgerFile:
    """The open file; its methods may block, and raise OSError when the file cannot be used."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.key = _key(connection)

    @classmethod
    def open(cls, directory: Path, on_set_aside: Callable[[Path, str], None]) -> "LedgerFile":
        """Open the file in a directory that exists, for writing; make it if need be.

        `on_set_aside` hears of a file that could not be used: its new name, and why.
        """
        path = directory / FILE_NAME
        with _as_os_error(path):
            why = _unusable(path)
            if why is not None:
                on_set_aside(_set_aside(path), why)
            return cls(_opened(path))

    @classmethod
    def read(cls, directory: Path) -> "LedgerFile | None":
        """Open the file for reading, beside a daemon that writes; None if there is no usable one.

        Raises OSError when it may not be read.
        """
        path = directory / FILE_NAME
        if not path.exists():
            return None
        with _as_os_error(path):
            if _unusable(path) is not None:
                return None
            return cls(_connect(path, "ro"))

    def records(self) -> dict[str, TokenRecord]:
        """Return the records of all tenants that there ever were; an unreadable one is left out."""
        with _as_os_error():
            rows = self._connection.execute("SELECT tenant, record FROM token").fetchall()
        records = {tenant: _record(text) for tenant, text in rows}
        return {tenant: record for tenant, record in records.items() if record is not None}

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        """Save records, all or none."""
        rows = [(tenant, _text(record)) for tenant, record in records.items()]
        with _as_os_error(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO token VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()


@contextmanager
def _as_os_error(path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(None, str(error), None if path is None else str(path)) from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
    )


def _unusable(path: Path) -> str | None:
    """Return why a file that exists is not ours to use, None if all is well."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = _connect(path, "ro")
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return None  # as empty as a process that was killed at its birth leaves it
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        keys = connection.execute("SELECT count(*) FROM fingerprint_key").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return "it is no ledger of prober"
        raise
    except sqlite3.DatabaseError as error:
        return f"it is corrupt: {error}"
    finally:
        connection.close()
    if application != _APPLICATION_ID:
        return "it is no ledger of prober"
    if version != _VERSION:
        return f"its version is {version}, this prober writes version {_VERSION}"
    return None if verdict == "ok" and keys == 1 else f"it is corrupt: {verdict}"


def _set_aside(path: Path) -> Path:
    """Rename a file and what SQLite keeps beside it; return the new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def _opened(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):  # nobody else may read it, from the first byte
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path, "rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables and the key in one transaction: half a file is none."""
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO fingerprint_key VALUES (?)", (secrets.token_bytes(_KEY_BYTES),))
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
    connection.isolation_level = "DEFERRED"


def _key(connection: sqlite3.Connection) -> bytes:
    with _as_os_error():
        return bytes(connection.execute("SELECT key FROM fingerprint_key").fetchone()[0])


def _text(record: TokenRecord) -> str:
    return json.dumps({**asdict(record), "contradicted": sorted(record.contradicted)})


def _record(text: str) -> TokenRecord | None:
    try:
        content: dict[str, Any] = json.loads(text)
        cause = content["cause"]
        return TokenRecord(
            **{
                **content,
                "state": TokenState(content["state"]),
                "cause": None if cause is None else RejectionCause(cause),
                "contradicted": frozenset(content["contradicted"]),
            }
        )
    except (ValueError, TypeError, KeyError):
        return None
