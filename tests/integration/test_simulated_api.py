"""The simulated API as a client uses it: resources, permissions, streams, models, tokens.

`make vendor-check` makes the calls of the vendor's own library; here are those that need no cargo.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from prober.simulator.admin_api import create_admin_api
from prober.simulator.fixtures import COMMENT, identifier
from prober.simulator.platform import ROUTES, Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant

TENANTS = (SimulatedTenant("acme", TenantAddress("acme", "prod")),)
BUCKET = identifier("acme", "bucket")
UID = f"{identifier('acme', 'source')}.{COMMENT}"
StatusAndBody = tuple[int, dict[str, Any]]


@dataclass
class Client:
    """A client of the simulated tenant."""

    simulator: Simulator
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: object = None) -> StatusAndBody:
        headers = {"Authorization": f"Bearer {self.simulator.token('acme')}"}
        url = self.simulator.base_url("acme") + path
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, url, data=data, headers=headers) as response:
            content = await response.read()
            is_json = "json" in response.content_type
            return response.status, json.loads(content) if is_json and content else {"": content}

    async def get(self, path: str) -> dict[str, Any]:
        status, content = await self.ask("GET", path)
        assert status == 200, content
        return content

    async def until(self, method: str, path: str, key: str, length: int, body: object) -> list[Any]:
        """Ask until a list has a length."""
        async with asyncio.timeout(60):
            while True:
                _, content = await self.ask(method, path, body)
                found: list[Any] = content[key]
                if len(found) == length:
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    config = SimulatorConfig(TENANTS, latency=Latency(0.0, 0.0))
    async with Simulator(config) as simulator, aiohttp.ClientSession() as session:
        yield Client(simulator, session)


@pytest.fixture
async def control(client: Client) -> AsyncIterator[TestClient[Request, Application]]:
    async with TestClient(TestServer(create_admin_api(client.simulator))) as control:
        yield control


def comment(comment_id: str, text: str) -> dict[str, object]:
    timestamp = "2024-01-02T03:04:05Z"
    return {"id": comment_id, "timestamp": timestamp, "messages": [{"body": {"text": text}}]}


MISSING_BEFORE = (
    ("GET", "/api/_private/buckets/ops/inbox", "bucket"),
    ("GET", "/api/_private/buckets/ops%2Finbox", "bucket"),
    ("GET", f"/api/_private/buckets/id:{BUCKET}", "bucket"),
    ("GET", "/api/_private/buckets/ops", "buckets"),
    ("GET", "/api/_private/buckets/ops%2Finbox/statistics", "statistics"),
    ("GET", f"/api/_private/buckets/id:{BUCKET}/keyed-sync-states/", "keyed_sync_states"),
    ("GET", f"/api/_private/buckets/id:{BUCKET}/keyed-sync-states%2F", "keyed_sync_states"),
    ("GET", "/api/_private/sources/ops/mailbox/comments", "comments"),
    ("POST", "/api/_private/buckets/ops/inbox/emails", "emails"),
    ("POST", "/api/_private/buckets/ops/inbox/emails/query", "emails"),
    ("POST", "/api/_private/datasets/ops%2Fmail/statistics", "statistics"),
    ("GET", "/api/_private/integrations/ops%2Fexchange", "integration"),
    ("GET", "/api/_private/integrations/ops/exchange/errors", "errors"),
    ("GET", "/api/_private/integrations/ops", "integrations"),
    ("GET", "/api/_private/quotas/some-tenant-id", "quotas"),
    ("GET", "/api/_private/datasets/ops/mail/label-groups", "label_groups"),
    ("GET", "/api/v1/datasets/ops/mail/model-tags", "model_tags"),
    ("POST", "/api/_private/datasets/ops/mail/labellers", "labellers"),
    ("POST", "/api/_private/datasets/ops/mail/summary", "summary"),
    ("POST", "/api/_private/datasets/ops/mail/recent", "results"),
    ("GET", f"/api/_private/datasets/ops/mail/labellings?id={UID}", "results"),
    ("GET", "/api/_private/ixp/consumability", "can_consume_runtime"),
    ("GET", "/api/v1/datasets/ops/mail/triggers/triage", "stream"),
)


@pytest.mark.parametrize(("method", "path", "key"), MISSING_BEFORE)
async def test_a_route_of_the_official_client(
    client: Client, method: str, path: str, key: str
) -> None:
    status, content = await client.ask(method, path, {} if method == "POST" else None)
    assert (status, content["status"]) == (200, "ok")
    assert key in content


async def test_refreshing_permissions_says_true(client: Client) -> None:
    status, content = await client.ask("POST", "/auth/refresh-user-permissions", {})
    assert (status, content["permissions_refreshed"]) == (200, True)


async def test_head_is_answered_as_get_without_a_body(client: Client) -> None:
    url = client.simulator.base_url("acme") + "/api/v1/datasets"
    headers = {"Authorization": f"Bearer {client.simulator.token('acme')}"}
    for _ in range(2):  # the connection stays usable
        async with client.session.head(url, headers=headers) as response:
            assert response.status == 200
            assert int(response.headers["Content-Length"]) > 100
            assert await response.read() == b""


KINDS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("project", "/api/_private/projects/other", {}),
    ("bucket", "/api/_private/buckets/ops/other", {"bucket_type": "emails"}),
    ("source", "/api/v1/sources/ops/other", {"title": "Other"}),
    ("dataset", "/api/v1/datasets/ops/other", {"source_ids": []}),
    ("integration", "/api/_private/integrations/ops/other", {"configuration": {"mailboxes": []}}),
)


@pytest.mark.parametrize(("kind", "path", "new"), KINDS)
async def test_a_resource_is_created_changed_and_deleted(
    client: Client, kind: str, path: str, new: dict[str, object]
) -> None:
    assert (await client.ask("GET", path))[0] == 404
    assert (await client.ask("POST", path, {kind: {"title": "Changed"}}))[0] == 404
    status, created = await client.ask("PUT", path, {kind: new})
    assert (status, created[kind]["name"]) == (200, "other")
    plural = path.rpartition("/")[0].removesuffix("/ops")
    listed = await client.get(plural)
    assert created[kind]["id"] in str(listed)
    assert (await client.ask("POST", path, {kind: {"title": "Changed"}}))[0] == 200
    assert (await client.get(path))[kind]["title"] == "Changed"
    by_id = f"{plural}/id:{created[kind]['id']}"
    if kind != "project":
        assert (await client.get(by_id))[kind]["name"] == "other"
    assert (await client.ask("DELETE", path if kind == "project" else by_id))[0] == 200
    assert (await client.ask("GET", path))[0] == 404
    assert (await client.ask("DELETE", path))[0] == 404


@pytest.mark.parametrize("kind", ["bucket", "source", "dataset", "project"])
async def test_a_name_that_is_taken_is_a_conflict(client: Client, kind: str) -> None:
    path = {
        "bucket": "/api/_private/buckets/ops/inbox",
        "source": "/api/v1/sources/ops/mailbox",
        "dataset": "/api/v1/datasets/ops/mail",
        "project": "/api/_private/projects/ops",
    }[kind]
    status, content = await client.ask("PUT", path, {kind: {}})
    assert (status, content["status"]) == (409, "error")


async def test_a_project_with_resources_is_deleted_by_force_alone(client: Client) -> None:
    path = "/api/_private/projects/ops"
    status, content = await client.ask("DELETE", path)
    assert status == 409
    assert content["message"] == (
        "Project contains child resources but force deletion was not requested: "
        '{"buckets": 1, "datasets": 1, "integrations": 1, "sources": 1}'
    )
    assert (await client.ask("DELETE", f"{path}?force=true"))[0] == 200
    assert (await client.get("/api/v1/sources"))["sources"] == []


REFUSED: tuple[tuple[str, str, object, int, str], ...] = (
    ("PUT", "/api/v1/datasets/ops/x", {"dataset": {"model_family": "x"}}, 400, "'x' is not one of"),
    (
        "PUT",
        "/api/v1/sources/ops/x",
        {"source": {"email_transform_tag": "not-a-valid-transform-tag.0.ABCDEFGH"}},
        422,
        "The value 'not-a-valid-transform-tag.0.ABCDEFGH' is not a valid transform tag.",
    ),
    ("PUT", "/api/v1/sources/ops/x", {}, 400, "'source' is a required property"),
    ("PUT", "/api/v1/sources/nowhere/x", {"source": {}}, 404, "404 Not Found"),
    ("PUT", "/api/v1/sources/ops/x", [], 400, "the body is not a JSON object"),
    ("POST", "/api/v1/sources/ops/mailbox/sync", {"comments": [{}]}, 400, "'id' is a required"),
    ("POST", "/api/v1/sources/ops/mailbox/sync", {"comments": 1}, 400, "'comments' is not an arr"),
    ("GET", "/api/_private/sources/ops/mailbox/comments?limit=999", None, 400, "'limit'"),
    ("GET", "/api/_private/sources/ops/mailbox/comments?after=x", None, 400, "continuation"),
    ("DELETE", "/api/v1/sources/ops/mailbox/comments", None, 400, "ids"),
    ("GET", "/api/v1/datasets/ops/mail/labellers/99/validation", None, 404, "404 Not Found"),
    (
        "POST",
        "/api/v1/datasets/ops/mail/labellers/99/predict-comments",
        {"uids": [UID]},
        404,
        "404 Not Found",
    ),
    ("POST", "/api/v1/datasets/ops/mail/labellers/99/predict", {"documents": []}, 404, "404"),
    (
        "PUT",
        "/api/v1/datasets/ops/mail/streams",
        {"stream": {"name": "new", "model": {"version": 99, "label_thresholds": []}}},
        422,
        "99",
    ),
    ("POST", "/api/v1/datasets/ops/mail/streams/triage/fetch", {"size": 0}, 400, "'size'"),
    (
        "POST",
        "/api/v1/datasets/ops/mail/streams/triage/advance",
        {"sequence_id": "nonsense"},
        400,
        "sequence_id",
    ),
    ("GET", "/api/v1/datasets/id:0123456789abcdef", None, 404, "404 Not Found"),
    ("GET", "/api/v1/attachments/unknown", None, 404, "404 Not Found"),
    ("PATCH", "/api/v1/datasets", None, 405, "405 Method Not Allowed"),
)


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), REFUSED)
async def test_what_cannot_be_is_refused_in_the_envelope(
    client: Client, method: str, path: str, body: object, status: int, message: str
) -> None:
    got, content = await client.ask(method, path, body)
    assert (got, content["status"]) == (status, "error")
    assert message in content["message"]


async def test_comments_are_written_read_and_deleted(client: Client) -> None:
    source, private = "/api/v1/sources/ops/mailbox", "/api/_private/sources/ops/mailbox/comments"
    status, content = await client.ask("PUT", private, {"comments": [comment("a", "1")]})
    assert (status, content) == (200, {"status": "ok"})  # and nothing else
    assert (await client.ask("PUT", private, {"comments": [comment("a", "2")]}))[0] == 409
    sent = {"comments": [comment("a", "2"), comment("b", "1"), comment("b", "1")]}
    _, content = await client.ask("POST", f"{source}/sync", sent)
    assert (content["new"], content["updated"], content["unchanged"]) == (1, 1, 1)
    read = (await client.get(f"{source}/comments/a"))["comment"]
    assert read["messages"][0]["body"]["text"] == "2"
    assert read["uid"] == f"{identifier('acme', 'source')}.a"
    ids = []
    page = await client.get(f"{private}?limit=2")
    while "continuation" in page:
        ids += [each["id"] for each in page["comments"]]
        page = await client.get(f"{private}?limit=2&after={page['continuation']}")
    ids += [each["id"] for each in page["comments"]]
    assert sorted(ids) == sorted([COMMENT, "a", "b"])
    later = await client.get(f"{private}?from_timestamp={quote('2025-01-01T00:00:00+00:00')}")
    assert [each["id"] for each in later["comments"]] == [COMMENT]
    await client.ask("DELETE", f"{source}/comments?id=a&id=b")
    assert (await client.ask("GET", f"{source}/comments/a"))[0] == 404


async def test_a_written_comment_is_read_predicted_and_streamed_in_time(client: Client) -> None:
    processing = client.simulator.state.resources["acme"].processing
    processing.readable_seconds = processing.predicted_seconds = 1e9
    processing.streamed_seconds = 1e9
    source, dataset = "/api/v1/sources/ops/mailbox", "/api/v1/datasets/ops/mail"
    uid = f"{identifier('acme', 'source')}.a"
    await client.ask("POST", f"{source}/sync", {"comments": [comment("a", "1")]})
    predict, fetch = f"{dataset}/labellers/7/predict-comments", f"{dataset}/streams/triage/fetch"
    assert (await client.ask("GET", f"{source}/comments/a"))[0] == 404
    assert (await client.ask("POST", predict, {"uids": [uid]}))[1]["predictions"] == []
    waiting = (await client.ask("POST", fetch, {"size": 9}))[1]["results"]
    assert "a" not in [each["comment"]["id"] for each in waiting]
    processing.readable_seconds = processing.predicted_seconds = 0.0
    processing.streamed_seconds = 0.0
    assert (await client.get(f"{source}/comments/a"))["comment"]["uid"] == uid
    [predicted] = (await client.ask("POST", predict, {"uids": [uid]}))[1]["predictions"]
    assert predicted["uid"] == uid
    waiting = (await client.ask("POST", fetch, {"size": 9}))[1]["results"]
    assert "a" in [each["comment"]["id"] for each in waiting]
    processing.readable_seconds = 1e9
    await client.ask("POST", f"{source}/sync", {"comments": [comment("a", "2")]})
    earlier = (await client.get(f"{source}/comments/a"))["comment"]
    assert earlier["messages"][0]["body"]["text"] == "1"


async def test_a_stream_moves_by_advance_alone(client: Client) -> None:
    streams = "/api/v1/datasets/ops/mail/streams"
    await client.ask("PUT", streams, {"stream": {"name": "own"}})
    sent = {"comments": [comment(name, "1") for name in "abc"]}
    await client.ask("POST", "/api/v1/sources/ops/mailbox/sync", sent)
    fetch = f"{streams}/own/fetch"
    waiting = await client.until("POST", fetch, "results", 3, {"size": 9})
    again = (await client.ask("POST", fetch, {"size": 1}))[1]
    assert [each["comment"]["id"] for each in again["results"]] == ["a"]
    assert (again["is_end_sequence"], again["sequence_id"]) == (False, waiting[0]["sequence_id"])
    results = await client.get(f"{streams}/own/results?max_results=2")
    assert (len(results["results"]), results["more_results"]) == (2, True)
    advance = {"sequence_id": waiting[1]["sequence_id"]}
    assert (await client.ask("POST", f"{streams}/own/advance", advance))[0] == 200
    left = (await client.ask("POST", fetch, {"size": 9}))[1]
    assert [each["comment"]["id"] for each in left["results"]] == ["c"]
    await client.ask("POST", f"{streams}/own/advance", {"sequence_id": waiting[2]["sequence_id"]})
    empty = (await client.ask("POST", fetch, {"size": 9}))[1]
    assert (empty["results"], empty["sequence_id"]) == ([], waiting[2]["sequence_id"])
    assert (await client.ask("POST", f"{streams}/own/advance", empty))[0] == 200
    reset = {"to_comment_created_at": "2020-01-01T00:00:00Z"}
    assert (await client.ask("POST", f"{streams}/own/reset", reset))[0] == 200
    assert len((await client.ask("POST", fetch, {"size": 9}))[1]["results"]) == 3
    exception = {"exceptions": [{"uid": UID, "metadata": {"type": "No Prediction"}}]}
    assert (await client.ask("PUT", f"{streams}/own/exceptions", exception))[0] == 200
    assert (await client.ask("DELETE", f"{streams}/own"))[0] == 200
    assert (await client.ask("GET", f"{streams}/own"))[0] == 404


async def test_the_traffic_of_a_stream_can_be_consumed(client: Client) -> None:
    stream = "/api/v1/datasets/ops/mail/streams/triage"
    [waiting] = (await client.ask("POST", f"{stream}/fetch", {"size": 9}))[1]["results"]
    state = client.simulator.state.resources["acme"].stream("ops/mail", "triage")
    advance = {"sequence_id": waiting["sequence_id"]}
    status, _ = await client.ask("POST", f"{stream}/advance", advance)
    # The minute may have ended meanwhile: then the result is no longer there to be consumed.
    assert (status, state.traffic_position > 0) in {(200, True), (400, False)}


DATASETS, SOURCES = "/api/v1/datasets", "/api/v1/sources"


async def test_permissions_are_per_project(
    client: Client, control: TestClient[Request, Application]
) -> None:
    await client.ask("PUT", "/api/_private/projects/dev", {"project": {}})
    for path in ("/api/v1/sources/dev/mailbox", "/api/v1/datasets/dev/mail"):
        kind = "source" if "sources" in path else "dataset"
        await client.ask("PUT", path, {kind: {}})
    granted = {"projects": {"dev": ["View sources"], "ops": ["voc-readonly", "streams-read"]}}
    assert (await control.put("/tenants/acme/permissions", json=granted)).status == 200
    user = (await client.get("/auth/user"))["user"]
    expected = {"dev": ["sources-read"], "ops": ["triggers-read", "voc-readonly"]}
    assert user["organisation_permissions"] == expected
    assert [s["owner"] for s in (await client.get(SOURCES))["sources"]] == ["dev"]
    assert [d["owner"] for d in (await client.get(DATASETS))["datasets"]] == ["ops"]
    for path, status in (
        ("/api/v1/sources/dev/mailbox", 200),
        ("/api/v1/sources/ops/mailbox", 403),
        (f"/api/v1/sources/id:{identifier('acme', 'source')}", 403),
        ("/api/v1/datasets/dev/mail", 403),
        ("/api/v1/datasets/ops/mail/streams", 200),
        ("/api/v1/datasets/ops/mail/streams/triage/results", 403),
        ("/api/v1/datasets/dev/nothing", 403),
    ):
        assert (await client.ask("GET", path))[0] == status, path


async def test_a_permission_that_is_lost_everywhere_looks_like_no_resources(
    client: Client, control: TestClient[Request, Application]
) -> None:
    await control.put("/tenants/acme/permissions", json={"projects": {"ops": []}})
    assert (await client.get(DATASETS))["datasets"] == []
    assert (await client.get("/auth/user"))["user"]["organisation_permissions"] == {"ops": []}


async def test_global_permissions_and_denials(
    client: Client, control: TestClient[Request, Application]
) -> None:
    await control.put("/tenants/acme/permissions", json={"global": ["audit-read"]})
    assert (await client.ask("GET", "/api/_private/quotas"))[0] == 403
    assert (await client.ask("POST", "/api/v1/audit_events/query", {}))[0] == 200
    await control.put("/tenants/acme/denied", json={"permissions": ["Read audit logs"]})
    assert (await client.ask("POST", "/api/v1/audit_events/query", {}))[0] == 403
    assert (await client.get("/auth/user"))["user"]["global_permissions"] == []
    assert (await client.ask("GET", DATASETS))[0] == 200
    await control.put("/tenants/acme/denied", json={"permissions": ["View labels"]})
    assert (await client.ask("GET", DATASETS))[0] == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("denied", {"permissions": ["nonsense"]}),
        ("denied", {"permissions": "View sources"}),
        ("permissions", {"projects": {"ops": ["nonsense"]}}),
        ("permissions", {"projects": []}),
        ("permissions", {"global": [1]}),
        ("processing", {"readable_ms": "soon"}),
    ],
)
async def test_a_control_that_cannot_be_is_refused(
    client: Client, control: TestClient[Request, Application], path: str, body: object
) -> None:
    before = (await client.get("/auth/user"))["user"]
    assert (await control.put(f"/tenants/acme/{path}", json=body)).status == 400
    assert (await client.get("/auth/user"))["user"] == before


async def test_the_control_api_sets_how_long_comments_take(
    client: Client, control: TestClient[Request, Application]
) -> None:
    wish = {"readable_ms": 250, "streamed_ms": 0}
    response = await control.put("/tenants/acme/processing", json=wish)
    assert (await response.json())["readable_seconds"] == 0.25
    assert client.simulator.state.resources["acme"].processing.streamed_seconds == 0.0


async def test_a_fault_can_have_a_message_of_its_own(
    client: Client, control: TestClient[Request, Application]
) -> None:
    message = "quotas exceeded: no AI units left"
    wish = {"fault": "permission_denied", "message": message}
    assert (await control.put("/faults", json=wish)).status == 200
    status, content = await client.ask("GET", DATASETS)
    assert (status, content["message"]) == (403, message)
    for wrong in ({"fault": "html_502", "message": "x"}, {"server_ms": 1, "message": "x"}):
        assert (await control.put("/faults", json=wrong)).status == 400


async def test_the_supplier_s_status_page_can_be_simulated(
    control: TestClient[Request, Application],
) -> None:
    summary = "/status-page/api/v2/summary.json"
    assert (await (await control.get(summary)).json())["incidents"] == []
    incident = {"id": "a", "name": "Errors", "impact": "major", "status": "investigating"}
    assert (await control.put("/status-page", json={"incidents": [incident]})).status == 200
    assert (await (await control.get(summary)).json())["incidents"] == [incident]
    assert (await control.put("/status-page", json={"incidents": 1})).status == 400


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def test_tokens_can_be_jwts_that_expire() -> None:
    config = SimulatorConfig(TENANTS, latency=Latency(0.0, 0.0), jwt_seconds=3600)
    async with Simulator(config) as simulator, aiohttp.ClientSession() as session:
        client = Client(simulator, session)
        claims = claims_of(simulator.token("acme"))
        assert claims["exp"] - claims["iat"] == 3600
        assert {"prt_id", "scope"} < set(claims)
        assert (await client.ask("GET", "/auth/user"))[0] == 200
        accounts, header = simulator.state.accounts, f"Bearer {simulator.token('acme')}"
        assert accounts.is_accepted("acme", header, claims["exp"] - 1)
        assert not accounts.is_accepted("acme", header, claims["exp"] + 1)
        form = {
            "grant_type": "client_credentials",
            "client_id": "acme-client",
            "client_secret": simulator.state.identity.secret("acme"),
        }
        async with session.post(simulator.token_url, data=form) as response:
            issued = (await response.json())["access_token"]
        assert claims_of(issued)["exp"] > claims["iat"]


def test_every_route_has_a_valid_pattern_of_its_own() -> None:
    seen = [(route.method, route.path) for route in ROUTES]
    assert len(set(seen)) == len(seen)
    assert all(route.pattern for route in ROUTES)
