"""What is forgotten, a little at a time: what is too old, and the oldest of what is too much."""

import sqlite3
from collections.abc import Callable

from prober.history.writer import HOUR, MINUTE, HistoryWriter
from prober.outcomes import HistoryDropReason

_BATCH_ROWS = 2000
_BATCH_PROBES = 50
_BATCH_PAGES = 2000
_ROUND_SECONDS = 3600.0
_FULL_RATIO = 0.95  # where room is made, so that the limit itself is never passed
_FAILURES_RATIO = 0.5
_A_DAY_SECONDS = 86_400.0

_BY_TIME = (
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
        "DELETE FROM slow_answer WHERE id IN"
        " (SELECT id FROM slow_answer WHERE at < ? ORDER BY at LIMIT ?)"
    ),
    (
        "DELETE FROM spell WHERE id IN"
        " (SELECT id FROM spell WHERE ended_at < ? ORDER BY ended_at LIMIT ?)"
    ),
    (
        "DELETE FROM slot WHERE (tenant, slot) IN"
        " (SELECT tenant, slot FROM slot WHERE slot < ? ORDER BY slot LIMIT ?)"
    ),
)

MOST_AT_ONCE_RATIO = 0.1
"""A sweep that takes more than this share of the time that is remembered is suspicious: the clock
may have jumped ahead, and nothing brings back what is deleted."""
TRUSTED_SECONDS = 3600.0
"""So long the clock must have run evenly before such a sweep is made."""
_EVEN_STEP_SECONDS = 60.0

OnDropped = Callable[[HistoryDropReason, int], None]
OnHeld = Callable[[float, float], None]


class Retention:
    """Keeps a file below `max_bytes` and no older than `seconds`.

    `on_lost` hears of the former; `on_held(cutoff, oldest)` of a sweep that waits, once.
    """

    def __init__(
        self,
        seconds: float,
        max_bytes: int,
        on_dropped: OnDropped,
        on_held: OnHeld = lambda _cutoff, _oldest: None,
    ) -> None:
        self.limit(seconds, max_bytes)
        self._on_lost = on_dropped
        self._on_held = on_held
        self._is_held = False
        self._last_now = float("-inf")
        self._trusted_seconds = 0.0
        self._probes: list[int] = []
        self._next_round_at = 0.0
        self._not_before = 0.0

    def limit(self, seconds: float, max_bytes: int) -> None:
        """Set how old and how large the file may become."""
        self._seconds, self._full_bytes = seconds, max_bytes * _FULL_RATIO

    def enforce(self, file: HistoryWriter, now: float) -> None:
        """Do the next bit of work; raises sqlite3.Error."""
        connection = file.connection
        step_seconds, self._last_now = now - self._last_now, now
        is_even = 0 <= step_seconds <= _EVEN_STEP_SECONDS
        self._trusted_seconds = self._trusted_seconds + step_seconds if is_even else 0.0
        with connection:
            if not self._must_wait(connection, now):
                self._delete_expired(connection, now)
            if size_bytes(connection) > self._full_bytes:
                self._make_room(connection, now)
        connection.execute(f"PRAGMA incremental_vacuum({_BATCH_PAGES})").fetchall()

    def _must_wait(self, connection: sqlite3.Connection, now: float) -> bool:
        """Tell whether a sweep would take much, and the clock is not yet to be believed."""
        cutoff = now - self._seconds
        oldest, newest = connection.execute("SELECT min(slot), max(slot) FROM slot").fetchone()
        takes_much = oldest is not None and (
            cutoff - oldest > MOST_AT_ONCE_RATIO * max(newest - oldest, HOUR)
        )
        was_held, self._is_held = (
            self._is_held,
            (takes_much and self._trusted_seconds < TRUSTED_SECONDS),
        )
        if self._is_held and not was_held:
            self._on_held(cutoff, float(oldest))
        return self._is_held

    def _delete_expired(self, connection: sqlite3.Connection, now: float) -> None:
        cutoff = max(now - self._seconds, self._not_before)
        for statement in _BY_TIME:
            connection.execute(statement, (cutoff, _BATCH_ROWS))
        if not self._probes and now >= self._next_round_at:
            self._next_round_at = now + _ROUND_SECONDS
            self._probes = [row[0] for row in connection.execute("SELECT id FROM probe")]
        batch, self._probes = self._probes[:_BATCH_PROBES], self._probes[_BATCH_PROBES:]
        for probe in batch:
            _delete_probe(connection, probe, cutoff)

    def _make_room(self, connection: sqlite3.Connection, now: float) -> None:
        """Let the oldest failures go if they take more than their share, else the oldest day."""
        failures = connection.execute("SELECT coalesce(sum(length(document)), 0) FROM failure")
        if failures.fetchone()[0] > self._full_bytes * _FAILURES_RATIO:
            cursor = connection.execute(
                "DELETE FROM failure WHERE id IN (SELECT id FROM failure ORDER BY at LIMIT ?)",
                (_BATCH_ROWS,),
            )
            self._on_lost(HistoryDropReason.OVER_SIZE, cursor.rowcount)
            left = connection.execute("SELECT min(at) FROM failure").fetchone()[0]
            _record_horizon(connection, "failure", now if left is None else left)
            return
        oldest = connection.execute("SELECT min(slot) FROM slot").fetchone()[0]
        if oldest is None or oldest > now - HOUR:
            return  # the last hour is never let go: the limit has room for it
        self._not_before = min(oldest + _A_DAY_SECONDS, now - HOUR)
        self._on_lost(HistoryDropReason.OVER_SIZE, 1)
        for (probe,) in connection.execute("SELECT id FROM probe").fetchall():
            _delete_probe(connection, probe, self._not_before)
        connection.execute("DELETE FROM slot WHERE slot < ?", (self._not_before,))
        _record_horizon(connection, "everything", self._not_before)


def size_bytes(connection: sqlite3.Connection) -> int:
    """Return how much the file holds, without what is free in it."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def _record_horizon(connection: sqlite3.Connection, what: str, before: float) -> None:
    connection.execute("INSERT OR REPLACE INTO forgotten VALUES (?, ?)", (what, before))


def _delete_probe(connection: sqlite3.Connection, probe: int, before: float) -> None:
    hour = int(before // HOUR)
    connection.execute("DELETE FROM hour WHERE probe = ? AND hour < ?", (probe, hour))
    connection.execute("DELETE FROM hour_detail WHERE probe = ? AND hour < ?", (probe, hour))
    connection.execute(
        "DELETE FROM minute WHERE probe = ? AND minute < ?", (probe, int(before // MINUTE))
    )
