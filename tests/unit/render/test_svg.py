import re
from importlib.resources import files
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from prober.outcomes import Culprit
from prober.render.documents import TimeBucketDocument, day_buckets
from prober.render.svg import (
    STRIP_HEIGHT,
    STRIP_WIDTH,
    latency_label,
    latency_svg,
    max_latency,
    strip_label,
    strip_svg,
)
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket
from tests.unit.render.status_factory import NOW

COUNTS = st.integers(0, 50)
SLOTS = st.builds(TimeBucket, *([COUNTS] * 9))
ANSWERED = TimeBucket(none=2, splits=2, server_seconds=0.5, network_seconds=0.25)
SLOWED = TimeBucket(none=2, splits=2, server_seconds=1.0, network_seconds=0.6, own_seconds=0.4)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 -- our own


def shown(*slots: TimeBucket) -> tuple[TimeBucketDocument, ...]:
    known = {int(NOW) - n * BUCKET_SECONDS: slot for n, slot in enumerate(reversed(slots))}
    return day_buckets(known, NOW)


@given(st.lists(SLOTS, max_size=96))
def test_a_strip_fills_its_whole_place_and_no_more(slots: list[TimeBucket]) -> None:
    root = drawn(strip_svg(shown(*slots), "a <strip>"))
    areas = [
        float(rect.get("width", "")) * float(rect.get("height", "")) for rect in root.iter("rect")
    ]
    assert abs(sum(areas) - STRIP_WIDTH * STRIP_HEIGHT) < STRIP_WIDTH * STRIP_HEIGHT * 0.02


def test_a_day_that_is_all_alike_is_one_shape() -> None:
    assert len(list(drawn(strip_svg(shown(), "x")).iter("rect"))) == 1


def test_failures_hang_from_the_top_by_their_share() -> None:
    root = drawn(strip_svg(shown(TimeBucket(none=5, platform=5)), "x"))
    last = list(root.iter("g"))[-1]
    classes = [(r.get("class"), r.get("y"), r.get("height")) for r in last.iter("rect")]
    assert classes == [("platform", "0.0", "14.0"), ("good", "14.0", "14.0")]
    title = last.find("title")
    assert title is not None
    assert title.text == "00:00Z to 00:15Z: 5 platform"


def test_one_failure_in_a_thousand_runs_is_seen() -> None:
    root = drawn(strip_svg(shown(TimeBucket(none=999, network=1)), "x"))
    heights = {r.get("class"): float(r.get("height", "")) for r in root.iter("rect")}
    assert heights["network"] > STRIP_HEIGHT * 0.19


def test_maintenance_and_runs_held_back_have_looks_of_their_own() -> None:
    text = strip_svg(shown(TimeBucket(in_maintenance=4), TimeBucket(paused=3)), "x")
    assert 'class="maintenance"' in text
    assert 'class="paused"' in text


def test_a_strip_is_told_in_words() -> None:
    label = strip_label(shown(TimeBucket(none=5, platform=5), TimeBucket(none=1)), "acme")
    assert label == "acme: 11 runs, failures: 5 platform"
    assert strip_label(shown(), "acme") == "acme: no data"


def test_latency_stacks_the_network_on_the_server() -> None:
    root = drawn(latency_svg(shown(ANSWERED), 30))
    server, network = (re.findall(r"M[\d.]+ ([\d.]+)h", p.get("d", "")) for p in root)
    assert server == ["10.0"]
    assert network == ["0.0"]
    assert max_latency(shown(ANSWERED)) == 0.375


def test_latency_stacks_own_time_on_the_network() -> None:
    root = drawn(latency_svg(shown(SLOWED), 30))
    tops = {p.get("class"): re.findall(r"M[\d.]+ ([\d.]+)h", p.get("d", "")) for p in root}
    assert tops == {"server": ["15.0"], "network": ["6.0"], "own": ["0.0"]}


def test_latency_is_told_in_words() -> None:
    assert latency_label(shown(ANSWERED)) == (
        "mean latency of the last 15 minutes: server 250 ms, network 125 ms"
    )
    assert latency_label(shown(SLOWED)) == (
        "mean latency of the last 15 minutes: server 500 ms, network 300 ms, own 200 ms"
    )
    assert latency_label(shown()) == "latency: no response was measured"
    assert "no response was measured" in latency_svg(shown())


def test_what_is_foreign_cannot_leave_its_place() -> None:
    text = strip_svg(shown(), '"><script>')
    assert "<script>" not in text


def test_every_culprit_has_a_colour_in_the_style_sheet() -> None:
    css = files("prober.web").joinpath("static/pictures.css").read_text()
    for culprit in Culprit:
        name = "good" if culprit is Culprit.NONE else culprit.value
        assert f"rect.{name}" in css
