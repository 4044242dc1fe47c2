import json
import re
from xml.etree import ElementTree as ET

import pytest

from prober.outcomes import SkipCause
from prober.render.elements import chart_element, curl_command, time_element, waterfall_element
from prober.render.svg import series
from prober.stats.aggregates import Aggregate, add_skip
from tests.unit.render.status_factory import NOW
from tests.unit.stats.factories import histogram_of

HALF = Aggregate(
    {"ok": 2, "dns": 1},
    histogram_of([0.1, 0.3]),
    histogram_of([0.01, 0.03]),
    histogram_of([0.001, 0.003]),
)


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 -- our own


def test_a_time_is_in_utc_and_can_be_read_by_a_script() -> None:
    element = drawn(time_element(1_763_942_400.0))
    assert element.get("datetime") == "2025-11-24T00:00:00Z"
    assert element.text == element.get("title") == "2025-11-24 00:00:00Z"
    assert drawn(time_element(1_763_942_400.0, "clock")).text == "00:00Z"
    assert time_element(None) == "-"


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    shown = series({NOW + 60 * n: HALF for n in (0, 1, 3)}, NOW, NOW + 240, 60)
    lines = drawn(chart_element(shown, "x")).iter("path")
    line = next(path for path in lines if path.get("class") == "line server p50")
    assert (line.get("d") or "").count("M") == 2


def test_a_chart_has_the_values_that_hovering_shows() -> None:
    shown = series({NOW: HALF, NOW + 60: Aggregate({"dns": 1})}, NOW, NOW + 120, 60)
    element = drawn(chart_element(shown, "x"))
    (start, *values), empty = json.loads(element.get("data-points") or "")
    assert start == NOW
    assert values == [
        pytest.approx(100, rel=0.01),
        *[pytest.approx(v, rel=0.01) for v in (100, 10, 10, 1, 1)],
        3,
        1,
    ]
    assert empty[1:] == [None] * 6 + [1, 1]
    assert float(element.get("data-until") or 0) - float(element.get("data-since") or 0) == 120


def test_all_that_is_drawn_lies_within_the_plot() -> None:
    shown = series({NOW + 60 * n: HALF for n in range(4)}, NOW, NOW + 240, 60)
    plot = next(drawn(chart_element(shown, "x")).iter("svg"))
    _, _, width, height = map(float, (plot.get("viewBox") or "").split())
    for path in plot.iter("path"):
        for x, y in re.findall(r"[ML]([0-9.]+) ([0-9.]+)", path.get("d") or ""):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_the_text_of_a_chart_is_not_drawn() -> None:
    shown = series({NOW: HALF}, NOW, NOW + 60, 60)
    element = drawn(chart_element(shown, "x"))
    assert not list(element.iter("text"))
    assert len(list(element.iter("time"))) == 6


@pytest.mark.parametrize(
    ("aggregates", "why"),
    [
        ({}, "no run in this time"),
        ({NOW: Aggregate({"maintenance:ok": 1})}, "in maintenance"),
        ({NOW: add_skip(Aggregate(), SkipCause.TOKEN_REJECTED)}, "paused (token rejected)"),
        ({NOW: Aggregate({"dns": 1})}, "no response could be measured"),
    ],
)
def test_a_chart_without_lines_says_why(aggregates: dict[float, Aggregate], why: str) -> None:
    assert f"<p>{why}</p>" in chart_element(series(aggregates, NOW, NOW + 60, 60), "latency")


def test_a_waterfall_marks_the_servers_share_of_waiting() -> None:
    phases = {"resolve": 0.1, "connect": None, "wait": 0.8, "transfer": 0.1}
    root = drawn(waterfall_element(phases, 1.0, 0.4, failed=False))
    bars = [(r.get("class"), r.get("x"), r.get("width")) for r in root.iter("rect")]
    assert bars == [
        ("network", "0.0", "56.0"),
        ("network", "56.0", "448.0"),
        ("server", "56.0", "224.0"),
        ("network", "504.0", "56.0"),
    ]
    assert "server time 400 ms; total 1.00 s" in (root.get("aria-label") or "")


def test_a_waterfall_ends_with_the_phase_that_failed() -> None:
    text = waterfall_element({"resolve": 0.1, "connect": 0.4}, 0.5, None, failed=True)
    assert [r.get("class") for r in drawn(text).iter("rect")] == ["network", "failed"]


def test_without_phases_there_is_no_waterfall() -> None:
    assert waterfall_element({"resolve": None}, 0.0, None, failed=True) == ""


@pytest.mark.parametrize(
    ("method", "url", "command"),
    [
        ("GET", "https://a/b", "https://a/b"),
        ("GET", "https://a/b?c=$(d)&e='f", """'https://a/b?c=$(d)&e='"'"'f'"""),
        ("POST", "https://a/b", "https://a/b"),
    ],
)
def test_a_request_can_be_repeated_by_curl(method: str, url: str, command: str) -> None:
    shown = curl_command({"request": {"method": method, "url": url}})
    request = " --request POST" if method == "POST" else ""
    assert shown == f'curl --include{request} --header "Authorization: Bearer $TOKEN" {command}'


def test_what_is_foreign_cannot_leave_its_place() -> None:
    shown = series({NOW: HALF}, NOW, NOW + 60, 60)
    assert "<script>" not in chart_element(shown, '"><script>')
    assert "<script>" not in waterfall_element({"<script>": 1.0}, 1.0, None, failed=False)
