"""The queries of the dashboards: valid PromQL on metrics and label values that exist."""

import re
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml

from prober.metrics.definitions import METRIC_DEFINITIONS, MetricType
from prober.outcomes import Culprit, LatencyComponent, Reason, SkipCause, TokenState
from tests.grafana.dashboards import DASHBOARDS, Asked, asked, concrete, label_values, variables

ROOT = Path(__file__).parents[2]
EVERY = sorted(asked())
FAMILY = MappingProxyType({family.name: family for family in METRIC_DEFINITIONS})
PARTS = re.compile(r"_(bucket|sum|count)$")
SELECTOR = re.compile(r"(?<![\w:])([a-zA-Z_][\w:]*)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
WORDS = MappingProxyType(
    {
        "culprit": Culprit,
        "reason": Reason,
        "component": LatencyComponent,
        "state": TokenState,
        "cause": SkipCause,
    }
)
# What Prometheus itself tells, labels and all.
FOREIGN = {"up", "ALERTS", "ALERTS_FOR_STATE"}
OF_A_TARGET = {"job", "instance", "location", "le"}
each_query = pytest.mark.parametrize("query", EVERY, ids=lambda query: query.where)


RECORDED = {
    rule["record"]
    for file in (ROOT / "config" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
}


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query:{number}", "expr": concrete(query.expression)}
        for number, query in enumerate(EVERY)
    ]
    assert len(rules) > 80
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    promtool("check", "rules", str(file))


@each_query
def test_every_metric_is_one_that_is_exported_or_recorded(query: Asked) -> None:
    names = {name for name, _ in SELECTOR.findall(query.expression)}
    # By another way too, lest a metric without matchers be overlooked.
    names |= set(re.findall(r"(?<![\w:])prober_\w+(?![\w:])", query.expression))
    assert names
    for name in names - FOREIGN - RECORDED:
        family = FAMILY.get(name) or FAMILY[PARTS.sub("", name)]
        in_parts, is_histogram = name not in FAMILY, family.kind is MetricType.HISTOGRAM
        assert is_histogram or not in_parts, name
        # By its own name, a histogram is only in Prometheus' native form: the second choice.
        assert (
            in_parts
            or not is_histogram
            or f"{name}_count" in query.expression
            or (f"{name}_bucket" in query.expression)
        ), name


@each_query
def test_every_selector_names_the_job_and_labels_that_the_metric_has(query: Asked) -> None:
    assert "{" in query.expression
    for name, matchers in SELECTOR.findall(query.expression):
        found = MATCHER.findall(matchers)
        assert found[0] == ("job", "=~", "$job"), query.expression
        labels = {label for label, _, _ in found} - OF_A_TARGET
        if name in FOREIGN:
            continue
        if name in RECORDED:
            assert labels <= set(name.split(":")[0].split("_"))
        else:
            family = FAMILY.get(name) or FAMILY[PARTS.sub("", name)]
            assert labels <= set(family.labels), name


@each_query
def test_every_word_is_of_its_closed_set(query: Asked) -> None:
    for name, matchers in SELECTOR.findall(query.expression):
        for label, _, values in MATCHER.findall(matchers):
            if label in WORDS and name not in FOREIGN:
                assert set(values.split("|")) <= set(WORDS[label]), query.expression


@each_query
def test_counters_stand_under_rate_alone_and_rates_take_grafanas_range(query: Asked) -> None:
    for found in SELECTOR.finditer(query.expression):
        name, before = found[1], query.expression[: found.start()]
        after = query.expression[found.end() :]
        family = FAMILY.get(name) or FAMILY.get(PARTS.sub("", name))
        counts = family is not None and family.kind is not MetricType.GAUGE
        assert counts == before.endswith(("rate(", "increase(")), name
        assert counts == after.startswith(("[$__rate_interval])", "[$__range])")), name


def test_every_choice_is_of_a_label_that_is_there() -> None:
    for dashboard in DASHBOARDS.values():
        for variable in variables(dashboard):
            metric, label = label_values(variable)
            name = metric.partition("{")[0]
            assert label == variable["name"]
            assert label in {*FAMILY[name].labels, *OF_A_TARGET}
