"""Reads from the history what a report needs; the only part of a report that does I/O."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prober.history.annotations import IncidentNote, read_annotations
from prober.history.reader import Aggregates, HistoryReader, RetentionHorizon
from prober.render.checks import ValueRange
from prober.render.documents import FailureRecord, SlowRequest, TokenEventRecord
from prober.report.samples import MAX_SLOW_REQUESTS, MaintenanceFailures, select_samples
from prober.report.time_range import TimeRange
from prober.stats.aggregates import Aggregate, TimeBucket, bucket_start
from prober.stats.incidents import (
    FailureStreak,
    IncidentDigest,
    close_if_stale,
    digest_incidents,
)
from prober.status_page import PublishedStatus

MAX_INCIDENTS = 200
_MAX_FAILURES = 200_000
_MAX_TOKEN_EVENTS = 1000
_MAX_STEPS = 200
_STEPS_SECONDS = (60, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class HistoryExtract:
    """A tenant's data in a time range.

    `oldest` is the start of the oldest data of any tenant, None for an empty history; `minutes`
    are the starts of the minutes in which the tenant has data, `recorded` those of the time buckets
    in which any tenant has. `published` begins with the first listed incident, if that is earlier.
    """

    oldest: float | None
    totals: Mapping[str, Aggregate]
    aggregates: Aggregates
    step_seconds: int
    buckets: Mapping[int, TimeBucket]
    minutes: frozenset[int]
    recorded: frozenset[int]
    incidents: IncidentDigest
    horizon: RetentionHorizon
    failure_count: int
    failures: tuple[FailureRecord, ...]
    slow_requests: tuple[SlowRequest, ...]
    token_events: tuple[TokenEventRecord, ...]
    published: tuple[PublishedStatus, ...] = ()
    notes: tuple[IncidentNote, ...] = ()
    values: tuple[ValueRange, ...] = ()


def read_history(directory: Path, tenant: str, time_range: TimeRange, now: float) -> HistoryExtract:
    """Read the history in a state directory, beside the daemon that writes it; raises OSError."""
    history = HistoryReader(directory)
    since, until = time_range.since, time_range.until
    step = step_seconds(time_range)
    first_bucket = bucket_start(since)
    planned = MaintenanceFailures()
    with closing(history.stream_streaks(since, until, tenant)) as streaks:
        counted = _counted(streaks, planned, since, now)
        incidents = digest_incidents(counted, since, min(until, now), MAX_INCIDENTS)
    # Summaries of all failures are read to choose among them; documents only of the chosen ones.
    found = history.failure_summaries(tenant, since, until, limit=_MAX_FAILURES)
    summaries = [each for each in found if not planned.has(each)]
    selected = select_samples(summaries)
    documents = history.failure_documents(each.number for each in selected)
    events = history.token_events(tenant, limit=_MAX_TOKEN_EVENTS)
    return HistoryExtract(
        oldest=history.oldest(),
        totals=history.totals(tenant, since, until),
        aggregates=history.aggregates(tenant, since // step * step, until, step),
        step_seconds=step,
        buckets=history.buckets(first_bucket, until, tenant).get(tenant, {}),
        minutes=history.recorded_minutes(tenant, since, until),
        recorded=history.recorded_buckets(first_bucket, until),
        incidents=incidents,
        horizon=history.retention_horizon(),
        failure_count=len(summaries),
        # The daemon may have deleted some of them in between.
        failures=tuple(
            FailureRecord.of(each, documents[each.number])
            for each in selected
            if each.number in documents
        ),
        slow_requests=history.slow_requests(tenant, since, until, limit=MAX_SLOW_REQUESTS),
        token_events=tuple(each for each in reversed(events) if since <= each.at < until),
        published=history.published_statuses(_first_start(incidents, since), until),
        notes=read_annotations(directory).notes,
        values=history.value_ranges(tenant, first_bucket, until),
    )


def read_figures(
    directory: Path, tenant: str, time_range: TimeRange, now: float
) -> tuple[Mapping[str, Aggregate], IncidentDigest]:
    """Read only what the main figures of a period need; raises OSError."""
    history = HistoryReader(directory)
    since, until = time_range.since, time_range.until
    with closing(history.stream_streaks(since, until, tenant)) as streaks:
        counted = _counted(streaks, MaintenanceFailures(), since, now)
        incidents = digest_incidents(counted, since, min(until, now), 1)
    return history.totals(tenant, since, until), incidents


def _first_start(incidents: IncidentDigest, since: float) -> float:
    return min((since, *(each.started_at for each in incidents.longest)))


def _counted(
    streaks: Iterable[FailureStreak], planned: MaintenanceFailures, since: float, now: float
) -> Iterator[FailureStreak]:
    """Yield the streaks that had not ended before `since`; take note of those in maintenance."""
    for each in streaks:
        streak = close_if_stale(each, now)
        if streak.in_maintenance:
            planned.add(streak)
        if streak.ended_at is None or streak.ended_at >= since:
            yield streak


def step_seconds(time_range: TimeRange) -> int:
    """Return the length of a step of the charts, so that there are not too many of them."""
    fitting = (step for step in _STEPS_SECONDS if time_range.seconds / step <= _MAX_STEPS)
    return next(fitting, _STEPS_SECONDS[-1])
