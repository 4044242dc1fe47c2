import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from prober.outcomes import SkipCause
from prober.render.svg import LATENCY_PARTS, RANGES, chart_svg, nice_ceiling, series, span
from prober.stats.aggregates import Aggregate, DurationHistogram, add_skip
from tests.unit.render.status_factory import NOW
from tests.unit.stats.factories import histogram_of

HALF = Aggregate(
    {"ok": 2, "dns": 1},
    histogram_of([0.1, 0.3]),
    histogram_of([0.01, 0.03]),
    histogram_of([0.001, 0.003]),
)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_is_whole_steps_that_include_now(name: str) -> None:
    since, until, step = span(name, NOW + 1234.5)
    assert until - since == RANGES[name][0]
    assert until % step == 0
    assert until - step <= NOW + 1234.5 < until


def test_a_point_has_percentiles_by_side_and_failures() -> None:
    [point] = series({NOW: HALF, NOW - 60: HALF}, NOW, NOW + 60, 60).points
    assert point.server_p50_seconds == pytest.approx(0.1, rel=0.01)
    assert point.network_p95_seconds == pytest.approx(0.01, rel=0.01)
    assert point.own_p50_seconds == pytest.approx(0.001, rel=0.01)
    assert (point.runs, point.failures) == (3, 1)


def test_each_part_of_a_latency_has_its_lines_and_words() -> None:
    text = chart_svg(series({NOW: HALF}, NOW, NOW + 60, 60), "x")
    lines = re.findall(r'class="line (\w+) (\w+)"', text)
    assert sorted(lines) == sorted((p, s) for p in LATENCY_PARTS for s in ("p50", "p95"))
    assert "; own half 1.0 ms, 95 % 1.0 ms" in text


def test_a_chart_of_what_was_recorded_before_own_time_was_kept_has_the_other_lines() -> None:
    text = chart_svg(series({NOW: replace(HALF, own=DurationHistogram())}, NOW, NOW + 60, 60), "x")
    assert "own" not in text
    assert 'class="line network p50"' in text


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    shown = series({NOW + 60 * n: HALF for n in (0, 1, 3)}, NOW, NOW + 240, 60)
    root = ET.fromstring(chart_svg(shown, "x"))  # noqa: S314 -- our own
    line = next(p for p in root.iter("path") if p.get("class") == "line server p50")
    assert (line.get("d") or "").count("M") == 2


def test_all_that_is_drawn_lies_within_the_picture() -> None:
    shown = series({NOW + 60 * n: HALF for n in range(4)}, NOW, NOW + 240, 60)
    root = ET.fromstring(chart_svg(shown, "x"))  # noqa: S314 -- our own
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for text in root.iter("text"):
        assert 0 <= float(text.get("x") or -1) <= width
        assert 0 <= float(text.get("y") or -1) <= height
    for path in root.iter("path"):
        ordinates = re.findall(r"[ML][0-9.]+ ([0-9.]+)", path.get("d") or "")
        assert ordinates
        assert all(0 <= float(each) <= height for each in ordinates)


@pytest.mark.parametrize(
    ("tallies", "why"),
    [
        ({}, "no run in this time"),
        ({NOW: Aggregate({"maintenance:ok": 1})}, "in maintenance"),
        (
            {NOW: add_skip(Aggregate(), SkipCause.TOKEN_REJECTED)},
            "paused (token rejected)",
        ),
        ({NOW: Aggregate({"dns": 1})}, "no response could be measured"),
    ],
)
def test_a_chart_without_lines_says_why(tallies: dict[float, Aggregate], why: str) -> None:
    text = chart_svg(series(tallies, NOW, NOW + 60, 60), "latency")
    assert f">{why}</text>" in text
    assert f'aria-label="latency: {why}"' in text


def test_maintenance_is_hatched() -> None:
    tallies = {NOW: Aggregate({"maintenance:ok": 1}), NOW + 60: HALF}
    assert 'class="maintenance"' in chart_svg(series(tallies, NOW, NOW + 120, 60), "x")


@pytest.mark.parametrize(
    ("value", "top"), [(0.9, 1), (1.0, 1), (1.1, 2), (2.5, 5), (7, 10), (0.012, 0.02)]
)
def test_a_scale_ends_with_a_round_number(value: float, top: float) -> None:
    assert nice_ceiling(value) == pytest.approx(top)
