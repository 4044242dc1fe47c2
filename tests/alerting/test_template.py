"""The words of a notification: what fires before what is over, and every tenant by name."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.prometheus

ALERTMANAGER = Path(__file__).parents[2] / "config" / "alertmanager"
NEVER = "0001-01-01T00:00:00Z"


def alert(status: str, tenant: str) -> dict[str, object]:
    return {
        "status": status,
        "labels": {"alertname": "ProberTenantDown", "tenant": tenant},
        "annotations": {
            "summary": f"platform: {tenant} {status}",
            "description": "What it is.",
            "runbook_url": "https://runbooks.example.com/ProberTenantDown/",
        },
        "startsAt": "2026-01-01T03:04:00Z",
        "endsAt": NEVER if status == "firing" else "2026-01-01T04:05:00Z",
    }


def rendered(template: str, alerts: list[dict[str, object]], directory: Path) -> str:
    status = "firing" if any(each["status"] == "firing" for each in alerts) else "resolved"
    maps: dict[str, object] = {
        name: {} for name in ("groupLabels", "commonLabels", "commonAnnotations")
    }
    data = {"receiver": "x", "status": status, "alerts": alerts, "externalURL": "http://x", **maps}
    file = directory / "data.json"
    file.write_text(json.dumps(data))
    done = subprocess.run(
        [
            *("amtool", "template", "render", f"--template.glob={ALERTMANAGER / '*.tmpl'}"),
            *(f"--template.data={file}", f'--template.text={{{{ template "{template}" . }}}}'),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ([alert("firing", "acme")], "platform: acme firing"),
        ([alert("resolved", "acme")], "over: platform: acme resolved"),
        (
            [alert("resolved", "acme"), alert("firing", "two")],
            "platform: two firing; 1 over",
        ),
        (
            [alert("firing", "acme"), alert("firing", "two"), alert("firing", "three")],
            "platform: acme firing and 2 more: two, three",
        ),
        (
            [alert("resolved", "acme"), alert("resolved", "two")],
            "over: platform: acme resolved and 1 more: two",
        ),
    ],
)
def test_the_heading(alerts: list[dict[str, object]], title: str, tmp_path: Path) -> None:
    assert rendered("prober.title", alerts, tmp_path) == title


def test_the_text_lists_what_fires_before_what_is_over(tmp_path: Path) -> None:
    text = rendered("prober.text", [alert("resolved", "acme"), alert("firing", "two")], tmp_path)
    assert text.splitlines() == [
        "platform: two firing (since 03:04 UTC)",
        "What it is.",
        "https://runbooks.example.com/ProberTenantDown/",
        "platform: acme resolved (over since 04:05 UTC)",
        "https://runbooks.example.com/ProberTenantDown/",
    ]
