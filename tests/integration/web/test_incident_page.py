"""An incident's page: what the supplier published, the alerts it explains, live updates."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prober.history.annotations import AnnotationStore, IncidentNote
from prober.history.reader import HistoryReader
from prober.history.writer import Entry, HistoryWriter, RunEntry
from prober.outcomes import Reason
from prober.render.overview import OverviewFilter
from prober.stats.aggregates import summarize
from prober.stats.incidents import Incident, IncidentId, read_incident_id
from prober.status_page import PublishedStatus, SupplierIncident, SupplierStatus
from prober.web.app import create_app
from prober.web.context import WebContext
from prober.web.live_views import TenantSubject
from prober.web.queries import ChartPeriod
from prober.web.sse import _BROADCASTER
from tests.integration.web.app_factory import HOSTILE, NOW, Installation, served
from tests.unit.metrics.factories import an_answer

INCIDENT = f"acme.{NOW - 300:.0f}.platform"
PAGE, API = f"/incidents/{INCIDENT}", f"/api/v1/incidents/{INCIDENT}"
STATUS_PAGE = "https://status.example"
PUBLISHED = SupplierIncident(
    "a1", f"Errors {HOSTILE}", "major", "investigating", NOW, f"{STATUS_PAGE}/incidents/a1", ()
)


def write(directory: Path, *entries: Entry) -> None:
    file = HistoryWriter.open(directory, lambda path, why: pytest.fail(f"{path}: {why}"))
    file.write(entries)
    file.close()


def read_from(at: float, until: float, *incidents: SupplierIncident) -> PublishedStatus:
    return PublishedStatus(NOW + at, NOW + until, STATUS_PAGE, None, incidents)


async def text_of(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path) as response:
        assert response.status == status
        return await response.text()


async def test_that_the_supplier_published_nothing_is_said(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    write(tmp_path, read_from(-900, 0))
    async with served(site) as client:
        text = await text_of(client, PAGE)
        document = json.loads(await text_of(client, API))
    finding = "The supplier published no incident during this time."
    assert finding in text
    assert "the supplier's status page has no incident" in text
    assert document["supplier"]["finding"] == finding
    assert document["supplier"]["published_after_seconds"] is None
    assert document["supplier"]["known_seconds"] == document["supplier"]["seconds"] == 240


async def test_what_the_supplier_published_is_shown_and_escaped(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    write(tmp_path, read_from(-900, -250), read_from(-200, 0, PUBLISHED))
    async with served(site) as client:
        text = await text_of(client, PAGE)
        document = json.loads(await text_of(client, API))
    assert HOSTILE not in text
    assert f'<a href="{STATUS_PAGE}/incidents/a1" rel="noopener noreferrer">Errors &lt;' in text
    assert document["supplier"]["published_after_seconds"] == 100
    assert document["supplier"]["incidents"][0]["name"] == PUBLISHED.name


async def test_without_reads_of_the_page_nothing_is_claimed(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    configured = replace(site, supplier=lambda: SupplierStatus(STATUS_PAGE))
    for each, expected in (
        (site, "It was not read during this incident (status_page)."),
        (configured, "It was not read during this incident."),
    ):
        async with served(each) as client:
            assert expected in await text_of(client, PAGE)
            assert json.loads(await text_of(client, API))["supplier"] is None


async def test_alerts_are_linked_to_their_runbooks(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    async with served(site) as client:
        text = await text_of(client, PAGE)
        [first, *_] = json.loads(await text_of(client, API))["alerts"]
    assert "ProberErrorBudgetBurnsFast, ProberErrorBudgetBurnsSlowly" in text
    assert first == {
        "name": "ProberErrorBudgetBurnsFast",
        "runbook_url": None,
        "needs_many": False,
    }
    async with served(replace(site, runbooks="https://runbooks.example/prober")) as client:
        link = "https://runbooks.example/prober/ProberErrorBudgetBurns/"
        assert f'<a href="{link}" rel="noopener noreferrer">ProberErrorB' in await text_of(
            client, PAGE
        )
        assert json.loads(await text_of(client, API))["alerts"][0]["runbook_url"] == link


async def test_other_pages_on_the_tenant_are_linked(tmp_path: Path) -> None:
    query = "https://prometheus.example/graph?g0.expr=ALERTS%7Btenant%3D%22{tenant}%22%7D&g0.tab=1"
    site = replace(Installation(tmp_path).site(), links={"Alerts": query})
    async with served(site) as client:
        assert "ALERTS%7Btenant%3D%22acme%22%7D&amp;g0.tab=1" in await text_of(client, PAGE)


@asynccontextmanager
async def watching(
    client: aiohttp.ClientSession, query: str
) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """Yield the events of a page that is watched."""
    async with client.get(f"/live?{query}") as response:
        assert response.status == 200

        async def events() -> AsyncIterator[tuple[str, Any]]:
            name = ""
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                if line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))

        yield events()


async def until_parts(events: AsyncIterator[tuple[str, Any]], *ids: str) -> dict[str, str]:
    """Return the parts that were sent once all of some ids are among them."""
    found: dict[str, str] = {}
    async for name, content in events:
        if name == "parts":
            found |= content["parts"]
        if set(ids) <= found.keys():
            return found
    pytest.fail(f"the stream has ended before {ids}")


def failed(seconds_ago: float) -> RunEntry:
    result = replace(an_answer(Reason.SERVER_ERROR, status=500), started_at=NOW - seconds_ago)
    return RunEntry(summarize(result), result)


class Watched(Installation):
    """An installation of which the clock goes on by itself, so that the history is read again."""

    def site(self, *, ad_hoc: bool = False, hosts: tuple[str, ...] = ()) -> WebContext:
        def now() -> float:
            self.now += 3.0
            return self.now

        return replace(super().site(ad_hoc=ad_hoc, hosts=hosts), now=now)


async def test_an_incidents_page_is_live(tmp_path: Path) -> None:
    installation = Watched(tmp_path)
    async with served(installation.site()) as client:
        assert f'data-live="/live?incident={INCIDENT}"' in await text_of(client, PAGE)
        async with watching(client, f"incident={INCIDENT}") as events:
            page = await text_of(client, PAGE)
            first = await until_parts(events, "incident-timeline", "incident-alerts", "title")
            assert all(f'id="{part}"' in page for part in first)
            write(tmp_path, failed(150), failed(140), read_from(-900, 0, PUBLISHED))
            installation.record(an_answer(Reason.SERVER_ERROR, status=500))
            changed = await until_parts(events, "supplier-account")
    assert "Errors &lt;script&gt;" in changed["supplier-account"]


async def test_a_note_made_elsewhere_is_sent_at_once(tmp_path: Path) -> None:
    store = AnnotationStore(tmp_path)
    site = replace(Installation(tmp_path).site(), annotations=store)
    async with served(site) as client, watching(client, f"incident={INCIDENT}") as events:
        await until_parts(events, "note-list")
        await store.add_note(IncidentNote(INCIDENT, NOW, "alice", HOSTILE))
        changed = await until_parts(events, "note-list")
    assert "alice" in changed["note-list"]
    assert HOSTILE not in changed["note-list"]


async def test_the_list_of_incidents_is_live(tmp_path: Path) -> None:
    installation = Watched(tmp_path)
    async with served(installation.site()) as client:
        page = await text_of(client, "/incidents?since=30d&tenant=acme&culprit=")
        assert 'data-live="/live?page=incidents&amp;since=30d&amp;tenant=acme"' in page
        async with watching(client, "page=incidents&since=30d&tenant=acme") as events:
            first = await until_parts(events, "incident-list")
            assert first["incident-list"].count("<tr id=") == 2
            bad = replace(an_answer(Reason.CLIENT_ERROR, status=400), started_at=NOW - 30)
            write(tmp_path, RunEntry(summarize(bad), bad))
            installation.record(bad)
            changed = await until_parts(events, "incident-list")
    assert changed["incident-list"].count("<tr id=") == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("incident=acme.1.platform", 404),
        ("incident=acme", 400),
        ("incident=", 400),
        ("incident=../../etc/passwd", 400),
        ("page=incidents&since=x", 400),
        ("page=incidents&bogus=1", 400),
        ("page=incidents&cursor=%00", 400),
    ],
)
async def test_what_cannot_be_watched_is_refused(tmp_path: Path, query: str, status: int) -> None:
    async with served(Installation(tmp_path).site()) as client:
        await text_of(client, f"/live?{query}", status)


async def test_without_a_history_there_is_no_incident_to_watch() -> None:
    async with served(Installation(None).site()) as client:
        await text_of(client, f"/live?incident={INCIDENT}", 404)


class SlowHistory(HistoryReader):
    """A history of which incidents are read only once a test allows it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.began, self.may_read = threading.Event(), threading.Event()

    def incident(self, wanted: IncidentId, since: float, until: float) -> Incident | None:
        self.began.set()
        self.may_read.wait(30)
        return super().incident(wanted, since, until)


async def test_nothing_is_kept_of_a_page_whose_last_client_left_while_it_was_read(
    tmp_path: Path,
) -> None:
    site = Installation(tmp_path).site()
    history = SlowHistory(tmp_path)
    app = create_app(replace(site, history=history))
    broadcaster, subject = app[_BROADCASTER], read_incident_id(INCIDENT)
    client = broadcaster.add(subject)
    try:
        await asyncio.to_thread(history.began.wait, 30)
        broadcaster.remove(subject, client)
        other = broadcaster.add(TenantSubject("acme", ChartPeriod("1h")))
        history.may_read.set()
        await anext(other.take())  # rendered after the page without clients
        assert subject not in broadcaster._views._pages
    finally:
        history.may_read.set()
        await broadcaster.close()


async def test_an_overview_does_not_wait_for_the_history(tmp_path: Path) -> None:
    history = SlowHistory(tmp_path)
    app = create_app(replace(Installation(tmp_path).site(), history=history))
    broadcaster = app[_BROADCASTER]
    broadcaster.add(read_incident_id(INCIDENT))
    try:
        await asyncio.to_thread(history.began.wait, 30)
        overview = broadcaster.add(OverviewFilter()).take()
        async with asyncio.timeout(30):
            names = [(await anext(overview)).plain.split(b"\n")[0] for _ in range(2)]
        assert names == [b"event: parts", b"event: tick"]
    finally:
        history.may_read.set()
        await broadcaster.close()


@pytest.mark.parametrize("query", ["", "tenant=acme", f"incident={INCIDENT}", "page=incidents"])
async def test_what_the_supplier_confirms_is_live_on_each_page(tmp_path: Path, query: str) -> None:
    statuses = [SupplierStatus(STATUS_PAGE, NOW)]
    site = replace(Installation(tmp_path).site(), supplier=lambda: statuses[-1])
    async with served(site) as client, watching(client, query) as events:
        first = await until_parts(events, "outside")
        assert " hidden>" in first["outside"]
        statuses.append(SupplierStatus(STATUS_PAGE, NOW, None, (PUBLISHED,)))
        changed = await until_parts(events, "outside")
        assert "supplier confirms since" in changed["outside"]
        assert HOSTILE not in changed["outside"]
        statuses.append(statuses[0])
        assert " hidden>" in (await until_parts(events, "outside"))["outside"]
