from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prober.history.writer import HistoryWriter, RunEntry
from prober.outcomes import Culprit, Reason
from prober.stats.aggregates import summarize
from prober.web.app import create_app
from tests.integration.web.app_factory import HOSTILE, NOW, Installation, served
from tests.unit.metrics.factories import an_answer


async def asked(client: aiohttp.ClientSession, path: str, status: int = 200) -> Any:  # noqa: ANN401
    async with client.get(path) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        return await response.json()


async def test_the_overview_has_what_the_page_shows(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer(Reason.SERVER_ERROR, status=500))
    async with served(installation.site()) as client:
        overview = await asked(client, "/api/v1/overview")
        alone = await asked(client, "/api/v1/tenants/acme")
    acme, beta = overview["tenants"]
    assert acme == alone
    assert (acme["verdict"], acme["culprit"]) == ("platform: 500s on 1 of 2 probes", "platform")
    assert beta["is_known"] is False
    assert overview["prober"]["health"]["version"] == "1.2.3"
    assert len(acme["strip"]) == 96


async def test_tenants_in_short_have_pages(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        first = await asked(client, "/api/v1/tenants?limit=1")
        assert [each["name"] for each in first["tenants"]] == ["acme"]
        assert first["total"] == 2
        last = await asked(client, f"/api/v1/tenants?limit=1&cursor={first['next_cursor']}")
        assert [each["name"] for each in last["tenants"]] == ["beta"]
        assert last["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=failing", ["acme"]),
        ("culprit=platform&culprit=network", ["acme"]),
        ("culprit=network", []),
        ("q=BET", ["beta"]),
        ("environment=staging", []),
        ("label=team=payments", []),
    ],
)
async def test_tenants_can_be_filtered(tmp_path: Path, query: str, names: list[str]) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer(Reason.SERVER_ERROR, status=500))
    async with served(installation.site()) as client:
        for path in ("tenants", "overview"):
            found = await asked(client, f"/api/v1/{path}?{query}")
            assert [each["name"] for each in found["tenants"]] == names


async def test_failures_have_pages(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        path = "/api/v1/tenants/acme/failures?limit=1"
        first = await asked(client, path)
        last = await asked(client, f"{path}&cursor={first['next_cursor']}")
    assert [first["failures"][0]["number"], last["failures"][0]["number"]] == [2, 1]
    assert last["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "culprits"),
    [
        ("tenant=acme&culprit=platform", ["platform"]),
        ("tenant=beta", []),
        ("tenant=acme&tenant=beta", ["platform", "network"]),
        ("environment=staging", []),
        ("environment=production&culprit=network", ["network"]),
    ],
)
async def test_incidents_can_be_filtered(tmp_path: Path, query: str, culprits: list[str]) -> None:
    async with served(Installation(tmp_path).site()) as client:
        found = await asked(client, f"/api/v1/incidents?{query}")
    assert [each["culprit"] for each in found["incidents"]] == culprits


async def test_an_incident_has_what_belongs_to_it(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        [listed] = (await asked(client, "/api/v1/incidents?culprit=platform"))["incidents"]
        found = await asked(client, f"/api/v1/incidents/{listed['id']}")
    assert found["incident"]["id"] == listed["id"]
    assert [each["reason"] for each in found["failures"]] == ["server_error"]
    assert [each["reason"] for each in found["verdict_changes"]] == ["server_error", "ok"]


async def test_an_incident_has_the_failures_of_its_culprit(tmp_path: Path) -> None:
    failed = an_answer(Reason.CHECK_FAILED)
    by_platform = replace(
        failed, started_at=NOW - 200, verdict=replace(failed.verdict, culprit=Culprit.PLATFORM)
    )
    installation = Installation(tmp_path)
    file = HistoryWriter.open(tmp_path, lambda _path, _why: None)
    file.write([RunEntry(summarize(by_platform), by_platform)])
    file.close()
    async with served(installation.site()) as client:
        [listed] = (await asked(client, "/api/v1/incidents?culprit=platform"))["incidents"]
        found = await asked(client, f"/api/v1/incidents/{listed['id']}")
    assert [each["reason"] for each in found["failures"]] == ["server_error", "check_failed"]


async def test_long_documents_are_compressed(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        for path in ("/api/v1/overview", "/", "/api/v1/tenants/acme"):
            async with client.get(path, headers={"Accept-Encoding": "gzip"}) as response:
                assert response.headers["Content-Encoding"] == "gzip"
                packed = int(response.headers["Content-Length"])
                assert packed < len(await response.read()) / 2
            async with client.get(path, headers={"Accept-Encoding": "gzip;q=0"}) as response:
                assert "Content-Encoding" not in response.headers


async def test_everything_that_is_served_to_programs_is_described(tmp_path: Path) -> None:
    site = Installation(tmp_path).site()
    async with served(site) as client:
        described = (await asked(client, "/api/v1/openapi.json"))["paths"]
    pages = {"/", "/tenants/{tenant}", "/incidents", "/incidents/{incident}", "/failures/{number}"}
    pages |= {"/tenants/{tenant}/report"}
    forms = {"/tenants/{tenant}/probes/{probe}/run"}
    forms |= {"/incidents/{incident}/notes", "/tenants/{tenant}/maintenance"}
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in create_app(site).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    missing = {
        (method, path)
        for method, path in routes
        if path not in pages | forms
        and not path.startswith("/static")
        and method not in described.get(path, {})
    }
    assert missing == set()


async def test_series_have_every_probe(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        series = await asked(client, "/api/v1/tenants/acme/series?range=1h")
    assert series["probes"]["sources"]["points"] == []
    points = {point["start"]: point for point in series["probes"]["datasets"]["points"]}
    assert points[NOW - 600]["failures"] == 1
    assert points[NOW - 60]["server_p50_seconds"] == pytest.approx(0.25, rel=0.01)


async def test_failures_have_their_evidence(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        found = await asked(client, "/api/v1/tenants/acme/failures?since=24h&limit=1")
        [failure] = found["failures"]
        assert failure["document"]["verdict"]["evidence"] == HOSTILE
        assert failure == await asked(client, f"/api/v1/failures/{failure['number']}")


async def test_incidents_of_all_and_of_one(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        every = (await asked(client, "/api/v1/incidents"))["incidents"]
        assert [each["culprit"] for each in every] == ["platform", "network"]
        assert every[0]["duration_seconds"] == 240
        mine = (await asked(client, "/api/v1/tenants/acme/incidents"))["incidents"]
        assert mine == every
        assert (await asked(client, "/api/v1/tenants/beta/incidents"))["incidents"] == []


async def test_events_of_token_and_verdicts(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        events = await asked(client, "/api/v1/tenants/acme/events")
    assert [each["kind"] for each in events["token_events"]] == ["token_accepted"]
    assert [each["reason"] for each in events["verdict_changes"]] == ["ok", "server_error", "dns"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/v1/tenants/nobody", 404, "there are acme, beta"),
        ("/api/v1/tenants/acme/failures?probe=nothing", 404, "there are datasets, sources"),
        ("/api/v1/tenants/acme/failures?limit=0", 400, "limit: write a number from 1 to 200"),
        ("/api/v1/incidents?since=1.5d", 400, "write how long ago, such as 90m, 24h or 30d"),
        ("/api/v1/nothing", 404, "Not Found"),
        ("/api/v1/incidents?tenants=acme", 400, "tenants: is not a parameter; there are culprit,"),
        ("/api/v1/incidents?tenant=nobody", 404, "there are acme, beta"),
        ("/api/v1/incidents?culprit=me", 400, "culprit: must be one of"),
        ("/api/v1/prober?limit=2", 400, "limit: is not a parameter; there are none"),
        ("/api/v1/tenants?label=team", 400, "label: write NAME=VALUE"),
        ("/badge/nobody.svg", 404, "there are acme, beta"),
    ],
)
async def test_an_error_says_what_would_be_right(
    tmp_path: Path, path: str, status: int, says: str
) -> None:
    async with served(Installation(tmp_path).site()) as client:
        assert says in (await asked(client, path, status))["error"]


async def test_a_badge_may_stand_on_other_peoples_pages(tmp_path: Path) -> None:
    async with (
        served(Installation(tmp_path).site()) as client,
        client.get("/badge/acme.svg") as response,
    ):
        assert response.content_type == "image/svg+xml"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "waiting" in await response.text()
