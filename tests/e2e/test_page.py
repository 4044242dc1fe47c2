"""The pages in a real browser, over the demo: they live, show what is wrong, and ask nobody else.

PICTURES_DIRECTORY=DIRECTORY keeps pictures of them there: see `make pictures`.
"""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.history_fixture import write_a_day
from tests.e2e.watched_page import NARROW, watched
from tests.integration.web.test_openapi import ask_everything
from tests.programs import get, started

SPEED = 4.0
WHOLE_SCENARIO_MS = 240_000
_WATCH = """() => {
  window.seen = new Set();
  setInterval(() => document.querySelectorAll('.trouble').forEach((each) => window.seen.add(
    each.id + ': ' + each.querySelector('.words').textContent)), 50);
}"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("demo")
    write_a_day(directory / "state", time.time())
    arguments = ("demo", "--port", "0", "--speed", str(SPEED), "--directory", str(directory))
    where = r"page +(http://\S+[^/\s])/"
    with started(*arguments, until=where, log=directory / "out") as (_, url):
        yield url


def test_verdicts_change_live_and_name_the_culprit(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo) as seen:
        seen.open("/")
        seen.page.evaluate(_WATCH)
        for words in (
            r"trouble-acme-prod: network path slow: \d+ ms",
            r"trouble-acme-dev: network path: connection refused on",
            r"trouble-acme-prod: platform: 500s on",
            r"trouble-legacy: token replaced elsewhere \((just now|\d+ s ago)\)",
        ):
            seen.page.wait_for_function(
                "words => [...window.seen].some((each) => new RegExp(words).test(each))",
                arg=words,
                timeout=WHOLE_SCENARIO_MS,
            )
        seen.keep("overview")
        reloads = "performance.getEntriesByType('navigation').length"
        assert seen.page.evaluate(reloads) == 1
        expect(seen.page.locator("#feed-state")).to_have_text("Live")
        expect(seen.page.locator("svg.strip")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_by_everybody(demo: str, chromium: Browser, scheme: str) -> None:
    number = re.search(r'href="(/failures/\d+)"', get(f"{demo}/tenants/acme-prod"))
    assert number is not None
    with watched(chromium, demo, color_scheme=scheme) as seen:
        for path in ("/", "/tenants/acme-prod?range=24h", "/incidents", number[1]):
            seen.open(path)
            expect(seen.page.locator("h1")).to_be_visible()
            seen.check()
        seen.open("/")
        seen.keep(f"overview-{scheme}")


def test_a_tenants_page_shows_where_the_time_went(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo) as seen:
        seen.open("/tenants/acme-prod?range=24h")
        expect(seen.page.locator(".waterfall").first).to_be_visible()
        expect(seen.page.locator(".chart path.line")).to_have_count(18)
        expect(seen.page.locator("svg.strip rect.platform").first).to_be_visible()
        expect(seen.page.get_by_text("Rule: ").first).to_be_visible()
        seen.keep("tenant", full=True)


def test_a_run_out_of_turn_shows_its_evidence(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo) as seen:
        seen.open("/tenants/acme-prod")
        seen.page.get_by_role("button", name="Run current-user now").click()
        expect(seen.page.locator("h1")).to_have_text("acme-prod/current-user, run now")
        expect(seen.page.locator(".waterfall")).to_be_visible()
        seen.check()


def test_without_a_script_it_only_does_not_move(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo, java_script_enabled=False) as seen:
        seen.open("/")
        expect(seen.page.locator("#list svg.strip")).to_have_count(3)
        expect(seen.page.locator("#feed-state")).to_have_text("Not live: reload to update.")
        seen.page.get_by_role("link", name="acme-prod").last.click()
        expect(seen.page.locator(".chart")).to_have_count(3)


def test_on_a_narrow_screen_nothing_hangs_over(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo, viewport=NARROW) as seen:
        for path in ("/", "/tenants/acme-prod", "/incidents"):
            seen.open(path)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert seen.page.evaluate(wide) <= 0, path
        seen.open("/")
        seen.keep("narrow")


def test_the_keyboard_reaches_everything(demo: str, chromium: Browser) -> None:
    with watched(chromium, demo) as seen:
        seen.open("/")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to content"
        for _ in range(40):
            seen.page.keyboard.press("Tab")
            if seen.page.evaluate("document.activeElement.textContent") == "acme-dev":
                break
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("h1")).to_contain_text("acme-dev")


def test_the_running_daemons_api_is_as_described(demo: str) -> None:
    ask_everything(demo, examples=5)
