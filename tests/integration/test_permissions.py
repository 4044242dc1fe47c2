"""A running daemon notices that the user of a token has lost a permission."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from prober.config.loader import load
from prober.daemon import Daemon
from prober.outcomes import Outcome
from prober.simulator.simulator import Simulator
from tests.integration.daemons import run_probe, simulated, write_config

PROBES: list[object] = [
    "current-user",
    "sources",
    {"use": "dataset", "dataset": "ops/mail"},
]
LABELS, SOURCES = (
    'prober_token_permission_missing{permission="voc-readonly",probe="dataset",tenant="acme"}',
    'prober_token_permission_missing{permission="sources-read",probe="sources",tenant="acme"}',
)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulated(tmp_path, "acme") as started:
        yield started


@pytest.fixture
def log() -> LogCapture:
    return LogCapture()


@pytest.fixture
async def daemon(simulator: Simulator, tmp_path: Path, log: LogCapture) -> AsyncIterator[Daemon]:
    tenant = {
        "name": "acme",
        "base_url": simulator.base_url("acme"),
        "token": {"file": "acme.token"},
        "probes": PROBES,
    }
    file = write_config(
        tmp_path,
        [tenant],
        reload={"on_change": False},
        defaults={"interval": "1h", "timeout": "60s", "proxy": "none"},
    )
    started = Daemon(load(file), os.environ, structlog.wrap_logger(None, processors=[log]))
    await started.start()
    yield started
    await started.stop()


async def run(daemon: Daemon, probe: str) -> tuple[Outcome, str]:
    verdict = (await run_probe(daemon, "acme", probe)).verdict
    return verdict.outcome, verdict.evidence


def metric(daemon: Daemon, series: str) -> float | None:
    text = daemon.metrics.render(openmetrics=False).decode()
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


async def test_a_lost_permission_is_an_event_and_a_metric_though_the_list_is_only_empty(
    daemon: Daemon, simulator: Simulator, log: LogCapture
) -> None:
    await run(daemon, "current-user")
    assert (metric(daemon, LABELS), metric(daemon, SOURCES)) == (0.0, 0.0)
    simulator.state.resources["acme"].permissions.set_project("ops", ["voc-readonly"])
    await run(daemon, "current-user")
    assert (metric(daemon, LABELS), metric(daemon, SOURCES)) == (0.0, 1.0)
    (event,) = [each for each in log.entries if each["event"] == "token.permission_lost"]
    assert event["log_level"] == "warning"
    assert event["problem"] == (
        "the token's user lacks the permission 'View sources' (sources-read) in any project"
    )
    simulator.state.resources["acme"].permissions.grant_all("ops")
    await run(daemon, "current-user")
    assert metric(daemon, SOURCES) == 0.0


async def test_a_refused_probe_names_what_it_lacks_and_asks_once_a_minute(
    daemon: Daemon, simulator: Simulator
) -> None:
    await run(daemon, "current-user")
    simulator.state.resources["acme"].permissions.set_project("ops", ["sources-read"])
    before = len(simulator.state.requests)
    for _ in range(2):
        outcome, evidence = await run(daemon, "dataset")
        assert outcome is Outcome.AUTH_FAILURE
        assert evidence.endswith(
            "lacks the permission 'View labels' (voc-readonly) in the project 'ops'"
        )
        assert (metric(daemon, LABELS), metric(daemon, SOURCES)) == (1.0, 0.0)
    paths = [each.path.removeprefix("/acme/prod/reinfer_") for each in simulator.state.requests]
    dataset = "/api/v1/datasets/ops/mail"
    assert paths[before:] == [dataset, "/auth/user", dataset]
