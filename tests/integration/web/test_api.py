from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prober.outcomes import Reason
from tests.integration.web.app_factory import HOSTILE, NOW, Installation, served
from tests.unit.metrics.factories import an_answer


async def asked(client: aiohttp.ClientSession, path: str, status: int = 200) -> Any:  # noqa: ANN401
    async with client.get(path) as answer:
        assert answer.status == status
        assert answer.content_type == "application/json"
        return await answer.json()


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
        client.get("/badge/acme.svg") as answer,
    ):
        assert answer.content_type == "image/svg+xml"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "waiting" in await answer.text()
