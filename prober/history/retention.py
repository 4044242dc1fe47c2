"""Deletes what is too old, and the oldest data of a file that is too large, a little at a time."""

import sqlite3
from collections.abc import Callable

from prober.history.values import delete_value_series
from prober.history.writer import HOUR_SECONDS, MINUTE_SECONDS, HistoryWriter
from prober.outcomes import HistoryDropReason

# Each step is short, since it holds the file's write lock and the history's only thread: runs wait
# in the queue meanwhile. A file that is far over its limit shrinks over many steps.
_BATCH_ROWS = 2000
_BATCH_PROBES = 50
_BATCH_PAGES = 2000
_ROUND_SECONDS = 3600.0
_FULL_RATIO = 0.95  # start before the limit, so that a step that comes late does not exceed it
# Failures are large and help only while they are new: they are deleted first, so that a tenant that
# fails all day does not push out the numbers of all others.
_FAILURES_RATIO = 0.5
_DAY_SECONDS = 86_400.0

_DELETE_OLD_ROWS = (
    "DELETE FROM failure WHERE id IN (SELECT id FROM failure WHERE at < ? ORDER BY at LIMIT ?)",
    (
        "DELETE FROM verdict_change WHERE id IN"
        " (SELECT id FROM verdict_change WHERE at < ? ORDER BY at LIMIT ?)"
    ),
    (
        "DELETE FROM token_event WHERE id IN"
        " (SELECT id FROM token_event WHERE at < ? ORDER BY at LIMIT ?)"
    ),
    (
        "DELETE FROM slow_request WHERE id IN"
        " (SELECT id FROM slow_request WHERE at < ? ORDER BY at LIMIT ?)"
    ),
    (
        "DELETE FROM published_status WHERE id IN"
        " (SELECT id FROM published_status WHERE until < ? ORDER BY until LIMIT ?)"
    ),
    # An ongoing streak has no end (NULL): it is never less than the cutoff, and stays.
    (
        "DELETE FROM failure_streak WHERE id IN"
        " (SELECT id FROM failure_streak WHERE ended_at < ? ORDER BY ended_at LIMIT ?)"
    ),
    (
        "DELETE FROM time_bucket WHERE (tenant, start) IN"
        " (SELECT tenant, start FROM time_bucket WHERE start < ? ORDER BY start LIMIT ?)"
    ),
    (
        "DELETE FROM probe_value WHERE (series, start) IN"
        " (SELECT series, start FROM probe_value WHERE start < ? ORDER BY start LIMIT ?)"
    ),
)

# A step that would delete much of the history is suspicious: the clock may have jumped ahead, and
# deleted data does not come back. It waits until the clock has run evenly for a while.
MAX_TRUSTED_RATIO = 0.1
TRUSTED_SECONDS = 3600.0
_MAX_EVEN_STEP_SECONDS = 60.0

OnDropped = Callable[[HistoryDropReason, int], None]
OnDeferred = Callable[[float, float], None]


class Retention:
    """Keeps a file below `max_bytes`, and deletes what is older than `seconds`.

    `on_dropped` is called when data is deleted before its time, since the file is too large;
    `on_deferred(cutoff, oldest)` once when a deletion has to wait (see `MAX_TRUSTED_RATIO`).
    """

    def __init__(
        self,
        seconds: float,
        max_bytes: int,
        on_dropped: OnDropped,
        on_deferred: OnDeferred = lambda _cutoff, _oldest: None,
    ) -> None:
        self.limit(seconds, max_bytes)
        self._on_dropped = on_dropped
        self._on_deferred = on_deferred
        self._is_deferred = False
        self._last_now = float("-inf")
        self._even_seconds = 0.0  # how long the clock has run evenly
        self._remaining_probes: list[int] = []
        self._next_round_at = 0.0
        self._deleted_before = 0.0

    def limit(self, seconds: float, max_bytes: int) -> None:
        """Set how old the data and how large the file may become."""
        self._seconds, self._full_bytes = seconds, max_bytes * _FULL_RATIO

    def enforce(self, file: HistoryWriter, now: float) -> None:
        """Do the next step; `now` is in epoch seconds. Raises sqlite3.Error."""
        connection = file.connection
        step_seconds, self._last_now = now - self._last_now, now
        is_even = 0 <= step_seconds <= _MAX_EVEN_STEP_SECONDS
        self._even_seconds = self._even_seconds + step_seconds if is_even else 0.0
        with connection:
            if not self._must_wait(connection, now):
                self._delete_expired(connection, now)
            if size_bytes(connection) > self._full_bytes:
                self._make_room(connection, now)
        # Gives free pages back to the file system; it stops unless it is fetched to its end.
        connection.execute(f"PRAGMA incremental_vacuum({_BATCH_PAGES})").fetchall()

    def _must_wait(self, connection: sqlite3.Connection, now: float) -> bool:
        """Return whether much would be deleted and the clock cannot be trusted yet."""
        cutoff = now - self._seconds
        oldest, newest = connection.execute(
            "SELECT min(start), max(start) FROM time_bucket"
        ).fetchone()
        deletes_much = oldest is not None and (
            cutoff - oldest > MAX_TRUSTED_RATIO * max(newest - oldest, HOUR_SECONDS)
        )
        was_deferred = self._is_deferred
        self._is_deferred = deletes_much and self._even_seconds < TRUSTED_SECONDS
        if self._is_deferred and not was_deferred:
            self._on_deferred(cutoff, float(oldest))
        return self._is_deferred

    def _delete_expired(self, connection: sqlite3.Connection, now: float) -> None:
        cutoff = max(now - self._seconds, self._deleted_before)
        for statement in _DELETE_OLD_ROWS:
            connection.execute(statement, (cutoff, _BATCH_ROWS))
        # Minutes and hours have no index by time, which would be as large as they are. They are
        # deleted probe by probe, by primary key: all probes once an hour, a few each step.
        if not self._remaining_probes and now >= self._next_round_at:
            self._next_round_at = now + _ROUND_SECONDS
            self._remaining_probes = [row[0] for row in connection.execute("SELECT id FROM probe")]
        batch = self._remaining_probes[:_BATCH_PROBES]
        self._remaining_probes = self._remaining_probes[_BATCH_PROBES:]
        for probe in batch:
            _delete_aggregates(connection, probe, cutoff)
            delete_value_series(connection, probe, cutoff)

    def _make_room(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete the oldest failures if they take more than their share, else the oldest day."""
        failures = connection.execute("SELECT coalesce(sum(length(document)), 0) FROM failure")
        if failures.fetchone()[0] > self._full_bytes * _FAILURES_RATIO:
            self._delete_oldest_failures(connection, now)
            return
        oldest = connection.execute("SELECT min(start) FROM time_bucket").fetchone()[0]
        if oldest is None or oldest >= now - HOUR_SECONDS:
            return  # the last hour is never deleted: the smallest limit has room for it
        self._deleted_before = min(oldest + _DAY_SECONDS, now - HOUR_SECONDS)
        self._on_dropped(HistoryDropReason.OVER_SIZE, 1)
        for (probe,) in connection.execute("SELECT id FROM probe").fetchall():
            _delete_aggregates(connection, probe, self._deleted_before)
        connection.execute("DELETE FROM time_bucket WHERE start < ?", (self._deleted_before,))
        connection.execute("DELETE FROM probe_value WHERE start < ?", (self._deleted_before,))
        _save_horizon(connection, "everything", self._deleted_before)

    def _delete_oldest_failures(self, connection: sqlite3.Connection, now: float) -> None:
        cursor = connection.execute(
            "DELETE FROM failure WHERE id IN (SELECT id FROM failure ORDER BY at LIMIT ?)",
            (_BATCH_ROWS,),
        )
        self._on_dropped(HistoryDropReason.OVER_SIZE, cursor.rowcount)
        oldest = connection.execute("SELECT min(at) FROM failure").fetchone()[0]
        _save_horizon(connection, "failure", now if oldest is None else oldest)


def size_bytes(connection: sqlite3.Connection) -> int:
    """Return how many bytes the file uses, without its free pages."""
    # Free pages are used again before the file grows, so that deleting counts at once.
    pages, free_pages, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free_pages) * page_bytes)


def _save_horizon(connection: sqlite3.Connection, kind: str, before: float) -> None:
    connection.execute("INSERT OR REPLACE INTO retention_horizon VALUES (?, ?)", (kind, before))


def _delete_aggregates(connection: sqlite3.Connection, probe: int, before: float) -> None:
    hour = int(before // HOUR_SECONDS)
    connection.execute("DELETE FROM hour WHERE probe = ? AND hour < ?", (probe, hour))
    connection.execute("DELETE FROM hour_detail WHERE probe = ? AND hour < ?", (probe, hour))
    connection.execute(
        "DELETE FROM minute WHERE probe = ? AND minute < ?",
        (probe, int(before // MINUTE_SECONDS)),
    )
