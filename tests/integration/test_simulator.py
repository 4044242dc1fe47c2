"""The simulated platform through a plain client: tokens, permissions, both path forms, control."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import urlopen

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from prober.simulator.admin_api import create_admin_api
from prober.simulator.fixtures import identifier
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.scenario import read_scenario
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from prober.simulator.thread import SimulatorThread

TENANTS = (
    SimulatedTenant("acme", TenantAddress("acme", "prod"), user="a@acme.example"),
    SimulatedTenant("twin", TenantAddress("acme", "dev"), user="a@acme.example"),
    SimulatedTenant("legacy", TenantAddress(domain="legacy"), behind_proxy=True),
)
GETS = (
    "/auth/user",
    "/api/v1/datasets",
    "/api/v1/datasets/ops/mail",
    "/api/v1/datasets/ops%2Fmail",
    "/api/v1/datasets/id:{dataset}",
    "/api/v1/sources",
    "/api/v1/sources/ops%2Fmailbox/comments/c0ffee0123456789",
    "/api/v1/projects",
    "/api/v1/datasets/ops/mail/streams",
    "/api/v1/datasets/ops/mail/streams/triage/results?max_results=1",
    "/api/_private/datasets/ops/mail/labellers/status",
    "/api/_private/datasets/ops/mail/labellers/latest/validation",
    "/api/_private/buckets/id:{bucket}/keyed-sync-states/",
    "/api/_private/integrations",
    "/api/_private/quotas",
)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    config = SimulatorConfig(TENANTS, latency=Latency(0.0, 0.0), token_directory=tmp_path)
    async with Simulator(config) as started:
        yield started


Control: TypeAlias = TestClient[Request, Application]


async def ask(
    simulator: Simulator, tenant: str, path: str, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token or simulator.token(tenant)}"}
    url = simulator.base_url(tenant) + path
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        content = await response.json() if "json" in response.content_type else {}
        return response.status, content


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("tenant", ["acme", "legacy"])
async def test_every_read_is_answered(simulator: Simulator, tenant: str, path: str) -> None:
    ids = {kind: identifier(tenant, kind) for kind in ("dataset", "bucket")}
    status, content = await ask(simulator, tenant, path.format(**ids))
    assert (status, content["status"]) == (200, "ok")


async def test_a_new_token_kills_the_old_one_at_once_wherever_it_is_used(
    simulator: Simulator,
) -> None:
    old = simulator.token("acme")
    assert simulator.token("twin") == old
    new = simulator.regenerate("acme")
    assert new != old
    for tenant in ("acme", "twin"):
        assert (await ask(simulator, tenant, "/auth/user", old))[0] == 401
        assert (await ask(simulator, tenant, "/auth/user", new))[0] == 200


async def test_permissions_are_per_endpoint(simulator: Simulator) -> None:
    simulator.state.resources["acme"].permissions.deny(["View sources"])
    assert (await ask(simulator, "acme", "/api/v1/sources"))[0] == 403
    assert (await ask(simulator, "acme", "/api/v1/datasets"))[0] == 200


async def test_an_unknown_tenant_is_sent_to_the_portal(simulator: Simulator) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{simulator.url}/foo/bar/reinfer_/x", allow_redirects=False) as response,
    ):
        assert response.status == 302
        assert response.headers["Location"].startswith("/portal_/unregistered?")


@pytest.fixture
async def control(simulator: Simulator) -> AsyncIterator[Control]:
    async with TestClient(TestServer(create_admin_api(simulator))) as client:
        yield client


async def test_a_fault_can_be_asked_for_a_number_of_times(
    simulator: Simulator, control: Control
) -> None:
    wish = {"fault": "server_error", "tenant": "acme", "path": "/api/v1/d*", "times": 1}
    assert (await control.put("/faults", json=wish)).status == 200
    assert (await ask(simulator, "acme", "/api/v1/sources"))[0] == 200
    statuses = [(await ask(simulator, "acme", "/api/v1/datasets"))[0] for _ in range(2)]
    assert statuses == [500, 200]


async def test_the_control_api_does_the_rest(
    simulator: Simulator, control: Control, tmp_path: Path
) -> None:
    new = (await (await control.post("/tenants/acme/regenerate")).json())["token"]
    await control.post("/tenants/acme/deliver")
    assert (tmp_path / "acme.token").read_text().strip() == new
    assert (await control.put("/latency", json={"median_ms": 1})).status == 200
    denied = await control.put("/tenants/acme/denied", json={"permissions": ["View sources"]})
    assert (await denied.json())["acme"]["denied"] == ["View sources"]
    line = await control.put("/tenants/legacy/network", json={"delay_ms": 5, "cut": True})
    assert await line.json() == {"delay_ms": 5.0, "cut": True}
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(simulator, "legacy", "/auth/user")
    await control.put("/tenants/legacy/network", json={"cut": False})
    await ask(simulator, "legacy", "/auth/user")
    logged = (await (await control.get("/requests?tenant=legacy")).json())["requests"]
    assert [request["path"] for request in logged] == ["/auth/user"]
    assert simulator.token("legacy") not in str(logged)
    assert (await control.get("/")).status == 200


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"fault": "nonsense"}, 404),
        ({"fault": "html_502", "tenant": "nobody"}, 404),
        ({"fault": "certificate_expired"}, 400),
        ({"fault": "refused", "tenant": "acme"}, 400),
        ({"surprise": 1}, 400),
        ([], 400),
    ],
)
async def test_a_wish_that_cannot_be_is_told(control: Control, wish: object, status: int) -> None:
    response = await control.put("/faults", json=wish)
    assert response.status == status
    assert (await response.json())["error"]


async def test_a_page_in_a_browser_controls_nothing(control: Control) -> None:
    response = await control.post("/tenants/acme/regenerate", headers={"Origin": "http://evil"})
    assert response.status == 403


@pytest.mark.parametrize("text", ["title: [", "title: x", "title: x\nphases: []"])
def test_a_scenario_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"my\.yaml: "):
        read_scenario(text, "my.yaml")


async def test_a_simulator_in_a_thread_answers_while_the_loop_is_blocked() -> None:
    async with SimulatorThread(SimulatorConfig(TENANTS, latency=Latency(0.0, 0.0))) as platform:
        # Opening the address blocks this loop until the response is there.
        with pytest.raises(HTTPError, match="403") as refused:
            urlopen(f"{platform.simulator.base_url('acme')}/api/v1/datasets", timeout=60)  # noqa: ASYNC210
        refused.value.close()
        await platform.run(platform.simulator.proxy("legacy").cut())
        assert platform.simulator.proxy("legacy").is_cut
