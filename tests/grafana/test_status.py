"""What the timelines say of a tenant and of a probe, on the real promtool."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.dashboards import concrete
from tools.grafana.palette import STATUSES
from tools.grafana.queries import PROBE, TENANT, probe_status, tenant_status

AT_SECONDS = 3600
STEP_SECONDS = 30
PROBES = ("datasets", "sources", "projects")


@dataclass(frozen=True)
class Case:
    """What differs from OK, as `series: value`, and what is said at the end of an hour."""

    name: str
    odd: Mapping[str, str]
    tenant: str
    datasets: str


def series(metric: str, probe: str | None = "datasets", instance: str = "a", **labels: str) -> str:
    every = {"job": "prober", "instance": instance, "tenant": "acme", **labels}
    every |= {} if probe is None else {"probe": probe}
    return f"{metric}{{{','.join(f'{name}={value!r}' for name, value in every.items())}}}"


def failing(culprit: str, probe: str = "datasets", instance: str = "a") -> str:
    return series("prober_probe_consecutive_failures", probe, instance, culprit=culprit)


def check_failed(check: str) -> str:
    return series("prober_probe_check_failed", culprit="tenant", check=check, severity="ticket")


def token(state: str) -> str:
    return series("prober_token_state", None, state=state)


def took(side: str) -> str:
    return series("prober_probe_last_duration_seconds", component=side)


LAST_RUN = "prober_probe_last_run_timestamp_seconds"
MAINTENANCE = series("prober_maintenance_active", None)
OK = "✓ OK"


def all_ok() -> dict[str, str]:
    every = {MAINTENANCE: "0", token("valid"): "1", token("rejected"): "0", token("missing"): "0"}
    for probe in PROBES:
        every[series("prober_probe_success", probe)] = "1"
        every[series("prober_probe_interval_seconds", probe)] = "60"
        every[series(LAST_RUN, probe)] = str(AT_SECONDS - 40)
        for culprit in ("platform", "network", "credential", "undecided", "request", "prober"):
            every[failing(culprit, probe)] = "0"
    for side in ("server", "network"):
        every[took(side)] = "0.1"
        every[series("prober_probe_latency_objective_seconds", component=side)] = "1"
    return every


CASES = (
    Case("nothing is wrong", {}, OK, OK),
    Case(
        "of two culprits, that of most probes",
        {
            failing("platform"): "9",
            failing("network", "sources"): "1",
            failing("network", "projects"): "1",
        },
        "✗ network path",
        "✗ platform",
    ),
    Case(
        "of two with as many probes, the one that the page names first",
        {failing("platform"): "1", failing("network", "sources"): "99"},
        "✗ platform",
        "✗ platform",
    ),
    Case(
        "a rejected token explains whatever fails beside it",
        {token("rejected"): "1", failing("platform", "sources"): "3", failing("platform"): "3"},
        "✗ credential",
        "✗ platform",
    ),
    Case(
        "a probe is paused while the token is rejected",
        {token("rejected"): "1", failing("credential", "sources"): "3"},
        "✗ credential",
        "· paused (token rejected)",
    ),
    Case(
        "a failed check is named, though no request failed",
        {check_failed("sync-age"): "1", check_failed("mailboxes"): "1"},
        *["✗ tenant's set-up"] * 2,
    ),
    Case(
        "of a failed check and a failed request, that of most probes",
        {
            check_failed("sync-age"): "1",
            failing("platform", "sources"): "1",
            failing("platform", "projects"): "1",
        },
        "✗ platform",
        "✗ tenant's set-up",
    ),
    Case("no token at all is the prober's", {token("missing"): "1"}, "! prober", OK),
    Case(
        "in maintenance nothing else is said",
        {MAINTENANCE: "1", failing("platform"): "3"},
        "· in maintenance",
        "· in maintenance",
    ),
    Case(
        "slow by the platform",
        {took("server"): "2", took("network"): "2"},
        *["~ platform, slow"] * 2,
    ),
    Case("slow by the network", {took("network"): "2"}, *["~ network path, slow"] * 2),
    Case(
        "slow does not hide a failure",
        {took("server"): "2", failing("undecided", "sources"): "1"},
        "? platform or network",
        "~ platform, slow",
    ),
    Case(
        "not run for three intervals and half a minute",
        {series(LAST_RUN): str(AT_SECONDS - 211)},
        "! prober",
        "! prober",
    ),
    Case("not run for nearly as long", {series(LAST_RUN): str(AT_SECONDS - 209)}, OK, OK),
    Case(
        "never run",
        {series(LAST_RUN, probe): "0" for probe in PROBES},
        "· no run yet",
        "· no run yet",
    ),
    Case(
        "what two probers see is one standing",
        {
            series("prober_probe_success", instance="b"): "0",
            series(LAST_RUN, instance="b"): str(AT_SECONDS - 40),
            failing("network", instance="b"): "4",
        },
        "✗ network path",
        "✗ network path",
    ),
)


def said(query: str, labels: str, words: str) -> dict[str, Any]:
    (code,) = (code for code, shown in STATUSES.items() if shown.text == words)
    expected = {"labels": f'{{job="prober", tenant="acme"{labels}}}', "value": int(code)}
    return {"expr": concrete(query), "eval_time": f"{AT_SECONDS}s", "exp_samples": [expected]}


def as_promtool_has_it(case: Case) -> dict[str, Any]:
    of_probe = f'{probe_status(PROBE, TENANT)} and on (probe) label_replace(vector(1), "probe",'
    values = {**all_ok(), **case.odd}
    return {
        "name": case.name,
        "interval": f"{STEP_SECONDS}s",
        "input_series": [
            {"series": name, "values": f"{value}x{AT_SECONDS // STEP_SECONDS}"}
            for name, value in values.items()
        ],
        "promql_expr_test": [
            said(tenant_status(TENANT, TENANT), "", case.tenant),
            said(f'{of_probe} "datasets", "", "")', ', probe="datasets"', case.datasets),
        ],
    }


@pytest.mark.prometheus
def test_of_all_cases_the_timelines_say_what_the_page_says(tmp_path: Path) -> None:
    content = {"evaluation_interval": "30s", "tests": [as_promtool_has_it(case) for case in CASES]}
    file = tmp_path / "standings.yml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    done = subprocess.run(  # noqa: PLW1510
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
