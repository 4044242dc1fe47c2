"""A daemon with a sink that raises: probes, skips, start and reload go on; it is logged once."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from prober.config.loader import load
from prober.daemon import Daemon
from prober.outcomes import Outcome, TokenState
from prober.simulator.simulator import Simulator
from prober.sinks import EventSink
from tests.integration.daemons import PATIENCE_SECONDS, run_probe, simulated, write_config

METHODS = ("on_result", "on_skip", "on_token_event", "on_token_status")
TENANTS = ("acme", "beta")


class Broken(EventSink):
    """Raises in one method, and counts its calls."""

    def __init__(self, method: str) -> None:
        self.calls = 0
        setattr(self, method, self._fail)

    def _fail(self, _event: object) -> None:
        self.calls += 1
        raise RuntimeError("a bug in a sink")


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulated(tmp_path, *TENANTS) as started:
        yield started


def write(simulator: Simulator, directory: Path, *tenants: str) -> Path:
    return write_config(
        directory,
        [
            {
                "name": name,
                "base_url": simulator.base_url(name),
                "token": {"file": f"{name}.token"},
                "probes": ["datasets"],
                "objectives": {"availability": 0.5},
            }
            for name in tenants
        ],
        reload={"on_change": False},
        defaults={"interval": "1h", "timeout": "60s", "proxy": "none"},
    )


async def outcome_of(daemon: Daemon, tenant: str) -> Outcome:
    return (await run_probe(daemon, tenant, "datasets")).verdict.outcome


def metric(daemon: Daemon, series: str) -> float:
    text = daemon.metrics.render(False).decode()
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("method", METHODS)
async def test_a_sink_that_raises_harms_nothing(
    method: str, simulator: Simulator, tmp_path: Path
) -> None:
    broken, log = Broken(method), LogCapture()
    logger = structlog.wrap_logger(None, processors=[log])
    one = load(write(simulator, tmp_path, "acme"))
    daemon = Daemon(one, os.environ, logger, extra={"broken": broken})
    await daemon.start()
    try:
        states = [daemon.tokens.statuses["acme"].state]
        assert await outcome_of(daemon, "acme") is Outcome.SUCCESS
        states.append(daemon.tokens.statuses["acme"].state)
        assert states == [TokenState.UNVERIFIED, TokenState.VALID]
        late = asyncio.get_running_loop().time() - 1000
        daemon._runner.on_due("acme", "datasets", late)
        series = 'prober_probe_skipped_total{cause="misfire",probe="datasets",tenant="acme"}'
        assert metric(daemon, series) == 1

        await daemon.apply(load(write(simulator, tmp_path, *TENANTS)))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while daemon.tokens.statuses["beta"].state is TokenState.MISSING:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the new source is read by the watcher
        assert await outcome_of(daemon, "beta") is Outcome.SUCCESS
    finally:
        await daemon.stop()

    assert broken.calls >= 1
    assert metric(daemon, 'prober_sink_failures_total{sink="broken"}') == broken.calls
    failures = [entry for entry in log.entries if entry["event"] == "sink.failed"]
    assert [(each["log_level"], each["sink"], each["method"]) for each in failures] == [
        ("error", "broken", method)
    ]
    assert str(failures[0]["exc_info"]) == "a bug in a sink"
    assert not [entry for entry in log.entries if entry["event"].endswith("crashed")]
