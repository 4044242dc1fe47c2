"""What a report needs of the past, read once; the one place of the room that does I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.history.reader import (
    Aggregates,
    Calls,
    FailureSummary,
    HistoryReader,
    RetentionHorizon,
    SlowRequestRow,
    TokenEventRecord,
)
from prober.report.samples import MOST_SLOW, outside_maintenance, select_samples
from prober.report.time_range import TimeRange
from prober.stats.aggregates import Aggregate, TimeBucket, bucket_start
from prober.stats.incidents import FailureStreak, close_if_stale

_MAX_FAILURES = 200_000
_MAX_TOKEN_EVENTS = 1000
_MAX_STEPS = 200
_STEPS_SECONDS = (60, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class HistoryExtract:
    """What the history tells of a tenant in a span; `oldest` is null where there is no history."""

    oldest: float | None
    totals: Mapping[str, Aggregate]
    aggregates: Aggregates
    step_seconds: int
    buckets: Mapping[int, TimeBucket]
    recorded: frozenset[int]
    streaks: tuple[FailureStreak, ...]
    horizon: RetentionHorizon
    failure_count: int
    failures: tuple[tuple[FailureSummary, Mapping[str, Any]], ...]
    slow_requests: tuple[SlowRequestRow, ...]
    token_events: tuple[TokenEventRecord, ...]


def read_history(directory: Path, tenant: str, span: TimeRange, now: float) -> HistoryExtract:
    """Read the history in a state directory, beside the daemon that writes it; raises OSError."""
    archive, calls = HistoryReader(directory), Calls(directory)
    since, until = span.since, span.until
    step = step_seconds(span)
    first = bucket_start(since)
    spells = tuple(close_if_stale(each, now) for each in archive.streaks(since, until, tenant))
    heads = outside_maintenance(
        calls.failure_summaries(tenant, since, until, limit=_MAX_FAILURES), spells
    )
    chosen = select_samples(heads)
    documents = calls.failure_documents(head.number for head in chosen)
    known = tuple((head, documents[head.number]) for head in chosen if head.number in documents)
    events = archive.token_events(tenant, limit=_MAX_TOKEN_EVENTS)
    return HistoryExtract(
        oldest=archive.oldest(),
        totals=archive.totals(tenant, since, until),
        aggregates=archive.aggregates(tenant, since // step * step, until, step),
        step_seconds=step,
        buckets=archive.buckets(first, until, tenant).get(tenant, {}),
        recorded=calls.recorded_spans(first, until),
        streaks=tuple(each for each in spells if each.ended_at is None or each.ended_at >= since),
        horizon=calls.retention_horizon(),
        failure_count=len(heads),
        failures=known,
        slow_requests=calls.slow_requests(tenant, since, until, limit=MOST_SLOW),
        token_events=tuple(each for each in reversed(events) if since <= each.at < until),
    )


def step_seconds(span: TimeRange) -> int:
    """Return the length of a step, so that there are not too many of them in pictures."""
    fit = (step for step in _STEPS_SECONDS if span.seconds / step <= _MAX_STEPS)
    return next(fit, _STEPS_SECONDS[-1])
