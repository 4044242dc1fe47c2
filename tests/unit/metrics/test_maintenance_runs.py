from dataclasses import replace

from prober.outcomes import Reason
from tests.builders import a_tenant
from tests.unit.metrics.factories import an_answer, some_metrics

OWNER = {"tenant": "acme", "probe": "datasets"}


def value(metrics: object, name: str, **labels: str) -> float | None:
    found: float | None = metrics.registry.get_sample_value(name, {**OWNER, **labels})  # type: ignore[attr-defined]
    return found


def test_a_failure_in_maintenance_counts_for_no_objective_and_no_alert() -> None:
    metrics = some_metrics()
    failed = an_answer(Reason.SERVER_ERROR, status=500, server=9.0)
    metrics.on_result(replace(failed, in_maintenance=True))
    text = metrics.render(False).decode()
    assert 'reason="server_error",tenant="acme"} 0.0' in text
    assert value(metrics, "prober_maintenance_runs_total", outcome="api_error") == 1.0
    assert value(metrics, "prober_probe_consecutive_failures", culprit="platform") == 0.0
    assert value(metrics, "prober_probe_latency_objective_missed_total", component="server") == 0.0
    assert value(metrics, "prober_probe_server_seconds_count") == 0.0
    assert value(metrics, "prober_probe_last_duration_seconds", component="server") == 9.0


def test_failures_in_a_row_begin_anew_after_maintenance() -> None:
    metrics = some_metrics()
    failed = an_answer(Reason.SERVER_ERROR, status=500)
    for result in (failed, failed, replace(failed, in_maintenance=True), failed):
        metrics.on_result(result)
    assert value(metrics, "prober_probe_consecutive_failures", culprit="platform") == 1.0


def test_whether_a_window_is_open_is_a_number_from_the_start() -> None:
    metrics = some_metrics()
    assert b'prober_maintenance_active{tenant="acme"} 0.0' in metrics.render(False)
    metrics.maintenance("acme", is_active=True)
    assert b'prober_maintenance_active{tenant="acme"} 1.0' in metrics.render(False)


def test_a_reload_that_takes_the_windows_away_ends_the_open_one() -> None:
    metrics = some_metrics()
    metrics.maintenance("acme", is_active=True)
    metrics.apply([a_tenant(name="acme")])
    assert b'prober_maintenance_active{tenant="acme"} 0.0' in metrics.render(False)
