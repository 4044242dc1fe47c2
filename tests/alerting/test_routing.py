"""The example of Alertmanager: checked by amtool, its routes and inhibitions by table."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerting.test_rules import ALERTS

pytestmark = pytest.mark.prometheus

ALERTMANAGER = Path(__file__).parents[2] / "config" / "alertmanager"
FILE = ALERTMANAGER / "alertmanager.yml"
CONFIG = yaml.safe_load(FILE.read_text())
MATCHER = re.compile(r'^(\w+)(=~|!~|!=|=)"(.*)"$')


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=60)  # noqa: PLW1510
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_finds_nothing_wrong() -> None:
    assert "SUCCESS" in amtool("check-config", str(FILE))


def receiver_of(severity: str, environment: str) -> str:
    if severity in {"info", "none"}:
        return {"info": "nobody", "none": "deadman"}[severity]
    if environment not in {"production", "all"}:
        return "development"
    return {"page": "pager", "ticket": "tickets"}[severity]


@pytest.mark.parametrize("environment", ["production", "development", "test"])
@pytest.mark.parametrize("alert", ALERTS)
def test_a_route(alert: str, environment: str) -> None:
    any_severity = {"severity": "ticket", "culprit": "request"}
    labels = {"tenant": "acme", "environment": environment, **any_severity}
    labels |= ALERTS[alert]["labels"]
    expected = receiver_of(labels["severity"], labels["environment"])
    pairs = [f"{name}={value}" for name, value in {"alertname": alert, **labels}.items()]
    verify = ("--config.file", str(FILE), "--verify.receivers", expected)
    amtool("config", "routes", "test", *verify, *pairs)


def matchers(rule: dict[str, Any], side: str) -> list[tuple[str, str, str]]:
    found = [MATCHER.match(text) for text in rule[f"{side}_matchers"]]
    return [(match[1], match[2], match[3]) for match in found if match]


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"])
def test_no_inhibition_matches_on_an_empty_label(rule: dict[str, Any]) -> None:
    for side in ("source", "target"):
        present = {
            name
            for name, operator, value in matchers(rule, side)
            if (operator, value) == ("!=", "") or (operator == "=" and value)
        }
        assert set(rule["equal"]) - {"job"} <= present


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"])
def test_an_inhibition_names_alerts_that_there_are(rule: dict[str, Any]) -> None:
    for side in ("source", "target"):
        for name, _, value in matchers(rule, side):
            if name == "alertname":
                for pattern in value.split("|"):
                    assert any(re.fullmatch(pattern, alert) for alert in ALERTS), pattern


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"][:-1])
def test_a_cause_fires_earlier_and_ends_later_than_what_follows_from_it(
    rule: dict[str, Any],
) -> None:
    def named(side: str) -> list[dict[str, Any]]:
        found = [value for name, _, value in matchers(rule, side) if name == "alertname"]
        return [
            each
            for alert, each in ALERTS.items()
            if any(re.fullmatch(pattern, alert) for pattern in "|".join(found).split("|"))
        ]

    assert all("keep_firing_for" in cause for cause in named("source"))
