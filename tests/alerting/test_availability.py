"""Availability, coverage and error budget: what they are of, and what they say of short pasts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.alerting.cases import SERVER_ERROR, probe, runs, surroundings
from tests.alerting.test_rules import run

pytestmark = pytest.mark.prometheus

OK = runs("none", "ok", "success")
TIMED_OUT = runs("undecided", "response_timeout", "network_failure")
FAULT = runs("prober", "internal_error", "prober_fault")
HELD_BACK = probe("prober_probe_skipped_total", 'cause="token_rejected"')


def expect(series: dict[str, str], at: str, checks: dict[str, float | None], path: Path) -> None:
    """Compare recorded values with what is expected; None: nothing is known."""
    test = {
        "input_series": [
            {"series": name, "values": values}
            for name, values in {**surroundings("acme"), **series}.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"round(sum({name}), 0.001)",
                "eval_time": at,
                "exp_samples": []
                if value is None
                else [{"labels": "{}", "value": round(value, 3)}],
            }
            for name, value in checks.items()
        ],
    }
    run(test, path, *checks)


def test_a_tenant_of_seven_minutes_that_always_failed_has_none(tmp_path: Path) -> None:
    expect(
        {SERVER_ERROR: "_x20 0+0.5x100"},
        "17m",
        {
            "tenant:prober_end_to_end_availability:ratio1h": 0,
            "tenant:prober_end_to_end_availability:ratio30d": 0,
            "tenant:prober_platform_availability:ratio1h": 0,
        },
        tmp_path,
    )


def test_a_tenant_never_observed_has_no_availability_of_the_platform(
    tmp_path: Path,
) -> None:
    expect(
        {TIMED_OUT: "0+0.5x400"},
        "2h",
        {
            "tenant:prober_platform_availability:ratio1h": None,
            "tenant:prober_end_to_end_availability:ratio1h": 0,
            "tenant:prober_platform_availability_coverage:ratio1h": 0,
        },
        tmp_path,
    )


def test_availability_is_of_the_runs_that_were_answered(tmp_path: Path) -> None:
    """Of ten runs six succeed, one fails by the platform, two are silent, one is a fault here."""
    expect(
        {OK: "0+0.3x400", SERVER_ERROR: "0+0.05x400", TIMED_OUT: "0+0.1x400", FAULT: "0+0.05x400"},
        "3h",
        {
            "tenant:prober_platform_availability:ratio1h": 6 / 7,
            "tenant:prober_end_to_end_availability:ratio1h": 6 / 9,
            "tenant:prober_platform_availability_coverage:ratio1h": 0.7,
        },
        tmp_path,
    )


def test_runs_that_a_dead_token_holds_back_are_failures_of_a_caller(tmp_path: Path) -> None:
    expect(
        {OK: "0+0.25x400", HELD_BACK: "0+0.25x400"},
        "3h",
        {
            "tenant:prober_platform_availability:ratio1h": 1,
            "tenant:prober_end_to_end_availability:ratio1h": 0.5,
        },
        tmp_path,
    )


def test_the_known_share_of_thirty_days_is_recorded(tmp_path: Path) -> None:
    expect(
        {SERVER_ERROR: "0+0x800"},
        "6h",
        {"tenant:prober_error_budget_known:ratio30d": 0.25 / 30},
        tmp_path,
    )


@pytest.mark.parametrize(
    ("known", "fires"),
    [
        (lambda day: min(day, 15) / 30, True),  # Prometheus' default
        (lambda day: min(day, 30) / 30, False),
        (lambda day: min(day, 29) / 30, False),  # some restarts
    ],
    ids=["15 days", "30 days", "29 days"],
)
def test_a_retention_that_is_too_short(
    known: Callable[[float], float], fires: bool, tmp_path: Path
) -> None:
    name = "tenant:prober_error_budget_known:ratio30d"
    series = f'{name}{{job="prober",tenant="acme"}}'
    hours = range(40 * 24)
    checks = [*range(24, 14 * 24, 12), 17 * 24, 20 * 24, 39 * 24]
    test = {
        "input_series": [
            {"series": series, "values": " ".join(f"{known(hour / 24):.6f}" for hour in hours)}
        ],
        "promql_expr_test": [
            {
                "expr": 'count(ALERTS{alertname="ProberRetentionTooShort", alertstate="firing"})',
                "eval_time": f"{hour}h",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires and hour > 16 * 24 else [],
            }
            for hour in checks
        ],
    }
    run(test, tmp_path, "ProberRetentionTooShort", step_seconds=3600, given=name)


def test_the_example_says_how_long_prometheus_must_remember() -> None:
    example = Path(__file__).parents[2] / "config" / "prometheus" / "prometheus.yml"
    assert "--storage.tsdb.retention.time=35d" in example.read_text()
