"""Latency that grows slowly is noticed; days, weeks, a changed clock and few answers are not."""

import math
import re
from pathlib import Path

import pytest

from tests.alerting.cases import surroundings, tenant
from tests.alerting.histograms import BOUNDS, Latency, histogram
from tests.alerting.test_rules import run

pytestmark = pytest.mark.prometheus

STEP_SECONDS = 600
HOUR = 3600
DAY = 24 * HOUR
ANSWERS = 10  # of each step


# The start is a Monday at 0:00.
def weekly(at: float) -> float:
    """Slower by day than by night, slower still on Monday mornings; quick at weekends."""
    day, hour = int(at // DAY) % 7, at % DAY / HOUR
    if day > 4:
        return 0.09
    if day == 0 and 8 <= hour < 11:
        return 0.4
    return 0.18 if 8 <= hour < 18 else 0.1


def an_hour_later(at: float) -> float:
    """The same, by a wall clock that was changed on the eleventh day."""
    return weekly(at + HOUR if at > 10 * DAY else at)


def since_thursday(at: float) -> float:
    """The same, known from a Thursday on: the first Monday morning is slower than all before."""
    return weekly(at + 3 * DAY)


def growing(at: float) -> float:
    """By a quarter each day from the eighth day on."""
    return weekly(at) * math.pow(1.25, max(0.0, at / DAY - 8))


def thrice(at: float) -> float:
    """Three times as slow from the eleventh day, 10:00, on."""
    return weekly(at) * (3 if at >= 10 * DAY + 10 * HOUR else 1)


def slightly(at: float) -> float:
    """From just under a bucket's bound to just above it."""
    return 0.095 if at < 10 * DAY else 0.11


def tiny(at: float) -> float:
    """Three times as slow, and still quick."""
    return 0.005 if at < 10 * DAY else 0.015


def latencies(name: str, latency: Latency, days: int, answers: float) -> dict[str, str]:
    """Return the series of one tenant whose answers take so long."""
    found = {}
    for part, values in histogram(
        BOUNDS[name], latency, days * DAY, STEP_SECONDS, answers=answers
    ).items():
        suffix, le = (part, ()) if part in {"sum", "count"} else ("bucket", (f'le="{part}"',))
        found[tenant(f"{name}_{suffix}", 'probe="datasets"', *le)] = values
    return found


def fired(alert: str, latency: Latency, days: int, path: Path, answers: float = ANSWERS) -> float:
    """Return the hours, from the start, after which the alert fires; infinite if it never does."""
    series = latencies(f"prober_probe_{SIDES[alert]}_seconds", latency, days, answers)
    test = {
        "input_series": [
            {"series": name, "values": values}
            for name, values in {**surroundings("acme"), **series}.items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": f"{hour}h",
                "exp_samples": [],
            }
            for hour in range(24, 24 * days)
        ],
    }
    try:
        run(test, path, alert, step_seconds=STEP_SECONDS)
    except AssertionError as failures:
        return min(hours(each) for each in re.findall(r"time: (\w+),", str(failures)))
    return math.inf


def hours(text: str) -> int:
    return sum(
        int(n) * {"w": 168, "d": 24, "h": 1}[unit] for n, unit in re.findall(r"(\d+)([wdh])", text)
    )


SIDES = {"ProberServerLatencyDrifts": "server", "ProberNetworkLatencyDrifts": "network"}


@pytest.mark.parametrize("latency", [weekly, an_hour_later, since_thursday, slightly, tiny])
def test_no_news(latency: Latency, tmp_path: Path) -> None:
    assert fired("ProberServerLatencyDrifts", latency, 15, tmp_path) == math.inf


def test_an_hour_with_few_answers_says_nothing(tmp_path: Path) -> None:
    assert fired("ProberServerLatencyDrifts", thrice, 11, tmp_path, answers=2) == math.inf


def test_a_young_tenant_has_no_past_to_compare_with(tmp_path: Path) -> None:
    latency = lambda at: 0.1 + at / DAY  # noqa: E731
    assert fired("ProberServerLatencyDrifts", latency, 3, tmp_path) == math.inf


@pytest.mark.parametrize("alert", SIDES)
def test_three_times_as_slow_at_once(alert: str, tmp_path: Path) -> None:
    assert 0 < fired(alert, thrice, 11, tmp_path) - (10 * 24 + 10) <= 2


def test_slower_by_a_quarter_each_day(tmp_path: Path) -> None:
    """From 180 ms at noon on the eighth day to 1,100 ms: noticed within a week, at a few times."""
    days = fired("ProberServerLatencyDrifts", growing, 16, tmp_path) / 24
    assert 9 < days < 14
