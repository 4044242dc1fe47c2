"""Every query of every dashboard answers, on a real Prometheus fed by the demo.

The demo plays its faults over and over. Beside it a second prober watches one tenant over HTTPS,
in maintenance, so that nothing has to be excused for being empty.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.grafana.dashboards import (
    DASHBOARDS,
    Asked,
    asked,
    concrete,
    fields,
    label_values,
    panels,
    variables,
)
from tests.programs import free_port, get, seconds_until, started
from tests.prometheus import READY, prometheus, running
from tools.grafana.palette import STATUSES, Code
from tools.grafana.queries import TENANT, tenant_status

pytestmark = pytest.mark.prometheus
SPEED = 5
WHOLE_SCENARIO_SECONDS = 120 / SPEED
LIMIT_SECONDS = 10 * WHOLE_SCENARIO_SECONDS  # phases are longer on a busy machine
NOBODY = 9  # no Alertmanager listens there, and none is needed
RATE, RANGE, STEP_SECONDS = "5s", "30s", 0.5
WHERE = r'"listening": "http://([^"]+)"'
HOUR_SECONDS = 3600
EVERY = sorted(asked())


class Installation:
    """The Prometheus, and what it has answered so far."""

    def __init__(self, url: str) -> None:
        self.url, self.began = url, time.time()
        self.silent = set(EVERY)
        self.standings: dict[str, set[int]] = {}

    def ask(self, path: str, **parameters: object) -> Any:  # noqa: ANN401
        answer = json.loads(get(f"{self.url}/api/v1/{path}?{urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(
        self, expression: str, *, is_instant: bool
    ) -> list[tuple[dict[str, str], list[float]]]:
        """Return each series' labels and its numbers, now or since the beginning."""
        query = concrete(expression, RATE, RANGE)
        if is_instant:
            found = self.ask("query", query=query)["result"]
            return [(each["metric"], [float(each["value"][1])]) for each in found]
        span = {"start": self.began, "end": time.time(), "step": STEP_SECONDS}
        found = self.ask("query_range", query=query, **span)["result"]
        return [(each["metric"], [float(v) for _, v in each["values"]]) for each in found]

    def answers(self, query: Asked) -> bool:
        found = self.series(query.expression, is_instant=query.is_instant)
        return any(math.isfinite(value) for _, values in found for value in values)

    def listen(self) -> bool:
        """Ask what has not answered yet; return whether nothing is left."""
        self.silent -= {query for query in self.silent if self.answers(query)}
        return not self.silent


def clock(offset_seconds: float) -> str:
    """Return a moment as settings have it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + offset_seconds))


def watch_over_https(resources: ExitStack, directory: Path) -> str:
    """Start a simulator and a prober with one tenant in maintenance; return where it listens."""
    directory.mkdir()
    listening = ("--port", "0", "--control-port", "0", "--tenant", "acme-test=acme/test")
    files = ("--token-directory", str(directory), "--ca-file", str(directory / "ca.pem"))
    simulate = ("simulate", "--tls", "--server-ms", "5", *listening, *files)
    log = directory / "simulator.log"
    until = r"acme-test: (\S+)"
    _, base_url = resources.enter_context(started(*simulate, until=until, log=log))
    settings = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "defaults": {"interval": "1s", "timeout": "900ms"},
        "tenants": [
            {
                "name": "acme-test",
                "base_url": base_url,
                "ca_file": "ca.pem",
                "token": {"file": "acme-test.token", "max_age": "90d"},
                "maintenance": [{"start": clock(-HOUR_SECONDS), "until": clock(HOUR_SECONDS)}],
                "probes": ["datasets"],
            }
        ],
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(settings))
    run, log = ("run", "--config", str(file)), directory / "prober.log"
    return resources.enter_context(started(*run, until=WHERE, log=log))[1]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("dashboards")
    with ExitStack() as resources:
        demo = ("demo", "--port", "0", "--speed", str(SPEED))
        kept, log = ("--directory", str(directory / "demo")), directory / "demo.log"
        playing = started(*demo, *kept, until=r"metrics +http://([^/\s]+)/metrics", log=log)
        _, target = resources.enter_context(playing)
        targets = [target, watch_over_https(resources, directory / "https")]
        port = free_port()
        command = prometheus(directory, targets, port, NOBODY)
        resources.enter_context(running(command, directory / "prometheus.log", READY))
        yield Installation(f"http://127.0.0.1:{port}")


def test_every_query_answers_within_the_scenario(installation: Installation) -> None:
    try:
        seconds_until(installation.listen, LIMIT_SECONDS)
    finally:
        assert sorted(query.where for query in installation.silent) == []


def test_the_timeline_names_the_culprit_of_each_fault(installation: Installation) -> None:
    def said() -> Mapping[str, set[str]]:
        found = installation.series(tenant_status(TENANT, TENANT), is_instant=False)
        return {
            labels["tenant"]: {STATUSES[int(value)].text for value in values}
            for labels, values in found
        }

    wanted = {
        "acme-prod": {"✓ OK", "~ network path, slow", "✗ platform"},
        "acme-dev": {"✓ OK", "✗ network path"},
        "legacy": {"✓ OK", "✗ credential"},
        "acme-test": {STATUSES[Code.MAINTENANCE].text},
    }
    seconds_until(
        lambda: all(words <= said().get(tenant, set()) for tenant, words in wanted.items()),
        LIMIT_SECONDS,
    )


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_every_choice_can_be_chosen_from(
    installation: Installation, dashboard: dict[str, Any]
) -> None:
    for variable in variables(dashboard):
        metric, label = label_values(variable)
        seconds_until(partial(has_choices, installation, label, concrete(metric)), LIMIT_SECONDS)


def has_choices(installation: Installation, label: str, metric: str) -> bool:
    """Return whether a label has values; `tenant` must have all."""
    values = installation.ask(f"label/{label}/values", **{"match[]": metric})
    tenants = ["acme-dev", "acme-prod", "acme-test", "legacy"]
    return bool(values == tenants if label == "tenant" else values)


def test_a_table_shows_no_label_that_it_has_no_column_for(installation: Installation) -> None:
    tables = [
        each
        for dashboard in DASHBOARDS.values()
        for each in panels(dashboard)
        if each["type"] == "table"
    ]
    for table in tables:
        for target in table["targets"]:
            for labels, _ in installation.series(target["expr"], is_instant=False):
                assert labels.keys() <= fields(table), table["title"]


def test_an_alert_leads_to_its_page(installation: Installation) -> None:
    pages = Path(__file__).parents[2] / "docs" / "runbooks"
    (alerts,) = {q.expression for q in EVERY if q.where == "prober-overview: Firing alerts, A"}
    seconds_until(lambda: bool(installation.series(alerts, is_instant=False)), LIMIT_SECONDS)
    for labels, _ in installation.series(alerts, is_instant=False):
        assert re.fullmatch(r"Prober\w+", labels["alertname"])
        assert (pages / f"{labels['runbook']}.md").is_file()
