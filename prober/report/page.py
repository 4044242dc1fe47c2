"""The report of the last hours or days as one HTML file, and the figures to compare it with."""

from pathlib import Path

from prober.models import Tenant
from prober.report.builder import ReportContext, build_report, period_figures
from prober.report.html import render_html
from prober.report.models import PeriodFigures
from prober.report.query import read_figures, read_history
from prober.report.time_range import TimeRange, time_range
from prober.report.vantage import read_vantage


def recent_report_html(
    directory: Path, tenant: Tenant, seconds: float, now: float, retention_seconds: float
) -> str:
    """Return the report of the last `seconds` of a tenant; raises OSError."""
    period = time_range(now - seconds, now, now)
    history = read_history(directory, tenant.name, period, now)
    previous = previous_figures(directory, tenant.name, period, now)
    context = ReportContext(now, "UTC", read_vantage(None), retention_seconds)
    return render_html(build_report(tenant, history, period, context, previous))


def previous_figures(
    directory: Path, tenant: str, period: TimeRange, now: float
) -> PeriodFigures | None:
    """Return the figures of the period of the same length before; None if nothing is known.

    Raises OSError.
    """
    before = TimeRange(period.since - period.seconds, period.since)
    totals, incidents = read_figures(directory, tenant, before, now)
    figures = period_figures(before, totals, incidents.count)
    return figures if figures.runs else None
