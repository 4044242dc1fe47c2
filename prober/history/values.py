"""Stores the values that checks found, a line over time for each item.

Of each quarter of an hour the last value is kept. The number of series is bounded for each probe: a
server may name other items in every response.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prober.models import CheckKind, CheckResult
from prober.stats.aggregates import bucket_start

MAX_SERIES_PER_PROBE = 200
# Retention deletes series that get no more values. One that was not used for so long is looked up
# again, since it may be gone.
_CACHE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class ProbeValues:
    """The values of one run; `at` is in epoch seconds, `probe` the row of the probe."""

    probe: int
    at: float
    checks: Sequence[CheckResult]


@dataclass(slots=True)
class _Series:
    id: int
    start: int
    value: float | None
    used_at: float


class ValueStore:
    """Writes values, in the transaction of its caller.

    Methods block and raise sqlite3.Error; after an error this must be created again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # By probe, then by check and item; what was used last is at the end.
        self._series: dict[int, dict[tuple[str, str], _Series]] = {}

    def add(self, runs: Iterable[ProbeValues]) -> None:
        """Add the values of some runs."""
        # The last value of a quarter of an hour wins: only that is written.
        rows: dict[tuple[int, int], float] = {}
        used: dict[int, float] = {}
        for run in runs:
            start = bucket_start(run.at)
            for each in run.checks:
                if each.value is None:
                    continue
                series = self._series_of(run.probe, each, run.at)
                if (series.start, series.value) != (start, each.value):
                    rows[series.id, start] = each.value
                    used[series.id] = run.at
                    series.start, series.value = start, each.value
        self._connection.executemany(
            "INSERT OR REPLACE INTO probe_value (series, start, value) VALUES (?, ?, ?)",
            [(*key, value) for key, value in rows.items()],
        )
        self._connection.executemany(
            "UPDATE value_series SET last_at = ? WHERE id = ?",
            [(at, series_id) for series_id, at in used.items()],
        )

    def _series_of(self, probe: int, result: CheckResult, at: float) -> _Series:
        known = self._series.get(probe)
        if known is None:
            known = self._series[probe] = self._read(probe)
        key = result.check.name, result.item
        series = known.pop(key, None)
        if series is None or at - series.used_at > _CACHE_SECONDS:
            series = self._find_or_insert(probe, key, result.check.kind, at)
        series.used_at = at
        known[key] = series
        while len(known) > MAX_SERIES_PER_PROBE:
            self._delete(known.pop(next(iter(known))).id)
        return series

    def _read(self, probe: int) -> dict[tuple[str, str], _Series]:
        rows = self._connection.execute(
            "SELECT check_name, item, id, last_at FROM value_series WHERE probe = ?"
            " ORDER BY last_at",
            (probe,),
        )
        return {
            (check, item): _Series(series_id, 0, None, last_at)
            for check, item, series_id, last_at in rows
        }

    def _find_or_insert(
        self, probe: int, key: tuple[str, str], kind: CheckKind, at: float
    ) -> _Series:
        self._connection.execute(
            "INSERT INTO value_series (probe, check_name, item, kind, last_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (probe, check_name, item)"
            " DO UPDATE SET kind = excluded.kind, last_at = excluded.last_at",
            (probe, *key, kind.value, at),
        )
        (series_id,) = self._connection.execute(
            "SELECT id FROM value_series WHERE probe = ? AND check_name = ? AND item = ?",
            (probe, *key),
        ).fetchone()
        return _Series(int(series_id), 0, None, at)

    def _delete(self, series_id: int) -> None:
        self._connection.execute("DELETE FROM probe_value WHERE series = ?", (series_id,))
        self._connection.execute("DELETE FROM value_series WHERE id = ?", (series_id,))


def delete_value_series(connection: sqlite3.Connection, probe: int, before: float) -> None:
    """Delete a probe's series without a value since a time: item names must not stay for ever."""
    connection.execute("DELETE FROM value_series WHERE probe = ? AND last_at < ?", (probe, before))
