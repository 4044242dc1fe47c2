"""Alerts over the history of values: a model's rating, streams that do not move or fall silent."""

from pathlib import Path

import pytest

from tests.alerting.cases import surroundings
from tests.alerting.cases_of_checks import failed, value
from tests.alerting.test_rules import run

pytestmark = pytest.mark.prometheus

EVALUATION_SECONDS = 300
STEP_SECONDS = 150
"""Between two samples: a range of five minutes must hold two of them, also in Prometheus 3."""
HOUR = 24  # steps
DAY = 24 * HOUR


def check(directory: Path, alert: str, series: dict[str, str], at: int, *, fires: bool) -> None:
    """Check whether an alert fires at a step."""
    test = {
        "interval": f"{STEP_SECONDS}s",
        "input_series": [
            {"series": name, "values": values}
            for name, values in {**surroundings("acme"), **series}.items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                "eval_time": f"{at * STEP_SECONDS}s",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
        ],
    }
    run(test, directory, alert, step_seconds=EVALUATION_SECONDS)


SCORE = value("rating-score")
RATING = "ProberModelRatingDrops"


@pytest.mark.parametrize(
    ("before", "after", "expected"), [(82, 78, True), (82, 81.5, False), (82, 90, False)]
)
def test_a_rating_below_last_weeks_is_noticed(
    tmp_path: Path, before: float, after: float, expected: bool
) -> None:
    series = {SCORE: f"{before}x{7 * DAY} {after}x{2 * DAY}"}
    check(tmp_path, RATING, series, 7 * DAY + 3 * HOUR, fires=expected)


def test_a_rating_that_is_poor_has_its_own_alert(tmp_path: Path) -> None:
    series = {
        SCORE: f"82x{7 * DAY} 23x{2 * DAY}",
        failed(check="rating"): f"0x{7 * DAY} 1x{2 * DAY}",
    }
    check(tmp_path, RATING, series, 7 * DAY + 3 * HOUR, fires=False)


def test_a_lower_rating_is_the_usual_one_after_a_week(tmp_path: Path) -> None:
    series = {SCORE: f"82x{7 * DAY} 70x{9 * DAY}"}
    check(tmp_path, RATING, series, 15 * DAY + 6 * HOUR, fires=False)


UNREAD, POSITION = value("unread"), value("position")
NOT_CONSUMED = "ProberStreamNotConsumed"


@pytest.mark.parametrize(
    ("unread", "position", "expected"),
    [
        (f"1x{3 * DAY}", f"7x{3 * DAY}", True),
        (f"0x{3 * DAY}", f"7x{3 * DAY}", False),
        (f"1x{3 * DAY}", f"7x{DAY} 8x{2 * DAY}", True),
        (f"1x{3 * DAY}", f"7x{2 * DAY - 12} 8x{DAY}", False),
        (f"1x{2 * DAY - 12} 0x3 1x{DAY}", f"7x{3 * DAY}", False),
    ],
    ids=["waits", "nothing-waits", "moved-long-ago", "moved-lately", "was-read-lately"],
)
def test_a_stream_without_a_reader_is_noticed(
    tmp_path: Path, unread: str, position: str, expected: bool
) -> None:
    series = {UNREAD: unread, POSITION: position}
    check(tmp_path, NOT_CONSUMED, series, 2 * DAY + 12 * HOUR, fires=expected)


def test_results_that_wait_for_too_long_have_their_own_alert(tmp_path: Path) -> None:
    series = {
        UNREAD: f"1x{3 * DAY}",
        POSITION: f"7x{3 * DAY}",
        failed(check="oldest-unread"): f"1x{3 * DAY}",
    }
    check(tmp_path, NOT_CONSUMED, series, 2 * DAY + 12 * HOUR, fires=False)


def test_a_stream_is_not_judged_before_a_day_has_passed(tmp_path: Path) -> None:
    series = {UNREAD: f"1x{DAY}", POSITION: f"7x{DAY}"}
    check(tmp_path, NOT_CONSUMED, series, DAY - HOUR, fires=False)


SILENT = "ProberStreamSilent"


def busy(days: int) -> str:
    """The position moves at every step."""
    return f"0+1x{days * DAY}"


def test_a_busy_stream_that_falls_silent_is_noticed_within_hours(tmp_path: Path) -> None:
    series = {POSITION: f"{busy(8)} 5x{DAY}", UNREAD: f"0x{9 * DAY}"}
    check(tmp_path, SILENT, series, 8 * DAY + 8 * HOUR, fires=True)
    check(tmp_path, SILENT, series, 8 * DAY + 4 * HOUR, fires=False)


def test_a_stream_that_is_always_silent_at_this_time_is_not(tmp_path: Path) -> None:
    day = f"0+1x{8 * HOUR} 5x{16 * HOUR - 2}"
    series = {POSITION: " ".join([day] * 12), UNREAD: f"0x{12 * DAY}"}
    check(tmp_path, SILENT, series, 9 * DAY + 20 * HOUR, fires=False)


def test_a_stream_without_a_past_is_not_judged(tmp_path: Path) -> None:
    series = {POSITION: f"5x{3 * DAY}", UNREAD: f"0x{3 * DAY}"}
    check(tmp_path, SILENT, series, 2 * DAY, fires=False)
