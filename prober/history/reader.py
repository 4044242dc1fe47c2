"""Reads the history, beside the daemon that writes it.

Methods block, and raise OSError when the file cannot be read; where there is no usable file, the
result is empty. Each query opens a connection of its own and sees one state of the file.
"""

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from prober.history.codec import (
    culprit_of,
    decode_rows,
    streak_from_row,
    unpack_aggregate,
    unpack_document,
    unpack_minutes,
)
from prober.history.published_statuses import (
    MAX_READ_ROWS,
    PUBLISHED_COLUMNS,
    published_from_row,
)
from prober.history.schema import FILE_NAME, FORMAT
from prober.history.writer import BUCKET_COLUMNS, HOUR_SECONDS, MINUTE_SECONDS, STREAK_COLUMNS
from prober.models import CheckKind
from prober.outcomes import Reason, RejectionCause, SkipCause, TokenEventKind
from prober.render.checks import ValueRange, ValueSeries
from prober.render.documents import (
    FailureRecord,
    FailureSummary,
    SlowRequest,
    TokenEventRecord,
    VerdictChange,
    request_ids,
)
from prober.sqlite import open_to_read, translate_sqlite_errors
from prober.stats.aggregates import (
    BUCKET_SECONDS,
    SKIPPED,
    Aggregate,
    TimeBucket,
    merge_aggregates,
)
from prober.stats.incidents import (
    QUIET_SECONDS,
    FailureStreak,
    Incident,
    IncidentId,
    IncidentKey,
    find_incident,
    newest_incidents,
)
from prober.status_page import READ_VALID_SECONDS, PublishedStatus


class HistoryConnection:
    """Opens the file in a directory for each query; methods block and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection that sees one state of the file, None if there is no usable file."""
        connection = open_to_read(self._path, FORMAT)
        if connection is None:
            yield None
            return
        try:
            with translate_sqlite_errors(self._path):
                # In one transaction, all queries see the same snapshot of the write-ahead log.
                connection.execute("BEGIN")
                yield connection
        finally:
            connection.close()

    def rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        """Return all rows of a query, none without a usable file."""
        with self.reading() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    def stream(self, query: str, values: tuple[object, ...]) -> Generator[Any, None, None]:
        """Yield the rows of a query one by one, so that they are not all held in memory.

        Close the generator if it is not read to its end: it holds the file open.
        """
        with self.reading() as connection:
            if connection is not None:
                # Sorting would otherwise write to /tmp, which may be missing or full.
                connection.execute("PRAGMA temp_store = MEMORY")
                yield from connection.execute(query, values)


Aggregates = Mapping[str, Mapping[float, Aggregate]]
"""By probe, then by the start (epoch seconds) of each step."""

_BUCKET_COLUMNS = ", ".join(BUCKET_COLUMNS)
_SUM_COLUMNS = ", ".join(f"sum({name})" for name in BUCKET_COLUMNS)
MAX_VALUE_SERIES = 500
LOOKBACKS_SECONDS = (6 * 3600.0, 2 * 86_400.0)
"""How far back the newest incidents are looked for first: a month takes long to read."""
_MAX_PARAMETERS = 500  # SQLite takes 999 parameters at least, however it was built


@dataclass(frozen=True, slots=True)
class RetentionHorizon:
    """Before which times (epoch seconds) failures, or everything, were deleted for lack of room.

    None: nothing was deleted before its time.
    """

    failures: float | None = None
    everything: float | None = None


class HistoryReader:
    """The history in a state directory. Times are in epoch seconds."""

    def __init__(self, directory: Path) -> None:
        self._connection = HistoryConnection(directory)

    def aggregates(self, tenant: str, since: float, until: float, step_seconds: int) -> Aggregates:
        """Return what happened from `since` to before `until`, in steps.

        A step starts at a multiple of its length. Whole hours are read from the sums of hours,
        shorter steps from minutes.
        """
        with self._connection.reading() as connection:
            if connection is None:
                return {}
            parts: dict[str, dict[float, list[Aggregate]]] = defaultdict(lambda: defaultdict(list))
            read_packed = _hours if step_seconds % HOUR_SECONDS == 0 else _packed_minutes
            # The minutes of hours that are not packed yet are in a table of their own.
            for read in (read_packed, _unpacked_minutes):
                for probe, at, aggregate in read(connection, tenant, since, until):
                    parts[probe][float(at // step_seconds * step_seconds)].append(aggregate)
        return {
            probe: {at: merge_aggregates(steps[at]) for at in sorted(steps)}
            for probe, steps in parts.items()
        }

    def totals(self, tenant: str, since: float, until: float) -> Mapping[str, Aggregate]:
        """Return what happened to each probe from `since` to before `until`, to the minute."""
        # Sums of whole hours where possible, minutes at both ends.
        first_hour = -(-since // HOUR_SECONDS) * HOUR_SECONDS
        last_hour = until // HOUR_SECONDS * HOUR_SECONDS
        if first_hour >= last_hour:
            ranges = [(since, until, MINUTE_SECONDS)]
        else:
            ranges = [
                (since, first_hour, MINUTE_SECONDS),
                (first_hour, last_hour, HOUR_SECONDS),
                (last_hour, until, MINUTE_SECONDS),
            ]
        parts: dict[str, list[Aggregate]] = defaultdict(list)
        for start, end, step in ranges:
            for probe, steps in self.aggregates(tenant, start, end, step).items():
                parts[probe] += steps.values()
        return {probe: merge_aggregates(each) for probe, each in parts.items()}

    def buckets(
        self, since: float, until: float = float("inf"), tenant: str | None = None
    ) -> Mapping[str, Mapping[int, TimeBucket]]:
        """Return the buckets that start from `since` to before `until`, by tenant and start."""
        found: dict[str, dict[int, TimeBucket]] = defaultdict(dict)
        rows = self._connection.rows(
            f"SELECT tenant, start, {_BUCKET_COLUMNS} FROM time_bucket"  # noqa: S608 -- our columns
            " WHERE start >= ? AND start < ? AND (? IS NULL OR tenant = ?)",
            (since, until, tenant, tenant),
        )
        for name, start, *numbers in rows:
            found[name][start] = TimeBucket(*numbers)
        return found

    def bucket_totals(self, since: float, until: float) -> Mapping[str, TimeBucket]:
        """Return the sum of each tenant's buckets that start from `since` to before `until`."""
        query = (
            f"SELECT tenant, {_SUM_COLUMNS} FROM time_bucket"  # noqa: S608 -- our columns
            " WHERE start >= ? AND start < ? GROUP BY tenant"
        )
        rows = self._connection.rows(query, (since, until))
        return {tenant: TimeBucket(*sums) for tenant, *sums in rows}

    def recorded_buckets(self, since: float, until: float) -> frozenset[int]:
        """Return the starts of the time buckets in which any tenant has data."""
        rows = self._connection.rows(
            "SELECT DISTINCT start FROM time_bucket WHERE start >= ? AND start < ?", (since, until)
        )
        return frozenset(start for (start,) in rows)

    def recorded_minutes(self, tenant: str, since: float, until: float) -> frozenset[int]:
        """Return the starts of the minutes in which a run of a tenant is recorded, or was paused.

        Runs that were skipped for another cause are no data.
        """
        found: set[int] = set()
        with self._connection.reading() as connection:
            if connection is not None:
                for read in (_packed_minutes, _unpacked_minutes):
                    found.update(
                        at
                        for _, at, aggregate in read(connection, tenant, since, until)
                        if at not in found and _is_data(aggregate)
                    )
        return frozenset(found)

    def values(
        self, tenant: str, since: float, until: float, step_seconds: int
    ) -> tuple[ValueSeries, ...]:
        """Return what checks found, by probe, check and item: the last value of each step.

        A step starts at a multiple of its length. At most `MAX_VALUE_SERIES` series, those that
        got a value last.
        """
        with self._connection.reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                "SELECT value_series.id, probe.name, check_name, item, kind FROM value_series"
                " JOIN probe ON probe.id = value_series.probe"
                " WHERE tenant = ? AND last_at >= ? ORDER BY last_at DESC LIMIT ?",
                (tenant, since, MAX_VALUE_SERIES),
            ).fetchall()
            found = [
                ValueSeries(probe, check, item, kind, points)
                for series, probe, check, item, kind in decode_rows(rows, _value_series)
                if (points := _value_points(connection, series, since, until, step_seconds))
            ]
        return tuple(sorted(found, key=lambda each: (each.probe, each.check, each.item)))

    def value_ranges(self, tenant: str, since: float, until: float) -> tuple[ValueRange, ...]:
        """Return the range of what each check found, by probe, check and item.

        At most `MAX_VALUE_SERIES` series, those that got a value last; without texts, since their
        values say nothing by themselves.
        """
        rows = self._connection.rows(
            # With max(start), SQLite takes the last value from the row that has it.
            "SELECT probe.name, check_name, item, kind, least, greatest, value FROM value_series"
            " JOIN probe ON probe.id = value_series.probe"
            " JOIN (SELECT series, min(value) AS least, max(value) AS greatest FROM probe_value"
            "  WHERE start >= ? AND start < ? GROUP BY series) AS bounds"
            "  ON bounds.series = value_series.id"
            " JOIN (SELECT series, value, max(start) FROM probe_value"
            "  WHERE start >= ? AND start < ? GROUP BY series) AS newest"
            "  ON newest.series = value_series.id"
            " WHERE tenant = ? AND kind != ? ORDER BY last_at DESC LIMIT ?",
            (since, until, since, until, tenant, CheckKind.TEXT.value, MAX_VALUE_SERIES),
        )
        found = decode_rows(rows, _value_range)
        return tuple(sorted(found, key=lambda each: (each.probe, each.check, each.item)))

    def streaks(
        self, since: float, until: float, tenant: str | None = None
    ) -> tuple[FailureStreak, ...]:
        """Return the failure streaks that were ongoing at some time in a range."""
        return tuple(self.stream_streaks(since, until, tenant))

    def incidents(
        self,
        since: float,
        until: float,
        tenant: str | None = None,
        *,
        limit: int,
        before: IncidentKey | None = None,
        wanted: Callable[[FailureStreak], bool] = lambda _streak: True,
    ) -> tuple[Incident, ...]:
        """Return the newest incidents that were ongoing at some time in a range.

        Only those of `wanted` streaks. With `before`, only those that follow this one in the order
        from new to old. Streaks are read one by one: the memory that this takes does not grow with
        their number.
        """
        newest = until if before is None else before[0]
        for seconds in LOOKBACKS_SECONDS:
            start = newest - seconds
            if start <= since:
                break
            # What is read may be the second part of an incident, unless that began so much later
            # that it cannot belong to what ended before.
            found = self._newest_incidents((start, until), tenant, limit, before, wanted)
            known = tuple(each for each in found if each.started_at > start + QUIET_SECONDS)
            if len(known) == limit:
                return known
        return self._newest_incidents((since, until), tenant, limit, before, wanted)

    def _newest_incidents(
        self,
        span: tuple[float, float],
        tenant: str | None,
        limit: int,
        before: IncidentKey | None,
        wanted: Callable[[FailureStreak], bool],
    ) -> tuple[Incident, ...]:
        with closing(self.stream_streaks(*span, tenant)) as streaks:
            return newest_incidents(filter(wanted, streaks), limit, before)

    def incident(self, wanted: IncidentId, since: float, until: float) -> Incident | None:
        """Return the incident of an id among those that were ongoing at some time in a range."""
        with closing(self.stream_streaks(since, until, wanted.tenant)) as streaks:
            return find_incident(streaks, wanted)

    def stream_streaks(
        self, since: float, until: float, tenant: str | None
    ) -> Generator[FailureStreak, None, None]:
        """Yield streaks in the order of their start, reading them one by one; close it early."""
        # The limit keeps the inner query apart, so that SQLite sorts numbers and not whole rows.
        rows = self._connection.stream(
            f"SELECT {STREAK_COLUMNS} FROM"  # noqa: S608 -- our columns
            " (SELECT failure_streak.id AS number FROM failure_streak"
            " JOIN probe ON probe.id = failure_streak.probe"
            " WHERE (ended_at IS NULL OR ended_at >= ?) AND started_at <= ?"
            " AND (? IS NULL OR probe.tenant = ?) ORDER BY started_at LIMIT -1)"
            " CROSS JOIN failure_streak ON failure_streak.id = number"
            " CROSS JOIN probe ON probe.id = failure_streak.probe",
            (since, until, tenant, tenant),
        )
        with closing(rows):
            yield from decode_rows(rows, streak_from_row)

    def failures(
        self,
        tenant: str,
        since: float,
        until: float = math.inf,
        *,
        limit: int,
        probe: str | None = None,
        before: tuple[float, int] | None = None,
    ) -> tuple[FailureRecord, ...]:
        """Return the last failures in a range, the newest first.

        With `before` (a time and a number), only those that follow this one in this order.
        """
        last_at, last_number = (until, 0) if before is None else before
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, culprit, document"
            " FROM failure JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN"
            " (SELECT id FROM probe WHERE tenant = ? AND (? IS NULL OR name = ?))"
            " AND at >= ? AND (at, failure.id) < (?, ?) ORDER BY at DESC, failure.id DESC LIMIT ?",
            (tenant, probe, probe, since, last_at, last_number, limit),
        )
        return tuple(decode_rows(rows, _failure))

    def failure(self, number: int) -> FailureRecord | None:
        """Return one failure by its number."""
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, culprit, document"
            " FROM failure JOIN probe ON probe.id = failure.probe WHERE failure.id = ?",
            (number,),
        )
        return next(decode_rows(rows, _failure), None)

    def failure_summaries(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[FailureSummary, ...]:
        """Return a tenant's failures from `since` to before `until`, the oldest first."""
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, culprit FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN (SELECT id FROM probe WHERE tenant = ?)"
            " AND at >= ? AND at < ? ORDER BY at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(decode_rows(rows, _failure_summary))

    def failure_documents(self, numbers: Iterable[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return the documents of failures by number; those that are deleted are left out."""
        wanted = list(numbers)
        found: dict[int, Mapping[str, Any]] = {}
        for first in range(0, len(wanted), _MAX_PARAMETERS):
            batch = wanted[first : first + _MAX_PARAMETERS]
            marks = ", ".join("?" * len(batch))
            query = f"SELECT id, document FROM failure WHERE id IN ({marks})"  # noqa: S608 -- marks
            rows = self._connection.rows(query, tuple(batch))
            found |= dict(decode_rows(rows, lambda row: (row[0], unpack_document(row[1]))))
        return found

    def slow_requests(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[SlowRequest, ...]:
        """Return the slowest requests that are kept, the slowest first."""
        rows = self._connection.rows(
            "SELECT probe, at, reason, facts, server_seconds, network_seconds, own_seconds"
            " FROM slow_request WHERE tenant = ? AND at >= ? AND at < ?"
            " ORDER BY server_seconds DESC, at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(decode_rows(rows, _slow_request))

    def verdict_changes(
        self, tenant: str, since: float, until: float = math.inf, *, limit: int
    ) -> tuple[VerdictChange, ...]:
        """Return the last changes of verdicts in a range, the newest first."""
        rows = self._connection.rows(
            "SELECT probe.name, at, before, reason FROM verdict_change"
            " JOIN probe ON probe.id = verdict_change.probe"
            " WHERE probe.tenant = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(decode_rows(rows, _verdict_change))

    def token_events(self, tenant: str, *, limit: int) -> tuple[TokenEventRecord, ...]:
        """Return the last events of a tenant's token, the newest first."""
        rows = self._connection.rows(
            "SELECT tenant, at, kind, fingerprint, cause, problem FROM token_event"
            " WHERE tenant = ? ORDER BY at DESC LIMIT ?",
            (tenant, limit),
        )
        return tuple(decode_rows(rows, _token_event))

    def published_statuses(self, since: float, until: float) -> tuple[PublishedStatus, ...]:
        """Return what the supplier's status page said in a range, in the order of time.

        Of too many, the last ones. The first may have ended a little before the range.
        """
        rows = self._connection.rows(
            f"SELECT {PUBLISHED_COLUMNS} FROM published_status"  # noqa: S608 -- our columns
            " WHERE until >= ? AND since <= ? ORDER BY id DESC LIMIT ?",
            (since - READ_VALID_SECONDS, until, MAX_READ_ROWS),
        )
        return tuple(reversed(tuple(decode_rows(rows, published_from_row))))

    def last_runs(self, since: Mapping[tuple[str, str], float]) -> Mapping[tuple[str, str], float]:
        """Return when each probe last ran, to the minute, if not before the given time of it.

        A run in maintenance is one, a skipped run is none. The keys are tenant and probe.
        """
        with self._connection.reading() as connection:
            if connection is None:
                return {}
            found = {}
            for (tenant, probe), earliest in since.items():
                last_run = _last_run(connection, tenant, probe, earliest)
                if last_run is not None:
                    found[tenant, probe] = last_run
            return found

    def oldest(self) -> float | None:
        """Return the start of the oldest time bucket, None for an empty history."""
        [(start,)] = self._connection.rows("SELECT min(start) FROM time_bucket", ()) or [(None,)]
        return None if start is None else float(start)

    def retention_horizon(self) -> RetentionHorizon:
        """Return what was deleted for lack of room."""
        before = dict(self._connection.rows("SELECT kind, before FROM retention_horizon", ()))
        return RetentionHorizon(before.get("failure"), before.get("everything"))


_PAUSED = SKIPPED + SkipCause.TOKEN_REJECTED


def _is_data(aggregate: Aggregate) -> bool:
    return any(not kind.startswith(SKIPPED) or kind == _PAUSED for kind in aggregate.counts)


_AggregateRow = tuple[str, int, Aggregate]
"""A probe's name, when (epoch seconds) the hour or minute starts, and its aggregate."""


def _value_series(row: tuple[int, str, str, str, str]) -> tuple[int, str, str, str, CheckKind]:
    series, probe, check, item, kind = row
    return series, str(probe), str(check), str(item), CheckKind(kind)


def _value_range(row: tuple[str, str, str, str, float, float, float]) -> ValueRange:
    probe, check, item, kind, least, greatest, last = row
    return ValueRange(
        str(probe),
        str(check),
        str(item),
        CheckKind(kind),
        float(least),
        float(greatest),
        float(last),
    )


def _value_points(
    connection: sqlite3.Connection, series: int, since: float, until: float, step_seconds: int
) -> tuple[tuple[float, float], ...]:
    first = since // BUCKET_SECONDS * BUCKET_SECONDS
    rows = connection.execute(
        # With max(), SQLite takes the other columns from the row that has the greatest start.
        "SELECT start / ? * ?, value, max(start) FROM probe_value"
        " WHERE series = ? AND start >= ? AND start < ? GROUP BY start / ? ORDER BY start",
        (step_seconds, step_seconds, series, first, until, step_seconds),
    )
    return tuple(decode_rows(rows, lambda row: (float(row[0]), float(row[1]))))


def _last_run(
    connection: sqlite3.Connection, tenant: str, probe: str, since: float
) -> float | None:
    """Return the minute of the last run: from minutes that are not packed yet, else from hours."""
    minutes = connection.execute(
        "SELECT minute, aggregate FROM minute WHERE minute >= ?"
        " AND probe = (SELECT id FROM probe WHERE tenant = ? AND name = ?) ORDER BY minute DESC",
        (since // MINUTE_SECONDS, tenant, probe),
    )
    hours = connection.execute(
        "SELECT hour, minutes FROM hour_detail WHERE hour >= ?"
        " AND probe = (SELECT id FROM probe WHERE tenant = ? AND name = ?) ORDER BY hour DESC",
        (since // HOUR_SECONDS, tenant, probe),
    )
    candidates = chain(
        decode_rows(minutes, lambda row: (row[0] * MINUTE_SECONDS, unpack_aggregate(row[1]))),
        (
            (hour * HOUR_SECONDS + number * MINUTE_SECONDS, packed[number])
            for hour, packed in decode_rows(hours, lambda row: (row[0], unpack_minutes(row[1])))
            for number in sorted(packed, reverse=True)
        ),
    )
    runs = (float(at) for at, found in candidates if found.runs or found.in_maintenance)
    last_run = next(runs, None)
    if last_run is None or last_run < since // MINUTE_SECONDS * MINUTE_SECONDS:
        return None
    return last_run


def _hours(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[_AggregateRow]:
    rows = connection.execute(
        "SELECT name, hour, aggregate FROM probe JOIN hour ON hour.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR_SECONDS, until / HOUR_SECONDS),
    )
    yield from decode_rows(
        rows, lambda row: (row[0], row[1] * HOUR_SECONDS, unpack_aggregate(row[2]))
    )


def _packed_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[_AggregateRow]:
    rows = connection.execute(
        "SELECT name, hour, minutes FROM probe JOIN hour_detail ON hour_detail.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR_SECONDS, until / HOUR_SECONDS),
    )
    hours = decode_rows(rows, lambda row: (row[0], row[1] * HOUR_SECONDS, unpack_minutes(row[2])))
    for probe, hour_start, minutes in hours:
        for number, aggregate in minutes.items():
            at = hour_start + number * MINUTE_SECONDS
            if since <= at < until:
                yield probe, at, aggregate


def _unpacked_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[_AggregateRow]:
    rows = connection.execute(
        "SELECT name, minute, aggregate FROM probe JOIN minute ON minute.probe = probe.id"
        " WHERE tenant = ? AND minute >= ? AND minute < ?",
        (tenant, -(-since // MINUTE_SECONDS), until / MINUTE_SECONDS),
    )
    yield from decode_rows(
        rows, lambda row: (row[0], row[1] * MINUTE_SECONDS, unpack_aggregate(row[2]))
    )


def _verdict_change(row: tuple[str, float, str | None, str]) -> VerdictChange:
    probe, at, before, reason = row
    return VerdictChange(
        probe, float(at), None if before is None else Reason(before), Reason(reason)
    )


def _token_event(
    row: tuple[str, float, str, str | None, str | None, str | None],
) -> TokenEventRecord:
    tenant, at, kind, fingerprint, cause, problem = row
    known_cause = None if cause is None else RejectionCause(cause)
    return TokenEventRecord(
        tenant, float(at), TokenEventKind(kind), fingerprint, known_cause, problem
    )


def _failure_summary(row: tuple[int, str, str, float, str, str | None]) -> FailureSummary:
    number, tenant, probe, at, reason, culprit = row
    known = Reason(reason)
    return FailureSummary(number, tenant, probe, float(at), known, culprit_of(known, culprit))


def _slow_request(
    row: tuple[str, float, str, str, float, float | None, float | None],
) -> SlowRequest:
    probe, at, reason, facts_text, server_seconds, network_seconds, own_seconds = row
    facts = json.loads(facts_text)
    return SlowRequest(
        at,
        probe,
        Reason(reason),
        server_seconds,
        network_seconds,
        own_seconds,
        http_status=facts.get("http_status"),
        request_ids=request_ids(facts),
    )


def _failure(row: tuple[int, str, str, float, str, str | None, bytes]) -> FailureRecord:
    return FailureRecord.of(_failure_summary(row[:6]), unpack_document(row[6]))
