"""Every alert on the real promtool: at its minute, not a step earlier, quiet on the near miss."""

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from prober.metrics.definitions import METRIC_DEFINITIONS, MetricType
from prober.outcomes import CLASSIFICATION, Culprit, Reason
from prober.render.text import CULPRIT_LABELS
from tests.alerting.cases import CASES, SERVER_ERROR, Case, runs, surroundings, tenant
from tests.alerting.cases_of_checks import CHECK_CASES
from tests.alerting.cases_of_permissions import PERMISSION_CASES
from tests.alerting.cases_of_probes import MORE_CASES
from tests.alerting.cases_of_tokens import TOKEN_CASES
from tests.alerting.scrapes import EVALUATION_SECONDS, SCRAPE_SECONDS, scraped
from tools.grafana.panels import RUNBOOKS

pytestmark = pytest.mark.prometheus

PROMETHEUS = Path(__file__).parents[2] / "config" / "prometheus"
PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
STEP_SECONDS = EVALUATION_SECONDS
EVERY_CASE = (*CASES, *MORE_CASES, *TOKEN_CASES, *CHECK_CASES, *PERMISSION_CASES)


def groups() -> list[dict[str, Any]]:
    every = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return sorted(every, key=lambda group: not group["name"].startswith("prober-recording"))


GROUPS = groups()
EVERY_RULE = [rule for group in GROUPS for rule in group["rules"]]


def name_of(rule: dict[str, Any]) -> str:
    name: str = rule.get("alert") or rule["record"]
    return name


ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}


ANY_CULPRIT = (
    '{{ if eq $labels.culprit "network" }}network path'
    '{{ else if eq $labels.culprit "request" }}probe request'
    '{{ else if eq $labels.culprit "tenant" }}tenant\'s set-up'
    '{{ else if eq $labels.culprit "undecided" }}platform or network'
    "{{ else }}{{ $labels.culprit }}{{ end }}"
)
"""The start of the summary of an alert with a culprit that is known only when it fires."""
OF_DAYS = {"ProberServerLatencyDrifts", "ProberNetworkLatencyDrifts", "ProberRetentionTooShort"} | {
    *("ProberModelRatingDrops", "ProberStreamNotConsumed", "ProberStreamSilent")
}
"""Alerts about days have their cases in test_drift.py, test_availability.py and test_values.py."""


def seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120)  # noqa: PLW1510
    assert done.returncode == 0, done.stdout + done.stderr


def read_for(*wanted: str) -> set[str]:
    """Return what is wanted and, all the way down, what is recorded or fires for it."""
    names = {name_of(rule) for rule in EVERY_RULE}
    found, unread = set[str](), {*wanted}
    while unread:
        found |= unread
        texts = " ".join(rule["expr"] for rule in EVERY_RULE if name_of(rule) in unread)
        unread = (names & {*re.findall(r"[\w:]+", texts)}) - found
    return found


def groups_of(names: set[str]) -> list[dict[str, Any]]:
    """Return the shipped groups without all other rules: each costs, at every step."""
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if name_of(rule) in names]}
        for group in GROUPS
    ]
    return [group for group in kept if group["rules"]]


def as_promtool_has_it(case: Case) -> dict[str, Any]:
    names = set(re.findall(r'tenant="(\w+)"', " ".join(case.series)) or ["acme"])
    series = {**surroundings(*sorted(names - {"gone"})), **case.series}
    wanted = f'alertname="{case.alert}", alertstate="firing"'
    labels = ", ".join(f'{name}="{value}"' for name, value in case.labels.items())
    firing = f"count(ALERTS{{{wanted}}}) or vector(0)"
    if case.fires_at is None:
        pause = max(300, seconds(case.until) // 240)
        checks = [(firing, moment, 0) for moment in range(0, seconds(case.until) + 1, pause)]
    else:
        at = seconds(case.fires_at)
        checks = [(firing, at - STEP_SECONDS, 0)] if at else []
        checks += [(f"count(ALERTS{{{wanted}, {labels}}}) > bool 0", at, 1)]
    last = max(moment for _, moment, _ in checks)
    return {
        "interval": f"{SCRAPE_SECONDS}s",
        "input_series": [
            {"series": name, "values": scraped(values, last)} for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{moment}s",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for expression, moment, value in checks
        ],
    }


def run(
    test: dict[str, Any],
    directory: Path,
    *wanted: str,
    step_seconds: int = STEP_SECONDS,
    given: str = "",
) -> None:
    """Run one test of promtool's on the shipped rules that decide what is wanted.

    What is `given` is among the test's series, and not recorded.
    """
    groups = groups_of(read_for(*wanted) - {given})
    rules, file = directory / "rules.yml", directory / "test.yml"
    rules.write_text(json.dumps({"groups": groups}))
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{step_seconds}s",
        "group_eval_order": [each["name"] for each in groups],  # else at random: a minute is none
        "tests": [{"interval": f"{step_seconds}s", **test}],
    }
    file.write_text(json.dumps(content))
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("case", EVERY_CASE, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert(case: Case, tmp_path: Path) -> None:
    run(as_promtool_has_it(case), tmp_path, case.alert)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    kinds = defaultdict(set)
    for case in EVERY_CASE:
        kinds[case.alert].add(case.fires_at is not None)
    always = {"Watchdog"}
    cased = ALERTS.keys() - OF_DAYS
    expected = {name: {True} if name in always else {True, False} for name in cased}
    assert {name: kinds[name] for name in cased} == expected
    assert set(kinds) == cased


def test_the_rules_and_the_example_are_good_and_without_lint() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_an_alert_says_whose_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    labels, annotations, expression = rule["labels"], rule["annotations"], rule["expr"]
    if "severity" in labels:
        assert labels["severity"] in {"page", "ticket", "info", "none"}
    else:
        joined = r"group_left \(severity(, environment)?\) tenant_probe:prober_probe_info:max"
        of_probe = re.search(joined, expression)
        assert of_probe or "severity) (prober_probe_check_failed{" in expression
    assert labels["scope"] in {"prober", "shard", "location", "platform", "host", "tenant", "probe"}
    carries_environment = re.search(r"group_left \((severity, )?environment\)", expression)
    assert carries_environment or "environment" in labels
    if "culprit" in labels:
        assert labels["culprit"] in {culprit.value for culprit in Culprit}
        label = CULPRIT_LABELS[Culprit(labels["culprit"])]
        assert annotations["summary"].startswith(f"{label}: ")
    else:
        assert annotations["summary"].startswith(f"{ANY_CULPRIT}: {{{{ $labels.tenant }}}} ")
    assert annotations["description"]
    assert not re.search(r"\b(our|ours) (own )?network", " ".join(annotations.values()))
    page = annotations["runbook_url"].removeprefix(f"{RUNBOOKS}/").removesuffix("/")
    assert (PAGES / f"{page}.md").is_file(), page


def test_the_culprits_in_summaries_are_the_words_of_the_status_page() -> None:
    label = dict(re.findall(r'eq \$labels\.culprit "(\w+)" }}([^{]+){{', ANY_CULPRIT))
    possible = [each for each in Culprit if each is not Culprit.NONE]
    assert {each: label.get(each, each.value) for each in possible} == {
        each: CULPRIT_LABELS[each] for each in possible
    }


def expressions() -> list[str]:
    return [rule["expr"] for rule in EVERY_RULE]


def test_every_metric_in_a_rule_is_one_that_the_daemon_exports() -> None:
    exported = {
        name
        for family in METRIC_DEFINITIONS
        for name in (
            [family.name, *(f"{family.name}_{part}" for part in ("bucket", "sum", "count"))]
            if family.kind is MetricType.HISTOGRAM
            else [family.name]
        )
    }
    used = set(re.findall(r"(?<![\w:])prober_\w+(?![\w:])", " ".join(expressions())))
    assert used
    assert used - exported == set()


def test_every_recorded_series_that_is_used_is_recorded_and_the_other_way_round() -> None:
    recorded = {rule["record"] for rule in EVERY_RULE if "record" in rule}
    used = set(re.findall(r"\w+:\w+:\w+", " ".join(expressions())))
    assert used - recorded == set()


def test_the_words_in_the_rules_are_the_outcome_tables() -> None:
    text = " ".join(expressions())
    culprits = {
        each for found in re.findall(r'culprit=~?"([^"]+)"', text) for each in found.split("|")
    }
    reasons = {
        each for found in re.findall(r'reason=~?"([^"]+)"', text) for each in found.split("|")
    }
    assert culprits <= {culprit.value for culprit in Culprit}
    assert reasons <= {reason.value for reason in Reason}
    assert {CLASSIFICATION[Reason(reason)].culprit.value for reason in reasons} <= {
        "platform",
        "request",
        "tenant",
    }


def test_availability_and_budget_are_of_what_was_configured(tmp_path: Path) -> None:
    """An hour in which every tenth minute failed, and a tenant whose token was dead for half."""
    skipped = tenant("prober_probe_skipped_total", 'probe="datasets"', 'cause="token_rejected"')
    ok = runs("none", "ok", "success")
    series = {
        **surroundings("acme"),
        SERVER_ERROR: "0+0.05x400",
        runs("credential", "token_rejected", "auth_failure"): "0x400",
        skipped: "0+0.25x400",
        ok: "0+0.2x400",
    }
    checks = {
        "tenant:prober_platform_availability:ratio1h": 0.8,
        "tenant:prober_end_to_end_availability:ratio1h": 0.4,
        # 0.1 for three hours, of 0.005 for 720
        "tenant:prober_error_budget_left:ratio30d": 1 - 0.1 * 3 / (0.005 * 720),
    }
    test = {
        "input_series": [{"series": n, "values": v} for n, v in series.items()],
        "promql_expr_test": [
            {
                "expr": f"round(sum({name}), 0.01)",
                "eval_time": "3h",
                "exp_samples": [{"labels": "{}", "value": round(value, 2)}],
            }
            for name, value in checks.items()
        ],
    }
    run(test, tmp_path, *checks)


def test_every_metric_in_a_runbook_is_one_that_the_daemon_exports() -> None:
    pages = "".join(page.read_text() for page in PAGES.glob("*.md"))
    used = set(re.findall(r"(?:\w+:)?prober_\w+(?::\w+)?", pages))
    assert used
    recorded = {rule["record"] for rule in EVERY_RULE if "record" in rule}
    assert used <= {family.name for family in METRIC_DEFINITIONS} | recorded | {"prober_fault"}


def test_no_runbook_is_of_no_alert() -> None:
    linked = {Path(rule["annotations"]["runbook_url"]).stem for rule in ALERTS.values()}
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == linked


def test_one_documented_command_puts_the_runbooks_elsewhere(tmp_path: Path) -> None:
    document = (PAGES.parent / "how-to" / "prometheus.md").read_text()
    (command,) = re.findall(r"^sed -i .*runbooks.*$", document, re.MULTILINE)
    rules = tmp_path / "config" / "prometheus" / "rules"
    shutil.copytree(PROMETHEUS / "rules", rules)
    here = {"RUNBOOKS": "https://docs.acme.example/prober", "PATH": os.environ["PATH"]}
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=here, check=True, timeout=60)
    moved = "".join(file.read_text() for file in sorted(rules.glob("*.yml")))
    assert RUNBOOKS not in moved
    assert moved.count(f"{here['RUNBOOKS']}/") == len(ALERTS)
    promtool("check", "rules", *map(str, sorted(rules.glob("*.yml"))))
