"""Every built-in probe against the simulator: well without faults, and with each content fault."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prober.cli.probe import run_probes
from prober.config.builtin_probes import CATALOGUE
from prober.models import Probe, ProbeResult, Tenant
from prober.outcomes import Culprit, Outcome, Reason, Responder
from prober.simulator.fixtures import ATTACHMENT, COMMENT, identifier
from prober.simulator.simulator import Simulator
from tests.integration.daemons import simulated
from tests.unit.config.factories import a_tenant_of

VALUES: dict[str, Any] = {
    "dataset": "ops/mail",
    "source": "ops/mailbox",
    "stream": "triage",
    "comment": COMMENT,
    "attachment": ATTACHMENT,
    "uid": f"{identifier('acme', 'source')}.{COMMENT}",
    "bucket": identifier("acme", "bucket"),
    "integration": "ops/exchange",
    "model_version": 7,
}
READ = tuple(name for name, each in CATALOGUE.items() if not (each.is_billable or each.is_write))
FAULTS = (
    (
        "integration_sync_error",
        "integrations",
        "integration ops/exchange: disabled",
    ),
    ("integration_disabled_by_user", "integrations", "the reason is user"),
    ("integration_disabled_by_quota", "integrations", "the reason is quota"),
    ("mailbox_disabled", "integrations", "mailbox support@example.com: disabled, and the reason"),
    (
        "mailbox_stale",
        "mailbox-sync",
        "support@example.com, folder Inbox: last synced 330 d ago",
    ),
    ("mailboxes_empty", "mailbox-sync", "number of synchronized folders is 0"),
    ("inference_stuck", "model-status", "inference_stuck is true, must be false"),
    ("model_stale", "model-status", "the model was trained 400 d ago, limit 365 d"),
    ("model_rating_poor", "model-validation", "the model's rating is poor"),
    ("quota_used_up", "quotas", "quota sources: used 100 %, must be below 100 %"),
    ("datasets_empty", "datasets", "number of datasets is 0, must be at least 1"),
    ("sources_empty", "sources", "number of sources is 0"),
    ("projects_empty", "projects", "number of projects is 0"),
    ("streams_empty", "streams", "number of streams is 0"),
    ("integrations_empty", "integrations", "number of integrations is 0"),
    ("predictions_empty", "predict-comments", "number of predictions is 0"),
    ("stream_unread", "stream-fetch", "the oldest unread result came 3 d ago, limit 1 d"),
    ("stream_unread", "stream-results", "the oldest unread result came 3 d ago, limit 1 d"),
    ("user_empty", "current-user", "number of keys of the user is 0"),
)


def use_of(name: str) -> dict[str, Any]:
    return {"use": name, **{key: VALUES[key] for key in CATALOGUE[name].parameters}}


@asynccontextmanager
async def installed(directory: Path) -> AsyncIterator[tuple[Simulator, Tenant]]:
    async with simulated(directory, "acme") as simulator:
        tenant = a_tenant_of(
            domain=None,
            base_url=simulator.base_url("acme"),
            token={"file": str(directory / "acme.token")},
            proxy="none",
            probes=[use_of(name) for name in READ],
        )
        yield simulator, tenant


async def run(tenant: Tenant, probe: Probe, directory: Path) -> ProbeResult:
    (result,) = [result async for result in run_probes(tenant, [probe], {}, directory)]
    return result


async def test_every_probe_that_reads_succeeds_without_faults(tmp_path: Path) -> None:
    async with installed(tmp_path) as (_, tenant):
        results = [each async for each in run_probes(tenant, tenant.probes, {}, tmp_path)]
    assert {
        each.probe: each.verdict.evidence for each in results if not each.verdict.succeeded
    } == {}
    assert {each.probe for each in results} == set(READ)
    for probe, result in zip(tenant.probes, results, strict=True):
        found = {each.check.name for each in result.verdict.checks or ()}
        optional = {check.name for check in probe.checks if check.is_optional}
        assert {check.name for check in probe.checks} - optional <= found, probe.name


@pytest.mark.parametrize(("fault", "name", "words"), FAULTS)
async def test_bad_news_in_a_good_response_is_a_verdict(
    tmp_path: Path, fault: str, name: str, words: str
) -> None:
    async with installed(tmp_path) as (simulator, tenant):
        probe = next(each for each in tenant.probes if each.name == name)
        await simulator.set_fault(fault)
        verdict = (await run(tenant, probe, tmp_path)).verdict
        off = replace(probe, checks=())
        unchecked = (await run(tenant, off, tmp_path)).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.API_ERROR, Reason.CHECK_FAILED)
    culprit = Culprit.PLATFORM if name == "current-user" else Culprit.TENANT
    assert (verdict.culprit, verdict.responder) == (culprit, Responder.PLATFORM)
    assert words in verdict.evidence
    assert verdict.latency.server_seconds is not None
    assert unchecked.succeeded


@pytest.mark.parametrize("fault", ["results_empty", "sequence_unmoved", "quota_nearly_used_up"])
async def test_what_needs_the_past_is_a_value_and_no_verdict(tmp_path: Path, fault: str) -> None:
    async with installed(tmp_path) as (simulator, tenant):
        await simulator.set_fault(fault)
        results = [
            await run(tenant, probe, tmp_path)
            for probe in tenant.probes
            if probe.name in {"stream-fetch", "stream-results", "quotas"}
        ]
    assert [each.verdict.reason for each in results] == [Reason.OK] * 3
    values = {
        (result.probe, each.check.name, each.item): each.value
        for result in results
        for each in result.verdict.checks or ()
    }
    if fault == "quota_nearly_used_up":
        assert values["quotas", "quota-used", "sources"] == pytest.approx(0.92)
    if fault == "results_empty":
        assert values["stream-results", "unread", ""] == 0.0
    if fault != "quota_nearly_used_up":
        assert values["stream-fetch", "position", ""] is not None


async def test_an_attachment_that_is_gone_is_the_requests(tmp_path: Path) -> None:
    async with installed(tmp_path) as (_, tenant):
        probe = next(each for each in tenant.probes if each.name == "attachment")
        gone = replace(probe, sent_path=probe.sent_path + "-gone")
        verdict = (await run(tenant, gone, tmp_path)).verdict
    assert (verdict.reason, verdict.culprit) == (Reason.CLIENT_ERROR, Culprit.REQUEST)
    assert verdict.evidence.startswith("HTTP 404 with Server-Timing, to a HEAD request: ")


async def test_a_model_version_that_is_gone_is_the_requests(tmp_path: Path) -> None:
    async with installed(tmp_path) as (_, tenant):
        probe = next(each for each in tenant.probes if each.name == "model-version")
        assert "/labellers/7/" in probe.sent_path
        gone = replace(probe, sent_path=probe.sent_path.replace("/7/", "/999/"))
        verdict = (await run(tenant, gone, tmp_path)).verdict
    assert (verdict.reason, verdict.culprit) == (Reason.CLIENT_ERROR, Culprit.REQUEST)
