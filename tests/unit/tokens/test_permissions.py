"""What is missing for each probe, and what was lost, from the responses of `/auth/user`."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from prober.metrics.registry import series_estimate
from prober.metrics.sink import PrometheusSink
from prober.models import HttpExchange, Latency, ProbeResult, Response, TokenEvent, TokenStatus
from prober.outcomes import Endpoint, Reason, Responder, TokenEventKind
from prober.permissions import NEEDS
from prober.sinks import EventSink
from prober.tokens.permissions import MAX_DOCUMENT_BYTES, MissingByProbe, PermissionTracker
from tests.builders import a_probe, a_tenant
from tests.unit.metrics.factories import a_result, some_metrics

USER = a_probe(name="current-user", sent_path="/auth/user", needs=())
DATASET = a_probe(
    name="dataset", sent_path="/api/v1/datasets/ops/mail", project="ops", needs=NEEDS["dataset"]
)
SOURCES = a_probe(name="sources", sent_path="/api/v1/sources", needs=NEEDS["sources"])
TENANT = a_tenant(name="acme", probes=(USER, DATASET, SOURCES))
BOTH = ["voc-readonly", "sources-read"]
NONE_MISSING = {
    "current-user": {},
    "dataset": {"voc-readonly": False},
    "sources": {"sources-read": False},
}


class Events(EventSink):
    def __init__(self) -> None:
        self.events: list[TokenEvent] = []

    def on_token_event(self, event: TokenEvent) -> None:
        self.events.append(event)


class Stage:
    """A tracker with a clock that a test sets, and what it reported."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events = Events()
        self.missing: MissingByProbe = {}
        self.tracker = PermissionTracker(
            [TENANT],
            lambda: self.now,
            self._on_change,
            self.events,
            lambda: {"acme": TokenStatus("acme", TENANT.token)},
        )

    def _on_change(self, tenant: str, missing: MissingByProbe) -> None:
        assert tenant == "acme"
        self.missing = missing

    def user_has(self, permissions: Sequence[str], project: str = "ops") -> None:
        self.tracker.on_result(result_of("current-user", user_document(permissions, project)))

    def runs(self, probe: str, reason: Reason) -> None:
        self.tracker.on_result(result_of(probe, b"{}", reason))


def user_document(permissions: Sequence[str], project: str = "ops") -> bytes:
    user = {"organisation_permissions": {project: list(permissions)}}
    return json.dumps({"status": "ok", "user": user}).encode()


def an_exchange(body: bytes, status: int = 200) -> HttpExchange:
    return HttpExchange("GET", "https://acme.example/", 0.1, response=Response(status, (), body))


def result_of(probe: str, body: bytes, reason: Reason = Reason.OK) -> ProbeResult:
    made = a_result(an_exchange(body), reason, Responder.PLATFORM, Latency(0.1))
    return replace(made, probe=probe)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_nothing_is_missing_before_anything_is_known(stage: Stage) -> None:
    assert stage.missing == NONE_MISSING


def test_what_never_was_there_is_missing_only_if_the_probe_is_refused(stage: Stage) -> None:
    stage.user_has(["sources-read"])
    assert stage.missing == NONE_MISSING
    stage.runs("dataset", Reason.PERMISSION_DENIED)
    assert stage.missing == {**NONE_MISSING, "dataset": {"voc-readonly": True}}
    stage.runs("dataset", Reason.SERVER_ERROR)
    assert stage.missing["dataset"]["voc-readonly"]
    stage.runs("dataset", Reason.OK)
    assert stage.missing == NONE_MISSING
    assert stage.events.events == []


def test_what_was_lost_is_missing_even_if_the_probe_succeeds(stage: Stage) -> None:
    stage.user_has(BOTH)
    stage.now = 2000.0
    stage.user_has(["voc-readonly"])
    assert stage.missing == {**NONE_MISSING, "sources": {"sources-read": True}}
    (event,) = stage.events.events
    assert (event.kind, event.at) == (TokenEventKind.PERMISSION_LOST, 2000.0)
    assert event.status.problem == (
        "the token's user lacks the permission 'View sources' (sources-read) in any project"
    )
    stage.user_has(["voc-readonly"])
    assert len(stage.events.events) == 1
    stage.user_has(BOTH)
    assert stage.missing == NONE_MISSING
    stage.user_has([])
    assert len(stage.events.events) == 2


def test_a_permission_in_another_project_is_none(stage: Stage) -> None:
    stage.user_has(BOTH)
    stage.user_has(BOTH, project="other")
    assert stage.missing == {**NONE_MISSING, "dataset": {"voc-readonly": True}}
    assert stage.events.events[0].status.problem == (
        "the token's user lacks the permission 'View labels' (voc-readonly) in the project 'ops'"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"user": {}}',
        b"[" * 100_000,
        user_document([]) + b" " * MAX_DOCUMENT_BYTES,
    ],
    ids=range(6),
)
def test_a_document_that_cannot_be_read_changes_nothing(stage: Stage, body: bytes) -> None:
    stage.user_has(BOTH)
    stage.tracker.on_result(result_of("current-user", body))
    assert stage.missing == NONE_MISSING
    assert stage.events.events == []


def test_results_of_others_are_ignored(stage: Stage) -> None:
    stage.user_has(BOTH)
    for changed in (
        {"tenant": "removed"},
        {"probe": "removed"},
        {"probe": "dataset"},
        {"endpoint": Endpoint.IDENTITY},
    ):
        stage.tracker.on_result(replace(result_of("current-user", user_document([])), **changed))
    stage.tracker.on_result(result_of("current-user", user_document([]), Reason.SERVER_ERROR))
    assert stage.missing == NONE_MISSING


def test_a_reload_keeps_what_is_known(stage: Stage) -> None:
    stage.user_has(BOTH)
    stage.user_has([])
    stage.tracker.apply([replace(TENANT, probes=(USER, DATASET))])
    assert stage.missing == {"current-user": {}, "dataset": {"voc-readonly": True}}
    stage.tracker.apply([])
    stage.user_has(BOTH)


class Reads:
    def __init__(self, body: bytes | None) -> None:
        self.count = 0
        self._body = body

    async def __call__(self) -> HttpExchange | None:
        self.count += 1
        await asyncio.sleep(0)
        return None if self._body is None else an_exchange(self._body)


async def test_the_user_is_read_at_most_about_once_a_minute(stage: Stage) -> None:
    reads = Reads(user_document(["sources-read"]))
    both = await asyncio.gather(
        stage.tracker.missing_for(TENANT, DATASET, reads),
        stage.tracker.missing_for(TENANT, SOURCES, reads),
    )
    assert [[each.name for each in missing or ()] for missing in both] == [["voc-readonly"], []]
    assert reads.count == 1
    stage.now += 30
    await stage.tracker.missing_for(TENANT, DATASET, reads)
    assert reads.count == 1
    stage.now += 30
    await stage.tracker.missing_for(TENANT, DATASET, reads)
    assert reads.count == 2


@pytest.mark.parametrize("body", [None, b"[]"])
async def test_without_a_document_nothing_is_said_and_it_is_not_asked_at_once(
    stage: Stage, body: bytes | None
) -> None:
    reads = Reads(body)
    assert await stage.tracker.missing_for(TENANT, DATASET, reads) is None
    assert await stage.tracker.missing_for(TENANT, DATASET, reads) is None
    assert reads.count == 1
    custom = a_probe(name="mine", needs=None)
    assert await stage.tracker.missing_for(TENANT, custom, reads) is None
    assert reads.count == 1


def test_each_permission_of_a_probe_is_a_series() -> None:
    plain = replace(TENANT, probes=tuple(replace(each, needs=None) for each in TENANT.probes))
    assert series_estimate([TENANT], "off") == series_estimate([plain], "off") + 2
    metrics = some_metrics(TENANT)
    PermissionTracker([TENANT], lambda: 0.0, metrics.permissions)
    missing = {"dataset": {"voc-readonly": True}, "sources": {"sources-read": False}}
    metrics.permissions("acme", missing)
    assert series_of(metrics) == {
        'permission="voc-readonly",probe="dataset",tenant="acme"': "1.0",
        'permission="sources-read",probe="sources",tenant="acme"': "0.0",
    }
    metrics.permissions("acme", {"dataset": {}})
    assert list(series_of(metrics)) == ['permission="sources-read",probe="sources",tenant="acme"']


def series_of(metrics: PrometheusSink) -> dict[str, str]:
    text = metrics.render(openmetrics=False).decode()
    return dict(re.findall(r"^prober_token_permission_missing\{(.*)\} (.*)$", text, re.MULTILINE))
