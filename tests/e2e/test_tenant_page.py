"""A tenant's page in Chromium: values under the pointer, a closer look, and what can be copied."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from prober.outcomes import Reason
from tests.e2e.fleet_site import Fleet, LiveSite, served
from tests.e2e.history_fixture import write_a_day, write_published
from tests.e2e.watched_page import NARROW, WIDE, watched

MIN_TEXT_PIXELS = 11


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    directory = tmp_path_factory.mktemp("history")
    write_a_day(directory, time.time())
    write_published(directory, time.time())
    fleet = Fleet(1, directory, probes=3, names=("acme-prod",))
    fleet.fail("acme-prod", Reason.SERVER_ERROR, 2)
    with served(fleet) as site:
        yield site


def opened(page: Page, site: LiveSite, query: str = "range=24h") -> None:
    page.goto(f"{site.url}/tenants/acme-prod?{query}")
    expect(page.locator("#feed-state")).to_have_text("Live")


def test_the_pointer_shows_values_on_all_charts(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        opened(seen.page, site)
        seen.page.locator("#chart-datasets .plot").hover()
        for probe in ("current-user", "datasets", "sources"):
            figure = seen.page.locator(f"#chart-{probe}")
            expect(figure.locator("output")).to_contain_text(re.compile(r"^\d{4}-.*: "))
            expect(figure.locator(".cross")).to_have_attribute("d", re.compile("^M"))
        expect(seen.page.locator("#chart-datasets output")).to_contain_text(
            re.compile(r"server \d.*p95 \d.*network .*failed")
        )
        seen.page.mouse.move(5, 5)
        expect(seen.page.locator("#chart-datasets output")).to_be_empty()


def test_dragging_over_a_chart_looks_closer(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        opened(seen.page, site)
        plot = seen.page.locator("#chart-datasets .plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + box["width"] * 0.25, middle)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
        expect(seen.page.locator("#chart-datasets .zoom")).not_to_have_attribute("width", "0")
        seen.page.mouse.up()
        expect(seen.page).to_have_url(re.compile(r"\?from=\d+&until=\d+$"))
        chart = seen.page.locator("#chart-datasets .chart")
        expect(chart).to_have_attribute("data-step", "300")
        since, until = (
            float(chart.get_attribute(f"data-{name}") or 0) for name in ("since", "until")
        )
        assert until - since == pytest.approx(6 * 3600, abs=1200)
        seen.page.go_back()
        expect(chart).to_have_attribute("data-step", "900")


def test_text_can_be_read_on_a_narrow_screen(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, viewport=NARROW) as seen:
        opened(seen.page, site)
        sizes = seen.page.evaluate(
            """() => [...document.querySelectorAll('.chart *, .waterfall *, td, th')]
            .filter((each) => each.checkVisibility() && each.children.length === 0)
            .filter((each) => each.textContent.trim() && !each.closest('svg'))
            .map((each) => parseFloat(getComputedStyle(each).fontSize))"""
        )
        assert len(sizes) > 50
        assert min(sizes) >= MIN_TEXT_PIXELS
        clipped = """() => [...document.querySelectorAll('table')].filter((each) =>
            each.scrollWidth > each.parentElement.clientWidth + 1).length"""
        assert seen.page.evaluate(clipped) == 0


def test_a_printed_page_bears_its_date(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        opened(seen.page, site)
        seen.page.emulate_media(media="print")
        expect(seen.page.locator(".printed")).to_be_visible()
        expect(seen.page.locator(".printed")).to_contain_text(re.compile(r"As of \d{4}-\d\d-\d\d"))


def test_a_request_is_copied_without_its_token(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened(seen.page, site)
        seen.page.locator("#run-current-user .curl summary").click()
        seen.page.locator("#run-current-user button[data-copy]").click()
        expect(seen.page.locator("#run-current-user button[data-copy]")).to_have_text("Copied")
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith('curl --include --header "Authorization: Bearer $TOKEN" https://')


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "size"), [("1280", WIDE), ("390", NARROW)])
def test_everybody_can_read_it(
    site: LiveSite, chromium: Browser, width: str, size: dict[str, int], scheme: str
) -> None:
    with watched(chromium, site.url, viewport=size, color_scheme=scheme) as seen:
        opened(seen.page, site)
        seen.check()
        seen.keep(f"tenant-{width}-{scheme}")
        seen.open("/incidents")
        over = seen.page.locator("tbody tr", has_text="acme-prod", has_not_text="ongoing")
        seen.check()
        over.first.locator("a").first.click()
        expect(seen.page.locator("h1")).to_contain_text("acme-prod")
        finding = seen.page.locator("#supplier-account strong")
        expect(finding).to_contain_text(re.compile(r"an incident 1\d min .* after this began"))
        expect(seen.page.locator("#feed-state")).to_have_text("Live")
        seen.check()
        seen.keep(f"incident-{width}-{scheme}")
