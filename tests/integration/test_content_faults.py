"""Content faults of the simulator: each changes what it names, and nothing else, over real sockets.

Times are not compared with the clock of the machine beyond hours.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import jmespath
import pytest

from prober.simulator.content_faults import CONTENT_FAULTS
from prober.simulator.faults import FAULTS, FaultLayer
from prober.simulator.fixtures import COMMENT, identifier
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant

BUCKET = identifier("acme", "bucket")
SYNC = f"/api/_private/buckets/id:{BUCKET}/keyed-sync-states/"
STREAM = "/api/v1/datasets/ops/mail/streams/triage"
MODEL = "/api/_private/datasets/ops/mail/labellers"
HOUR = 3600.0
PATHS = {
    "user": "/auth/user",
    "datasets": "/api/v1/datasets",
    "sources": "/api/v1/sources",
    "projects": "/api/v1/projects",
    "streams": "/api/v1/datasets/ops/mail/streams",
    "stream": STREAM,
    "results": f"{STREAM}/results?max_results=1",
    "fetch": f"POST {STREAM}/fetch",
    "predictions": "POST /api/v1/datasets/ops/mail/labellers/7/predict-comments",
    "status": f"{MODEL}/status",
    "validation": f"{MODEL}/latest/validation",
    "sync": SYNC,
    "integrations": "/api/_private/integrations",
    "quotas": "/api/_private/quotas",
    "comment": f"/api/v1/sources/ops/mailbox/comments/{COMMENT}",
}
HEALTHY: tuple[tuple[str, str, object], ...] = (
    ("user", "type(user.email)", "string"),
    ("user", "user.organisation_permissions.ops != `[]`", True),
    ("datasets", "length(datasets) > `0`", True),
    ("integrations", "integrations[].enabled", [True]),
    ("integrations", "integrations[].disabled_reason", []),
    ("integrations", "integrations[].configuration.mailboxes[].enabled", [True]),
    ("status", "dataset_status.inference_stuck", False),
    ("validation", "validation.model_rating.quality", "good"),
    ("stream", "stream.model.version", 7),
)
BROKEN: tuple[tuple[str, str, str, object], ...] = (
    ("integration_sync_error", "integrations", "integrations[0].disabled_reason", "sync_error"),
    ("integration_sync_error", "integrations", "integrations[0].enabled", False),
    ("integration_disabled_by_user", "integrations", "integrations[0].disabled_reason", "user"),
    ("integration_disabled_by_quota", "integrations", "integrations[0].disabled_reason", "quota"),
    (
        "mailbox_disabled",
        "integrations",
        "integrations[0].configuration.mailboxes[0].disabled_reason",
        "sync_error",
    ),
    (
        "mailbox_disabled",
        "integrations",
        "[integrations[0].enabled, integrations[0].configuration.mailboxes[0].enabled]",
        [True, False],
    ),
    ("mailboxes_empty", "sync", "keyed_sync_states", []),
    ("inference_stuck", "status", "dataset_status.inference_stuck", True),
    ("model_rating_poor", "validation", "validation.model_rating.quality", "poor"),
    (
        "quota_used_up",
        "quotas",
        "quotas[?current_max_usage >= hard_limit].quota_kind",
        ["sources"],
    ),
    ("quota_nearly_used_up", "quotas", "quotas[0].[current_max_usage, hard_limit]", [92, 100]),
    ("datasets_empty", "datasets", "datasets", []),
    ("sources_empty", "sources", "sources", []),
    ("projects_empty", "projects", "projects", []),
    ("streams_empty", "streams", "streams", []),
    ("integrations_empty", "integrations", "integrations", []),
    ("results_empty", "results", "results", []),
    ("results_empty", "fetch", "results", []),
    ("predictions_empty", "predictions", "predictions", []),
    ("pinned_version_gone", "stream", "stream.model.version", 999),
    ("pinned_version_gone", "streams", "streams[0].model.version", 999),
    ("user_missing", "user", "keys(@)", ["status"]),
    ("user_empty", "user", "user", {}),
    ("comment_outdated", "comment", "comment.messages[0].body.text", "An earlier text."),
    ("permissions_lost", "user", "user.organisation_permissions", {"ops": []}),
)
AGED = {
    "mailbox_stale": ("sync", "keyed_sync_states[0].last_synced_at", 24 * 300),
    "model_stale": ("status", "dataset_status.training_completion_time", 24 * 365),
    "stream_unread": ("fetch", "results[0].comment.created_at", 24 * 2),
}
UNMOVED = ("stream_unread", "sequence_unmoved", "results_empty")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    tenants = tuple(
        SimulatedTenant(name, TenantAddress("acme", name)) for name in ("acme", "other")
    )
    async with Simulator(SimulatorConfig(tenants, latency=Latency(0.0, 0.0))) as started:
        yield started


async def ask(simulator: Simulator, of: str, tenant: str = "acme") -> Any:  # noqa: ANN401 -- JSON
    method, _, path = PATHS[of].rpartition(" ")
    path = path.replace(BUCKET, identifier(tenant, "bucket"))
    uids = [f"{identifier(tenant, 'source')}.{COMMENT}"]
    headers = {"Authorization": f"Bearer {simulator.token(tenant)}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(
            method or "GET", simulator.base_url(tenant) + path, json={"uids": uids}
        ) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


def age_hours(text: str) -> float:
    return (time.time() - datetime.fromisoformat(text).timestamp()) / HOUR


@pytest.mark.parametrize(("of", "expression", "value"), HEALTHY)
async def test_without_faults_the_content_is_good_news(
    simulator: Simulator, of: str, expression: str, value: object
) -> None:
    assert jmespath.search(expression, await ask(simulator, of)) == value


@pytest.mark.parametrize(("of", "expression", "_"), AGED.values(), ids=AGED)
async def test_without_faults_the_content_is_fresh(
    simulator: Simulator, of: str, expression: str, _: float
) -> None:
    assert 0 <= age_hours(jmespath.search(expression, await ask(simulator, of))) <= 24 * 3


@pytest.mark.parametrize(("fault", "of", "expression", "value"), BROKEN)
async def test_a_content_fault_changes_what_it_names(
    simulator: Simulator, fault: str, of: str, expression: str, value: object
) -> None:
    await simulator.set_fault(fault, "acme")
    content = await ask(simulator, of)
    assert content["status"] == "ok"
    assert jmespath.search(expression, content) == value
    other = await ask(simulator, of, "other")
    assert jmespath.search(expression, other) != value


@pytest.mark.parametrize("fault", AGED)
async def test_a_content_fault_makes_old(simulator: Simulator, fault: str) -> None:
    of, expression, least_hours = AGED[fault]
    await simulator.set_fault(fault)
    assert age_hours(jmespath.search(expression, await ask(simulator, of))) > least_hours


@pytest.mark.parametrize("fault", UNMOVED)
async def test_a_stream_that_does_not_move_keeps_its_sequence_id(
    simulator: Simulator, fault: str
) -> None:
    await simulator.set_fault(fault)
    content = await ask(simulator, "fetch")
    later = FAULTS[fault].patch({**content, "sequence_id": "moved"}, 4e9)
    assert later["sequence_id"] == content["sequence_id"]


async def test_every_other_route_responds_as_before(simulator: Simulator) -> None:
    healthy = {of: await ask(simulator, of) for of in PATHS}
    for fault in CONTENT_FAULTS:
        await simulator.set_fault(fault, "other")
    for of, content in healthy.items():
        assert (await ask(simulator, of)).keys() == content.keys()


async def test_content_faults_apply_together_and_with_others(simulator: Simulator) -> None:
    for fault in ("quota_used_up", "integration_sync_error", "user_empty"):
        await simulator.set_fault(fault)
    await simulator.set_fault("timing_missing")
    assert (await ask(simulator, "quotas"))["quotas"][0]["current_max_usage"] == 100
    assert not (await ask(simulator, "integrations"))["integrations"][0]["enabled"]
    assert (await ask(simulator, "user"))["user"] == {}
    assert simulator.state.requests[-1].fault == "user_empty, timing_missing"
    await simulator.clear_faults()
    assert (await ask(simulator, "user"))["user"]


async def test_a_response_that_is_not_changed_does_not_count(simulator: Simulator) -> None:
    await simulator.set_fault("user_empty", times=1)
    await ask(simulator, "quotas")
    assert simulator.state.requests[-1].fault is None
    assert [(await ask(simulator, "user"))["user"] == {} for _ in range(2)] == [True, False]


async def test_requests_at_once_get_the_same_content(simulator: Simulator) -> None:
    await simulator.set_fault("datasets_empty")
    contents = await asyncio.gather(*(ask(simulator, "datasets") for _ in range(5)))
    assert [content["datasets"] for content in contents] == [[]] * 5


def test_every_content_fault_is_tested() -> None:
    tested = {fault for fault, *_ in BROKEN} | set(AGED) | set(UNMOVED)
    listed = {name for name, fault in FAULTS.items() if fault.layer is FaultLayer.CONTENT}
    assert tested == listed == set(CONTENT_FAULTS)
