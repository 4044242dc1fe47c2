"""From what is known of the past to the document: the one function behind all formats. Pure.

Of which stretches nothing is known, and why. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from prober.models import Tenant
from prober.outcomes import CLASSIFICATION, Culprit, SkipCause
from prober.render.documents import TimeBucketDocument, bucket_document
from prober.render.svg import TimeSeries, series
from prober.report import text
from prober.report.models import (
    SCHEMA_VERSION,
    AvailabilityReport,
    CulpritShare,
    Gap,
    GapCause,
    OutcomeCount,
    Percentiles,
    ProbeFigures,
    Report,
    ReportedIncident,
    ReportedTokenEvent,
)
from prober.report.query import HistoryExtract
from prober.report.samples import CULPRIT_PRIORITY, failed_request, slow_request
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
from prober.stats.incidents import Incident, incidents_from_streaks
from prober.stats.slo import availability_from_aggregate


@dataclass(frozen=True, slots=True)
class DataCoverage:
    """What there is in the history: `known` are the tenant's slots, `watched` those of anybody.

    `oldest` is its first slot; before `forgotten_before` it had to make room, before
    `too_old_before` nothing is kept.
    """

    known: Collection[int]
    recorded: Collection[int]
    oldest: float
    deleted_before: float | None
    retention_before: float


def find_gaps(span: TimeRange, coverage: DataCoverage, least_seconds: float) -> tuple[Gap, ...]:
    """Return the stretches of at least so many seconds, to the quarter of an hour."""
    starts = range(bucket_start(span.since), int(span.until), BUCKET_SECONDS)
    found: list[Gap] = []
    for cause, group in groupby(starts, lambda start: _cause(start, coverage)):
        members = list(group)
        if cause is not None:
            began = max(span.since, float(members[0]))
            ended = min(span.until, float(members[-1] + BUCKET_SECONDS))
            found.append(Gap(began, ended, cause))
    return tuple(_long_enough(found, max(least_seconds, BUCKET_SECONDS)))


def _cause(start: int, knowledge: DataCoverage) -> GapCause | None:
    if start in knowledge.known:
        return None
    if start in knowledge.recorded:
        return GapCause.NOT_WATCHED
    if start >= knowledge.oldest:
        return GapCause.NOT_RUNNING
    if knowledge.deleted_before is not None and start < knowledge.deleted_before:
        return GapCause.NO_ROOM
    return GapCause.TOO_OLD if start < knowledge.retention_before else GapCause.BEFORE_HISTORY


def _long_enough(found: list[Gap], least_seconds: float) -> Iterator[Gap]:
    for gap in found:
        if gap.ended_at - gap.started_at >= least_seconds:
            yield gap


MOST_INCIDENTS = 200
MOST_CHARTS = 12
_ORDER = (Culprit.NONE, *CULPRIT_PRIORITY)
_ROUNDING = 1e-6
_TWO_RUNS = 2.0


@dataclass(frozen=True, slots=True)
class ReportContext:
    """When, on whose clock and by which prober a report is made; what is kept for how long."""

    now: float
    time_zone: str
    prober_version: str
    retention_seconds: float


def build_report(
    tenant: Tenant, past: HistoryExtract, span: TimeRange, made: ReportContext
) -> Report:
    """Return what happened to a tenant in a span of time."""
    total = merge_aggregates(past.totals.values())
    found = incidents_from_streaks(past.streaks)
    kept = availability(total, tenant.availability_objective_ratio)
    end = min(span.until, made.now)
    listed = _incidents(found, end)
    shares = _shares(found, total, span.since, end)
    step = max(past.step_seconds, BUCKET_SECONDS)
    together, by_probe = _series(past, span)
    unknown = find_gaps(span, _coverage(past, made), _TWO_RUNS * _shortest_interval(tenant))
    unknown_seconds = sum(gap.ended_at - gap.started_at for gap in unknown)
    return Report(
        schema_version=SCHEMA_VERSION,
        tenant=tenant.name,
        environment=tenant.environment,
        base_url=tenant.base_url,
        since=span.since,
        until=span.until,
        time_zone=made.time_zone,
        generated_at=made.now,
        prober_version=made.prober_version,
        summary=text.summary(kept, shares, unknown_seconds),
        availability=kept,
        shares=shares,
        incident_count=len(found),
        incidents=listed,
        outcomes=_outcomes(total),
        skipped={cause: n for cause in SkipCause if (n := total.count(SKIPPED + cause))},
        figures=_figures(past.totals, total),
        failure_count=past.failure_count,
        failures_known_since=_within(past.horizon.failures, span),
        failed_requests=tuple(failed_request(head, of, listed) for head, of in past.failures),
        slow_requests=tuple(map(slow_request, past.slow_requests)),
        gaps=unknown,
        token_events=tuple(
            ReportedTokenEvent(each.at, each.kind, each.cause, each.fingerprint, each.problem)
            for each in past.token_events
        ),
        method=text.METHOD,
        strip_step_seconds=step,
        strip=_strip_buckets(past.buckets, span, step),
        series=together,
        series_by_probe=by_probe,
    )


def availability(tally: Aggregate, objective_ratio: float) -> AvailabilityReport:
    """Return both indicators of what a tally holds."""
    told = availability_from_aggregate(tally)
    allowed = told.runs * (1 - objective_ratio)
    return AvailabilityReport(
        objective_ratio=objective_ratio,
        runs=told.runs,
        allowed_failures=allowed,
        platform_failures=told.platform_failures,
        platform_ratio=told.platform,
        end_to_end_failures=told.end_to_end_failures,
        end_to_end_ratio=told.end_to_end,
        paused=tally.paused,
        in_maintenance=tally.in_maintenance,
        prober_faults=tally.by_culprit.get(Culprit.PROBER, 0),
        objective_met=told.platform_failures <= allowed + _ROUNDING if told.runs else None,
    )


def _incidents(found: Sequence[Incident], end: float) -> tuple[ReportedIncident, ...]:
    """Return the incidents to list in the order of time: of too many, the longest."""
    longest = sorted(found, key=lambda each: -each.seconds(end))[:MOST_INCIDENTS]
    ordered = sorted(longest, key=lambda each: each.started_at)
    return tuple(_incident(number, each, end) for number, each in enumerate(ordered, 1))


def _incident(number: int, incident: Incident, end: float) -> ReportedIncident:
    return ReportedIncident(
        number=number,
        culprit=incident.culprit,
        started_at=incident.started_at,
        ended_at=incident.ended_at,
        duration_seconds=incident.seconds(end),
        failures=incident.failures,
        probes=tuple(sorted(incident.probes)),
        reasons=incident.reasons,
        evidence=incident.evidence,
        in_maintenance=incident.in_maintenance,
    )


def _shares(
    found: Iterable[Incident], total: Aggregate, since: float, end: float
) -> tuple[CulpritShare, ...]:
    """Return what each culprit had to do with it, outside maintenance; who had not is left out."""
    counted = [each for each in found if not each.in_maintenance]
    shares = []
    for culprit in CULPRIT_PRIORITY:
        own = [each for each in counted if each.culprit is culprit]
        seconds = sum(_seconds_within(each, since, end) for each in own)
        failures = total.by_culprit.get(culprit, 0)
        if own or failures:
            shares.append(CulpritShare(culprit, len(own), seconds, failures))
    return tuple(sorted(shares, key=lambda s: (s.culprit is not Culprit.PLATFORM, -s.seconds)))


def _seconds_within(incident: Incident, since: float, end: float) -> float:
    ended = end if incident.ended_at is None else min(incident.ended_at, end)
    return max(0.0, ended - max(incident.started_at, since))


def _outcomes(total: Aggregate) -> tuple[OutcomeCount, ...]:
    counts = []
    for reason, runs in total.by_reason.items():
        kind = CLASSIFICATION[reason]
        counts.append(OutcomeCount(kind.outcome, reason, kind.culprit, runs, runs / total.runs))
    return tuple(sorted(counts, key=lambda each: (_ORDER.index(each.culprit), -each.runs)))


def _figures(totals: Mapping[str, Aggregate], total: Aggregate) -> tuple[ProbeFigures, ...]:
    return (
        _figures_of(None, total),
        *(_figures_of(probe, totals[probe]) for probe in sorted(totals)),
    )


def _figures_of(probe: str | None, tally: Aggregate) -> ProbeFigures:
    told = availability_from_aggregate(tally)
    return ProbeFigures(
        probe=probe,
        runs=told.runs,
        platform_ratio=told.platform,
        end_to_end_ratio=told.end_to_end,
        responses=tally.server.count,
        server=_percentiles(tally.server),
        network=_percentiles(tally.network),
    )


def _percentiles(sketch: DurationHistogram) -> Percentiles | None:
    values = [sketch.quantile(share) for share in (0.5, 0.9, 0.95, 0.99)]
    known = [value for value in values if value is not None]
    return Percentiles(*known) if known else None


def _within(moment: float | None, span: TimeRange) -> float | None:
    return None if moment is None or moment <= span.since else moment


def _coverage(past: HistoryExtract, made: ReportContext) -> DataCoverage:
    return DataCoverage(
        known=past.buckets.keys(),
        recorded=past.recorded,
        oldest=made.now if past.oldest is None else past.oldest,
        deleted_before=past.horizon.everything,
        retention_before=made.now - made.retention_seconds,
    )


def _shortest_interval(tenant: Tenant) -> float:
    return min((probe.interval_seconds for probe in tenant.probes), default=0.0)


def _strip_buckets(
    slots: Mapping[int, TimeBucket], span: TimeRange, step: int
) -> tuple[TimeBucketDocument, ...]:
    first = int(span.since // step * step)
    steps = {start: TimeBucket() for start in range(first, int(span.until), step)}
    for start, slot in slots.items():
        steps[start // step * step] += slot
    return tuple(bucket_document(start, slot) for start, slot in steps.items())


def _series(past: HistoryExtract, span: TimeRange) -> tuple[TimeSeries, dict[str, TimeSeries]]:
    """Return the steps of all probes together, and of each while they are few."""
    step = past.step_seconds
    since = span.since // step * step
    together: dict[float, list[Aggregate]] = defaultdict(list)
    for tallies in past.aggregates.values():
        for at, tally in tallies.items():
            together[at].append(tally)
    total = {at: merge_aggregates(each) for at, each in together.items()}
    probes = sorted(past.aggregates) if len(past.aggregates) <= MOST_CHARTS else ()
    return series(total, since, span.until, step), {
        probe: series(past.aggregates[probe], since, span.until, step) for probe in probes
    }
