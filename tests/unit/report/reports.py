"""Reports on the scripted day, made in the test's own process."""

from pathlib import Path

from prober.report.build import Circumstances, report
from prober.report.document import Report
from prober.report.past import read_past
from prober.report.span import Span
from tests.unit.report.days import DAY, DAY_SECONDS, TENANT

NOW = DAY + DAY_SECONDS + 3600


def a_report(
    directory: Path, since: float = DAY, until: float = DAY + DAY_SECONDS, zone: str = "UTC"
) -> Report:
    span = Span(since, until)
    past = read_past(directory, TENANT.name, span, NOW)
    return report(TENANT, past, span, Circumstances(NOW, zone, "1.2.3", 30 * DAY_SECONDS))
