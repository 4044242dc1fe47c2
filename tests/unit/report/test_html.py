from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prober.formatting import format_latency, format_timestamp
from prober.report.html import render_html
from prober.report.models import Report
from tests.unit.report.test_markdown import HOSTILE, morning


class Seen(HTMLParser):
    """What a page holds: its elements, all that could ask somebody, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.asks: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "srcset", "data"} or name.startswith("on"):
                self.asks.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def made(tmp_path: Path) -> Report:
    return morning(tmp_path)


def test_a_page_asks_nobody_and_runs_nothing(made: Report) -> None:
    text = render_html(made)
    seen = Seen(text)
    assert seen.asks == []
    assert seen.elements & {"script", "link", "img", "iframe", "object", "form", "base"} == set()
    assert "@import" not in text
    assert text.count("url(") == text.count("url(#")


def test_what_is_foreign_is_text(made: Report) -> None:
    call = replace(made.failed_requests[0], message=HOSTILE, evidence=HOSTILE, url=HOSTILE)
    slow = replace(made.slow_requests[0], request_ids={"cf-ray": HOSTILE})
    incident = replace(made.incidents[0], evidence=HOSTILE, probes=(HOSTILE,))
    hostile = replace(
        made,
        tenant=HOSTILE,
        base_url=HOSTILE,
        failed_requests=(call,),
        slow_requests=(slow,),
        incidents=(incident,),
        series_by_probe={HOSTILE: made.series, "b": made.series},
    )
    seen = Seen(render_html(hostile))
    assert seen.asks == []
    assert "img" not in seen.elements
    assert seen.text.count("onerror=alert(1)") >= 8


def test_a_page_tells_the_facts_of_the_document(made: Report) -> None:
    text = Seen(render_html(made)).text
    figures = made.figures[0]
    assert figures.server is not None
    assert figures.network is not None
    assert figures.own is not None
    for fact in (
        *made.summary,
        *made.method,
        format_timestamp(made.incidents[0].started_at),
        format_latency(figures.server.p99_seconds),
        format_latency(figures.network.p50_seconds),
        format_latency(figures.own.p95_seconds),
        f"own {format_latency(made.failed_requests[0].own_seconds)}, total",
        made.failed_requests[0].request_ids["x-correlation-id"],
        made.slow_requests[-1].request_ids["cf-ray"],
        "no prober was running, or it could not write the history",
    ):
        assert fact in text


def test_it_stands_on_the_clock_that_was_asked_for(tmp_path: Path) -> None:
    text = Seen(render_html(morning(tmp_path / "b", "Asia/Kolkata"))).text
    assert "2025-03-05 15:06:10+05:30" in text
    assert "Times are in Asia/Kolkata." in text
