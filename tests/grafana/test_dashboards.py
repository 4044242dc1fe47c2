"""The dashboards are what the code makes, and hold to what dashboards must hold to."""

import json
import os
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from prober.outcomes import Culprit
from tests.grafana.dashboards import DASHBOARDS, FILES, GRAFANA, annotations, panels, variables
from tools.grafana.__main__ import written
from tools.grafana.field_config import CERTIFICATE_DAYS, SHARE_LOST, TOKEN_DAYS
from tools.grafana.palette import CULPRITS, PLAIN, STATUSES, TOKENS, Code
from tools.grafana.panels import RUNBOOKS
from tools.grafana.self_monitoring import (
    HEARTBEAT_LIMIT_SECONDS,
    LAG_LIMIT_SECONDS,
    START_DELAY_LIMIT_SECONDS,
)

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "runbooks"
ALL = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
TARGET_KEYS = {"datasource", "expr", "format", "instant", "legendFormat", "range", "refId"}
UNITS = {value for value in vars(units).values() if isinstance(value, str)} | {"suffix:days"}
EVERYWHERE = {"overview", "tenant", "tokens", "itself"}


def test_the_files_are_what_the_code_makes_byte_by_byte() -> None:
    made = {f"{uid}.json": text for uid, text in written().items()}
    assert {file.name: file.read_text() for file in FILES} == made, "run `make dashboards`"


def test_their_addresses_are_those_that_others_link_to() -> None:
    assert set(DASHBOARDS) == {f"prober-{name}" for name in EVERYWHERE}
    assert {uid: dashboard["uid"] for uid, dashboard in DASHBOARDS.items()} == {
        uid: uid for uid in DASHBOARDS
    }
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(list(DASHBOARDS.values()))))
    assert linked <= set(DASHBOARDS)


@ALL
def test_the_library_reads_every_key_that_is_written(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    # Prometheus' own, which the library's model of all annotations does not have.
    for annotation in annotations(again):
        annotation["titleFormat"] = "{{tenant}} is in maintenance"
    assert again == dashboard


@ALL
def test_panels_are_numbered_and_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)
    bottom = max(place["y"] + place["h"] for place in places)
    assert sum(place["w"] * place["h"] for place in places) == 24 * bottom, "there is a hole"


@ALL
def test_a_panel_says_what_it_is_and_what_to_conclude(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        described, defaults = panel["description"], panel["fieldConfig"]["defaults"]
        assert described.endswith("."), panel["title"]
        assert len(described) > len(panel["title"])
        assert defaults["noValue"]
        assert "\n" not in described


@ALL
def test_units_are_grafanas_and_set(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        for override in panel["fieldConfig"]["overrides"]:
            for each in override["properties"]:
                assert each["id"] != "unit" or each["value"] in UNITS, panel["title"]


def test_the_slowest_responses_of_a_tenant_are_shown_with_their_requests() -> None:
    queries = [
        (panel["title"], target["legendFormat"], target["expr"])
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for target in panel["targets"]
        if target.get("exemplar")
    ]
    assert [(title, name) for title, name, _ in queries] == [
        ("Time of the platform", "p99"),
        ("Time of the network", "p99"),
    ]
    assert all("_seconds_bucket{" in expression for *_, expression in queries)


@ALL
def test_every_query_goes_to_the_chosen_data_source(dashboard: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    (source,) = variables(dashboard, "datasource")
    assert (source["name"], source["label"], source["query"]) == (
        "datasource",
        "Data source",
        "prometheus",
    )
    users = [*panels(dashboard), *variables(dashboard), *annotations(dashboard)]
    assert all(each["datasource"] == chosen for each in users)
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            assert target.keys() - {"editorMode", "exemplar"} <= TARGET_KEYS


@ALL
def test_choices_are_renewed_with_the_time_range_and_begin_with_the_job(
    dashboard: dict[str, Any],
) -> None:
    choices = variables(dashboard)
    assert choices[0]["name"] == "job"
    assert (choices[0]["multi"], choices[0]["includeAll"], choices[0]["allValue"]) == (
        True,
        True,
        ".+",
    )
    assert {each["refresh"] for each in choices} == {2}
    assert dashboard["editable"] is False
    for choice in choices:
        narrowed = "$environment" in choice["query"]["query"]
        assert not narrowed or "allValue" not in choice, "All would undo what narrows it"


@ALL
def test_dashboards_lead_to_each_other(dashboard: dict[str, Any]) -> None:
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"], link["keepTime"]) == ("dashboards", ["prober"], True)
    assert dashboard["tags"] == ["prober"]


def test_links_lead_to_runbooks_that_exist() -> None:
    text = json.dumps(list(DASHBOARDS.values()))
    named = set(re.findall(rf"{re.escape(RUNBOOKS)}/(\w+)/", text))
    assert len(named) > 10
    assert {name for name in named if not (PAGES / f"{name}.md").is_file()} == set()


def style_sheet() -> str:
    return (ROOT / "prober" / "web" / "static" / "prober.css").read_text()


def test_a_colour_is_the_status_pages_and_never_stands_alone() -> None:
    dark = style_sheet().split("prefers-color-scheme: dark")[1]
    for culprit in set(Culprit) - {Culprit.NONE}:
        assert f"--{culprit}: {CULPRITS[culprit].colour};" in dark
    assert f"--good: {CULPRITS[Culprit.NONE].colour};" in dark
    for words in (STATUSES, TOKENS, CULPRITS):
        assert len({shown.text for shown in words.values()}) == len(words)
    assert {Code.PLATFORM_SLOW + n for n in range(1, len(Culprit))} <= set(STATUSES)


@ALL
def test_every_timeline_has_a_word_for_every_value(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "state-timeline":
            (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
            assert all(each["text"] and each["color"] for each in mapping["options"].values())


def test_grafana_is_told_where_they_are_and_how_often_there_is_something_new() -> None:
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    scraped = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "prober.yml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    assert provider["options"]["path"] in (ROOT / "docs" / "how-to" / "grafana.md").read_text()


def test_the_documented_commands_put_everything_where_grafana_looks(tmp_path: Path) -> None:
    documented = (ROOT / "docs" / "how-to" / "grafana.md").read_text()
    commands = re.findall(r"```sh\n(.*?)```", documented, re.DOTALL)[0]
    there = {"GRAFANA": str(tmp_path), "RUNBOOKS": "https://ours.example/pages"}
    environment = {"PATH": os.environ["PATH"], **there}
    subprocess.run(["sh", "-euc", commands], check=True, cwd=ROOT, env=environment)
    put = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert put == {
        "provisioning/datasources/prometheus.yml",
        "provisioning/dashboards/prober.yml",
        *(f"dashboards/prober/{file.name}" for file in FILES),
    }
    text = (tmp_path / "dashboards" / "prober" / "prober-tenant.json").read_text()
    assert "https://ours.example/pages/ProberTokenRejected/" in text
    assert RUNBOOKS not in text


def test_the_document_names_every_dashboard_and_how_to_make_them() -> None:
    documented = (ROOT / "docs" / "how-to" / "grafana.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)`", documented, re.MULTILINE)) == set(DASHBOARDS)
    assert "make dashboards" in documented
    would = ["make", "--dry-run", "--always-make", "dashboards"]
    done = subprocess.run(would, check=True, cwd=ROOT, capture_output=True, text=True)
    assert "python -m tools.grafana" in done.stdout


def test_a_colour_turns_where_an_alert_does() -> None:
    rules = [
        rule
        for file in (ROOT / "config" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    alerts = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules}
    (_, (very_soon, _), (soon, _)), (_, (expires, _)) = TOKEN_DAYS.steps, CERTIFICATE_DAYS.steps
    assert very_soon is not None
    assert soon is not None
    (_, (lost, _)) = SHARE_LOST.steps
    limits = {
        "tenant:prober_token_renewal_urgent:threshold_seconds": f"* 0 + {very_soon * 86400:.0f}",
        "tenant:prober_token_renewal_overdue:threshold_seconds": f"* 0 + {soon * 86400:.0f}",
        "ProberCertificateExpires": f"< {expires:g} * 86400",
        "ProberRunsSkipped": f"> {lost:g}",
        "ProberMeasurementsDiscarded": f"> {lost:g}",
        "ProberSchedulerStalled": f"> {HEARTBEAT_LIMIT_SECONDS:g}",
        "ProberScheduleLate": f"> {START_DELAY_LIMIT_SECONDS:g}",
        "ProberEventLoopLags": f"> {LAG_LIMIT_SECONDS:g}",
    }
    for alert, limit in limits.items():
        assert re.search(rf"{re.escape(limit)}(?![\d.])", alerts[alert]), alert


@ALL
def test_an_empty_cell_has_no_colour_of_a_threshold(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for override in panel["fieldConfig"]["overrides"]:
            properties = {each["id"]: each["value"] for each in override["properties"]}
            if "thresholds" not in properties:
                continue
            (empty,) = [each for each in properties["mappings"] if each["type"] == "special"]
            assert empty["options"]["match"] == "null"
            assert empty["options"]["result"]["color"] == PLAIN, panel["title"]


@ALL
def test_a_hidden_column_is_hidden_in_old_and_new_grafana(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for override in panel["fieldConfig"]["overrides"]:
            properties = {each["id"]: each["value"] for each in override["properties"]}
            assert properties.get("custom.hidden") == properties.get("custom.hideFrom.viz")


def test_an_alert_that_shares_a_runbook_leads_to_it() -> None:
    queries = [
        target["expr"]
        for panel in panels(DASHBOARDS["prober-overview"])
        for target in panel["targets"]
    ]
    assert any('"ProberDown", "alertname", "ProberAbsent|ProberDown"' in each for each in queries)
