"""Rules and dashboards in Kubernetes are those of the repository, byte by byte."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.alerting.test_rules import promtool
from tests.kubernetes.rendering import rendered
from tools.grafana.prometheus_rule import FILE, RULES, prometheus_rule

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "config" / "kubernetes" / "monitoring"
GROUP_KEYS = {"name", "interval", "rules"}
RULE_KEYS = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}


def groups(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text)["groups"]
    return found


def test_the_rule_is_what_the_code_makes_byte_by_byte() -> None:
    assert FILE.read_text() == prometheus_rule(), "run `make dashboards`"


@pytest.mark.prometheus
def test_the_rule_holds_every_group_and_nothing_else(tmp_path: Path) -> None:
    rule = rendered(MONITORING)["PrometheusRule", "prober"]
    shipped = [group for file in sorted(RULES.glob("*.yml")) for group in groups(file.read_text())]
    assert rule["spec"] == {"groups": shipped}
    assert rule["metadata"]["namespace"] == "monitoring"
    for group in shipped:
        assert set(group) <= GROUP_KEYS
        assert all(set(each) <= RULE_KEYS for each in group["rules"])
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    promtool("check", "rules", str(file))


def test_every_dashboard_is_a_key_of_a_config_map_that_grafana_finds() -> None:
    found = rendered(MONITORING)["ConfigMap", "prober-dashboards"]
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    assert found["metadata"]["labels"] == {"grafana_dashboard": "1"}
    files = sorted((ROOT / "config" / "grafana" / "dashboards").glob("*.json"))
    assert found["data"] == {file.name: file.read_text() for file in files}


@pytest.mark.parametrize("key", ["groups:", "more: 1\ngroups:"])
def test_a_rule_file_with_more_than_groups_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_text(f"# a comment\n{key}\n  - name: x\n    rules: []\n")
    monkeypatch.setattr("tools.grafana.prometheus_rule.RULES", tmp_path)
    if key == "groups:":
        assert yaml.safe_load(prometheus_rule())["spec"] == {"groups": [{"name": "x", "rules": []}]}
    else:
        with pytest.raises(ValueError, match="more than groups"):
            prometheus_rule()
