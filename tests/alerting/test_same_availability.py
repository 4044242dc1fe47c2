"""Page, report and recording rules compute the same availability from the same runs.

One scripted week of a tenant's probe, a run each minute, is written to the history, from which the
page and the report are made, and given to promtool as the counters that Prometheus would have
scraped meanwhile.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.writer import Entry, HistoryWriter, RunEntry
from prober.models import SkippedRun
from prober.outcomes import CLASSIFICATION, Culprit, Outcome, Reason, SkipCause
from prober.render.documents import tenant_document
from prober.report.builder import ReportContext, build_report
from prober.report.query import read_history
from prober.report.time_range import TimeRange
from prober.stats.slo import Availability
from tests.alerting.cases import probe, surroundings
from tests.alerting.test_rules import run
from tests.builders import a_tenant
from tests.unit.render.status_factory import a_tenant_standing
from tests.unit.report.report_factory import VANTAGE
from tests.unit.stats.factories import NOW, a_run

pytestmark = pytest.mark.prometheus

MINUTES = 7 * 1440
STEP_MINUTES = 5
"""Rules are evaluated so often: their windows of five minutes then count every run once."""
TOLERANCE = 2 * STEP_MINUTES / MINUTES
"""At the first evaluation nothing has a rate; Prometheus 3 leaves out a window's first sample."""


@dataclass(frozen=True)
class Event:
    """From one minute of the week to before another, every `every`th run has another result."""

    first: int
    last: int
    reason: Reason | None
    culprit: Culprit | None = None
    every: int = 1


EVENTS = (
    Event(300, 360, Reason.SERVER_ERROR),
    Event(1000, 1600, Reason.SERVER_ERROR, every=7),
    Event(2000, 2090, Reason.CONNECTION_REFUSED),
    Event(2500, 2530, Reason.RESPONSE_TIMEOUT),
    Event(3000, 3003, Reason.TOKEN_REJECTED),
    Event(3003, 3100, None),  # skipped: the token is rejected
    Event(4000, 4100, Reason.EXPECTATION_FAILED, Culprit.TENANT),
    Event(4200, 4250, Reason.EXPECTATION_FAILED, Culprit.PLATFORM, every=2),
    Event(5000, 5040, Reason.INTERNAL_ERROR),
    Event(6000, 6300, Reason.RATE_LIMITED, every=3),
    Event(7000, 7010, Reason.CERTIFICATE_EXPIRED),
    Event(8000, 8200, Reason.EDGE_ERROR, every=4),
    Event(9000, 9020, Reason.QUOTA_EXCEEDED),
)


def script() -> Iterator[tuple[int, Reason | None, Culprit]]:
    """Yield (minute, reason, culprit) of each run; a reason of None: it was skipped."""
    for minute in range(MINUTES):
        event = next(
            (
                each
                for each in EVENTS
                if each.first <= minute < each.last and (minute - each.first) % each.every == 0
            ),
            None,
        )
        reason = Reason.OK if event is None else event.reason
        culprit = None if event is None else event.culprit
        known = CLASSIFICATION[reason or Reason.TOKEN_REJECTED].culprit
        yield minute, reason, culprit or known


def of_the_prober(directory: Path) -> tuple[Availability, Availability]:
    """Return the availability on the page, and that in the report."""
    entries: list[Entry] = [
        SkippedRun("acme", "datasets", NOW + minute * 60, SkipCause.TOKEN_REJECTED)
        if reason is None
        else RunEntry(a_run(minute * 60.0, reason, culprit=culprit))
        for minute, reason, culprit in script()
    ]
    writer = HistoryWriter.open(directory, lambda path, why: pytest.fail(f"{path}: {why}"))
    for first in range(0, len(entries), 1440):
        writer.write(entries[first : first + 1440])
    end = NOW + MINUTES * 60
    while writer.pack_hours(end, 1000):
        pass
    writer.close()
    month = HistoryReader(directory).bucket_totals(NOW, end)["acme"]
    page = tenant_document(a_tenant_standing(month=month), end).availability.month
    week = TimeRange(NOW, end)
    report = build_report(
        a_tenant(name="acme"),
        read_history(directory, "acme", week, end),
        week,
        ReportContext(end, "UTC", VANTAGE, 30 * 86_400),
    )
    return page, report.availability


def counters() -> dict[str, str]:
    """Return the series that the daemon would have exported, a sample a minute."""
    keys = [
        (reason, culprit, CLASSIFICATION[reason or Reason.TOKEN_REJECTED].outcome)
        for _, reason, culprit in script()
    ]
    return {
        _name(*key): " ".join(_samples([each == key for each in keys])) for key in Counter(keys)
    }


def _name(reason: Reason | None, culprit: Culprit, outcome: Outcome) -> str:
    if reason is None:
        return probe("prober_probe_skipped_total", 'cause="token_rejected"')
    labels = (f'culprit="{culprit}"', f'reason="{reason}"', f'outcome="{outcome}"')
    return probe("prober_probe_runs_total", *labels)


def _samples(happened: list[bool]) -> Iterator[str]:
    """Yield a counter in promtool's notation: what happened in a minute is in its last sample."""
    yield "0"
    count = 0
    for is_more, group in groupby(happened):
        length = len(list(group))
        step = int(is_more)
        yield f"{count + step}+{step}x{length - 1}"
        count += step * length


def test_page_report_and_rules_compute_the_same_availability(tmp_path: Path) -> None:
    page, report = of_the_prober(tmp_path)
    assert page == report
    observed = page.runs - 90 - 30 - 97  # without network, undecided and paused runs
    assert page.observed_runs == observed
    assert page.platform_ratio == 1 - page.platform_failures / observed
    assert page.platform_failures == 60 + 86 + 25 + 10 + 50
    assert page.prober_faults == 40
    assert page.coverage_ratio == observed / MINUTES

    checks = {
        "tenant:prober_platform_availability:ratio30d": page.platform_ratio,
        "tenant:prober_end_to_end_availability:ratio30d": page.end_to_end_ratio,
        "tenant:prober_platform_availability_coverage:ratio30d": page.coverage_ratio,
    }
    week_long = {
        name: values.replace("x10000", f"x{MINUTES}")
        for name, values in surroundings("acme").items()
    }
    series = {**week_long, **counters()}
    rules = tmp_path / "rules"
    rules.mkdir()
    run(
        {
            "interval": "1m",
            "input_series": [{"series": n, "values": v} for n, v in series.items()],
            "promql_expr_test": [
                {
                    "expr": f"abs(sum({name}) - {value}) < bool {TOLERANCE}",
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
                for name, value in checks.items()
            ],
        },
        rules,
        *checks,
        step_seconds=STEP_MINUTES * 60,
    )
