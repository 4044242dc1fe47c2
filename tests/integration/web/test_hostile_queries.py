"""Odd queries, ids, hosts and stored texts: refused with a reason, or shown harmlessly."""

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from yarl import URL

from prober import sqlite
from prober.history.annotations import AnnotationStore
from prober.history.schema import FILE_NAME
from prober.status_page import SupplierStatus, parse_summary
from tests.integration.web.app_factory import HOSTILE, NOW, Installation, served

INCIDENT = f"acme.{NOW - 300:.0f}.platform"
ODD = (
    "%00", "%ff", "%ed%a0%80", "%u202e", "%E2%80%AE%E2%80%8B%EF%BB%BF", "%0d%0aSet-Cookie:%20a=b",
    quote(HOSTILE), "..%2f..%2fetc%2fpasswd", "%F0%9F%98%80", "x" * 199, "%25%32%35", "'\"%60%26",
)  # fmt: skip


async def got(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with client.get(URL(path, encoded=True), allow_redirects=False) as response:
        assert "Set-Cookie" not in response.headers
        return response.status, await response.text()


FILTERS = ("q", "environment", "label.team", "label.%00", "label.")


async def test_odd_filters_are_shown_harmlessly(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for value in ODD:
            for name in FILTERS:
                status, text = await got(client, f"/?{name}={value}")
                assert status == 200, (name, value)
                assert HOSTILE not in text


async def test_a_page_with_odd_filters_is_live(tmp_path: Path) -> None:
    pairs = [(name, value) for name, value in zip(FILTERS, ODD[-6:], strict=False)]
    query = "&".join(f"{name}={value}" for name, value in (*pairs, ("q", quote(HOSTILE))))
    async with served(Installation(tmp_path).site()) as client:
        _, text = await got(client, f"/?{query}")
        live = text.partition('data-live="')[2].partition('"')[0].replace("&amp;", "&")
        async with client.get(URL(live, encoded=True)) as response:
            assert response.status == 200
            event = await response.content.readuntil(b"\n\n")
    assert HOSTILE not in json.loads(event.partition(b"data: ")[2])["parts"]["bar"]


@pytest.mark.parametrize("name", ["state", "culprit", "sort", "bogus", "label"])
async def test_odd_choices_are_refused(tmp_path: Path, name: str) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for value in ODD:
            status, text = await got(client, f"/?{name}={value}")
            assert status == 400, value
            assert HOSTILE not in text


ADDRESSES = (
    *("/incidents/{}", "/tenants/{}", "/tenants/{}/report", "/failures/{}", "/badge/{}.svg"),
    *("/api/v1/incidents/{}", "/api/v1/tenants/{}", "/api/v1/failures/{}", "/static/{}"),
    *("/incidents?tenant={}", "/incidents?since={}", "/incidents?cursor={}"),
    *("/live?tenant={}", "/live?incident={}", "/tenants/acme?range={}"),
    *("/tenants/acme?from={}&until=9", "/api/v1/incidents?cursor={}"),
    "/api/v1/tenants/acme/failures?cursor={}",
)


async def test_odd_addresses_are_refused(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for address in ADDRESSES:
            for value in ODD:
                status, text = await got(client, address.format(value))
                is_filter = address.startswith("/incidents?tenant")
                assert status in ({200} if is_filter else {400, 403, 404}), (address, value)
                assert HOSTILE not in text
                assert "root:" not in text


REPEATED = (
    "/api/v1/tenants/acme/series?range=1h&range=24h",
    "/api/v1/incidents?since=1d&since=30d",
    "/api/v1/incidents?limit=1&limit=2",
    "/api/v1/tenants?q=acme&q=beta",
    "/api/v1/tenants?cursor=a&cursor=b",
    "/api/v1/tenants/acme/failures?probe=datasets&probe=sources",
    "/incidents?since=1d&since=30d",
    "/live?page=incidents&since=1d&since=30d",
    "/live?tenant=acme&tenant=beta",
    f"/live?incident={INCIDENT}&incident=beta.1.platform",
    "/tenants/acme?range=1h&range=24h",
    "/tenants/acme?from=1&until=999&from=2",
    "/tenants/acme/report?range=24h&range=7d",
    "/?sort=name&sort=state",
)


async def test_what_is_asked_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two would be meant? A program would take the other one's data for it."""
    site = replace(Installation(tmp_path).site(), report=lambda _tenant, _seconds: "")
    async with served(site) as client:
        for path in REPEATED:
            status, text = await got(client, path)
            assert status == 400, path
            assert "more than once" in text


async def test_all_words_of_a_search_count(tmp_path: Path) -> None:
    words = "+".join(["acme"] * 20 + ["nothing-like-it"])
    async with served(Installation(tmp_path).site()) as client:
        status, text = await got(client, f"/?q={words}")
        assert status == 200
        assert "No tenant matches" in text
        many = "&".join(f"q={'a+' * 90}a" for _ in range(20))
        assert (await got(client, f"/?{many}"))[0] == 400
        labels = "&".join(f"label.a{n}={n}" for n in range(200))
        assert (await got(client, f"/?{labels}"))[0] == 400


def change_evidence(directory: Path, evidence: str) -> None:
    connection = sqlite3.connect(directory / FILE_NAME)
    with connection:
        connection.execute("UPDATE failure_streak SET evidence = ?", (evidence,))
    connection.close()


@pytest.mark.parametrize(
    "evidence",
    [
        "\x00\x01\x0b\x1f\x7f\x85",
        "\ufffe\uffff",
        "]]>&<!--",
        "\u202e\u200b\u2028",
        "\U0001f600\U0010ffff",
    ],
)
async def test_feeds_are_valid_whatever_was_stored(tmp_path: Path, evidence: str) -> None:
    site = Installation(tmp_path).site()
    change_evidence(tmp_path, evidence)
    async with served(site) as client:
        async with client.get("/incidents.atom") as response:
            assert response.status == 200
            feed = ET.fromstring(await response.read())  # noqa: S314 -- our own
        assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == 2
        async with client.get("/incidents.json") as response:
            assert len((await response.json(content_type=None))["items"]) == 2


HOSTS = (
    *("a b", "[::1", 'a"><script>', "%00", "", "x" * 5000, "a:99999", "a:b", "ä", "user@host"),
    *("a/b", "a?b#c", "\t", ":", "[]", "a,b"),
)


@pytest.mark.parametrize(
    "path", ["/", "/incidents.atom", "/incidents.json", f"/incidents/{INCIDENT}"]
)
async def test_an_odd_host_does_no_harm(tmp_path: Path, path: str) -> None:
    async with served(Installation(tmp_path).site()) as client:
        port = (await client.get("/-/healthy")).url.port
        for host in HOSTS:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert answer.split(b" ", 2)[1] in {b"200", b"400", b"421"}, host
            assert b'"><script>' not in answer


async def test_a_history_that_is_locked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    site = replace(Installation(tmp_path).site(), annotations=AnnotationStore(tmp_path))
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    try:
        async with served(site) as client:
            paths = (f"/incidents/{INCIDENT}", "/incidents", "/incidents.atom", "/incidents.json")
            found = await asyncio.gather(*(got(client, path) for path in paths))
            api = f"/api/v1/incidents/{INCIDENT}/notes"
            async with client.post(api, json={"text": "a"}) as response:
                assert response.status == 503
    finally:
        connection.close()
    for status, text in found:
        assert status == 503
        assert "cannot read the history: database is locked" in text


@pytest.mark.parametrize(
    "started",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01",
        "1969-12-31T00:00:00Z",
    ],
)
async def test_a_start_before_all_time_breaks_no_page(tmp_path: Path, started: str) -> None:
    body = json.dumps({"incidents": [{"id": "a", "name": "b", "started_at": started}]}).encode()
    url = "https://status.example"
    status = SupplierStatus(url, NOW, None, parse_summary(body, (), NOW, url))
    site = replace(Installation(tmp_path).site(), supplier=lambda: status)
    async with served(site) as client:
        for path in ("/", "/tenants/acme", "/api/v1/outside", f"/incidents/{INCIDENT}"):
            assert (await got(client, path))[0] == 200


async def test_without_a_history_feeds_are_empty() -> None:
    async with served(Installation(None).site()) as client:
        for path in ("/incidents.atom", "/incidents.json", "/incidents"):
            assert (await got(client, path))[0] == 200
        for path in (f"/incidents/{INCIDENT}", f"/api/v1/incidents/{INCIDENT}"):
            assert (await got(client, path))[0] == 404


PATHS = (
    *("/", "/incidents", "/incidents.atom", "/incidents.json", "/favicon.svg", "/metrics"),
    *("/live", "/live?tenant=acme", "/live?page=incidents", f"/live?incident={INCIDENT}"),
    *("/tenants/acme", "/tenants/acme/report", "/tenants/missing", f"/incidents/{INCIDENT}"),
    *("/failures/2", "/badge/acme.svg", "/static/live.js", "/-/healthy", "/-/ready", "/nothing"),
    *("/api/v1/overview", "/api/v1/tenants/acme", "/api/v1/openapi.json", "/api/v1/nothing"),
)


async def answer(port: int | None, head: str) -> tuple[bytes, bytes]:
    """Return head and body of the response to a request that closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        start, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return start, body


async def test_a_head_has_no_body(tmp_path: Path) -> None:
    """On a connection that is used again, it would be read as the next response (RFC 9112, 6.3)."""
    site = replace(Installation(tmp_path).site(), report=lambda _tenant, _seconds: "a report")
    async with served(site) as client:
        port = (await client.get("/-/healthy")).url.port
        for path in PATHS:
            for encoding in ("", "\r\nAccept-Encoding: gzip"):
                start, body = await answer(port, f"HEAD {path} HTTP/1.1{encoding}")
                assert start.startswith(b"HTTP/1.1 "), path
                assert body == b"", path


@pytest.mark.parametrize(
    "target", ["//evil.example/", "http://evil.example/", "//evil.example/incidents.atom", "*"]
)
async def test_an_odd_target_leads_nowhere(tmp_path: Path, target: str) -> None:
    async with served(Installation(tmp_path).site()) as client:
        port = (await client.get("/-/healthy")).url.port
        start, _ = await answer(port, f"GET {target} HTTP/1.1")
    assert start.split(b" ")[1] in {b"200", b"400", b"404"}
    assert b"\r\nLocation:" not in start
