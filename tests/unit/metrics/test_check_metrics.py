from dataclasses import replace
from typing import Any

from prober.metrics.registry import series_estimate
from prober.metrics.sink import PrometheusSink
from prober.models import AlertSeverity, Check, CheckKind, CheckResult, Probe, ProbeResult
from prober.outcomes import Culprit, Reason
from tests.unit.metrics.factories import a_probe, a_tenant, an_answer, some_metrics

AGE = Check("age", CheckKind.TIMESTAMP, "at", each="rows", item="name", max_age_seconds=60)
ROWS = Check("rows", CheckKind.COUNT, "rows", min=1, severity=AlertSeverity.PAGE)
WATCHED = Check("watched", CheckKind.NUMBER, "n", culprit=Culprit.PLATFORM)


def a_checked_probe(*checks: Check) -> Probe:
    return replace(a_probe(), checks=checks or (AGE, ROWS, WATCHED))


def checked(*results: CheckResult, **overrides: Any) -> ProbeResult:  # noqa: ANN401
    failed = any(each.failed for each in results)
    run = an_answer(Reason.CHECK_FAILED if failed else Reason.OK)
    return replace(run, verdict=replace(run.verdict, checks=results), **overrides)


def lines(metrics: PrometheusSink, *names: str) -> list[str]:
    text = metrics.render(False).decode()
    return [each for each in text.splitlines() if each.startswith(names or ("prober_probe_value",))]


PROBE, TENANT = 'probe="datasets"', 'tenant="acme"'
LABELS = f"{PROBE},{TENANT}"
TIME = "prober_probe_value_timestamp_seconds"
FAILED = "prober_probe_check_failed"


def test_no_check_has_failed_at_start_and_there_are_no_values() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    assert lines(metrics) == []
    assert lines(metrics, FAILED) == [
        f'{FAILED}{{check="{check}",culprit="tenant",{PROBE},severity="{severity}",{TENANT}}} 0.0'
        for check, severity in (("age", "ticket"), ("rows", "page"))
    ]


def test_values_are_exported_by_check_and_item() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(
        checked(
            CheckResult(AGE, "a@b/Inbox", 1000.0, True, ""),
            CheckResult(AGE, 'odd "%s" \\name', 2000.5, False, ""),
            CheckResult(ROWS, "", 2.0, False, ""),
            CheckResult(WATCHED, "", None, False, ""),
        )
    )
    assert lines(metrics) == [
        f'prober_probe_value{{check="rows",item="",{LABELS}}} 2.0',
        f'{TIME}{{check="age",item="a@b/Inbox",{LABELS}}} 1000.0',
        f'{TIME}{{check="age",item="odd \\"%s\\" \\\\name",{LABELS}}} 2000.5',
    ]
    assert [each[-3:] for each in lines(metrics, FAILED)] == ["1.0", "0.0"]


def test_items_that_are_gone_are_no_longer_exported() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    for names in (("a", "b"), ("b", "c")):
        metrics.on_result(checked(*(CheckResult(AGE, name, 1.0, False, "") for name in names)))
    assert [each.partition('item="')[2][0] for each in lines(metrics)] == ["b", "c"]


def test_a_response_that_was_not_checked_leaves_the_values() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(checked(CheckResult(ROWS, "", 0.0, True, "")))
    before = lines(metrics, "prober_probe_value", FAILED)
    metrics.on_result(an_answer(Reason.SERVER_ERROR, status=500))
    assert lines(metrics, "prober_probe_value", FAILED) == before
    assert before[-1].endswith("1.0")


def test_a_failed_check_is_no_failure_in_a_row() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(checked(CheckResult(ROWS, "", 0.0, True, "")))
    streaks = lines(metrics, "prober_probe_consecutive_failures")
    assert {each.split()[-1] for each in streaks} == {"0.0"}
    assert lines(metrics, "prober_probe_success") == [f"prober_probe_success{{{LABELS}}} 0.0"]
    name = "prober_probe_runs_total"
    runs = [each for each in lines(metrics, name) if "check_failed" in each]
    assert [each for each in runs if each.endswith(" 1.0")] == [
        f'{name}{{culprit="tenant",outcome="api_error",{PROBE},reason="check_failed",{TENANT}}} 1.0'
    ]


def test_the_latency_of_a_failed_check_counts() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(checked(CheckResult(ROWS, "", 0.0, True, "")))
    count = f"prober_probe_server_seconds_count{{{LABELS}}} 1.0"
    assert lines(metrics, "prober_probe_server_seconds_count") == [count]


def test_in_maintenance_values_are_exported_and_no_check_fails() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(checked(CheckResult(ROWS, "", 0.0, True, ""), in_maintenance=True))
    assert [each[-3:] for each in lines(metrics, FAILED)] == ["0.0", "0.0"]
    assert len(lines(metrics)) == 1


def test_a_reload_keeps_the_values_of_checks_that_stay() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(
        checked(CheckResult(ROWS, "", 0.0, True, ""), CheckResult(AGE, "a", 1.0, True, ""))
    )
    metrics.apply([a_tenant("acme", a_checked_probe(ROWS, WATCHED))])
    assert len(lines(metrics)) == 1
    assert [each[-3:] for each in lines(metrics, FAILED)] == ["1.0"]
    metrics.apply([a_tenant("acme", a_probe())])
    assert lines(metrics, "prober_probe_value", FAILED) == []


def test_a_check_that_gets_another_culprit_begins_anew() -> None:
    metrics = some_metrics(a_tenant("acme", a_checked_probe(ROWS)))
    metrics.on_result(checked(CheckResult(ROWS, "", 0.0, True, "")))
    other = replace(ROWS, culprit=Culprit.REQUEST)
    metrics.apply([a_tenant("acme", a_checked_probe(other))])
    (line,) = lines(metrics, FAILED)
    assert 'culprit="request"' in line
    assert line.endswith(" 0.0")


def test_the_estimate_counts_the_most_that_checks_can_have() -> None:
    plain = series_estimate([a_tenant("acme", a_probe())], "off")

    def more(*checks: Check) -> int:
        return series_estimate([a_tenant("acme", a_checked_probe(*checks))], "off") - plain

    assert more(WATCHED) == 1
    assert more(ROWS) == 3
    assert more(AGE) == 52
    assert more(AGE, replace(AGE, name="other"), replace(ROWS, culprit=Culprit.PLATFORM)) == 55


def test_both_formats_agree_with_the_library() -> None:
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415

    metrics = some_metrics(a_tenant("acme", a_checked_probe()))
    metrics.on_result(checked(CheckResult(AGE, "ä/ö %d", 1e9, True, "")))
    assert metrics.render(False) == generate_latest(metrics.registry)
