"""Daemons in the process of a test: what they probe, their settings and results, and waiting."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import yaml

from prober.config.loader import load
from prober.daemon import Daemon
from prober.models import ProbeResult
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from prober.sinks import EventSink

PATIENCE_SECONDS = 60.0
SILENT = structlog.wrap_logger(
    structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)


class Results(EventSink):
    """Keeps all results of a daemon."""

    def __init__(self) -> None:
        self.seen: list[ProbeResult] = []

    def on_result(self, result: ProbeResult) -> None:
        self.seen.append(result)


def simulated(directory: Path, *tenants: str) -> Simulator:
    """Return a simulator of these tenants, without latency; their tokens are in `directory`."""
    config = SimulatorConfig(
        tuple(SimulatedTenant(name, TenantAddress(name, "prod")) for name in tenants),
        latency=Latency(0.0, 0.0),
        token_directory=directory,
    )
    return Simulator(config)


def write_config(directory: Path, tenants: Sequence[object], **sections: object) -> Path:
    """Write a configuration with a web server on any port; `sections` are its other sections."""
    settings = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "tenants": tenants,
        **sections,
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


async def started(file: Path, results: Results, resources: AsyncExitStack) -> Daemon:
    """Return a daemon that runs until `resources` are closed."""
    daemon = Daemon(load(file), {}, SILENT, {"results": results})
    await daemon.start()
    resources.push_async_callback(daemon.stop)
    return daemon


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 -- nothing signals what is waited for
            await asyncio.sleep(0.02)


async def runs_ended(daemon: Daemon) -> None:
    """Wait until no run is in flight."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while daemon._runner.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # the end of the tasks themselves


async def run_probe(daemon: Daemon, tenant: str, probe: str) -> ProbeResult:
    """Let a run fall due, wait for its end, and return the result that the status shows."""
    daemon._runner.on_due(tenant, probe, asyncio.get_running_loop().time())
    await runs_ended(daemon)
    result = daemon.status.tracker.result(tenant, probe)
    assert result is not None
    return result
