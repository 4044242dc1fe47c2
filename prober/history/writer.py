"""The open file, to be written by one thread: a batch is saved as a whole or not at all.

What SQLite raises is let out: who owns the thread decides. After an error the file is to be opened
anew, since what is remembered between batches (`_last`, `_recent`, `_going_on`) may be ahead of it.

The slowest answers of each tenant and day, kept by the thread that writes.

A run costs a comparison; only one that is slower than the least of those kept costs a write, which
are a few dozen a day.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from pathlib import Path

from prober.history.codec import (
    StreakRow,
    decode_rows,
    pack_document,
    pack_minutes,
    pack_tally,
    streak_from_row,
    unpack_minutes,
    unpack_tally,
)
from prober.history.schema import FILE_NAME, FORMAT
from prober.models import ProbeResult, SkippedRun, TokenEvent
from prober.outcomes import SkipCause
from prober.sqlite import open_to_write
from prober.stats.aggregates import (
    COLUMNS,
    Aggregate,
    RunSummary,
    TimeBucket,
    add_run,
    add_skip,
    bucket_for,
    bucket_start,
    merge_aggregates,
    sum_buckets,
    values,
)
from prober.stats.incidents import FailureStreak, advance

MAX_PER_DAY = 10
_DAY_SECONDS = 86_400


class SlowRequestStore:
    """Methods block, and raise sqlite3.Error; after one this is to be made anew."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: dict[str, tuple[int, list[float]]] = {}

    def add(self, runs: Iterable[tuple[RunSummary, Mapping[str, str]]]) -> None:
        """Keep what is slow enough of some runs, each with its facts."""
        for run, facts in runs:
            if run.server_seconds is None or run.in_maintenance:
                continue
            day = int(run.at // _DAY_SECONDS)
            kept = self._times(run.tenant, day)
            if len(kept) < MAX_PER_DAY:
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
        times = list(decode_rows(rows, lambda row: float(row[0])))
        heapify(times)
        self._kept[tenant] = (day, times)
        return times

    def _drop_least(self, tenant: str, day: int) -> None:
        self._connection.execute(
            "DELETE FROM slow_answer WHERE id = (SELECT id FROM slow_answer"
            " WHERE tenant = ? AND day = ? ORDER BY server_seconds LIMIT 1)",
            (tenant, day),
        )

    def _insert(self, run: RunSummary, day: int, facts: Mapping[str, str]) -> None:
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


MINUTE, HOUR = 60, 3600
_WAL_BYTES = 16 * 1024 * 1024
_ADD = ", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)
_SLOT = (
    f"INSERT INTO slot (tenant, slot, {', '.join(COLUMNS)})"  # noqa: S608 -- our columns
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"
    f" ON CONFLICT DO UPDATE SET {_ADD}"
)
STREAK_COLUMNS = (
    "probe.tenant, probe.name, reason, rule, evidence, started_at, last_failed_at, ended_at,"
    " failures, in_maintenance"
)

ProbeKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run, its whole result if it failed, and the facts about its answer."""

    run: RunSummary
    failure: ProbeResult | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


Entry = RunEntry | SkippedRun | TokenEvent


class HistoryWriter:
    """See the module; methods block, and raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.connection = connection
        self.identity = _identity(path)
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        rows = connection.execute("SELECT tenant, name, id FROM probe")
        self._ids: dict[ProbeKey, int] = {(tenant, name): id_ for tenant, name, id_ in rows}
        self._last: dict[ProbeKey, str] = {}
        self._recent: dict[int, tuple[int, Aggregate]] = {}  # the minute that was last written
        self._going_on = dict(self._read_ongoing())
        hours = connection.execute(
            "SELECT DISTINCT probe, minute / ? FROM minute"
            " WHERE typeof(probe) = 'integer' AND typeof(minute) = 'integer'",
            (MINUTE,),
        )
        self._unpacked: set[tuple[int, int]] = set(hours)
        self._slowest = SlowRequestStore(connection)

    @classmethod
    def open(cls, directory: Path, on_quarantine: Callable[[Path, str], None]) -> "HistoryWriter":
        """Open the file in a directory that exists; raises OSError and sqlite3.Error."""
        path = directory / FILE_NAME
        connection = open_to_write(path, FORMAT, on_quarantine)
        try:
            return cls(connection, path)
        except sqlite3.Error:
            connection.close()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether somebody took the file away, or put another in its place."""
        return _identity(self.path) != self.identity

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def write(self, entries: Sequence[Entry]) -> None:
        """Save entries, all or none."""
        runs = [entry for entry in entries if isinstance(entry, RunEntry)]
        skips = [entry for entry in entries if isinstance(entry, SkippedRun)]
        with self.connection:
            self._add_aggregates(runs, skips)
            self._add_buckets(runs, skips)
            self._slowest.add((ran.run, ran.facts) for ran in runs)
            for ran in runs:
                self._add_verdict_change(ran.run)
                self._advance_streak(ran.run)
                if ran.failure is not None:
                    self._keep_failure(ran.run, ran.failure)
            self._add_token_events(e for e in entries if isinstance(e, TokenEvent))

    def end_streaks_of_other_probes(self, probes: Collection[ProbeKey]) -> None:
        """End what went on for probes that there are no longer."""
        gone = [key for key in self._going_on if key not in probes]
        with self.connection:
            for key in gone:
                row, spell = self._going_on.pop(key)
                self.connection.execute(
                    "UPDATE spell SET ended_at = ? WHERE id = ?", (spell.last_failed_at, row)
                )

    def pack_hours(self, before: float, most: int) -> int:
        """Pack at most so many hours that were over before a moment; return how many."""
        over = sorted(each for each in self._unpacked if (each[1] + 1) * HOUR <= before)[:most]
        with self.connection:
            for probe, hour in over:
                self._pack_hour(probe, hour)
        self._unpacked.difference_update(over)
        return len(over)

    def _id(self, key: ProbeKey) -> int:
        found = self._ids.get(key)
        if found is None:
            cursor = self.connection.execute("INSERT INTO probe (tenant, name) VALUES (?, ?)", key)
            found = self._ids[key] = int(cursor.lastrowid or 0)
        return found

    def _add_aggregates(self, runs: Iterable[RunEntry], skips: Iterable[SkippedRun]) -> None:
        fresh: dict[tuple[int, int], Aggregate] = {}
        for ran in runs:
            key = self._id((ran.run.tenant, ran.run.probe)), int(ran.run.at // MINUTE)
            fresh[key] = add_run(fresh.get(key) or self._stored_aggregate(*key), ran.run)
        for skip in skips:
            key = self._id((skip.tenant, skip.probe)), int(skip.at // MINUTE)
            fresh[key] = add_skip(fresh.get(key) or self._stored_aggregate(*key), skip.cause)
        rows = []
        for (probe, minute), whole in fresh.items():
            self._recent[probe] = minute, whole
            rows.append((probe, minute, pack_tally(whole)))
            self._unpacked.add((probe, minute // MINUTE))
        self.connection.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?, ?)", rows)

    def _stored_aggregate(self, probe: int, minute: int) -> Aggregate:
        recent = self._recent.get(probe)
        if recent is not None and recent[0] == minute:
            return recent[1]
        found = self.connection.execute(
            "SELECT tally FROM minute WHERE probe = ? AND minute = ?", (probe, minute)
        ).fetchone()
        return next(decode_rows([found] if found else [], _aggregate), Aggregate())

    def _add_buckets(self, runs: Iterable[RunEntry], skips: Iterable[SkippedRun]) -> None:
        fresh: dict[tuple[str, int], list[TimeBucket]] = defaultdict(list)
        for ran in runs:
            fresh[(ran.run.tenant, bucket_start(ran.run.at))].append(bucket_for(ran.run))
        for skip in skips:
            if skip.cause is SkipCause.TOKEN_REJECTED:
                fresh[(skip.tenant, bucket_start(skip.at))].append(TimeBucket(paused=1))
        rows = [(*key, *values(sum_buckets(slots))) for key, slots in fresh.items()]
        self.connection.executemany(_SLOT, rows)

    def _add_verdict_change(self, run: RunSummary) -> None:
        key, reason = (run.tenant, run.probe), run.reason.value
        before = self._last.get(key)
        if before != reason:
            self._last[key] = reason
            self.connection.execute(
                "INSERT INTO verdict_change (probe, at, before, reason) VALUES (?, ?, ?, ?)",
                (self._id(key), run.at, before, reason),
            )

    def _advance_streak(self, run: RunSummary) -> None:
        key = (run.tenant, run.probe)
        row, spell = self._going_on.pop(key, (0, None))
        ended, going_on = advance(spell, run)
        if ended is not None:
            self._update(row, ended)
        if going_on is None:
            return
        if spell is not None and ended is None:
            self._update(row, going_on)
        else:
            row = self._insert(key, going_on)
        self._going_on[key] = (row, going_on)

    def _update(self, row: int, spell: FailureStreak) -> None:
        self.connection.execute(
            "UPDATE spell SET last_failed_at = ?, ended_at = ?, failures = ? WHERE id = ?",
            (spell.last_failed_at, spell.ended_at, spell.failures, row),
        )

    def _insert(self, key: ProbeKey, spell: FailureStreak) -> int:
        cursor = self.connection.execute(
            "INSERT INTO spell (probe, reason, rule, evidence, started_at, last_failed_at,"
            " ended_at, failures, in_maintenance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._id(key),
                spell.reason.value,
                spell.rule,
                spell.evidence,
                spell.started_at,
                spell.last_failed_at,
                spell.ended_at,
                spell.failures,
                int(spell.in_maintenance),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _keep_failure(self, run: RunSummary, result: ProbeResult) -> None:
        row = (self._id((run.tenant, run.probe)), run.at, run.reason.value, pack_document(result))
        self.connection.execute(
            "INSERT INTO failure (probe, at, reason, document) VALUES (?, ?, ?, ?)", row
        )

    def _add_token_events(self, events: Iterable[TokenEvent]) -> None:
        rows = [
            (
                event.status.tenant,
                event.at,
                event.kind.value,
                event.status.fingerprint,
                None if event.status.cause is None else event.status.cause.value,
                event.status.problem,
            )
            for event in events
        ]
        self.connection.executemany(
            "INSERT INTO token_event (tenant, at, kind, fingerprint, cause, problem)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _pack_hour(self, probe: int, hour: int) -> None:
        span = (probe, hour * MINUTE, (hour + 1) * MINUTE)
        execute = self.connection.execute
        rows = execute(
            "SELECT minute, tally FROM minute WHERE probe = ? AND minute >= ? AND minute < ?", span
        )
        minutes = dict(decode_rows(rows, lambda row: (row[0] % MINUTE, unpack_tally(row[1]))))
        packed = execute(
            "SELECT minutes FROM hour_detail WHERE probe = ? AND hour = ?", (probe, hour)
        ).fetchone()
        before = decode_rows([packed] if packed else [], lambda row: unpack_minutes(row[0]))
        for number, tally in next(before, {}).items():
            minutes[number] = merge_aggregates((tally, minutes.get(number, Aggregate())))
        whole = pack_tally(merge_aggregates(minutes.values()))
        execute("INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", (probe, hour, whole))
        execute(
            "INSERT OR REPLACE INTO hour_detail VALUES (?, ?, ?)",
            (probe, hour, pack_minutes(minutes)),
        )
        self._recent.pop(probe, None)
        execute("DELETE FROM minute WHERE probe = ? AND minute >= ? AND minute < ?", span)

    def _read_ongoing(self) -> Iterable[tuple[ProbeKey, tuple[int, FailureStreak]]]:
        rows: Iterable[tuple[int, *StreakRow]] = self.connection.execute(
            f"SELECT spell.id, {STREAK_COLUMNS}"  # noqa: S608 -- our columns
            " FROM spell JOIN probe ON probe.id = spell.probe WHERE ended_at IS NULL"
        )
        # One that cannot be read is left as it is: `HistoryReader` passes it over.
        for row, spell in decode_rows(rows, lambda row: (row[0], streak_from_row(row[1:]))):
            yield (spell.tenant, spell.probe), (row, spell)


def _aggregate(row: tuple[bytes]) -> Aggregate:
    return unpack_tally(row[0])


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
