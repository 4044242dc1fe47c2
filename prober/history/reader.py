"""What can be read of the past, beside the daemon that writes it; methods block.

Every question is answered from a connection of its own, which sees one moment. Without a usable
file all answers are empty. Raises OSError when the file may not be read.

How the history's file is read beside the daemon that writes it.

Single calls of the past, for who has to choose among them; methods block, and raise OSError.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from prober.history.codec import (
    decode_rows,
    streak_from_row,
    unpack_document,
    unpack_minutes,
    unpack_tally,
)
from prober.history.schema import FILE_NAME, FORMAT
from prober.history.writer import HOUR, MINUTE, STREAK_COLUMNS
from prober.outcomes import Reason, RejectionCause, TokenEventKind
from prober.sqlite import open_to_read, translate_sqlite_errors
from prober.stats.aggregates import COLUMNS, Aggregate, TimeBucket, merge_aggregates
from prober.stats.incidents import FailureStreak, Incident, IncidentKey, newest_incidents


class HistoryConnection:
    """Opens the file in a directory for each question; methods block and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection that sees one moment, None if there is no usable file."""
        connection = open_to_read(self._path, FORMAT)
        if connection is None:
            yield None
            return
        try:
            with translate_sqlite_errors(self._path):
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

        Close it if it is not read to its end: it holds the file open.
        """
        with self.reading() as connection:
            if connection is not None:
                connection.execute("PRAGMA temp_store = MEMORY")  # there may be no other place
                yield from connection.execute(query, values)


Aggregates = Mapping[str, Mapping[float, Aggregate]]
"""By probe, and by the beginning (epoch seconds) of each step."""

_SUM_COLUMNS = ", ".join(f"sum({name})" for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A failure with its document, in the form of `prober probe --json`."""

    number: int
    tenant: str
    probe: str
    at: float
    reason: Reason
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A probe came to another verdict than before; `before` is None for its first since a start."""

    probe: str
    at: float
    before: Reason | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class TokenEventRecord:
    """Something happened to a tenant's token."""

    tenant: str
    at: float
    kind: TokenEventKind
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None


class HistoryReader:
    """The history in a state directory."""

    def __init__(self, directory: Path) -> None:
        self._reader = HistoryConnection(directory)

    def aggregates(self, tenant: str, since: float, until: float, step_seconds: int) -> Aggregates:
        """Return what happened from `since` to before `until`, in steps.

        Steps begin at multiples of themselves; an hour or more is told from hours, else minutes.
        """
        with self._reader.reading() as connection:
            if connection is None:
                return {}
            parts: dict[str, dict[float, list[Aggregate]]] = defaultdict(lambda: defaultdict(list))
            coarse = step_seconds % HOUR == 0
            read = _hours if coarse else _packed_minutes
            for each in (read, _loose_minutes):
                for probe, at, tally in each(connection, tenant, since, until):
                    parts[probe][float(at // step_seconds * step_seconds)].append(tally)
        return {
            probe: {at: merge_aggregates(steps[at]) for at in sorted(steps)}
            for probe, steps in parts.items()
        }

    def totals(self, tenant: str, since: float, until: float) -> Mapping[str, Aggregate]:
        """Return what happened to each probe from `since` to before `until`, to the minute."""
        first, last = -(-since // HOUR) * HOUR, until // HOUR * HOUR
        if first >= last:
            spans = [(since, until, MINUTE)]
        else:
            spans = [(since, first, MINUTE), (first, last, HOUR), (last, until, MINUTE)]
        parts: dict[str, list[Aggregate]] = defaultdict(list)
        for begin, end, step in spans:
            for probe, steps in self.aggregates(tenant, begin, end, step).items():
                parts[probe] += steps.values()
        return {probe: merge_aggregates(each) for probe, each in parts.items()}

    def buckets(
        self, since: float, until: float = float("inf"), tenant: str | None = None
    ) -> Mapping[str, Mapping[int, TimeBucket]]:
        """Return the slots that begin from `since` to before `until`, by tenant and beginning."""
        found: dict[str, dict[int, TimeBucket]] = defaultdict(dict)
        rows = self._reader.rows(
            f"SELECT tenant, slot, {', '.join(COLUMNS)} FROM slot"  # noqa: S608 -- our columns
            " WHERE slot >= ? AND slot < ? AND (? IS NULL OR tenant = ?)",
            (since, until, tenant, tenant),
        )
        for name, slot, *numbers in rows:
            found[name][slot] = TimeBucket(*numbers)
        return found

    def bucket_totals(self, since: float, until: float) -> Mapping[str, TimeBucket]:
        """Return the sum of each tenant's slots that begin from `since` to before `until`."""
        query = (
            f"SELECT tenant, {_SUM_COLUMNS} FROM slot"  # noqa: S608 -- our columns
            " WHERE slot >= ? AND slot < ? GROUP BY tenant"
        )
        return {
            tenant: TimeBucket(*sums) for tenant, *sums in self._reader.rows(query, (since, until))
        }

    def streaks(
        self, since: float, until: float, tenant: str | None = None
    ) -> tuple[FailureStreak, ...]:
        """Return the spells that were going on at some time in a span."""
        return tuple(self._spells(since, until, tenant))

    def incidents(
        self,
        since: float,
        until: float,
        tenant: str | None = None,
        *,
        limit: int,
        before: IncidentKey | None = None,
    ) -> tuple[Incident, ...]:
        """Return the newest incidents that were going on at some time in a span.

        `before`: only those that come after this one, since the newest come first. Spells are read
        one by one: what is held does not grow with their number.
        """
        with closing(self._spells(since, until, tenant)) as spells:
            return newest_incidents(spells, limit, before)

    def _spells(
        self, since: float, until: float, tenant: str | None
    ) -> Generator[FailureStreak, None, None]:
        # The limit keeps the inner query apart, so that SQLite sorts numbers and not whole rows.
        rows = self._reader.stream(
            f"SELECT {STREAK_COLUMNS} FROM"  # noqa: S608 -- our columns
            " (SELECT spell.id AS number FROM spell JOIN probe ON probe.id = spell.probe"
            " WHERE (ended_at IS NULL OR ended_at >= ?) AND started_at <= ?"
            " AND (? IS NULL OR probe.tenant = ?) ORDER BY started_at LIMIT -1)"
            " CROSS JOIN spell ON spell.id = number CROSS JOIN probe ON probe.id = spell.probe",
            (since, until, tenant, tenant),
        )
        with closing(rows):
            yield from decode_rows(rows, streak_from_row)

    def failures(
        self, tenant: str, since: float, *, limit: int, probe: str | None = None
    ) -> tuple[FailureRecord, ...]:
        """Return the last failures since a moment, the newest first."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN"
            " (SELECT id FROM probe WHERE tenant = ? AND (? IS NULL OR name = ?))"
            " AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, probe, probe, since, limit),
        )
        return tuple(decode_rows(rows, _failure))

    def failure(self, number: int) -> FailureRecord | None:
        """Return one failure by its number."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe WHERE failure.id = ?",
            (number,),
        )
        return next(decode_rows(rows, _failure), None)

    def verdict_changes(
        self, tenant: str, since: float, *, limit: int
    ) -> tuple[VerdictChange, ...]:
        """Return the last changes of verdicts since a moment, the newest first."""
        rows = self._reader.rows(
            "SELECT probe.name, at, before, reason FROM verdict_change"
            " JOIN probe ON probe.id = verdict_change.probe"
            " WHERE probe.tenant = ? AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, since, limit),
        )
        return tuple(decode_rows(rows, _verdict_change))

    def token_events(self, tenant: str, *, limit: int) -> tuple[TokenEventRecord, ...]:
        """Return what last happened to a tenant's token, the newest first."""
        rows = self._reader.rows(
            "SELECT tenant, at, kind, fingerprint, cause, problem FROM token_event"
            " WHERE tenant = ? ORDER BY at DESC LIMIT ?",
            (tenant, limit),
        )
        return tuple(decode_rows(rows, _token_event))

    def last_runs(self, since: Mapping[tuple[str, str], float]) -> Mapping[tuple[str, str], float]:
        """Return when each probe last ran, to the minute, if not before the given time of it.

        A run in maintenance is one, a skipped run is none. The keys are tenant and probe.
        """
        with self._reader.reading() as connection:
            if connection is None:
                return {}
            found = {}
            for (tenant, probe), earliest in since.items():
                last_run = _last_run(connection, tenant, probe, earliest)
                if last_run is not None:
                    found[tenant, probe] = last_run
            return found

    def oldest(self) -> float | None:
        """Return since when there is anything, in epoch seconds."""
        row = next(iter(self._reader.rows("SELECT min(slot) FROM slot", ())), (None,))
        return None if row[0] is None else float(row[0])


def _last_run(
    connection: sqlite3.Connection, tenant: str, probe: str, since: float
) -> float | None:
    """Return the minute of the last run: from minutes that are not packed yet, else from hours."""
    minutes = connection.execute(
        "SELECT minute, tally FROM minute WHERE minute >= ?"
        " AND probe = (SELECT id FROM probe WHERE tenant = ? AND name = ?) ORDER BY minute DESC",
        (since // MINUTE, tenant, probe),
    )
    hours = connection.execute(
        "SELECT hour, minutes FROM hour_detail WHERE hour >= ?"
        " AND probe = (SELECT id FROM probe WHERE tenant = ? AND name = ?) ORDER BY hour DESC",
        (since // HOUR, tenant, probe),
    )
    candidates = chain(
        decode_rows(minutes, lambda row: (row[0] * MINUTE, unpack_tally(row[1]))),
        (
            (hour * HOUR + number * MINUTE, packed[number])
            for hour, packed in decode_rows(hours, lambda row: (row[0], unpack_minutes(row[1])))
            for number in sorted(packed, reverse=True)
        ),
    )
    runs = (float(at) for at, tally in candidates if tally.runs or tally.in_maintenance)
    last_run = next(runs, None)
    return last_run if last_run is not None and last_run >= since // MINUTE * MINUTE else None


def _hours(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Aggregate]]:
    rows = connection.execute(
        "SELECT name, hour, tally FROM probe JOIN hour ON hour.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR, until / HOUR),
    )
    yield from decode_rows(rows, lambda row: (row[0], row[1] * HOUR, unpack_tally(row[2])))


def _packed_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Aggregate]]:
    rows = connection.execute(
        "SELECT name, hour, minutes FROM probe JOIN hour_detail ON hour_detail.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR, until / HOUR),
    )
    unpacked = decode_rows(rows, lambda row: (row[0], row[1] * HOUR, unpack_minutes(row[2])))
    for probe, hour_at, minutes in unpacked:
        for number, tally in minutes.items():
            at = hour_at + number * MINUTE
            if since <= at < until:
                yield probe, at, tally


def _loose_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Aggregate]]:
    rows = connection.execute(
        "SELECT name, minute, tally FROM probe JOIN minute ON minute.probe = probe.id"
        " WHERE tenant = ? AND minute >= ? AND minute < ?",
        (tenant, -(-since // MINUTE), until / MINUTE),
    )
    yield from decode_rows(rows, lambda row: (row[0], row[1] * MINUTE, unpack_tally(row[2])))


def _verdict_change(row: tuple[str, float, str | None, str]) -> VerdictChange:
    probe, at, before, reason = row
    return VerdictChange(
        probe, float(at), None if before is None else Reason(before), Reason(reason)
    )


def _token_event(
    row: tuple[str, float, str, str | None, str | None, str | None],
) -> TokenEventRecord:
    name, at, kind, fingerprint, cause, problem = row
    known = None if cause is None else RejectionCause(cause)
    return TokenEventRecord(name, float(at), TokenEventKind(kind), fingerprint, known, problem)


def _failure(row: tuple[int, str, str, float, str, bytes]) -> FailureRecord:
    number, tenant, probe, at, reason, document = row
    return FailureRecord(
        number, tenant, probe, float(at), Reason(reason), unpack_document(document)
    )


_BATCH_ROWS = 500  # SQLite binds no more than 999 values everywhere


@dataclass(frozen=True, slots=True)
class FailureSummary:
    """A failure without its document."""

    number: int
    probe: str
    at: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class SlowRequestRow:
    """One of the slowest answers of a day, by the platform's own time."""

    probe: str
    at: float
    reason: Reason
    server_seconds: float
    network_seconds: float | None
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RetentionHorizon:
    """Before which moments (epoch seconds) failures, or everything, had to make room."""

    failures: float | None = None
    everything: float | None = None


def _slow_request(row: tuple[str, float, str, float, float | None, str]) -> SlowRequestRow:
    probe, at, reason, server, network, facts = row
    return SlowRequestRow(probe, at, Reason(reason), server, network, json.loads(facts))


class Calls:
    """The single calls in a state directory."""

    def __init__(self, directory: Path) -> None:
        self._reader = HistoryConnection(directory)

    def failure_summaries(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[FailureSummary, ...]:
        """Return a tenant's failures from `since` to before `until`, the oldest first."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.name, at, reason FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN (SELECT id FROM probe WHERE tenant = ?)"
            " AND at >= ? AND at < ? ORDER BY at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(
            decode_rows(
                rows, lambda row: FailureSummary(row[0], row[1], float(row[2]), Reason(row[3]))
            )
        )

    def failure_documents(self, numbers: Iterable[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return the documents of failures by their numbers, as far as they are still there."""
        wanted = list(numbers)
        found: dict[int, Mapping[str, Any]] = {}
        for first in range(0, len(wanted), _BATCH_ROWS):
            some = wanted[first : first + _BATCH_ROWS]
            marks = ", ".join("?" * len(some))
            query = f"SELECT id, document FROM failure WHERE id IN ({marks})"  # noqa: S608 -- marks
            rows = self._reader.rows(query, tuple(some))
            found |= dict(decode_rows(rows, lambda row: (row[0], unpack_document(row[1]))))
        return found

    def slow_requests(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[SlowRequestRow, ...]:
        """Return the slowest answers that are kept, the slowest first."""
        rows = self._reader.rows(
            "SELECT probe, at, reason, server_seconds, network_seconds, facts FROM slow_answer"
            " WHERE tenant = ? AND at >= ? AND at < ? ORDER BY server_seconds DESC, at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(decode_rows(rows, _slow_request))

    def recorded_spans(self, since: float, until: float) -> frozenset[int]:
        """Return the beginnings of the slots in which anything is known of any tenant."""
        rows = self._reader.rows(
            "SELECT DISTINCT slot FROM slot WHERE slot >= ? AND slot < ?", (since, until)
        )
        return frozenset(slot for (slot,) in rows)

    def retention_horizon(self) -> RetentionHorizon:
        """Return what had to make room."""
        before = dict(self._reader.rows("SELECT what, before FROM forgotten", ()))
        return RetentionHorizon(before.get("failure"), before.get("everything"))
