"""Alerts about the platform and the path to it say what the supplier confirms."""

import json
from pathlib import Path

import pytest

from tests.alerting.test_rules import ALERTS, promtool
from tests.alerting.test_template import alert, rendered

pytestmark = pytest.mark.prometheus

START = 1_767_261_720  # 2026-01-01T10:02:00Z
WORDS = "The supplier confirms an incident since 2026-01-01 10:02:00 +0000 UTC."
SUPPLIER = {
    name: rule["annotations"]["supplier"]
    for name, rule in ALERTS.items()
    if "supplier" in rule["annotations"]
}


def expand(series: list[str], words: str, directory: Path) -> None:
    """Let promtool compare what the annotation expands to, beside these starts of incidents."""
    [template] = set(SUPPLIER.values())
    rule = {"alert": "Any", "expr": "vector(1)", "annotations": {"supplier": template}}
    rules, file = directory / "rules.yml", directory / "test.yml"
    rules.write_text(json.dumps({"groups": [{"name": "any", "rules": [rule]}]}))
    name = "prober_status_page_incident_start_timestamp_seconds"
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'{name}{{instance="{place}"}}', "values": f"{start}x5"}
            for place, start in enumerate(series)
        ],
        "alert_rule_test": [
            {
                "eval_time": "3m",
                "alertname": "Any",
                "exp_alerts": [{"exp_annotations": {"supplier": words}}],
            }
        ],
    }
    file.write_text(json.dumps({"rule_files": [str(rules)], "tests": [test]}))
    promtool("test", "rules", str(file))


@pytest.mark.parametrize(
    ("series", "words"),
    [([], ""), ([f"{START}"], WORDS), ([f"{START + 600}", f"{START}"], WORDS)],
    ids=["no incident", "one prober", "the oldest of several"],
)
def test_what_the_supplier_confirms(series: list[str], words: str, tmp_path: Path) -> None:
    expand(series, words, tmp_path)


def test_the_alerts_about_the_platform_and_the_path_to_it_say_it() -> None:
    assert {
        "ProberPlatformDown",
        "ProberTenantDown",
        "ProberTenantSilent",
        "ProberTenantUnreachable",
        "ProberErrorBudgetBurnsFast",
        "ProberServerSlow",
        "ProberProbeFailing",
    } <= set(SUPPLIER)
    assert not [name for name in SUPPLIER if name.startswith("ProberToken")]


def test_a_notification_has_the_words(tmp_path: Path) -> None:
    fired = alert("firing", "acme")
    known = fired["annotations"]
    assert isinstance(known, dict)
    with_words = {**fired, "annotations": {**known, "supplier": WORDS}}
    assert f"What it is.\n{WORDS}\nhttps://" in rendered("prober.text", [with_words], tmp_path)
    assert "supplier" not in rendered("prober.text", [fired], tmp_path)
