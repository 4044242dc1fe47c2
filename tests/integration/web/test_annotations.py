"""Notes on incidents and maintenance by hand: only for those who may, from our own pages."""

import re
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

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
from tests.integration.web.app_factory import HOSTILE, NOW, OPEN, Installation, served

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
        ("/tenants/missing/maintenance", {"minutes": "1"}, 404),
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


NOTES_API, MAINTENANCE_API = f"/api/v1{PAGE}/notes", "/api/v1/tenants/acme/maintenance"


async def test_a_program_adds_a_note(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        headers = {"Authorization": aiohttp.encode_basic_auth("robot", "secret")}
        body = {"text": "seen", "acknowledge": True}
        async with client.post(NOTES_API, json=body, headers=headers) as response:
            assert response.status == 201
            document = await response.json()
        async with client.get(f"/api/v1{PAGE}") as response:
            assert (await response.json())["notes"] == [document]
    assert document == {
        "incident": INCIDENT,
        "at": NOW,
        "author": "robot",
        "text": "seen",
        "acknowledges": True,
    }
    [note] = read_annotations(tmp_path).notes
    assert note == IncidentNote(**document)


async def test_a_program_starts_and_ends_maintenance(tmp_path: Path) -> None:
    annotated = Annotated(tmp_path)
    async with served(annotated.site()) as client:
        for minutes in (90, 0):
            async with client.post(MAINTENANCE_API, json={"minutes": minutes}) as response:
                assert response.status == 200
                document = await response.json()
            assert document["ends_at"] - document["started_at"] == minutes * 60
    assert [each.ends_at - NOW for each in annotated.started] == [5400, 0]
    [kept] = read_annotations(tmp_path).maintenance
    assert kept.ends_at == NOW


WRONG_BODIES = (
    (NOTES_API, b"", 400, "body: "),
    (NOTES_API, b"{", 400, "body: "),
    (NOTES_API, b"[]", 400, "body: "),
    (NOTES_API, b"null", 400, "body: "),
    (NOTES_API, b"\xff", 400, "body: "),
    (NOTES_API, b"[" * 50_000, 400, "body: "),
    (NOTES_API, b"{}", 400, "write a note"),
    (NOTES_API, b'{"text": "\\u0000\\u202e\\u200b "}', 400, "write a note"),
    (NOTES_API, b'{"text": "\\ud800"}', 400, ""),
    (NOTES_API, b'{"text": 1}', 400, "text: "),
    (NOTES_API, b'{"text": null}', 400, "text: "),
    (NOTES_API, b'{"text": "a", "acknowledge": "1"}', 400, "acknowledge: "),
    (NOTES_API, b'{"text": "a", "author": "root"}', 400, "author: "),
    (NOTES_API, b'{"text": "' + b"x" * 2001 + b'"}', 400, "text: "),
    (NOTES_API, b'{"text": "' + b"x" * 70_000 + b'"}', 413, "too large"),
    ("/api/v1/incidents/acme.1.platform/notes", b'{"text": "a"}', 404, "no incident"),
    ("/api/v1/incidents/..%2f..%2fetc/notes", b'{"text": "a"}', 400, "incident: "),
    ("/api/v1/incidents/acme/notes", b'{"text": "a"}', 400, "incident: "),
    (MAINTENANCE_API, b"{}", 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": -1}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": 10081}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": 1e999}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": NaN}', 400, ""),
    (MAINTENANCE_API, b'{"minutes": ' + b"9" * 5000 + b"}", 400, ""),
    (MAINTENANCE_API, b'{"minutes": 1.5}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": "5"}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": true}', 400, "minutes: "),
    (MAINTENANCE_API, b'{"minutes": 5, "tenant": "beta"}', 400, "tenant: "),
    ("/api/v1/tenants/missing/maintenance", b'{"minutes": 5}', 404, "no tenant"),
    ("/api/v1/tenants/missing/maintenance", b"{", 404, "no tenant"),
)


async def test_a_wrong_body_changes_nothing_and_is_named(tmp_path: Path) -> None:
    annotated = Annotated(tmp_path)
    headers = {"Content-Type": "application/json"}
    async with served(annotated.site()) as client:
        for path, body, status, says in WRONG_BODIES:
            url = URL(path, encoded=True)
            async with client.post(url, data=body, headers=headers) as response:
                assert response.status == status, body[:99]
                error = (await response.json())["error"]
            assert says in error
            assert len(error) < 300
    assert annotated.started == []
    assert read_annotations(tmp_path) == Annotations()


OTHER_SITES = (
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=a"}, 415),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Host": "evil.example"}, 403),
)


async def test_another_site_can_use_no_operation(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        for path, body in ((NOTES_API, b'{"text": "a"}'), (MAINTENANCE_API, b'{"minutes": 5}')):
            for headers, status in OTHER_SITES:
                sent = {"Content-Type": "application/json", **headers}
                async with client.post(path, data=body, headers=sent) as response:
                    assert response.status == status, headers
    assert read_annotations(tmp_path) == Annotations()


async def test_operations_need_a_user_and_the_setting(tmp_path: Path) -> None:
    annotated = Annotated(tmp_path).site()
    for site, access in (
        (annotated, AccessPolicy()),
        (replace(annotated, annotations=None), OPEN),
    ):
        async with served(site, access) as client:
            for path, body in ((NOTES_API, {"text": "a"}), (MAINTENANCE_API, {"minutes": 1})):
                async with client.post(path, json=body) as response:
                    assert response.status == 403
    assert read_annotations(tmp_path) == Annotations()


async def test_what_cannot_be_saved_is_not_done_and_said(tmp_path: Path) -> None:
    annotated = Annotated(tmp_path)
    (tmp_path / "annotations.new").mkdir()  # in the way of the new file
    async with served(annotated.site()) as client:
        for path, body in ((NOTES_API, {"text": "a"}), (MAINTENANCE_API, {"minutes": 1})):
            async with client.post(path, json=body) as response:
                assert response.status == 503
                assert "was not saved: " in (await response.json())["error"]
        async with client.get(f"/api/v1{PAGE}") as response:
            assert (await response.json())["notes"] == []
    assert annotated.started == []


async def test_what_could_not_be_read_at_the_start_is_not_overwritten(tmp_path: Path) -> None:
    known = Annotations().with_note(IncidentNote("a.1.platform", 1.0, "b", "c"))
    write_annotations(tmp_path, known)
    store = AnnotationStore(tmp_path)  # `load` has failed, or was not called
    await store.add_note(IncidentNote("a.1.platform", 2.0, "b", "d"))
    assert [each.text for each in read_annotations(tmp_path).notes] == ["c", "d"]


def test_as_many_notes_as_are_kept_can_be_read_again(tmp_path: Path) -> None:
    note = IncidentNote("a" * 63 + ".1.platform", 1.0, "\U0001f600" * 80, "\U0001f600" * 2000)
    write_annotations(tmp_path, Annotations((note,) * MAX_NOTES))
    assert len(read_annotations(tmp_path).notes) == MAX_NOTES


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("text", ["a", "b"]),
        ("acknowledge", ["1", "1"]),
        ("csrf_token", None),
        ("text", ["x" * 2001]),
    ],
)
async def test_a_form_with_repeated_or_long_fields_is_refused(
    tmp_path: Path, field: str, values: list[str] | None
) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        right = await token(client, PAGE)
        fields = {"csrf_token": [right], "text": ["a"], "acknowledge": ["1"]}
        fields[field] = ["wrong", right] if values is None else values
        form = [(name, value) for name, found in fields.items() for value in found]
        async with client.post(f"{PAGE}/notes", data=form) as response:
            assert response.status in {400, 403}
    assert read_annotations(tmp_path) == Annotations()


async def test_a_file_in_place_of_a_text_is_refused(tmp_path: Path) -> None:
    async with served(Annotated(tmp_path).site()) as client:
        form = aiohttp.FormData({"csrf_token": await token(client, PAGE)})
        form.add_field("text", b"a file", filename="a.txt")
        async with client.post(f"{PAGE}/notes", data=form) as response:
            assert response.status == 400
    assert read_annotations(tmp_path) == Annotations()


async def test_an_author_is_one_short_line(tmp_path: Path) -> None:
    names = ("", "\u202e\u200bevil", "a\x00b\x1b[31m", "x" * 5000, "<b>")
    async with served(Annotated(tmp_path).site()) as client:
        for name in names:
            headers = {"Authorization": "Basic " + b64encode(f"{name}:s".encode()).decode()}
            async with client.post(NOTES_API, json={"text": "a"}, headers=headers) as response:
                assert response.status == 201
        async with client.get(PAGE) as response:
            assert "<b>" not in await response.text()
    notes = read_annotations(tmp_path).notes
    assert len(notes) == len(names)
    for note in notes:
        assert note.author.isprintable()
        assert len(note.author) <= 80
