"""Stores what the supplier's status page said: a row for each period in which it said the same.

A row takes up to a hundred kilobytes, and a hostile page can say something else at every read: so
the rows have a limit of their own in bytes, and the oldest ones are deleted first.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pydantic import TypeAdapter

from prober.history.codec import decode_rows
from prober.status_page import PublishedStatus, SupplierIncident, next_published

MAX_BYTES = 4 * 1024 * 1024
MAX_READ_ROWS = 5000
PUBLISHED_COLUMNS = "since, until, url, problem, incidents"
_ROW_BYTES = 200  # about what a row takes besides its incidents
_MAX_TIMESTAMP = 253_402_214_400.0  # a day before the year 10000, in each time zone
_INCIDENTS = TypeAdapter(tuple[SupplierIncident, ...])

PublishedRow = tuple[float, float, str, str | None, str]
"""since, until, url, problem, incidents."""


class PublishedStatusStore:
    """Writes statuses, in the transaction of its caller.

    Methods block and raise sqlite3.Error; after an error this must be created again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        row = connection.execute(
            f"SELECT id, {PUBLISHED_COLUMNS} FROM published_status"  # noqa: S608 -- our columns
            " ORDER BY id DESC LIMIT 1"
        ).fetchone()
        last = decode_rows([row] if row else [], lambda row: (row[0], published_from_row(row[1:])))
        self._last: tuple[int, PublishedStatus | None] = next(last, (0, None))

    def add(self, reads: Iterable[PublishedStatus]) -> None:
        """Add reads of the status page, in the order of time."""
        for read in reads:
            number, last = self._last
            status = next_published(last, read)
            if status is read:
                self._last = self._insert(read), read
                self._trim()
            else:
                self._connection.execute(
                    "UPDATE published_status SET until = ? WHERE id = ?", (status.until, number)
                )
                self._last = number, status

    def _insert(self, status: PublishedStatus) -> int:
        cursor = self._connection.execute(
            f"INSERT INTO published_status ({PUBLISHED_COLUMNS})"  # noqa: S608 -- our columns
            " VALUES (?, ?, ?, ?, ?)",
            (
                status.since,
                status.until,
                status.url,
                status.problem,
                _pack(status.incidents),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _trim(self) -> None:
        self._connection.execute(
            "DELETE FROM published_status WHERE id IN (SELECT id FROM ("
            "SELECT id, sum(length(incidents) + ?) OVER (ORDER BY id DESC) AS total"
            " FROM published_status) WHERE total > ?)",
            (_ROW_BYTES, MAX_BYTES),
        )


def published_from_row(row: PublishedRow) -> PublishedStatus:
    """Return the status that a row holds; raises ValueError for one that cannot be."""
    since, until, url, problem, incidents = row
    if not 0 <= since <= until <= _MAX_TIMESTAMP:
        raise ValueError("no time that can be shown")
    content = _INCIDENTS.validate_json(incidents)
    return PublishedStatus(float(since), float(until), url, problem, content)


def _pack(incidents: Sequence[SupplierIncident]) -> str:
    return json.dumps([asdict(each) for each in incidents], separators=(",", ":"))
