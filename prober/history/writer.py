"""Writes the history: the open file, used by one thread. A batch is saved whole or not at all.

Errors of SQLite are not caught here: the owner of the thread decides what to do. After an error the
file must be opened again, since what is cached between batches (`_last_reasons`, `_last_minutes`,
`_ongoing`) may be ahead of what was saved.
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
    pack_aggregate,
    pack_document,
    pack_minutes,
    streak_from_row,
    unpack_aggregate,
    unpack_minutes,
)
from prober.history.published_statuses import PublishedStatusStore
from prober.history.schema import FILE_NAME, FORMAT
from prober.history.values import ProbeValues, ValueStore
from prober.models import CheckResult, ProbeResult, SkippedRun, TokenEvent
from prober.outcomes import SkipCause
from prober.sqlite import open_to_write
from prober.stats.aggregates import (
    BUCKET_FIELDS,
    Aggregate,
    RunSummary,
    TimeBucket,
    add_run,
    add_skip,
    bucket_for,
    bucket_start,
    bucket_values,
    merge_aggregates,
    sum_buckets,
)
from prober.stats.incidents import FailureStreak, advance
from prober.status_page import PublishedStatus

MAX_PER_DAY = 10
_DAY_SECONDS = 86_400


class SlowRequestStore:
    """Keeps the slowest requests of each tenant and day.

    A run costs one comparison; only a run that is slower than the fastest of those kept is
    written, which happens a few dozen times a day. Methods block and raise sqlite3.Error; after an
    error this must be created again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # By tenant: the day that was last looked at, and a heap of its server times. Runs come in
        # the order of time, so one day is enough.
        self._kept_seconds: dict[str, tuple[int, list[float]]] = {}

    def add(self, runs: Iterable[tuple[RunSummary, Mapping[str, str]]]) -> None:
        """Keep those of some runs that are slow enough, each with its facts."""
        for run, facts in runs:
            if run.server_seconds is None or run.in_maintenance:
                continue
            day = int(run.at // _DAY_SECONDS)
            kept = self._kept_of_day(run.tenant, day)
            if len(kept) < MAX_PER_DAY:
                heappush(kept, run.server_seconds)
            elif run.server_seconds > kept[0]:
                self._delete_fastest(run.tenant, day)
                heappop(kept)
                heappush(kept, run.server_seconds)
            else:
                continue
            self._insert(run, day, facts)

    def _kept_of_day(self, tenant: str, day: int) -> list[float]:
        """Return the heap of a day's server times, read from the file unless it is cached."""
        cached = self._kept_seconds.get(tenant)
        if cached is not None and cached[0] == day:
            return cached[1]
        rows = self._connection.execute(
            "SELECT server_seconds FROM slow_request WHERE tenant = ? AND day = ?", (tenant, day)
        )
        kept = list(decode_rows(rows, lambda row: float(row[0])))
        heapify(kept)
        self._kept_seconds[tenant] = (day, kept)
        return kept

    def _delete_fastest(self, tenant: str, day: int) -> None:
        self._connection.execute(
            "DELETE FROM slow_request WHERE id = (SELECT id FROM slow_request"
            " WHERE tenant = ? AND day = ? ORDER BY server_seconds LIMIT 1)",
            (tenant, day),
        )

    def _insert(self, run: RunSummary, day: int, facts: Mapping[str, str]) -> None:
        self._connection.execute(
            "INSERT INTO slow_request (tenant, day, probe, at, reason, server_seconds,"
            " network_seconds, own_seconds, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run.tenant,
                day,
                run.probe,
                run.at,
                run.reason.value,
                run.server_seconds,
                run.network_seconds,
                run.own_seconds,
                json.dumps(dict(facts)),
            ),
        )


MINUTE_SECONDS, HOUR_SECONDS = 60, 3600
_MINUTES_PER_HOUR = 60
# SQLite does not shrink its write-ahead log on its own: one large batch would leave a large file.
_MAX_WAL_BYTES = 16 * 1024 * 1024
# The column `tenant` is the tenant's name, so that the count of the culprit `tenant` needs another.
BUCKET_COLUMNS = tuple("tenant_failures" if f == "tenant" else f for f in BUCKET_FIELDS)
_BUCKET_MARKS = ", ".join("?" * (len(BUCKET_COLUMNS) + 2))
_ADD_TO_BUCKET = ", ".join(f"{name} = {name} + excluded.{name}" for name in BUCKET_COLUMNS)
UPSERT_BUCKET = (
    f"INSERT INTO time_bucket (tenant, start, {', '.join(BUCKET_COLUMNS)})"  # noqa: S608 -- ours
    f" VALUES ({_BUCKET_MARKS}) ON CONFLICT DO UPDATE SET {_ADD_TO_BUCKET}"
)
STREAK_COLUMNS = (
    "probe.tenant, probe.name, reason, culprit, rule, evidence, started_at, last_failed_at,"
    " ended_at, failures, in_maintenance"
)

ProbeKey = tuple[str, str]
"""A tenant's name and a probe's name."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run, its whole result if it failed, the facts of its verdict, and its checks' values."""

    run: RunSummary
    failure: ProbeResult | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    checks: Sequence[CheckResult] = ()


Entry = RunEntry | SkippedRun | TokenEvent | PublishedStatus


class HistoryWriter:
    """The open file (see the module). Methods block and raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.connection = connection
        self._identity = _file_identity(path)
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
        # Ids are cached, since every run needs one. Probes are never deleted from the table.
        rows = connection.execute("SELECT tenant, name, id FROM probe")
        self._probe_ids: dict[ProbeKey, int] = {(tenant, name): id_ for tenant, name, id_ in rows}
        # Empty at the start: what happened while the prober was down is unknown, so that the first
        # run of each probe is always a change (with `before` NULL).
        self._last_reasons: dict[ProbeKey, str] = {}
        # By probe: the minute that was last written. Most runs fall into it, so that it need not
        # be read and unpacked again.
        self._last_minutes: dict[int, tuple[int, Aggregate]] = {}
        self._ongoing = dict(self._read_ongoing())
        # Hours that an earlier process did not pack. A damaged row must not prevent the start.
        hours = connection.execute(
            "SELECT DISTINCT probe, minute / ? FROM minute"
            " WHERE typeof(probe) = 'integer' AND typeof(minute) = 'integer'",
            (_MINUTES_PER_HOUR,),
        )
        self._unpacked_hours: set[tuple[int, int]] = set(hours)
        self._slow_requests = SlowRequestStore(connection)
        self._values = ValueStore(connection)
        self._published = PublishedStatusStore(connection)

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
        """Whether the file was removed, or another one was put in its place."""
        return _file_identity(self.path) != self._identity

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def write(self, entries: Sequence[Entry]) -> None:
        """Save entries, all or none."""
        runs = [entry for entry in entries if isinstance(entry, RunEntry)]
        skips = [entry for entry in entries if isinstance(entry, SkippedRun)]
        # As a context manager, the connection commits, or rolls everything back on an error.
        with self.connection:
            self._add_aggregates(runs, skips)
            self._add_buckets(runs, skips)
            self._slow_requests.add((entry.run, entry.facts) for entry in runs)
            self._values.add(
                ProbeValues(self._probe_id((e.run.tenant, e.run.probe)), e.run.at, e.checks)
                for e in runs
                if e.checks
            )
            for entry in runs:
                self._add_verdict_change(entry.run)
                self._advance_streak(entry.run)
                if entry.failure is not None:
                    self._add_failure(entry.run, entry.failure)
            self._add_token_events(e for e in entries if isinstance(e, TokenEvent))
            self._published.add(e for e in entries if isinstance(e, PublishedStatus))

    def end_streaks_of_other_probes(self, probes: Collection[ProbeKey]) -> None:
        """End the failure streaks of all probes but these, at their last failure."""
        gone = [key for key in self._ongoing if key not in probes]
        with self.connection:
            for key in gone:
                row, streak = self._ongoing.pop(key)
                self.connection.execute(
                    "UPDATE failure_streak SET ended_at = ? WHERE id = ?",
                    (streak.last_failed_at, row),
                )

    def pack_hours(self, before: float, limit: int) -> int:
        """Pack at most `limit` hours that ended before a time (epoch seconds); return how many."""
        over = sorted(
            (probe, hour)
            for probe, hour in self._unpacked_hours
            if (hour + 1) * HOUR_SECONDS <= before
        )[:limit]
        with self.connection:
            for probe, hour in over:
                self._pack_hour(probe, hour)
        self._unpacked_hours.difference_update(over)
        return len(over)

    def _probe_id(self, key: ProbeKey) -> int:
        found = self._probe_ids.get(key)
        if found is None:
            cursor = self.connection.execute("INSERT INTO probe (tenant, name) VALUES (?, ?)", key)
            found = self._probe_ids[key] = int(cursor.lastrowid or 0)
        return found

    def _add_aggregates(self, runs: Iterable[RunEntry], skips: Iterable[SkippedRun]) -> None:
        # A batch has many runs of the same minute: each minute is read and written once.
        changed: dict[tuple[int, int], Aggregate] = {}
        for entry in runs:
            run = entry.run
            key = self._probe_id((run.tenant, run.probe)), int(run.at // MINUTE_SECONDS)
            changed[key] = add_run(changed.get(key) or self._stored_aggregate(*key), run)
        for skip in skips:
            key = self._probe_id((skip.tenant, skip.probe)), int(skip.at // MINUTE_SECONDS)
            changed[key] = add_skip(changed.get(key) or self._stored_aggregate(*key), skip.cause)
        rows = []
        for (probe, minute), aggregate in changed.items():
            self._last_minutes[probe] = minute, aggregate
            rows.append((probe, minute, pack_aggregate(aggregate)))
            self._unpacked_hours.add((probe, minute // _MINUTES_PER_HOUR))
        self.connection.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?, ?)", rows)

    def _stored_aggregate(self, probe: int, minute: int) -> Aggregate:
        cached = self._last_minutes.get(probe)
        if cached is not None and cached[0] == minute:
            return cached[1]
        found = self.connection.execute(
            "SELECT aggregate FROM minute WHERE probe = ? AND minute = ?", (probe, minute)
        ).fetchone()
        return next(decode_rows([found] if found else [], _aggregate), Aggregate())

    def _add_buckets(self, runs: Iterable[RunEntry], skips: Iterable[SkippedRun]) -> None:
        # Buckets are plain sums, which SQLite adds up itself: nothing has to be read first.
        added: dict[tuple[str, int], list[TimeBucket]] = defaultdict(list)
        for entry in runs:
            added[(entry.run.tenant, bucket_start(entry.run.at))].append(bucket_for(entry.run))
        for skip in skips:
            if skip.cause is SkipCause.TOKEN_REJECTED:  # other skips count in no availability
                added[(skip.tenant, bucket_start(skip.at))].append(TimeBucket(paused=1))
        rows = [(*key, *bucket_values(sum_buckets(buckets))) for key, buckets in added.items()]
        self.connection.executemany(UPSERT_BUCKET, rows)

    def _add_verdict_change(self, run: RunSummary) -> None:
        key, reason = (run.tenant, run.probe), run.reason.value
        before = self._last_reasons.get(key)
        if before != reason:
            self._last_reasons[key] = reason
            self.connection.execute(
                "INSERT INTO verdict_change (probe, at, before, reason) VALUES (?, ?, ?, ?)",
                (self._probe_id(key), run.at, before, reason),
            )

    def _advance_streak(self, run: RunSummary) -> None:
        key = (run.tenant, run.probe)
        # Taken out, and put back below only if a streak is ongoing after this run.
        row, streak = self._ongoing.pop(key, (0, None))
        ended, ongoing = advance(streak, run)
        if ended is not None:
            self._update_streak(row, ended)
        if ongoing is None:
            return
        if streak is not None and ended is None:  # the same streak goes on
            self._update_streak(row, ongoing)
        else:
            row = self._insert_streak(key, ongoing)
        self._ongoing[key] = (row, ongoing)

    def _update_streak(self, row: int, streak: FailureStreak) -> None:
        self.connection.execute(
            "UPDATE failure_streak SET last_failed_at = ?, ended_at = ?, failures = ? WHERE id = ?",
            (streak.last_failed_at, streak.ended_at, streak.failures, row),
        )

    def _insert_streak(self, key: ProbeKey, streak: FailureStreak) -> int:
        cursor = self.connection.execute(
            "INSERT INTO failure_streak (probe, reason, culprit, rule, evidence, started_at,"
            " last_failed_at, ended_at, failures, in_maintenance)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._probe_id(key),
                streak.reason.value,
                streak.culprit.value,
                streak.rule,
                streak.evidence,
                streak.started_at,
                streak.last_failed_at,
                streak.ended_at,
                streak.failures,
                int(streak.in_maintenance),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _add_failure(self, run: RunSummary, result: ProbeResult) -> None:
        probe = self._probe_id((run.tenant, run.probe))
        self.connection.execute(
            "INSERT INTO failure (probe, at, reason, culprit, document) VALUES (?, ?, ?, ?, ?)",
            (probe, run.at, run.reason.value, run.culprit.value, pack_document(result)),
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
        """Move the minutes of an hour into one row, and write their sum.

        An hour may be packed twice: runs that are written late, after a disk was full, add minutes
        to an hour that is packed already.
        """
        minutes_of_hour = (probe, hour * _MINUTES_PER_HOUR, (hour + 1) * _MINUTES_PER_HOUR)
        execute = self.connection.execute
        rows = execute(
            "SELECT minute, aggregate FROM minute WHERE probe = ? AND minute >= ? AND minute < ?",
            minutes_of_hour,
        )
        minutes = dict(
            decode_rows(rows, lambda row: (row[0] % _MINUTES_PER_HOUR, unpack_aggregate(row[1])))
        )
        packed_before = execute(
            "SELECT minutes FROM hour_detail WHERE probe = ? AND hour = ?", (probe, hour)
        ).fetchone()
        before = decode_rows(
            [packed_before] if packed_before else [], lambda row: unpack_minutes(row[0])
        )
        for number, aggregate in next(before, {}).items():
            minutes[number] = merge_aggregates((aggregate, minutes.get(number, Aggregate())))
        total = pack_aggregate(merge_aggregates(minutes.values()))
        execute("INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", (probe, hour, total))
        execute(
            "INSERT OR REPLACE INTO hour_detail VALUES (?, ?, ?)",
            (probe, hour, pack_minutes(minutes)),
        )
        # The cached minute may be one of this hour: a late run must not add to it again.
        self._last_minutes.pop(probe, None)
        execute(
            "DELETE FROM minute WHERE probe = ? AND minute >= ? AND minute < ?", minutes_of_hour
        )

    def _read_ongoing(self) -> Iterable[tuple[ProbeKey, tuple[int, FailureStreak]]]:
        rows: Iterable[tuple[int, *StreakRow]] = self.connection.execute(
            f"SELECT failure_streak.id, {STREAK_COLUMNS}"  # noqa: S608 -- our columns
            " FROM failure_streak JOIN probe ON probe.id = failure_streak.probe"
            " WHERE ended_at IS NULL"
        )
        # A row that cannot be decoded is left as it is; `HistoryReader` leaves it out, too.
        for row, streak in decode_rows(rows, lambda row: (row[0], streak_from_row(row[1:]))):
            yield (streak.tenant, streak.probe), (row, streak)


def _aggregate(row: tuple[bytes]) -> Aggregate:
    return unpack_aggregate(row[0])


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at a path, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
