import asyncio
import re
from pathlib import Path

import pytest

from prober.models import ProbeResult
from prober.web.actions import csrf_error
from tests.integration.web.app_factory import Installation, served

PAGE = "/tenants/acme/probes/datasets/run"
API = f"/api/v1{PAGE}"
JSON = {"Content-Type": "application/json"}


async def test_a_program_runs_a_probe_and_gets_its_document() -> None:
    installation = Installation(None)
    async with (
        served(installation.site(ad_hoc=True)) as client,
        client.post(API, json={}) as response,
    ):
        document = await response.json()
    assert response.status == 200
    assert (document["tenant"], document["verdict"]["reason"]) == ("acme", "ok")
    assert installation.asked == [("acme", "datasets")]


async def test_a_browser_runs_a_probe_by_the_form_on_the_page(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site(ad_hoc=True)) as client:
        text = await (await client.get("/tenants/acme")).text()
        assert f'action="{PAGE}"' in text
        word = re.search(r'name="csrf_token" value="([^"]+)"', text)
        assert word is not None
        async with client.post(PAGE, data={"csrf_token": word[1]}) as response:
            assert response.status == 200
            assert 'aria-label="time by phase' in await response.text()
        assert installation.asked == [("acme", "datasets")]


@pytest.mark.parametrize("word", ["", "guessed", "ä"])
async def test_a_form_of_another_page_is_refused(word: str) -> None:
    installation = Installation(None)
    site = installation.site(ad_hoc=True)
    async with served(site) as client, client.post(PAGE, data={"csrf_token": word}) as response:
        assert response.status == 403
    assert installation.asked == []


async def test_they_are_off_unless_enabled(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    async with served(installation.site()) as client:
        assert "<form" not in await (await client.get("/tenants/acme")).text()
        async with client.post(API, json={}) as response:
            assert response.status == 403
            assert "web.enable_run_now" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Host": "evil.example:9824"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_what_another_site_can_send_is_refused(headers: dict[str, str], status: int) -> None:
    installation = Installation(None)
    site = installation.site(ad_hoc=True)
    async with served(site) as client, client.post(API, data=b"{}", headers=headers) as response:
        assert response.status == status
    assert installation.asked == []


@pytest.mark.parametrize(
    ("host", "origin", "hosts", "allowed"),
    [
        ("127.0.0.1:9824", "http://127.0.0.1:9824", (), True),
        ("[::1]:9824", "http://[::1]:9824", (), True),
        ("localhost:9824", None, (), True),
        ("LOCALHOST", None, (), True),
        ("prober.example", "https://prober.example", (), False),
        ("prober.example", "https://prober.example", ("prober.example",), True),
        ("prober.example:9824", "http://prober.example:9824", ("prober.example",), True),
        ("127.0.0.1:9824", "http://127.0.0.1:8000", (), False),
        ("Prober.example", "https://prober.example", ("PROBER.example",), True),
        ("prober.example", "https://other.example", ("PROBER.example",), False),
        ("127.0.0.1:9824", "null", (), False),
        ("", None, (), False),
    ],
)
def test_a_browser_is_believed_only_by_a_name_that_is_ours(
    host: str, origin: str | None, hosts: tuple[str, ...], allowed: bool
) -> None:
    assert (csrf_error(host, origin, None, hosts) is None) is allowed


@pytest.mark.parametrize(
    "path", ["/tenants/nobody/probes/datasets/run", "/tenants/acme/probes/nothing/run"]
)
async def test_there_is_no_run_of_what_there_is_not(path: str) -> None:
    site = Installation(None).site(ad_hoc=True)
    async with served(site) as client, client.post(f"/api/v1{path}", json={}) as response:
        assert response.status == 404


async def test_while_starting_nothing_runs() -> None:
    installation = Installation(None)
    installation.is_ready = False
    async with (
        served(installation.site(ad_hoc=True)) as client,
        client.post(API, json={}) as response,
    ):
        assert response.status == 503


async def test_a_tenant_has_one_run_at_a_time() -> None:
    installation = Installation(None)
    begun, may_end = asyncio.Event(), asyncio.Event()
    at_once = installation.run_once

    async def slowly(tenant: str, probe: str) -> ProbeResult:
        begun.set()
        await may_end.wait()
        return await at_once(tenant, probe)

    installation.run_once = slowly  # type: ignore[method-assign]
    async with served(installation.site(ad_hoc=True)) as client:
        first = asyncio.create_task(client.post(API, json={}))
        await asyncio.wait_for(begun.wait(), 60)
        async with client.post(API, json={}) as response:
            assert response.status == 429
        may_end.set()
        assert (await first).status == 200
