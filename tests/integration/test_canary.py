"""The canary against the simulator, by the daemon: durations, faults of each stage, consents."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prober.daemon import Daemon
from prober.models import ProbeResult
from prober.outcomes import Culprit, Reason
from prober.simulator.simulator import Simulator
from tests.integration.daemons import Results, simulated, started, until, write_config

CANARY = {
    "use": "canary",
    "source": "ops/mailbox",
    "dataset": "ops/mail",
    "model_version": 7,
    "stream": "triage",
    "allow_billable": True,
    "allow_writes": True,
    "timeout": "60s",
}


@dataclass
class Installation:
    simulator: Simulator
    directory: Path
    resources: AsyncExitStack
    results: Results = field(default_factory=Results)

    async def run(self, **changes: object) -> tuple[Daemon, ProbeResult]:
        """Start a daemon and let the canary run once, without waiting for its hour."""
        tenant = {
            "name": "acme",
            "base_url": self.simulator.base_url("acme"),
            "token": {"file": "acme.token"},
            "probes": ["datasets", {**CANARY, **changes}],
        }
        defaults = {"proxy": "none", "interval": "1h", "timeout": "60s"}
        file = write_config(self.directory, [tenant], defaults=defaults)
        daemon = await started(file, self.results, self.resources)
        daemon._runner.on_due("acme", "canary", asyncio.get_running_loop().time())
        await until(lambda: any(each.probe == "canary" for each in self.results.seen))
        return daemon, next(each for each in self.results.seen if each.probe == "canary")

    @property
    def writes(self) -> int:
        return sum(each.path.endswith("/sync") for each in self.simulator.state.requests)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    async with AsyncExitStack() as resources:
        simulator = await resources.enter_async_context(simulated(tmp_path, "acme"))
        yield Installation(simulator, tmp_path, resources)


async def got(session: aiohttp.ClientSession, path: str) -> Any:  # noqa: ANN401 -- JSON
    async with session.get(path) as response:
        return await response.json()


def metric(daemon: Daemon, name: str) -> dict[str, float]:
    lines = daemon.metrics.render(False).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line.startswith(f"{name}{{"))
    return {re.findall('stage="([a-z]+)"', labels)[0]: float(value) for labels, _, value in pairs}


async def test_a_canary_measures_each_stage(installation: Installation) -> None:
    processing = installation.simulator.state.resources["acme"].processing
    processing.readable_seconds, processing.predicted_seconds = 0.0, 0.5
    processing.streamed_seconds = 1.5
    daemon, result = await installation.run()
    assert result.verdict.succeeded, result.verdict.evidence
    seconds = metric(daemon, "prober_canary_seconds")
    assert set(seconds) == {"readable", "predicted", "streamed"}
    assert seconds["predicted"] >= 0.5
    assert seconds["streamed"] >= 1.5
    assert [step.name for step in result.steps] == ["write", "readable", "predicted", "streamed"]
    assert installation.writes == 1
    assert daemon.listening is not None
    url = f"{daemon.listening.url}/api/v1/tenants/acme"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert "a comment was written, readable after" in await response.text()
    stored = installation.simulator.state.resources["acme"].comments["ops/mailbox"]
    assert sorted(stored) == ["c0ffee0123456789", "prober-canary"]


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        ("comment_outdated", "readable"),
        ("predictions_empty", "predicted"),
        ("results_empty", "streamed"),
    ],
)
async def test_each_stage_that_does_not_come_is_the_platform_s_fault(
    installation: Installation, fault: str, stage: str
) -> None:
    await installation.simulator.set_fault(fault)
    limits = dict.fromkeys(("readable", "predicted", "streamed"), 60.0) | {stage: 1.5}
    checks = [{"name": name, "max": limit} for name, limit in limits.items()]
    daemon, result = await installation.run(checks=checks)
    assert (result.verdict.reason, result.verdict.culprit) == (
        Reason.CHECK_FAILED,
        Culprit.PLATFORM,
    )
    assert "within 1.5 s" in result.verdict.evidence
    assert result.steps[-1].name == stage
    assert stage not in metric(daemon, "prober_canary_seconds")
    text = daemon.metrics.render(False).decode()
    assert daemon.listening is not None
    async with aiohttp.ClientSession(daemon.listening.url) as session, asyncio.timeout(60):
        failures: list[Any] = []
        while not failures:  # the history is written by a thread
            await asyncio.sleep(0.1)
            failures = (await got(session, "/api/v1/tenants/acme/failures"))["failures"]
        [failure] = failures
        assert failure["document"]["steps"][-1]["name"] == stage
        async with session.get(f"/failures/{failure['number']}") as response:
            assert "steps of the canary: write" in await response.text()
    failed = [line for line in text.splitlines() if line.startswith("prober_probe_check_failed{")]
    assert [f'check="{stage}"' in line for line in failed if line.endswith(" 1.0")] == [True]


async def test_a_write_that_is_refused_awaits_nothing(installation: Installation) -> None:
    installation.simulator.state.resources["acme"].permissions.set_project(
        "ops", ["sources-read", "voc-readonly"]
    )
    _, result = await installation.run()
    assert result.verdict.reason is Reason.PERMISSION_DENIED
    assert [step.name for step in result.steps] == ["write"]


async def test_a_new_token_is_not_tried_by_a_canary(installation: Installation) -> None:
    daemon, _ = await installation.run()
    writes = installation.writes
    daemon._runner.run_now("acme")
    await until(lambda: not daemon._runner.in_flight)
    assert installation.writes == writes
