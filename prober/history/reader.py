"""Reads the history, beside the daemon that writes it.

Methods block, and raise OSError when the file cannot be read; where there is no usable file, the
result is empty. Each query opens a connection of its own and sees one state of the file.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.history.codec import (
    streak_from_row,
    unpack_aggregate,
    unpack_document,
    unpack_minutes,
)
from prober.history.schema import FILE_NAME, FORMAT
from prober.history.writer import BUCKET_COLUMNS, HOUR_SECONDS, MINUTE_SECONDS, STREAK_COLUMNS
from prober.outcomes import Reason, RejectionCause, TokenEventKind
from prober.render.documents import (
    FailureRecord,
    FailureSummary,
    SlowRequest,
    TokenEventRecord,
    VerdictChange,
    slow_request,
)
from prober.sqlite import open_to_read, translate_sqlite_errors
from prober.stats.aggregates import Aggregate, TimeBucket, merge_aggregates
from prober.stats.incidents import FailureStreak


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


Aggregates = Mapping[str, Mapping[float, Aggregate]]
"""By probe, then by the start (epoch seconds) of each step."""

_BUCKET_COLUMNS = ", ".join(BUCKET_COLUMNS)
_SUM_COLUMNS = ", ".join(f"sum({name})" for name in BUCKET_COLUMNS)
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

    def streaks(
        self, since: float, until: float, tenant: str | None = None
    ) -> tuple[FailureStreak, ...]:
        """Return the failure streaks that were ongoing at some time in a range."""
        rows = self._connection.rows(
            f"SELECT {STREAK_COLUMNS} FROM failure_streak"  # noqa: S608 -- our columns
            " JOIN probe ON probe.id = failure_streak.probe"
            " WHERE (ended_at IS NULL OR ended_at >= ?) AND started_at <= ?"
            " AND (? IS NULL OR probe.tenant = ?) ORDER BY started_at",
            (since, until, tenant, tenant),
        )
        return tuple(streak_from_row(row) for row in rows)

    def failures(
        self, tenant: str, since: float, *, limit: int, probe: str | None = None
    ) -> tuple[FailureRecord, ...]:
        """Return the last failures since a time, the newest first."""
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN"
            " (SELECT id FROM probe WHERE tenant = ? AND (? IS NULL OR name = ?))"
            " AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, probe, probe, since, limit),
        )
        return tuple(_failure(row) for row in rows)

    def failure(self, number: int) -> FailureRecord | None:
        """Return one failure by its number."""
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe WHERE failure.id = ?",
            (number,),
        )
        return next((_failure(row) for row in rows), None)

    def failure_summaries(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[FailureSummary, ...]:
        """Return a tenant's failures from `since` to before `until`, the oldest first."""
        rows = self._connection.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN (SELECT id FROM probe WHERE tenant = ?)"
            " AND at >= ? AND at < ? ORDER BY at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(
            FailureSummary(number, name, probe, at, Reason(reason))
            for number, name, probe, at, reason in rows
        )

    def failure_documents(self, numbers: Iterable[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return the documents of failures by number; those that are deleted are left out."""
        wanted, found = list(numbers), {}
        for first in range(0, len(wanted), _MAX_PARAMETERS):
            batch = wanted[first : first + _MAX_PARAMETERS]
            marks = ", ".join("?" * len(batch))
            query = f"SELECT id, document FROM failure WHERE id IN ({marks})"  # noqa: S608 -- marks
            for number, document in self._connection.rows(query, tuple(batch)):
                found[number] = unpack_document(document)
        return found

    def slow_requests(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[SlowRequest, ...]:
        """Return the slowest requests that are kept, the slowest first."""
        rows = self._connection.rows(
            "SELECT probe, at, reason, server_seconds, network_seconds, facts FROM slow_request"
            " WHERE tenant = ? AND at >= ? AND at < ? ORDER BY server_seconds DESC, at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(
            slow_request(at, probe, Reason(reason), server, network, json.loads(facts))
            for probe, at, reason, server, network, facts in rows
        )

    def verdict_changes(
        self, tenant: str, since: float, *, limit: int
    ) -> tuple[VerdictChange, ...]:
        """Return the last changes of verdicts since a time, the newest first."""
        rows = self._connection.rows(
            "SELECT probe.name, at, before, reason FROM verdict_change"
            " JOIN probe ON probe.id = verdict_change.probe"
            " WHERE probe.tenant = ? AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, since, limit),
        )
        return tuple(
            VerdictChange(probe, at, None if before is None else Reason(before), Reason(reason))
            for probe, at, before, reason in rows
        )

    def token_events(self, tenant: str, *, limit: int) -> tuple[TokenEventRecord, ...]:
        """Return the last events of a tenant's token, the newest first."""
        rows = self._connection.rows(
            "SELECT tenant, at, kind, fingerprint, cause, problem FROM token_event"
            " WHERE tenant = ? ORDER BY at DESC LIMIT ?",
            (tenant, limit),
        )
        return tuple(
            TokenEventRecord(
                name,
                at,
                TokenEventKind(kind),
                fingerprint,
                None if cause is None else RejectionCause(cause),
                problem,
            )
            for name, at, kind, fingerprint, cause, problem in rows
        )

    def oldest(self) -> float | None:
        """Return the start of the oldest time bucket, None for an empty history."""
        [(start,)] = self._connection.rows("SELECT min(start) FROM time_bucket", ()) or [(None,)]
        return None if start is None else float(start)

    def retention_horizon(self) -> RetentionHorizon:
        """Return what was deleted for lack of room."""
        before = dict(self._connection.rows("SELECT kind, before FROM retention_horizon", ()))
        return RetentionHorizon(before.get("failure"), before.get("everything"))


_AggregateRow = tuple[str, int, Aggregate]
"""A probe's name, when (epoch seconds) the hour or minute starts, and its aggregate."""


def _hours(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[_AggregateRow]:
    rows = connection.execute(
        "SELECT name, hour, aggregate FROM probe JOIN hour ON hour.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR_SECONDS, until / HOUR_SECONDS),
    )
    for probe, hour, packed in rows:
        yield probe, hour * HOUR_SECONDS, unpack_aggregate(packed)


def _packed_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[_AggregateRow]:
    rows = connection.execute(
        "SELECT name, hour, minutes FROM probe JOIN hour_detail ON hour_detail.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR_SECONDS, until / HOUR_SECONDS),
    )
    for probe, hour, packed in rows:
        for number, aggregate in unpack_minutes(packed).items():
            at = hour * HOUR_SECONDS + number * MINUTE_SECONDS
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
    for probe, minute, packed in rows:
        yield probe, minute * MINUTE_SECONDS, unpack_aggregate(packed)


def _failure(row: tuple[int, str, str, float, str, bytes]) -> FailureRecord:
    number, tenant, probe, at, reason, document = row
    return FailureRecord(number, tenant, probe, at, Reason(reason), unpack_document(document))
