"""Builds the report from what the history holds: one function behind all formats. Pure."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from prober.history.annotations import IncidentNote
from prober.models import Tenant
from prober.outcomes import CLASSIFICATION, Culprit, SkipCause
from prober.render.documents import (
    FailedRequest,
    IncidentDocument,
    TimeBucketDocument,
    bucket_document,
    failed_request,
    incident_document,
)
from prober.render.svg import TimeSeries, series
from prober.report import text
from prober.report.models import (
    SCHEMA_VERSION,
    Cadence,
    CulpritShare,
    Gap,
    GapCause,
    OutcomeCount,
    Percentiles,
    PeriodFigures,
    ProbeFigures,
    Report,
    SupplierFinding,
    Vantage,
)
from prober.report.query import HistoryExtract
from prober.report.samples import CULPRIT_PRIORITY, incident_number
from prober.report.time_range import TimeRange
from prober.stats.aggregates import (
    BUCKET_SECONDS,
    SKIPPED,
    Aggregate,
    DurationHistogram,
    TimeBucket,
    bucket_start,
    merge_aggregates,
)
from prober.stats.incidents import IncidentTotals
from prober.stats.slo import availability_from_aggregate
from prober.status_page import supplier_account


@dataclass(frozen=True, slots=True)
class DataCoverage:
    """What the history has of a period, in epoch seconds.

    `minutes` are the starts of the minutes in which a run of the tenant is recorded, or was paused;
    `known` are the starts of its time buckets, `recorded` those of any tenant. `oldest` is the
    start of all data. Data from before `deleted_before` was deleted for lack of room; data from
    before `retention_before` is older than the history keeps.
    """

    minutes: Collection[int]
    known: Collection[int]
    recorded: Collection[int]
    oldest: float
    deleted_before: float | None
    retention_before: float


def find_gaps(time_range: TimeRange, coverage: DataCoverage, min_seconds: float) -> tuple[Gap, ...]:
    """Return the periods of at least `min_seconds` without a run, to the minute.

    A period is divided where the cause changes.
    """
    return tuple(
        gap
        for start, end in _holes(time_range, coverage.minutes)
        if end - start >= max(min_seconds, _MINUTE_SECONDS)
        for gap in _divide_by_cause(start, end, coverage)
    )


def _holes(time_range: TimeRange, minutes: Iterable[int]) -> Iterator[tuple[float, float]]:
    """Yield the periods between the minutes that have a run, as (start, end)."""
    position = time_range.since
    for minute in sorted(minutes):
        if minute >= time_range.until:
            break
        if minute > position:
            yield position, float(minute)
        position = max(position, float(minute + _MINUTE_SECONDS))
    if position < time_range.until:
        yield position, time_range.until


def _divide_by_cause(start: float, end: float, coverage: DataCoverage) -> tuple[Gap, ...]:
    buckets = map(float, range(bucket_start(start), int(end), BUCKET_SECONDS))
    edges = sorted({start, end, *(at for at in (*buckets, coverage.oldest) if start < at < end)})
    gaps: list[Gap] = []
    for since, until in pairwise(edges):
        cause = _gap_cause(since, coverage)
        before = gaps[-1] if gaps else None
        if before is not None and GapCause.NO_RUN in {cause, before.cause}:
            # Part of a time bucket that has data of other minutes: its neighbour says why.
            cause = before.cause if cause is GapCause.NO_RUN else cause
            gaps[-1] = Gap(before.started_at, until, cause)
        elif before is not None and before.cause is cause:
            gaps[-1] = Gap(before.started_at, until, cause)
        else:
            gaps.append(Gap(since, until, cause))
    return tuple(gaps)


def _gap_cause(at: float, coverage: DataCoverage) -> GapCause:
    bucket = bucket_start(at)
    if at >= coverage.oldest:
        if bucket in coverage.known:
            return GapCause.NO_RUN
        return GapCause.NOT_WATCHED if bucket in coverage.recorded else GapCause.NOT_RUNNING
    if coverage.deleted_before is not None and at < coverage.deleted_before:
        return GapCause.NO_ROOM
    return GapCause.TOO_OLD if at < coverage.retention_before else GapCause.BEFORE_HISTORY


MAX_CHARTS = 12
MAX_GAPS = 100
_SUPPLIER_CULPRITS = frozenset({Culprit.PLATFORM, Culprit.NETWORK, Culprit.UNDECIDED})
_CULPRIT_ORDER = (Culprit.NONE, *CULPRIT_PRIORITY)
_MINUTE_SECONDS = 60
# A run may start a little late: between two runs on time, nearly a whole interval is empty.
_GAP_INTERVALS = 2.0


@dataclass(frozen=True, slots=True)
class ReportContext:
    """When and by which prober a report is generated, its time zone, and the history's retention.

    `now` is in epoch seconds.
    """

    now: float
    time_zone: str
    vantage: Vantage
    retention_seconds: float


def build_report(
    tenant: Tenant,
    history: HistoryExtract,
    time_range: TimeRange,
    context: ReportContext,
    previous: PeriodFigures | None = None,
) -> Report:
    """Return the report of a tenant in a time range; `previous` is the period before it."""
    return with_digest(_report(tenant, history, time_range, context, previous))


def digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hexadecimal) of a report's document, without that field itself."""
    content = json.dumps({**document, "data_sha256": ""}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def with_digest(report: Report) -> Report:
    """Return a report with the digest of its data."""
    return replace(report, data_sha256=digest(asdict(report)))


def period_figures(
    time_range: TimeRange, totals: Mapping[str, Aggregate], incidents: int
) -> PeriodFigures:
    """Return the main figures of a period."""
    total = merge_aggregates(totals.values())
    availability = availability_from_aggregate(total, 0.0)
    return PeriodFigures(
        time_range.since,
        time_range.until,
        availability.runs,
        availability.platform_ratio,
        availability.end_to_end_ratio,
        incidents,
        total.server.quantile(0.95),
        total.network.quantile(0.95),
    )


def _report(
    tenant: Tenant,
    history: HistoryExtract,
    time_range: TimeRange,
    context: ReportContext,
    previous: PeriodFigures | None,
) -> Report:
    objective = tenant.availability_objective_ratio
    total = merge_aggregates(history.totals.values())
    availability = availability_from_aggregate(total, objective)
    end = min(time_range.until, context.now)
    listed = _listed_incidents(history, tenant.environment, end)
    findings = _supplier_findings(history, listed, end)
    said = text.summarize_supplier(findings, listed)
    shares = _shares(history.incidents.totals, total)
    step = max(history.step_seconds, BUCKET_SECONDS)
    together, by_probe = _series(history, time_range)
    min_gap_seconds = max(_GAP_INTERVALS * _shortest_interval(tenant), _MINUTE_SECONDS)
    gaps = find_gaps(time_range, _coverage(history, context), min_gap_seconds)
    unknown_seconds = sum(gap.seconds for gap in gaps)
    return _header(tenant, history, time_range, context)(
        previous=previous,
        summary=text.summary(availability, shares, unknown_seconds) + said,
        availability=availability,
        shares=shares,
        incident_count=history.incidents.count,
        incidents=listed,
        notes=_notes(history, listed),
        outcomes=_outcomes(total),
        skipped={cause: n for cause in SkipCause if (n := total.count(SKIPPED + cause))},
        figures=_figures(history.totals, total, objective),
        failure_count=history.failure_count,
        failures_known_since=_if_within(history.horizon.failures, time_range),
        failed_requests=_failed_requests(history, listed),
        slow_requests=history.slow_requests,
        gaps=_longest_gaps(gaps),
        gap_count=len(gaps),
        min_gap_seconds=min_gap_seconds,
        unknown_seconds=unknown_seconds,
        token_events=history.token_events,
        supplier=supplier_account(history.published, time_range.since, end),
        supplier_findings=findings,
        values=history.values,
        method=text.METHOD,
        strip_step_seconds=step,
        strip=_strip_buckets(history.buckets, time_range, step),
        series=together,
        series_by_probe=by_probe,
    )


def _header(
    tenant: Tenant, history: HistoryExtract, time_range: TimeRange, context: ReportContext
) -> Callable[..., Report]:
    """Return the report that lacks what is computed of the history."""
    return partial(
        Report,
        schema_version=SCHEMA_VERSION,
        tenant=tenant.name,
        environment=tenant.environment,
        base_url=tenant.base_url,
        since=time_range.since,
        until=time_range.until,
        time_zone=context.time_zone,
        generated_at=context.now,
        prober_version=context.vantage.version,
        vantage=context.vantage,
        cadence=_cadence(tenant),
        current=period_figures(time_range, history.totals, history.incidents.count),
    )


def _cadence(tenant: Tenant) -> tuple[Cadence, ...]:
    return tuple(
        Cadence(
            each.name, each.method, each.shown_path, each.interval_seconds, each.timeout_seconds
        )
        for each in tenant.probes
    )


def _notes(history: HistoryExtract, listed: Sequence[IncidentDocument]) -> tuple[IncidentNote, ...]:
    known = {each.id for each in listed}
    return tuple(note for note in history.notes if note.incident in known)


def _supplier_findings(
    history: HistoryExtract, listed: Sequence[IncidentDocument], end: float
) -> tuple[SupplierFinding, ...]:
    """Return what the supplier's status page said during incidents that it may be asked about."""
    found = []
    for each in listed:
        ended_at = end if each.ended_at is None else each.ended_at
        account = supplier_account(history.published, each.started_at, ended_at)
        if account is not None and each.culprit in _SUPPLIER_CULPRITS and each.number is not None:
            after = account.published_after_seconds
            found.append(
                SupplierFinding(each.number, account.finding, after, account.is_known_whole)
            )
    return tuple(found)


def _failed_requests(
    history: HistoryExtract, listed: Sequence[IncidentDocument]
) -> tuple[FailedRequest, ...]:
    return tuple(
        failed_request(failure, incident_number(failure, listed)) for failure in history.failures
    )


def _listed_incidents(
    history: HistoryExtract, environment: str, end: float
) -> tuple[IncidentDocument, ...]:
    """Return the incidents to list in the order of time; of too many, the longest ones."""
    return tuple(
        incident_document(each, environment, end, number)
        for number, each in enumerate(history.incidents.longest, 1)
    )


def _shares(
    incidents: Mapping[Culprit, IncidentTotals], total: Aggregate
) -> tuple[CulpritShare, ...]:
    """Return the share of each culprit outside maintenance; culprits without any are left out."""
    shares = []
    for culprit in CULPRIT_PRIORITY:
        own = incidents.get(culprit, IncidentTotals())
        failures = total.by_culprit.get(culprit, 0)
        if own.incidents or failures:
            shares.append(CulpritShare(culprit, own.incidents, own.seconds, failures))
    return tuple(sorted(shares, key=lambda s: (s.culprit is not Culprit.PLATFORM, -s.seconds)))


def _outcomes(total: Aggregate) -> tuple[OutcomeCount, ...]:
    counts = []
    for (reason, culprit), runs in total.by_reason_and_culprit.items():
        outcome = CLASSIFICATION[reason].outcome
        counts.append(OutcomeCount(outcome, reason, culprit, runs, runs / total.runs))
    return tuple(sorted(counts, key=lambda each: (_CULPRIT_ORDER.index(each.culprit), -each.runs)))


def _figures(
    totals: Mapping[str, Aggregate], total: Aggregate, objective_ratio: float
) -> tuple[ProbeFigures, ...]:
    return (
        _figures_of(None, total, objective_ratio),
        *(_figures_of(probe, totals[probe], objective_ratio) for probe in sorted(totals)),
    )


def _figures_of(probe: str | None, aggregate: Aggregate, objective_ratio: float) -> ProbeFigures:
    availability = availability_from_aggregate(aggregate, objective_ratio)
    return ProbeFigures(
        probe=probe,
        runs=availability.runs,
        platform_ratio=availability.platform_ratio,
        end_to_end_ratio=availability.end_to_end_ratio,
        responses=aggregate.server.count,
        server=_percentiles(aggregate.server),
        network=_percentiles(aggregate.network),
        own=_percentiles(aggregate.own),
    )


def _percentiles(histogram: DurationHistogram) -> Percentiles | None:
    values = [histogram.quantile(ratio) for ratio in (0.5, 0.9, 0.95, 0.99)]
    known = [value for value in values if value is not None]
    return Percentiles(*known) if known else None


def _if_within(timestamp: float | None, time_range: TimeRange) -> float | None:
    return None if timestamp is None or timestamp <= time_range.since else timestamp


def _longest_gaps(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """Return the gaps to list in the order of time; of too many, the longest ones."""
    longest = sorted(gaps, key=lambda each: -each.seconds)[:MAX_GAPS]
    return tuple(sorted(longest, key=lambda each: each.started_at))


def _coverage(history: HistoryExtract, context: ReportContext) -> DataCoverage:
    oldest = context.now if history.oldest is None else history.oldest
    first = min(history.minutes, default=oldest)
    return DataCoverage(
        minutes=history.minutes,
        known=history.buckets.keys(),
        recorded=history.recorded,
        # The oldest time bucket begins up to a quarter of an hour before the first run in it.
        oldest=first if bucket_start(first) == oldest else oldest,
        deleted_before=history.horizon.everything,
        retention_before=context.now - context.retention_seconds,
    )


def _shortest_interval(tenant: Tenant) -> float:
    return min((probe.interval_seconds for probe in tenant.probes), default=0.0)


def _strip_buckets(
    buckets: Mapping[int, TimeBucket], time_range: TimeRange, step: int
) -> tuple[TimeBucketDocument, ...]:
    first = int(time_range.since // step * step)
    steps = {start: TimeBucket() for start in range(first, int(time_range.until), step)}
    for start, bucket in buckets.items():
        steps[start // step * step] += bucket
    return tuple(bucket_document(start, bucket) for start, bucket in steps.items())


def _series(
    history: HistoryExtract, time_range: TimeRange
) -> tuple[TimeSeries, dict[str, TimeSeries]]:
    """Return the time series of all probes together, and of each probe unless they are many."""
    step = history.step_seconds
    since, until = time_range.since // step * step, time_range.until
    together: dict[float, list[Aggregate]] = defaultdict(list)
    for aggregates in history.aggregates.values():
        for at, aggregate in aggregates.items():
            together[at].append(aggregate)
    total = {at: merge_aggregates(each) for at, each in together.items()}
    probes = sorted(history.aggregates) if len(history.aggregates) <= MAX_CHARTS else ()
    return series(total, since, until, step), {
        probe: series(history.aggregates[probe], since, until, step) for probe in probes
    }
