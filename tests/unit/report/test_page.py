from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prober.report.document import Report
from prober.report.page import page
from prober.views.quantities import latency, moment
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
    text = page(made)
    seen = Seen(text)
    assert seen.asks == []
    assert seen.elements & {"script", "link", "img", "iframe", "object", "form", "base"} == set()
    assert "@import" not in text
    assert text.count("url(") == text.count("url(#")


def test_what_is_foreign_is_text(made: Report) -> None:
    call = replace(made.failed_calls[0], message=HOSTILE, evidence=HOSTILE, url=HOSTILE)
    slow = replace(made.slow_calls[0], request_ids={"cf-ray": HOSTILE})
    incident = replace(made.incidents[0], evidence=HOSTILE, probes=(HOSTILE,))
    hostile = replace(
        made,
        tenant=HOSTILE,
        base_url=HOSTILE,
        failed_calls=(call,),
        slow_calls=(slow,),
        incidents=(incident,),
        series_by_probe={HOSTILE: made.series, "b": made.series},
    )
    seen = Seen(page(hostile))
    assert seen.asks == []
    assert "img" not in seen.elements
    assert seen.text.count("onerror=alert(1)") >= 8


def test_a_page_tells_the_facts_of_the_document(made: Report) -> None:
    text = Seen(page(made)).text
    figures = made.figures[0]
    assert figures.server is not None
    assert figures.network is not None
    for fact in (
        *made.summary,
        *made.method,
        moment(made.incidents[0].started_at),
        latency(figures.server.p99_seconds),
        latency(figures.network.p50_seconds),
        made.failed_calls[0].request_ids["x-correlation-id"],
        made.slow_calls[-1].request_ids["cf-ray"],
        "no prober was running, or it could not write its history",
    ):
        assert fact in text


def test_it_stands_on_the_clock_that_was_asked_for(tmp_path: Path) -> None:
    text = Seen(page(morning(tmp_path / "b", "Asia/Kolkata"))).text
    assert "2025-03-05 15:06:10+05:30" in text
    assert "Times are Asia/Kolkata." in text
