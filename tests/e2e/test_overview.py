"""The overview of 3, 60 and 300 tenants: those in trouble are found at a glance, whatever changes.

PICTURES_DIRECTORY=DIRECTORY keeps pictures of it there: see `make pictures`.
"""

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from prober.outcomes import Reason
from tests.e2e.fleet_site import Fleet, LiveSite, served
from tests.e2e.watched_page import NARROW, WIDE, watched

MAX_HTML_BYTES = 60_000
ROWS_PER_SCREEN = 40
MAX_SCRIPT_LINES = 250


@pytest.fixture(scope="module")
def many() -> Iterator[LiveSite]:
    with served(Fleet(300).with_trouble()) as site:
        yield site


@pytest.fixture
def few() -> Iterator[LiveSite]:
    with served(Fleet(8)) as site:
        yield site


def live(page: Page) -> None:
    expect(page.locator("#feed-state")).to_have_text("Live")


def fail_a_second_tenant(site: LiveSite) -> None:
    """Fail a tenant that is worse than `cust-003`."""
    site.do(lambda: site.fleet.fail("cust-004", Reason.SERVER_ERROR, 5))


def expect_the_second_tenant_first(page: Page) -> None:
    expect(page.locator("#trouble article").first).to_have_id("trouble-cust-004")


@contextmanager
def overview_in_trouble(site: LiveSite, chromium: Browser) -> Iterator[Page]:
    """Yield the live overview of a site where `cust-003` fails."""
    with watched(chromium, site.url) as seen:
        site.do(lambda: site.fleet.fail("cust-003", Reason.SERVER_ERROR, 1))
        seen.open("/")
        live(seen.page)
        yield seen.page


def names(page: Page, where: str = "#trouble") -> list[str]:
    return page.locator(f"{where} :is(h3, th) a").all_text_contents()


def test_those_in_trouble_are_found_without_scrolling(many: LiveSite, chromium: Browser) -> None:
    with watched(chromium, many.url) as seen:
        seen.open("/")
        assert names(seen.page) == ["cust-212", "cust-120", "cust-003", "cust-255"]
        for name in names(seen.page):
            box = seen.page.locator(f"#trouble-{name}").bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < WIDE["height"]
        expect(seen.page).to_have_title("(4) 4 of 300 tenants need attention (prober)")
        chips = seen.page.locator(".chip").all_text_contents()
        assert chips == [
            "2 credential",
            "1 platform",
            "1 network path",
            "296 OK",
        ]


def test_forty_rows_fit_on_a_screen(many: LiveSite, chromium: Browser) -> None:
    with watched(chromium, many.url) as seen:
        seen.open("/?state=ok")
        rows = seen.page.locator("#rows-production tr")
        first, last = rows.nth(0).bounding_box(), rows.nth(ROWS_PER_SCREEN).bounding_box()
        assert first is not None
        assert last is not None
        assert last["y"] < WIDE["height"]
        assert last["y"] - first["y"] <= ROWS_PER_SCREEN * 22


def test_the_page_is_small(many: LiveSite) -> None:
    request = Request(many.url, headers={"Accept-Encoding": "gzip"})
    with urlopen(request, timeout=30) as response:
        body = response.read()
    assert len(body) <= MAX_HTML_BYTES
    assert gzip.decompress(body).count(b"<tr id=") == 296


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=cust-12", ["cust-120"]),
        ("?culprit=platform", ["cust-003"]),
        ("?culprit=platform&culprit=network", ["cust-212", "cust-003"]),
        ("?environment=staging", []),
        ("?label.team=payments", ["cust-120", "cust-003", "cust-255"]),
        ("?state=failing&q=on+all", ["cust-212"]),
    ],
)
def test_a_filter_is_in_the_address_and_needs_no_script(
    many: LiveSite, chromium: Browser, query: str, expected: list[str]
) -> None:
    with watched(chromium, many.url, java_script_enabled=False) as seen:
        seen.open(f"/{query}")
        assert names(seen.page) == expected
        expect(seen.page.locator("h1")).to_have_text("4 of 300 tenants need attention")


def test_a_search_filters_while_one_types(many: LiveSite, chromium: Browser) -> None:
    with watched(chromium, many.url) as seen:
        seen.open("/")
        live(seen.page)
        seen.page.keyboard.press("/")
        expect(seen.page.locator("#search")).to_be_focused()
        seen.page.keyboard.type("cust-21 claims")
        expect(seen.page).to_have_url(re.compile(r"/\?q=cust-21\+claims$"))
        expect(seen.page.locator("#list tbody tr")).to_have_count(3)
        expect(seen.page.locator("#search")).to_be_focused()
        live(seen.page)
        seen.page.go_back()
        expect(seen.page.locator("#list tbody tr")).to_have_count(296)


def test_arrows_move_from_tenant_to_tenant(many: LiveSite, chromium: Browser) -> None:
    with watched(chromium, many.url) as seen:
        seen.open("/")
        seen.page.keyboard.press("/")
        for name in ("cust-212", "cust-120"):
            seen.page.keyboard.press("ArrowDown")
            expect(seen.page.get_by_role("link", name=name, exact=True)).to_be_focused()
        seen.page.keyboard.press("ArrowUp")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("h1")).to_contain_text("cust-212")


def test_any_column_sorts(many: LiveSite, chromium: Browser) -> None:
    with watched(chromium, many.url) as seen:
        seen.open("/?environment=development")
        for _, direction in ((1, "ascending"), (2, "descending")):
            heading = seen.page.locator("#group-development th", has_text="Server p95")
            heading.get_by_role("link").click()
            expect(heading).to_have_attribute("aria-sort", direction)
            texts = seen.page.locator("#rows-development td:nth-child(4)").all_text_contents()
            values = [float(text.split()[0]) for text in texts]
            assert values == sorted(values, reverse=direction == "descending")
        expect(seen.page).to_have_url(re.compile("sort=-server"))


def test_the_newest_trouble_comes_to_the_top(few: LiveSite, chromium: Browser) -> None:
    with watched(chromium, few.url) as seen:
        seen.open("/")
        live(seen.page)
        few.do(lambda: few.fleet.fail("cust-003", Reason.SERVER_ERROR, 1))
        expect(seen.page.locator("#trouble-cust-003")).to_be_visible()
        fail_a_second_tenant(few)
        expect_the_second_tenant_first(seen.page)
        assert names(seen.page) == ["cust-004", "cust-003"]
        assert "cust-004" not in names(seen.page, "tbody")
        expect(seen.page).to_have_title(re.compile(r"^\(2\) 2 of 8 tenants"))
        expect(seen.page.locator("#favicon")).to_have_attribute("href", re.compile("count=2"))
        for at in range(5):
            few.do(lambda at=at: few.fleet.succeed("cust-004", at))  # type: ignore[misc]
        expect(seen.page.locator("#row-cust-004")).to_be_visible()
        assert names(seen.page) == ["cust-003"]


def test_nothing_moves_under_the_pointer(few: LiveSite, chromium: Browser) -> None:
    with overview_in_trouble(few, chromium) as page:
        row = page.locator("#row-cust-005")
        row.hover()
        before = row.bounding_box()
        fail_a_second_tenant(few)
        expect(page.locator("h1")).to_have_text("2 of 8 tenants need attention")
        expect(page.locator("#waiting")).to_be_visible()
        assert row.bounding_box() == before
        page.mouse.move(600, 20)
        expect_the_second_tenant_first(page)
        expect(page.locator("#waiting")).to_be_hidden()


def test_the_focus_moves_with_its_tenant(few: LiveSite, chromium: Browser) -> None:
    with overview_in_trouble(few, chromium) as page:
        link = page.locator("#trouble-cust-003 h3 a")
        link.focus()
        fail_a_second_tenant(few)
        expect_the_second_tenant_first(page)
        expect(link).to_be_focused()


def test_a_group_that_was_folded_stays_so(few: LiveSite, chromium: Browser) -> None:
    with watched(chromium, few.url) as seen:
        seen.open("/")
        live(seen.page)
        seen.page.locator("#group-staging summary").click()
        few.do(lambda: few.fleet.fail("cust-002", Reason.SERVER_ERROR, 1))
        expect(seen.page.locator("#heading-staging")).to_contain_text("1 tenant")
        assert seen.page.locator("#group-staging").get_attribute("open") is None


def test_a_tenant_of_a_new_environment_appears(few: LiveSite, chromium: Browser) -> None:
    with watched(chromium, few.url) as seen:
        few.do(lambda: few.fleet.remove("cust-003"))
        few.do(lambda: few.fleet.remove("cust-007"))
        seen.open("/")
        live(seen.page)
        expect(seen.page.locator("#group-development")).to_have_count(0)
        few.do(lambda: few.fleet.add("cust-new", "development"))
        expect(seen.page.locator("#group-development")).to_contain_text("cust-new")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "size"), [("1280", WIDE), ("390", NARROW)])
@pytest.mark.parametrize("tenants", [3, 60, 300])
def test_everybody_can_read_it(
    chromium: Browser, tenants: int, width: str, size: dict[str, int], scheme: str
) -> None:
    with (
        served(Fleet(tenants).with_trouble()) as site,
        watched(chromium, site.url, viewport=size, color_scheme=scheme) as seen,
    ):
        seen.open("/")
        live(seen.page)
        seen.check()
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(wide) <= 0
        seen.keep(f"overview-{tenants}-{width}-{scheme}")


def test_the_scripts_are_short() -> None:
    scripts = files("prober.web").joinpath("static").iterdir()
    texts = [each.read_text() for each in scripts if each.name.endswith(".js")]
    assert sum(len(text.splitlines()) for text in texts) <= MAX_SCRIPT_LINES
