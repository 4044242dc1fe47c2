"""Token records that survive a restart: one SQLite file in the state directory.

It contains the key of the fingerprints, and no token. A file that is corrupt, foreign, or of a
later version is quarantined, and a new one is created.
"""

import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from prober.outcomes import RejectionCause, TokenState
from prober.sqlite import SchemaSpec, open_to_read, open_to_write, translate_sqlite_errors
from prober.tokens.state_machine import TokenRecord

FILE_NAME = "tokens.sqlite3"
_APPLICATION_ID = 0x70726F62  # "prob"
_KEY_BYTES = 32
_TABLES = (
    "CREATE TABLE fingerprint_key (key BLOB NOT NULL)",
    "CREATE TABLE token (tenant TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",
)


def _check(connection: sqlite3.Connection) -> str | None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    connection.execute("SELECT 1 FROM token LIMIT 1")
    keys = connection.execute(
        "SELECT count(*) FROM fingerprint_key WHERE typeof(key) = 'blob'"
    ).fetchone()[0]
    if verdict != "ok":
        return f"it is corrupt: {verdict}"
    return None if keys == 1 else "it is corrupt: its key is missing"


def _create_key(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO fingerprint_key VALUES (?)", (secrets.token_bytes(_KEY_BYTES),))


_FILE_SCHEMA = SchemaSpec("token store", _APPLICATION_ID, (_TABLES,), _check, _create_key)


class TokenStore:
    """The open file. Methods block, and raise OSError when the file cannot be used."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # A save that is cancelled goes on in its thread; closing a connection in use is a crash.
        self._lock = threading.Lock()
        # Damaged text must lose one record and not make all others unreadable.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            self.key = _key(connection)
        except OSError:
            connection.close()
            raise

    @classmethod
    def open(cls, directory: Path, on_quarantine: Callable[[Path, str], None]) -> "TokenStore":
        """Open the file in an existing directory for writing; create it if necessary.

        If the file cannot be used, it is renamed and `on_quarantine(new name, reason)` is called.
        """
        return cls(open_to_write(directory / FILE_NAME, _FILE_SCHEMA, on_quarantine))

    @classmethod
    def read(cls, directory: Path) -> "TokenStore | None":
        """Open the file for reading while a daemon may write; None if there is no usable one.

        Raises OSError if there is no permission to read it.
        """
        connection = open_to_read(directory / FILE_NAME, _FILE_SCHEMA)
        return None if connection is None else cls(connection)

    def records(self) -> dict[str, TokenRecord]:
        """Return the records of all tenants, removed ones included; damaged ones are left out."""
        with self._lock, translate_sqlite_errors():
            rows = self._connection.execute("SELECT tenant, record FROM token").fetchall()
        records = {tenant: _record(text) for tenant, text in rows}
        return {tenant: record for tenant, record in records.items() if record is not None}

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        """Save records, all or none."""
        rows = [(tenant, _text(record)) for tenant, record in records.items()]
        with self._lock, translate_sqlite_errors(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO token VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()


def _key(connection: sqlite3.Connection) -> bytes:
    with translate_sqlite_errors():
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
