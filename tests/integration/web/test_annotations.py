"""Notes on incidents and maintenance by hand: only for those who may, from our own pages."""

import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from prober.history.annotations import (
    MAX_NOTES,
    Annotations,
    AnnotationStore,
    IncidentNote,
    StartedMaintenance,
    read_annotations,
    write_annotations,
)
from prober.web.auth import AccessPolicy
from prober.web.context import WebContext
from tests.integration.web.app_factory import HOSTILE, NOW, Installation, served

INCIDENT = f"acme.{NOW - 300:.0f}.platform"
PAGE = f"/incidents/{INCIDENT}"


class Annotated:
    """An installation with forms on its pages, and what was started by them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[StartedMaintenance] = []

    def site(self) -> WebContext:
        return replace(
            Installation(self.directory).site(),
            annotations=AnnotationStore(self.directory),
            start_maintenance=self.started.append,
        )


async def token(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as response:
        found = re.search(r'name="csrf_token" value="([^"]+)"', await response.text())
    assert found is not None
    return found[1]


async def test_a_note_is_shown_and_kept(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        form = {"csrf_token": await token(client, PAGE), "text": HOSTILE, "acknowledge": "1"}
        headers = {"Authorization": aiohttp.encode_basic_auth("alice", "secret")}
        async with client.post(f"{PAGE}/notes", data=form, headers=headers) as response:
            assert response.status == 200
            assert response.url.path == PAGE
            text = await response.text()
        assert "<strong>alice</strong>" in text
        assert "<em>acknowledged</em>" in text
        assert HOSTILE not in text
    [note] = read_annotations(tmp_path).notes
    assert note == IncidentNote(INCIDENT, NOW, "alice", HOSTILE, acknowledges=True)


async def test_maintenance_begins_now_and_has_an_end(tmp_path: Path) -> None:
    annotated = Annotated(tmp_path)
    async with served(annotated.site()) as client:
        form = {"csrf_token": await token(client, "/tenants/acme"), "minutes": "60"}
        async with client.post("/tenants/acme/maintenance", data=form) as response:
            assert response.url.path == "/tenants/acme"
    started = StartedMaintenance("acme", NOW, NOW + 3600, "unknown")
    assert annotated.started == [started]
    assert read_annotations(tmp_path).maintenance == (started,)


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        (f"{PAGE}/notes", {"csrf_token": "wrong"}, 403),
        (f"{PAGE}/notes", {"text": ""}, 400),
        ("/incidents/acme.1.platform/notes", {}, 404),
        ("/tenants/acme/maintenance", {"minutes": "99999"}, 400),
        ("/tenants/acme/maintenance", {"minutes": "-1"}, 400),
        ("/tenants/nobody/maintenance", {"minutes": "1"}, 404),
    ],
)
async def test_what_is_wrong_changes_nothing(
    tmp_path: Path, path: str, changes: dict[str, str], status: int
) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        form = {"csrf_token": await token(client, PAGE), "text": "a", **changes}
        async with client.post(path, data=form) as response:
            assert response.status == status
    assert read_annotations(tmp_path) == Annotations()


async def test_another_site_cannot_send_the_form(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        form = {"csrf_token": await token(client, PAGE), "text": "a"}
        headers = {"Origin": "https://evil.example"}
        async with client.post(f"{PAGE}/notes", data=form, headers=headers) as response:
            assert response.status == 403


async def test_who_is_not_known_may_write_nothing(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site(), AccessPolicy()) as client:
        form = {"csrf_token": await token(client, PAGE), "text": "a"}
        async with client.post(f"{PAGE}/notes", data=form) as response:
            assert response.status == 403


async def test_without_the_setting_there_is_no_form(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        async with client.get(PAGE) as response:
            assert "<form" not in await response.text()
        async with client.post(f"{PAGE}/notes", data={"text": "a"}) as response:
            assert response.status == 403
            assert "web.enable_annotations" in await response.text()


def test_of_too_many_notes_the_oldest_are_left_out(tmp_path: Path) -> None:
    annotations = Annotations()
    for number in range(MAX_NOTES + 5):
        annotations = annotations.with_note(IncidentNote("a.1.platform", number, "b", "c"))
    write_annotations(tmp_path, annotations)
    assert [each.at for each in read_annotations(tmp_path).notes][:1] == [5]


def test_a_damaged_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text("{")
    assert read_annotations(tmp_path) == Annotations()


async def test_links_lead_to_other_pages_on_the_tenant(tmp_path: Path) -> None:
    links = {"Grafana": "https://grafana.example/d/t?var-tenant={tenant}&e={environment}"}
    site = replace(Installation(tmp_path).site(), links=links)
    async with served(site) as client, client.get("/tenants/acme") as response:
        expected = 'href="https://grafana.example/d/t?var-tenant=acme&amp;e=production"'
        assert expected in await response.text()


async def test_everything_is_below_the_route_prefix(tmp_path: Path) -> None:
    site = replace(Annotated(tmp_path).site(), route_prefix="/tools/prober")
    async with served(site) as client:
        async with client.get("/") as response:
            assert response.url.path == "/tools/prober/"
            text = await response.text()
        addresses = re.findall(r'(?:href|src|action|data-live)="(/[^"]*)"', text)
        assert addresses
        for address in addresses:
            assert address.startswith("/tools/prober/")
            if "/live" not in address:
                async with client.get(address) as response:
                    assert response.status == 200, address
        for path, status in (
            ("/tools/prober/-/healthy", 200),
            ("/-/healthy", 200),
            ("/tools/prober/api/v1/tenants", 200),
            ("/tools/prober/api/v1/nothing", 404),
            ("/tools/prober/nothing", 404),
            ("/api/v1/tenants", 404),
        ):
            async with client.get(path) as response:
                assert response.status == status, path
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        async with client.get(f"/tools/prober{PAGE}") as response:
            assert f'action="/tools/prober{PAGE}/notes"' in await response.text()
