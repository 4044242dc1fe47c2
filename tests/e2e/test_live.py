"""What a page says of itself is true: "Live" only while it is, and everything on it then moves."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from prober.history.annotations import IncidentNote
from prober.outcomes import Reason
from tests.e2e.fleet_site import Fleet, LiveSite, served
from tests.e2e.watched_page import watched

FEED = re.compile(r"/live(\?.*)?$")
MISSED = "00:16"  # three ticks of five seconds, and a second


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LiveSite]:
    with served(Fleet(3, tmp_path, probes=3)) as site:
        yield site


def is_live(page: Page) -> None:
    expect(page.locator("#feed-state")).to_have_text("Live")
    expect(page.locator("body")).not_to_have_class(re.compile("stale"))


def is_not_live(page: Page) -> None:
    says = re.compile(r"^Not live since \d\d:\d\d:\d\dZ$")
    expect(page.locator("#feed-state")).to_have_text(says)
    expect(page.locator("body")).to_have_class(re.compile("stale"))
    expect(page.locator("#as-of")).to_contain_text(re.compile(r"^As of \d{4}-\d\d-\d\d"))


def test_the_part_with_the_focus_is_kept_up_to_date(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        seen.open("/tenants/cust-000")
        is_live(seen.page)
        summary = seen.page.locator("#run-datasets > summary")
        summary.click()
        expect(summary).to_be_focused()
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 3))
        expect(seen.page.locator("#now .words")).to_contain_text("platform: 500s on all 3 probes")
        expect(seen.page.locator("#run-datasets .evidence")).to_contain_text("server errors")
        expect(summary).to_be_focused()
        assert seen.page.locator("#run-datasets").get_attribute("open") is not None


def test_everything_on_a_tenants_page_moves(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        seen.open("/tenants/cust-000")
        is_live(seen.page)
        lines = seen.page.locator("#chart-datasets path.line.server.p50")
        before = lines.get_attribute("d")
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 3))
        site.do(lambda: site.fleet.succeed("cust-000", 1, server=0.9))
        page = seen.page
        expect(page).to_have_title(re.compile("^cust-000: platform: 500s on 2 of 3 probes"))
        expect(page.locator("#failure-list tbody tr")).to_have_count(3)
        expect(page.locator("#incident-list tbody tr")).to_have_count(1)
        expect(page.locator("#favicon")).to_have_attribute("href", re.compile("count=1"))
        expect(lines).not_to_have_attribute("d", before or "")
        site.do(lambda: site.fleet.fail("cust-000", Reason.TOKEN_REJECTED, 1))
        expect(page.locator("#now .numbers")).to_contain_text("rejected: replaced elsewhere")


def open_the_incident(page: Page, site: LiveSite) -> str:
    """Open the page of the only incident; return its id."""
    page.goto(f"{site.url}/incidents")
    page.locator("#incident-list tbody a").first.click()
    is_live(page)
    return page.url.rpartition("/")[2]


def test_everything_on_an_incidents_page_moves(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        page = seen.page
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 1))
        open_the_incident(page, site)
        now = page.locator("#incident-now")
        started = now.locator("dd").first.inner_text()
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 3))
        expect(now).to_contain_text("current-user, datasets, sources")
        expect(page.locator("#incident-failures li")).to_have_count(4)
        assert now.locator("dd").first.inner_text() == started
        for probe in range(3):
            site.do(lambda at=probe: site.fleet.succeed("cust-000", at))  # type: ignore[misc]
        expect(page).not_to_have_title(re.compile("ongoing"))
        expect(now.locator("strong")).to_have_text("over")


def test_the_list_of_incidents_moves(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        seen.open("/incidents")
        is_live(seen.page)
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 1))
        rows = seen.page.locator("#incident-list tbody tr")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("ongoing")


def test_a_note_of_somebody_else_appears_while_one_is_written(
    site: LiveSite, chromium: Browser
) -> None:
    with watched(chromium, site.url) as seen:
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 1))
        note = IncidentNote(open_the_incident(seen.page, site), 1.0, "alice", "seen by me")
        field = seen.page.get_by_label("Note", exact=True)
        field.fill("half a sen")
        site.wait_for(site.fleet.annotations.add_note(note))
        expect(seen.page.locator("#note-list")).to_contain_text("seen by me")
        expect(field).to_have_value("half a sen")
        expect(field).to_be_focused()


def test_an_incidents_page_that_hangs_is_not_live(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, may_fail=True) as seen:
        seen.page.clock.install()
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 1))
        open_the_incident(seen.page, site)
        site.hang()
        seen.page.clock.run_for(MISSED)
        is_not_live(seen.page)
        site.resume()


def test_a_selection_is_kept(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url) as seen:
        seen.open("/tenants/cust-000")
        is_live(seen.page)
        seen.page.evaluate(
            """() => { const text = document.querySelector('.address').firstChild;
            getSelection().setBaseAndExtent(text, 0, text, 12); }"""
        )
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 3))
        expect(seen.page.locator("#now .words")).to_contain_text("platform: 500s")
        assert seen.page.evaluate("getSelection().toString()") == "https://cust"


def test_a_prober_that_hangs_is_not_live(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, may_fail=True) as seen:
        seen.page.clock.install()
        seen.open("/")
        is_live(seen.page)
        site.hang()
        seen.page.clock.run_for(MISSED)
        is_not_live(seen.page)
        site.resume()
        seen.page.clock.run_for("00:30")
        is_live(seen.page)


@pytest.mark.parametrize("status", [502, 503, 401, 204])
def test_after_any_answer_it_connects_again(site: LiveSite, chromium: Browser, status: int) -> None:
    with watched(chromium, site.url, may_fail=True) as seen:
        refused: list[int] = []

        def refuse(route: Route) -> None:
            refused.append(status)
            route.fulfill(status=status, body="no")

        seen.page.clock.install()
        seen.page.route(FEED, refuse)
        seen.open("/")
        is_not_live(seen.page)
        for _ in range(600):  # requests are made and refused beside the page's clock
            if len(refused) > 1:
                break
            seen.page.clock.run_for("00:05")
            seen.page.wait_for_timeout(50)
        assert len(refused) > 1
        seen.page.unroute(FEED)
        seen.page.clock.run_for("01:00")
        is_live(seen.page)


def test_a_tenant_that_is_removed_is_not_live(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, may_fail=True) as seen:
        seen.open("/tenants/cust-001")
        is_live(seen.page)
        site.do(lambda: site.fleet.remove("cust-001"))
        is_not_live(seen.page)
        expect(seen.page.locator("#as-of")).to_contain_text("there is no tenant 'cust-001'")


def test_what_may_be_old_is_not_green(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, may_fail=True) as seen:
        seen.open("/tenants/cust-001")
        is_live(seen.page)
        ground = "getComputedStyle(document.querySelector('#now .verdict')).backgroundColor"
        green = seen.page.evaluate(ground)
        site.do(lambda: site.fleet.remove("cust-001"))
        is_not_live(seen.page)
        assert seen.page.evaluate(ground) != green
        seen.check()


def test_times_are_the_readers_own_or_utc(site: LiveSite, chromium: Browser) -> None:
    with watched(chromium, site.url, timezone_id="Asia/Kolkata") as seen:
        site.do(lambda: site.fleet.fail("cust-000", Reason.SERVER_ERROR, 1))
        seen.open("/tenants/cust-000")
        when = seen.page.locator("#failure-list time").first
        expect(when).to_have_text(re.compile(r"\d\d:\d\d:\d\d\+05:30$"))
        expect(when).to_have_attribute("title", re.compile("Z$"))
        seen.page.locator("#zone").click()
        expect(when).to_have_text(re.compile("Z$"))
        seen.page.reload()
        expect(when).to_have_text(re.compile("Z$"))
