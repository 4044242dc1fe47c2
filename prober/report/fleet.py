"""All tenants in one document, the worst first, each beside the period before. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prober.formatting import (
    format_exact_duration,
    format_latency,
    format_percent,
    format_timestamp,
)
from prober.models import Tenant
from prober.outcomes import Culprit
from prober.render.text import CULPRIT_LABELS
from prober.report.html import template_environment
from prober.report.markdown import table
from prober.report.models import PeriodFigures, Vantage
from prober.report.text import describe_vantage
from prober.report.time_range import TimeRange, parse_time_zone
from prober.stats.aggregates import Aggregate, merge_aggregates
from prober.stats.slo import availability_from_aggregate

_TITLES = (
    "#", "tenant", "environment", "platform", "objective", "before", "end-to-end", "failed runs",
    "incidents", "mostly", "server p95", "network p95",
)  # fmt: skip


_ORDER = (
    "The worst first: by how far the platform is from its objective. 'before' is the platform's"
    " availability in the period of the same length before this one."
)


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One tenant: its figures in the period, and in the one before if anything is known of it."""

    tenant: str
    environment: str
    objective_ratio: float
    objective_met: bool | None
    failed_runs: int
    main_culprit: Culprit
    current: PeriodFigures
    previous: PeriodFigures | None


@dataclass(frozen=True, slots=True)
class FleetReport:
    """All tenants with data, the worst first; `without_data` are the names of the others."""

    since: float
    until: float
    time_zone: str
    generated_at: float
    vantage: Vantage
    tenants: tuple[FleetRow, ...]
    without_data: tuple[str, ...]


def fleet_row(
    tenant: Tenant,
    totals: Mapping[str, Aggregate],
    current: PeriodFigures,
    previous: PeriodFigures | None,
) -> FleetRow:
    """Return the row of a tenant."""
    total = merge_aggregates(totals.values())
    availability = availability_from_aggregate(total, tenant.availability_objective_ratio)
    failures = {c: n for c, n in total.by_culprit.items() if c is not Culprit.NONE and n}
    return FleetRow(
        tenant.name,
        tenant.environment,
        availability.objective_ratio,
        availability.objective_met,
        sum(failures.values()),
        max(failures, key=lambda culprit: failures[culprit], default=Culprit.NONE),
        current,
        previous,
    )


def fleet_report(
    rows: Sequence[FleetRow], names: Sequence[str], period: TimeRange, context: "FleetContext"
) -> FleetReport:
    """Return the report, ranked: by how far the platform missed its objective, then end-to-end."""
    known = [row for row in rows if row.current.runs]
    known.sort(key=_rank)
    missing = [name for name in names if name not in {row.tenant for row in known}]
    return FleetReport(
        period.since,
        period.until,
        context.time_zone,
        context.now,
        context.vantage,
        tuple(known),
        tuple(missing),
    )


@dataclass(frozen=True, slots=True)
class FleetContext:
    """When (epoch seconds) and where the report is made."""

    now: float
    time_zone: str
    vantage: Vantage


def _rank(row: FleetRow) -> tuple[float, float, str]:
    platform = 1.0 if row.current.platform_ratio is None else row.current.platform_ratio
    return (platform - row.objective_ratio, row.current.end_to_end_ratio or 0.0, row.tenant)


def fleet_cells(report: FleetReport) -> list[tuple[str, ...]]:
    """Return the texts of the table, a row for each tenant."""
    return [
        (
            str(number),
            row.tenant,
            row.environment,
            format_percent(row.current.platform_ratio),
            {None: "-", True: "met", False: "missed"}[row.objective_met],
            "-" if row.previous is None else format_percent(row.previous.platform_ratio),
            format_percent(row.current.end_to_end_ratio),
            f"{row.failed_runs:,}",
            f"{row.current.incidents:,}",
            "-" if row.main_culprit is Culprit.NONE else CULPRIT_LABELS[row.main_culprit],
            format_latency(row.current.server_p95_seconds),
            format_latency(row.current.network_p95_seconds),
        )
        for number, row in enumerate(report.tenants, 1)
    ]


def render_fleet_markdown(report: FleetReport) -> str:
    """Return the document as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: FleetReport) -> Iterator[str]:
    yield from ("# All tenants", "", *(f"- {line}" for line in _origin(report)), "")
    yield from table(_TITLES, fleet_cells(report))
    if report.without_data:
        yield from ("", f"Without data in this period: {', '.join(report.without_data)}.")


def _origin(report: FleetReport) -> tuple[str, ...]:
    zone = parse_time_zone(report.time_zone)
    since, until, made = (
        format_timestamp(at, zone) for at in (report.since, report.until, report.generated_at)
    )
    length = format_exact_duration(report.until - report.since)
    return (
        f"From {since} to {until} ({length}), reported on {made}",
        describe_vantage(report.vantage),
        _ORDER,
    )


def render_fleet_html(report: FleetReport) -> str:
    """Return the document as one HTML file."""
    return (
        template_environment()
        .get_template("fleet.html")
        .render(
            origin=_origin(report),
            titles=_TITLES,
            rows=zip(report.tenants, fleet_cells(report), strict=True),
            report=report,
        )
    )
