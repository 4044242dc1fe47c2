"""Reports on the scripted day, made in the test's own process."""

from pathlib import Path

from prober.report.builder import ReportContext, build_report
from prober.report.models import ClockState, Report, Vantage
from prober.report.query import read_history
from prober.report.time_range import TimeRange
from tests.unit.report.factories import DAY, DAY_SECONDS, TENANT

NOW = DAY + DAY_SECONDS + 3600


VANTAGE = Vantage(
    "monitor-1",
    "Frankfurt",
    ClockState.SYNCHRONIZED,
    0.0025,
    "1.2.3",
    "0123456789abcdef" * 2 + "0" * 8,
)


def a_context(zone: str = "UTC") -> ReportContext:
    return ReportContext(NOW, zone, VANTAGE, 30 * DAY_SECONDS)


def a_report(
    directory: Path, since: float = DAY, until: float = DAY + DAY_SECONDS, zone: str = "UTC"
) -> Report:
    span = TimeRange(since, until)
    past = read_history(directory, TENANT.name, span, NOW)
    return build_report(TENANT, past, span, a_context(zone))
