"""References and the supplier's status page: real requests, and what the daemon shows of them."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from prober.config.loader import load
from prober.daemon import Daemon
from prober.history.reader import HistoryReader
from tests.integration.daemons import Results, started, until, write_config

HOSTILE = "<script>alert(1)</script>"
INCIDENT = {
    "id": "a1",
    "name": f"Errors {HOSTILE}",
    "status": "investigating",
    "impact": "critical",
    "started_at": "2026-01-01T10:02:00Z",
    "shortlink": "https://stspg.io/a1",
    "components": [],
}


@dataclass
class Outside:
    """Servers of other parties, on one port: references, a status page, a portal."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    body: bytes = b'{"incidents": []}'

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        if request.path == "/portal":
            raise web.HTTPFound("http://portal.invalid/login")
        if request.path.startswith("/api/v2"):
            return web.Response(body=self.body, content_type="application/json")
        return web.Response(status=self.status, text="a body", headers={"Set-Cookie": "a=b"})

    def to(self, path: str) -> list[tuple[str, str, dict[str, str]]]:
        return [each for each in self.requests if each[1] == path]


@dataclass
class Installation:
    outside: Outside
    directory: Path
    url: str
    resources: AsyncExitStack
    results: Results = field(default_factory=Results)

    async def daemon(self, **parts: object) -> Daemon:
        """Start a daemon with a tenant that cannot be reached."""
        (self.directory / "token").write_text("a-secret-token")
        tenant = {
            "name": "acme",
            "base_url": "http://127.0.0.1:1",
            "token": {"file": "token"},
            "probes": ["datasets"],
        }
        defaults = {"interval": "1s", "timeout": "900ms", "proxy": "none"}
        file = write_config(self.directory, [tenant], defaults=defaults, **parts)
        return await started(file, self.results, self.resources)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    outside = Outside()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", outside.respond)
    async with AsyncExitStack() as resources:
        server = await resources.enter_async_context(TestServer(app))
        url = f"http://127.0.0.1:{server.port}"
        yield Installation(outside, tmp_path, url, resources)


async def got(daemon: Daemon, path: str) -> str:
    assert daemon.listening is not None
    async with (
        aiohttp.ClientSession() as session,
        session.get(daemon.listening.url + path) as response,
    ):
        assert response.status == 200
        return await response.text()


def metric(daemon: Daemon, name: str) -> list[str]:
    text = daemon.metrics.render(False).decode()
    return [line for line in text.splitlines() if line.startswith(name)]


async def test_references_are_asked_by_head_without_any_token(installation: Installation) -> None:
    references = [f"{installation.url}/a", f"{installation.url}/portal", "http://127.0.0.1:1/b"]
    daemon = await installation.daemon(references=references)
    await until(lambda: len(metric(daemon, "prober_reference_reachable{")) == 3)
    assert sorted(line[-3:] for line in metric(daemon, "prober_reference_reachable{")) == [
        "0.0",
        "0.0",
        "1.0",
    ]
    assert f'reference="{installation.url}/a"}} 1' in str(metric(daemon, "prober_reference_rea"))
    for path in ("/a", "/portal"):
        [(method, _, headers)] = installation.outside.to(path)
        assert method == "HEAD"
        assert not {"authorization", "cookie"} & {name.lower() for name in headers}
        assert headers["User-Agent"].startswith("prober/")
    assert "a-secret-token" not in str(installation.outside.requests)
    document = json.loads(await got(daemon, "/api/v1/outside"))
    problems = {each["url"].rpartition("/")[2]: each["problem"] for each in document["references"]}
    assert problems["a"] is None
    assert problems["portal"] == "redirects to another host, portal.invalid"
    assert problems["b"]
    assert "References: 1 of 3 reachable." in await got(daemon, "/")


@pytest.mark.parametrize(
    ("path", "evidence"),
    [
        ("/a", "at its edge, not in the prober's own network"),
        ("/portal", "so it is the prober's own network"),
    ],
)
async def test_a_verdict_on_the_network_names_the_references(
    installation: Installation, path: str, evidence: str
) -> None:
    daemon = await installation.daemon(references=[installation.url + path])
    await until(lambda: metric(daemon, "prober_reference_reachable{"))
    seen = len(installation.results.seen)
    await until(lambda: len(installation.results.seen) > seen)
    verdict = installation.results.seen[-1].verdict
    assert (verdict.reason, verdict.culprit) == ("connection_refused", "network")
    assert evidence in verdict.evidence


async def test_without_references_nothing_is_sent_or_exported(installation: Installation) -> None:
    daemon = await installation.daemon()
    await until(lambda: installation.results.seen)
    assert installation.outside.requests == []
    assert metric(daemon, "prober_reference") == []
    assert metric(daemon, "prober_status_page") == []
    assert json.loads(await got(daemon, "/api/v1/outside")) == {
        "supplier": None,
        "confirmation": None,
        "references": [],
    }
    assert 'id="outside" class="note" aria-label="Outside" hidden>' in await got(daemon, "/")


async def test_a_reload_adds_and_removes_references(installation: Installation) -> None:
    daemon = await installation.daemon(references=[f"{installation.url}/a"])
    await until(lambda: metric(daemon, "prober_reference_reachable{"))
    file = installation.directory / "prober.yaml"
    settings = yaml.safe_load(file.read_text())
    del settings["references"]
    file.write_text(yaml.safe_dump(settings))
    await daemon.apply(load(file))
    assert metric(daemon, "prober_reference_reachable{") == []


async def test_the_supplier_s_incidents_are_shown_and_escaped(installation: Installation) -> None:
    installation.outside.body = json.dumps({"incidents": [INCIDENT]}).encode()
    daemon = await installation.daemon(status_page=installation.url)
    name = "prober_status_page_incidents"
    await until(lambda: f'{name}{{impact="critical"}} 1.0' in metric(daemon, name))
    [start] = metric(daemon, "prober_status_page_incident_start_timestamp_seconds ")
    assert float(start.split()[1]) == 1_767_261_720.0
    assert metric(daemon, "prober_status_page_readable ") == ["prober_status_page_readable 1.0"]
    document = json.loads(await got(daemon, "/api/v1/outside"))
    assert document["confirmation"].startswith("supplier confirms since 2026-01-01 10:02 UTC: ")
    for path in ("/", "/tenants/acme"):
        page = await got(daemon, path)
        assert "supplier confirms since 2026-01-01 10:02 UTC" in page
        assert "&lt;script&gt;alert(1)" in page
        assert HOSTILE not in page
        assert f'href="{installation.url}/incidents/a1"' in page
        assert "stspg.io" not in page
    history = HistoryReader(installation.directory / "state")
    await until(lambda: history.published_statuses(0, 2e9))
    [published] = history.published_statuses(0, 2e9)
    assert [each.id for each in published.incidents] == ["a1"]
    [(_, path, headers)] = installation.outside.requests
    assert path == "/api/v2/summary.json"
    assert "authorization" not in {key.lower() for key in headers}


async def test_the_supplier_s_incidents_change_no_verdict(installation: Installation) -> None:
    installation.outside.body = json.dumps({"incidents": [INCIDENT]}).encode()
    daemon = await installation.daemon(status_page=installation.url)
    await until(lambda: metric(daemon, "prober_status_page_incident_start"))
    seen = len(installation.results.seen)
    await until(lambda: len(installation.results.seen) > seen)
    assert installation.results.seen[-1].verdict.culprit == "network"


async def test_an_incident_says_what_the_supplier_published_meanwhile(
    installation: Installation,
) -> None:
    daemon = await installation.daemon(status_page=installation.url)
    history = HistoryReader(installation.directory / "state")
    await until(lambda: history.published_statuses(0, 2e9) and history.streaks(0, 2e9))
    [listed] = json.loads(await got(daemon, "/api/v1/incidents"))["incidents"]
    document = json.loads(await got(daemon, f"/api/v1/incidents/{listed['id']}"))
    assert document["supplier"]["finding"].startswith("The supplier published no incident during")
    page = await got(daemon, f"/incidents/{listed['id']}")
    assert "The supplier published no incident during this time" in page


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[" * 10_000, b'{"incidents": 1}'])
async def test_a_page_that_cannot_be_read_says_nothing_of_incidents(
    installation: Installation, body: bytes
) -> None:
    installation.outside.body = body
    daemon = await installation.daemon(
        status_page={"url": installation.url, "components": ["Mining"]}
    )
    readable = "prober_status_page_readable"
    await until(lambda: metric(daemon, f"{readable} ") == [f"{readable} 0.0"])
    assert metric(daemon, "prober_status_page_incident") == []
    supplier: dict[str, Any] = json.loads(await got(daemon, "/api/v1/outside"))["supplier"]
    assert supplier["problem"]
    assert supplier["read_at"] is None
