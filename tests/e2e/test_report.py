"""`prober report` as a supplier gets it: a day with known faults, in all formats.

PICTURES_DIRECTORY=DIRECTORY keeps a picture of it there: see `make pictures`.
"""

import hashlib
import json
import os
import re
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from prober.outcomes import Culprit
from prober.stats.aggregates import summarize
from tests.programs import PROBER, end, started
from tests.unit.report.factories import DAY, INCIDENTS, results, write_the_day

SPAN = ("--since", "2025-03-05", "--until", "2025-03-06")
SETTINGS = """
web: {listen: "127.0.0.1:0"}
state: {directory: state}
history: {retention: 9000d}
tenants:
  - name: acme-prod
    base_url: http://127.0.0.1:1/acme/prod/reinfer_
    token: {file: acme.token}
    probes: [datasets, sources]
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    (directory / "acme.token").write_text("the-secret-of-acme\n")
    (directory / "prober.yaml").write_text(SETTINGS)
    write_the_day(directory / "state")
    return directory / "prober.yaml"


def reported(settings: Path, *arguments: str) -> str:
    done = subprocess.run(
        [PROBER, "report", "acme-prod", "--config", str(settings), *SPAN, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def facts(settings: Path) -> Any:  # noqa: ANN401 -- a JSON document
    before = digest(settings)
    document = json.loads(reported(settings, "--format", "json"))
    assert digest(settings) == before
    return document


def digest(settings: Path) -> bytes:
    history = settings.parent / "state" / "history.sqlite3"
    return hashlib.sha256(history.read_bytes()).digest()


@pytest.fixture(scope="module")
def html(settings: Path) -> Path:
    file = settings.parent / "report.html"
    reported(settings, "--output", str(file))
    return file


def test_it_states_exactly_the_incidents_that_there_were(facts: Any) -> None:  # noqa: ANN401
    assert [
        (
            each["culprit"],
            each["started_at"] - DAY,
            each["duration_seconds"],
            each["failures"],
            each["probes"],
            each["in_maintenance"],
        )
        for each in facts["incidents"]
    ] == INCIDENTS
    assert facts["gaps"] == [
        {"started_at": DAY + 7200, "ended_at": DAY + 10_800, "cause": "not_running"}
    ]


@pytest.mark.parametrize("side", ["server", "network"])
@pytest.mark.parametrize("probe", [None, "datasets", "sources"])
def test_percentiles_lie_within_two_per_cent_of_the_exact_ones(
    facts: Any,  # noqa: ANN401
    probe: str | None,
    side: str,
) -> None:
    raw = [
        getattr(each.verdict.latency, f"{side}_seconds")
        for each in results()
        if not each.in_maintenance
        and probe in {None, each.probe}
        and summarize(each).server_seconds is not None
    ]
    exact = statistics.quantiles(raw, n=100, method="inclusive")
    [figures] = [each for each in facts["figures"] if each["probe"] == probe]
    assert figures["responses"] == len(raw)
    assert figures[side] == {
        f"p{share}_seconds": pytest.approx(exact[share - 1], rel=0.02) for share in (50, 90, 95, 99)
    }


def test_availability_is_that_of_the_runs(facts: Any) -> None:  # noqa: ANN401
    ran = [each for each in results() if not each.in_maintenance]
    failed = sum(not each.verdict.succeeded for each in ran)
    kept: Mapping[str, Any] = facts["availability"]
    assert kept["runs"] == len(ran) + 20
    assert kept["platform_failures"] == 42 + 37 + 1
    assert kept["end_to_end_failures"] == failed + 20
    unobserved = {Culprit.NETWORK, Culprit.UNDECIDED, Culprit.PROBER}
    observed = sum(each.verdict.culprit not in unobserved for each in ran)
    assert kept["observed_runs"] == observed
    assert kept["platform_ratio"] == pytest.approx(1 - 80 / observed)
    assert (kept["paused"], kept["in_maintenance"]) == (20, 120)
    assert sum(each["runs"] for each in facts["outcomes"]) == len(ran)
    assert facts["skipped"] == {"token_rejected": 20}


def test_calls_of_the_platform_come_first_with_what_proves_them(facts: Any) -> None:  # noqa: ANN401
    first = facts["failed_requests"][0]
    assert first["request_ids"] == {"x-correlation-id": "corr-1080", "cf-ray": "ray-1080"}
    assert (first["culprit"], first["http_status"], first["incident"]) == ("platform", 500, 1)
    assert first["message"] == "Upstream | failed: `ledger` <b>down</b>"
    culprits = [each["culprit"] for each in facts["failed_requests"]]
    assert culprits == sorted(
        culprits, key=["platform", "undecided", "credential", "network"].index
    )
    assert {each["incident"] for each in facts["failed_requests"]} == {1, 2, 3, 4, 6}
    assert facts["failure_count"] == 79 + 60 + 10 + 20 + 1
    slowest = max(
        (each for each in results() if not each.in_maintenance and each.exchange.response),
        key=lambda each: each.verdict.latency.server_seconds or 0,
    )
    assert facts["slow_requests"][0]["at"] == slowest.started_at
    assert facts["slow_requests"][0]["request_ids"]["cf-ray"] == slowest.verdict.facts["cf_ray"]


def test_all_formats_tell_it_and_none_a_token(settings: Path, html: Path, facts: Any) -> None:  # noqa: ANN401
    for text in (reported(settings), html.read_text(), json.dumps(facts)):
        assert "corr-1080" in text
        assert facts["summary"][0] in text
        assert "the-secret-of-acme" not in text


def test_it_can_be_read_beside_the_daemon(
    settings: Path,
    facts: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    command = ("run", "--config", str(settings))
    with started(*command, until=r'"listening": "([^"]+)"', log=tmp_path / "log") as (process, _):
        during = json.loads(reported(settings, "--format", "json"))
        assert end(process) == 0
    assert during["incidents"] == facts["incidents"]
    assert during["figures"] == facts["figures"]


def test_the_page_is_one_file_that_everybody_can_read_and_print(
    html: Path, chromium: Browser
) -> None:
    seen: list[str] = []
    page = chromium.new_page(viewport={"width": 1080, "height": 900}, color_scheme="dark")
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: seen.append(request.url))
    page.goto(html.as_uri())
    found: Any = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    for culprit in ("platform", "network", "undecided", "credential", "paused", "nothing"):
        assert page.locator(f".strip rect.{culprit}").count() > 0
    assert page.locator(".chart path.line").count() == 3 * 6
    assert page.locator("tbody.incident").count() == len(INCIDENTS)
    assert page.locator("b").count() == 0
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    directory = os.environ.get("PICTURES_DIRECTORY")
    if directory:
        page.set_viewport_size({"width": 1080, "height": 2050})
        page.screenshot(path=Path(directory, "report.png"))
    printed = page.pdf(prefer_css_page_size=True)
    assert 2 <= len(re.findall(rb"/Type ?/Page\b", printed)) <= 12
    page.set_viewport_size({"width": 380, "height": 800})
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    page.close()
    assert seen == [html.as_uri()]
