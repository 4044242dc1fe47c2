"""From what is known of the past to the document: the one function behind all formats. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prober.model import Tenant
from prober.outcomes import CLASSIFICATION, Culprit, SkipCause
from prober.report import wording
from prober.report.calls import WHOSE_FIRST, failed_call, slow_call
from prober.report.document import (
    SCHEMA_VERSION,
    Availability,
    OutcomeCount,
    Percentiles,
    ProbeFigures,
    Report,
    ReportedIncident,
    Share,
    TokenNote,
)
from prober.report.gaps import Knowledge, gaps
from prober.report.past import Past
from prober.report.span import Span
from prober.timeline.objectives import availability_of
from prober.timeline.sketch import Sketch
from prober.timeline.slots import SLOT_SECONDS, Slot
from prober.timeline.spells import Incident, incidents
from prober.timeline.tally import SKIPPED, Tally, added
from prober.views.chart import Series, series
from prober.views.standing import SlotDocument, slot_document

MOST_INCIDENTS = 200
MOST_CHARTS = 12
_ORDER = (Culprit.NONE, *WHOSE_FIRST)
_ROUNDING = 1e-6
_TWO_RUNS = 2.0


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, on whose clock and by which prober a report is made; what is kept for how long."""

    now: float
    time_zone: str
    prober_version: str
    retention_seconds: float


def report(tenant: Tenant, past: Past, span: Span, made: Circumstances) -> Report:
    """Return what happened to a tenant in a span of time."""
    total = added(past.totals.values())
    found = incidents(past.spells)
    kept = availability(total, tenant.availability_objective_ratio)
    end = min(span.until, made.now)
    listed = _incidents(found, end)
    shares = _shares(found, total, span.since, end)
    step = max(past.step_seconds, SLOT_SECONDS)
    together, by_probe = _series(past, span)
    unknown = gaps(span, _knowledge(past, made), _TWO_RUNS * _shortest_interval(tenant))
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
        summary=wording.summary(kept, shares, unknown_seconds),
        availability=kept,
        shares=shares,
        incident_count=len(found),
        incidents=listed,
        outcomes=_outcomes(total),
        skipped={cause: n for cause in SkipCause if (n := total.count(SKIPPED + cause))},
        figures=_figures(past.totals, total),
        failure_count=past.failure_count,
        failures_known_since=_if_within(past.forgotten.failures, span),
        failed_calls=tuple(failed_call(head, of, listed) for head, of in past.failures),
        slow_calls=tuple(map(slow_call, past.slowest)),
        gaps=unknown,
        token_events=tuple(
            TokenNote(each.at, each.kind, each.cause, each.fingerprint, each.problem)
            for each in past.token_events
        ),
        method=wording.METHOD,
        strip_step_seconds=step,
        strip=_strip(past.slots, span, step),
        series=together,
        series_by_probe=by_probe,
    )


def availability(tally: Tally, objective_ratio: float) -> Availability:
    """Return both indicators of what a tally holds."""
    told = availability_of(tally)
    allowed = told.asked * (1 - objective_ratio)
    return Availability(
        objective_ratio=objective_ratio,
        asked=told.asked,
        allowed_failures=allowed,
        platform_failures=told.platform_failures,
        platform_ratio=told.platform,
        end_to_end_failures=told.end_to_end_failures,
        end_to_end_ratio=told.end_to_end,
        held_back=tally.held_back,
        in_maintenance=tally.in_maintenance,
        by_prober=tally.by_culprit.get(Culprit.PROBER, 0),
        is_kept=told.platform_failures <= allowed + _ROUNDING if told.asked else None,
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


def _shares(found: Iterable[Incident], total: Tally, since: float, end: float) -> tuple[Share, ...]:
    """Return what each culprit had to do with it, outside maintenance; who had not is left out."""
    counted = [each for each in found if not each.in_maintenance]
    shares = []
    for culprit in WHOSE_FIRST:
        own = [each for each in counted if each.culprit is culprit]
        seconds = sum(_seconds_within(each, since, end) for each in own)
        failures = total.by_culprit.get(culprit, 0)
        if own or failures:
            shares.append(Share(culprit, len(own), seconds, failures))
    return tuple(sorted(shares, key=lambda s: (s.culprit is not Culprit.PLATFORM, -s.seconds)))


def _seconds_within(incident: Incident, since: float, end: float) -> float:
    ended = end if incident.ended_at is None else min(incident.ended_at, end)
    return max(0.0, ended - max(incident.started_at, since))


def _outcomes(total: Tally) -> tuple[OutcomeCount, ...]:
    counts = []
    for reason, runs in total.by_reason.items():
        kind = CLASSIFICATION[reason]
        counts.append(OutcomeCount(kind.outcome, reason, kind.culprit, runs, runs / total.runs))
    return tuple(sorted(counts, key=lambda each: (_ORDER.index(each.culprit), -each.runs)))


def _figures(totals: Mapping[str, Tally], total: Tally) -> tuple[ProbeFigures, ...]:
    return (
        _figures_of(None, total),
        *(_figures_of(probe, totals[probe]) for probe in sorted(totals)),
    )


def _figures_of(probe: str | None, tally: Tally) -> ProbeFigures:
    told = availability_of(tally)
    return ProbeFigures(
        probe=probe,
        asked=told.asked,
        platform_ratio=told.platform,
        end_to_end_ratio=told.end_to_end,
        answers=tally.server.count,
        server=_percentiles(tally.server),
        network=_percentiles(tally.network),
    )


def _percentiles(sketch: Sketch) -> Percentiles | None:
    values = [sketch.quantile(share) for share in (0.5, 0.9, 0.95, 0.99)]
    known = [value for value in values if value is not None]
    return Percentiles(*known) if known else None


def _if_within(moment: float | None, span: Span) -> float | None:
    return None if moment is None or moment <= span.since else moment


def _knowledge(past: Past, made: Circumstances) -> Knowledge:
    return Knowledge(
        known=past.slots.keys(),
        watched=past.watched,
        oldest=made.now if past.oldest is None else past.oldest,
        forgotten_before=past.forgotten.everything,
        too_old_before=made.now - made.retention_seconds,
    )


def _shortest_interval(tenant: Tenant) -> float:
    return min((probe.interval_seconds for probe in tenant.probes), default=0.0)


def _strip(slots: Mapping[int, Slot], span: Span, step: int) -> tuple[SlotDocument, ...]:
    first = int(span.since // step * step)
    steps = {start: Slot() for start in range(first, int(span.until), step)}
    for start, slot in slots.items():
        steps[start // step * step] += slot
    return tuple(slot_document(start, slot) for start, slot in steps.items())


def _series(past: Past, span: Span) -> tuple[Series, dict[str, Series]]:
    """Return the steps of all probes together, and of each while they are few."""
    step = past.step_seconds
    since = span.since // step * step
    together: dict[float, list[Tally]] = defaultdict(list)
    for tallies in past.tallies.values():
        for at, tally in tallies.items():
            together[at].append(tally)
    total = {at: added(each) for at, each in together.items()}
    probes = sorted(past.tallies) if len(past.tallies) <= MOST_CHARTS else ()
    return series(total, since, span.until, step), {
        probe: series(past.tallies[probe], since, span.until, step) for probe in probes
    }
