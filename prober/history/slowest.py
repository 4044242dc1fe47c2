"""The slowest answers of each tenant and day, kept by the thread that writes.

A run costs a comparison; only one that is slower than the least of those kept costs a write, which
are a few dozen a day.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from prober.timeline.tally import Run

MOST_A_DAY = 10
_DAY_SECONDS = 86_400


class Slowest:
    """Methods block, and raise sqlite3.Error; after one this is to be made anew."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: dict[str, tuple[int, list[float]]] = {}

    def add(self, runs: Iterable[tuple[Run, Mapping[str, str]]]) -> None:
        """Keep what is slow enough of some runs, each with its facts."""
        for run, facts in runs:
            if run.server_seconds is None or run.in_maintenance:
                continue
            day = int(run.at // _DAY_SECONDS)
            kept = self._times(run.tenant, day)
            if len(kept) < MOST_A_DAY:
                heappush(kept, run.server_seconds)
            elif run.server_seconds > kept[0]:
                self._drop_least(run.tenant, day)
                heappop(kept)
                heappush(kept, run.server_seconds)
            else:
                continue
            self._insert(run, day, facts)

    def _times(self, tenant: str, day: int) -> list[float]:
        """Return the heap of what is kept of a day; of each tenant one day is remembered."""
        known = self._kept.get(tenant)
        if known is not None and known[0] == day:
            return known[1]
        rows = self._connection.execute(
            "SELECT server_seconds FROM slow_answer WHERE tenant = ? AND day = ?", (tenant, day)
        )
        times = [seconds for (seconds,) in rows]
        heapify(times)
        self._kept[tenant] = (day, times)
        return times

    def _drop_least(self, tenant: str, day: int) -> None:
        self._connection.execute(
            "DELETE FROM slow_answer WHERE id = (SELECT id FROM slow_answer"
            " WHERE tenant = ? AND day = ? ORDER BY server_seconds LIMIT 1)",
            (tenant, day),
        )

    def _insert(self, run: Run, day: int, facts: Mapping[str, str]) -> None:
        self._connection.execute(
            "INSERT INTO slow_answer (tenant, day, probe, at, reason, server_seconds,"
            " network_seconds, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run.tenant,
                day,
                run.probe,
                run.at,
                run.reason.value,
                run.server_seconds,
                run.network_seconds,
                json.dumps(dict(facts)),
            ),
        )
