import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from prober.history.writer import HistoryWriter, RunEntry
from prober.models import Check, CheckKind, CheckResult
from prober.outcomes import Reason
from prober.stats.aggregates import summarize
from tests.integration.web.app_factory import ACME, BETA, HOSTILE, NOW, Installation, served
from tests.integration.web.connections import PATIENT_SECONDS
from tests.unit.metrics.factories import an_answer


async def page(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path) as response:
        assert response.status == status
        assert response.content_type == "text/html"
        return await response.text()


async def test_the_overview_has_every_tenant_with_its_verdict(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer(Reason.SERVER_ERROR, status=500))
    async with served(installation.site()) as client:
        text = await page(client, "/")
    assert "(1) 1 of 2 tenants needs attention (prober)</title>" in text
    assert text.index('id="trouble-acme"') < text.index('id="row-beta"')
    assert "platform: 500s on 1 of 2 probes" in text
    assert ">waiting</td>" in text
    assert 'class="strip"' in text


async def test_a_tenants_page_has_its_past(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer())
    async with served(installation.site()) as client:
        text = await page(client, "/tenants/acme?range=7d")
    for expected in (
        "latency of datasets: last: server half",
        "network path: DNS failure",
        "accepted",
    ):
        assert expected in text
    assert 'aria-label="time by phase' in text


async def test_own_time_is_beside_server_and_network_time(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer(server=0.25, network=0.0625, own=0.123))
    async with served(installation.site()) as client:
        text = await page(client, "/tenants/acme")
        async with client.get("/api/v1/tenants/acme") as response:
            document = await response.json()
    assert '<th scope="col" class="number">Own</th>' in text
    assert '<td class="number">123 ms</td>' in text
    assert "Server 250 ms, network 62.5 ms, own 123 ms, total 436 ms." in text
    [probe] = [each for each in document["probes"] if each["last_run"] is not None]
    assert probe["last_run"]["own_seconds"] == 0.123


async def test_what_a_server_said_cannot_act_on_a_page(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for path in ("/tenants/acme", "/incidents", "/failures/2"):
            text = await page(client, path)
            assert HOSTILE not in text
            assert "&lt;script&gt;alert(1)" in text


async def test_incidents_are_folded(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        text = await page(client, "/incidents?since=24h")
    assert text.count('<tr id="incident-') == 2
    assert "network path" in text


async def test_a_report_is_a_file(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()

    def make(tenant: str, seconds: float) -> str:
        return f"{tenant}, {seconds:.0f} s"

    async with served(replace(site, report=make)) as client:
        assert "/tenants/acme/report?range=30d" in await page(client, "/tenants/acme")
        async with client.get("/tenants/acme/report?range=7d") as response:
            assert await response.text() == "acme, 604800 s"
            found = response.headers["Content-Disposition"]
            assert found == 'attachment; filename="acme-7d.html"'
        await page(client, "/tenants/acme/report?range=2d", 400)
        await page(client, "/tenants/nobody/report", 404)
    async with served(site) as client:
        assert "/report?range" not in await page(client, "/tenants/acme")
        await page(client, "/tenants/acme/report", 404)


async def test_an_incident_has_an_address(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        listed = await page(client, "/incidents?since=24h&culprit=platform")
        [address] = re.findall(r'href="(/incidents/acme\.[^"]+)"', listed)
        text = await page(client, address)
    assert "acme: platform" in text
    assert "DNS failure → server errors" in text
    assert re.findall(r'href="(/failures/\d+)"', text) == ["/failures/2"]


async def test_a_tenant_in_trouble_leads_to_its_incident(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    ongoing = an_answer(Reason.SERVER_ERROR, status=500)
    ongoing = replace(ongoing, started_at=NOW - 30.5, probe="sources")
    file = HistoryWriter.open(tmp_path, lambda _path, _why: None)
    file.write([RunEntry(summarize(ongoing), ongoing)])
    file.close()
    installation.record(ongoing)
    async with served(installation.site()) as client:
        text = await page(client, "/")
        [address] = re.findall(r'href="(/incidents/[^"]+)">incident', text)
        assert "platform" in await page(client, address)


async def test_an_address_from_within_an_incident_leads_to_it(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        start = int(NOW - 300)
        async with client.get(f"/incidents/acme.{start + 30}.platform") as response:
            assert response.status == 200
            assert response.url.path == f"/incidents/acme.{start}.platform"
        for wrong, status in (("acme.1.platform", 404), ("acme", 400), ("acme.1.vendor", 400)):
            await page(client, f"/incidents/{wrong}", status)


async def test_incidents_can_be_filtered(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        text = await page(client, "/incidents?since=24h&tenant=beta&culprit=")
        assert 'id="incident-acme' not in text
        await page(client, "/incidents?state=failing", 400)


async def test_incidents_are_fed(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        async with client.get("/incidents.atom") as response:
            assert response.content_type == "application/atom+xml"
            feed = ET.fromstring(await response.read())  # noqa: S314 -- our own
        async with client.get("/incidents.json") as response:
            assert response.content_type == "application/feed+json"
            document = await response.json(content_type=None)
        titles = [each.text for each in feed.iter("{http://www.w3.org/2005/Atom}title")]
        assert titles[1:] == [each["title"] for each in document["items"]]
        assert titles[1] == "acme: platform: server errors, over"
        async with client.get(document["items"][0]["url"]) as response:
            assert response.status == 200


async def test_without_a_history_pages_say_so() -> None:
    async with served(Installation(None).site()) as client:
        assert "history.enabled" in await page(client, "/")
        assert "The history is disabled" in await page(client, "/tenants/acme")
        assert "the history is disabled" in await page(client, "/incidents")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/tenants/nobody", 404, "there is no tenant &#39;nobody&#39;; there are acme, beta"),
        ("/tenants/acme?range=2d", 400, "range: must be one of 1h, 24h, 7d, 30d"),
        ("/incidents?since=soon", 400, "since: write how long ago"),
        ("/failures/99", 404, "there is no failure 99"),
        ("/failures/one", 400, "number: write a number"),
        ("/nowhere", 404, "Not Found"),
    ],
)
async def test_a_wrong_address_says_what_there_is(
    tmp_path: Path, path: str, status: int, says: str
) -> None:
    async with served(Installation(tmp_path).site()) as client:
        assert says in await page(client, path, status)


async def test_every_answer_is_closed_to_other_sites(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for path in ("/", "/tenants/acme", "/static/live.js", "/api/v1/overview", "/metrics"):
            async with client.get(path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Frame-Options"] == "DENY"


def put_an_obstacle(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    (directory / "history.sqlite3").mkdir()


async def test_a_history_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    put_an_obstacle(tmp_path)
    async with served(site) as client:
        assert "cannot read the history" in await page(client, "/incidents", 503)
        async with client.get("/api/v1/incidents") as response:
            assert response.status == 503
            assert "cannot read the history" in (await response.json())["error"]
        await page(client, "/")


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Yield the name and the content of each event."""
    name = ""
    async for line in response.content:
        if line.startswith(b"event: "):
            name = line[7:].decode().strip()
        if line.startswith(b"data: "):
            yield name, json.loads(line[6:])


async def parts(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the next parts."""
    async with asyncio.timeout(PATIENT_SECONDS):
        async for name, content in events(response):
            if name == "parts":
                found: dict[str, str] = content["parts"]
                return found
    pytest.fail("the feed ended")


async def test_what_changes_is_sent_and_nothing_else(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site()) as client, client.get("/live") as feed:
        assert feed.content_type == "text/event-stream"
        assert {"title", "bar", "row-acme", "row-beta"} <= (await parts(feed)).keys()
        installation.now += 2
        installation.record(an_answer(Reason.SERVER_ERROR, status=500))
        changed = await parts(feed)
        assert "platform: 500s" in changed["trouble-acme"]
        assert "1 of 2 tenants needs attention" in changed["bar"]
        assert "row-beta" not in changed


async def test_the_order_is_sent_when_it_changes(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site()) as client, client.get("/live") as feed:
        async with asyncio.timeout(PATIENT_SECONDS):
            orders = [each["order"] async for each in parts_and_order(feed, 1)]
            assert orders == [{"trouble": [], "rows-production": ["row-acme", "row-beta"]}]
            installation.now += 2
            installation.record(an_answer(Reason.SERVER_ERROR, status=500))
            orders = [each["order"] async for each in parts_and_order(feed, 1)]
            assert orders == [{"trouble": ["trouble-acme"], "rows-production": ["row-beta"]}]


async def parts_and_order(
    response: aiohttp.ClientResponse, count: int
) -> AsyncIterator[dict[str, Any]]:
    async for name, content in events(response):
        if name == "parts":
            yield content
            count -= 1
            if not count:
                return


async def test_a_page_with_a_filter_gets_what_it_shows(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client, client.get("/live?q=bet") as feed:
        found = await parts(feed)
    assert "row-beta" in found
    assert "row-acme" not in found


async def test_each_client_is_sent_everything_first(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site()) as client, client.get("/live") as first:
        await parts(first)
        async with client.get("/live") as second:
            assert {"row-acme", "row-beta", "bar"} <= (await parts(second)).keys()


async def test_a_page_gets_a_tick_while_it_is_live(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with (
        served(installation.site()) as client,
        client.get("/live") as feed,
        asyncio.timeout(PATIENT_SECONDS),
    ):
        async for name, content in events(feed):
            if name == "tick":
                assert content == {"at": installation.now}
                return


async def test_without_the_history_a_tenants_page_gets_no_tick(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    put_an_obstacle(tmp_path)
    async with served(site) as client, client.get("/live?tenant=acme") as feed:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events(feed)), 2)


async def test_the_feed_is_compressed(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        async with client.get("/live", headers={"Accept-Encoding": "identity"}) as feed:
            assert "Content-Encoding" not in feed.headers
            plain = await parts(feed)
        async with client.get("/live", headers={"Accept-Encoding": "br, gzip"}) as feed:
            assert feed.headers["Content-Encoding"] == "gzip"
            assert (await parts(feed)).keys() == plain.keys()


async def test_a_tenants_page_is_live_too(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site()) as client, client.get("/live?tenant=acme") as feed:
        found = await parts(feed)
        assert "waiting for the first run" in found["now"]
        assert {"title", "run-datasets", "chart-datasets", "failure-list"} <= found.keys()
        installation.record(an_answer())
        assert "waiting for the first run" not in (await parts(feed))["probe-datasets"]
        async with client.get("/live?tenant=nobody") as response:
            assert response.status == 404


async def test_the_page_of_a_tenant_that_is_removed_is_gone(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    tenants = {"acme": ACME, "beta": BETA}
    site = replace(installation.site(), tenants=tenants)
    async with (
        served(site) as client,
        client.get("/live?tenant=beta") as feed,
        asyncio.timeout(PATIENT_SECONDS),
    ):
        await parts(feed)
        del tenants["beta"]
        async for name, content in events(feed):
            if name == "gone":
                assert "there is no tenant 'beta'" in content["text"]
                break


async def test_who_watches_does_not_hold_up_the_end() -> None:
    installation = Installation(None)
    async with asyncio.timeout(30):  # half of what aiohttp would wait
        async with served(installation.site()) as client:
            feed = await client.get("/live")
            await parts(feed)
        feed.close()


AGE = Check("age", CheckKind.TIMESTAMP, "at", each="rows", item="name", max_age_seconds=3600.0)


def aged(item: str, at: float, *, failed: bool = True) -> CheckResult:
    return CheckResult(AGE, item, at, failed, f"{item}: age: 3 h ago, limit 1 h")


def record_values(installation: Installation, directory: Path, *items: str) -> None:
    file = HistoryWriter.open(directory, lambda _path, _why: None)
    for minutes in (60, 30, 1):
        at = installation.now - 60 * minutes
        results = tuple(aged(item, at - 60 * minutes) for item in items)
        failed = an_answer(Reason.CHECK_FAILED)
        verdict = replace(failed.verdict, checks=results)
        result = replace(failed, started_at=at, verdict=verdict)
        file.write([RunEntry(summarize(result), result, checks=results)])
        installation.record(result)
    file.close()


async def test_a_tenants_page_has_the_values_of_its_checks(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    record_values(installation, tmp_path, "mailbox a@b")
    async with served(installation.site()) as client:
        text = await page(client, "/tenants/acme")
        async with client.get("/api/v1/tenants/acme/values?range=24h") as response:
            document = await response.json()
        async with client.get("/api/v1/tenants/acme") as response:
            status = await response.json()
    assert "mailbox a@b: age: 3 h ago, limit 1 h" in text
    assert 'aria-label="age mailbox a@b: from' in text
    (series,) = document["series"]
    assert (series["probe"], series["check"], series["item"]) == ("datasets", "age", "mailbox a@b")
    assert len(series["points"]) == 3
    (check,) = status["probes"][0]["checks"]
    assert (check["failed"], check["culprit"]) == (True, "tenant")
    assert status["verdict"] == "tenant's set-up: a check of the content failed on 1 of 2 probes"


async def test_names_of_items_cannot_act_on_a_page(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    record_values(installation, tmp_path, HOSTILE, '" onload="x')
    async with served(installation.site()) as client:
        text = await page(client, "/tenants/acme")
    assert HOSTILE not in text
    assert '" onload="x' not in text


async def test_of_many_values_a_page_shows_the_failed_ones_first(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    results = tuple(aged(f"item-{n}", 1.0, failed=n > 40) for n in range(50))
    failed = an_answer(Reason.CHECK_FAILED)
    installation.record(replace(failed, verdict=replace(failed.verdict, checks=results)))
    async with served(installation.site()) as client:
        text = await page(client, "/tenants/acme")
    assert "item-49: age" in text
    assert "item-30: age" not in text
    assert "and 30 more values" in text


async def test_a_page_without_checks_has_no_values(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        assert "Values in responses" not in await page(client, "/tenants/acme")
