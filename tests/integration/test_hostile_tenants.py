"""Beside fifty tenants with hostile servers, a healthy one is probed each time, and in time.

Measured is processor time of the event loop: time on the clock depends on how busy the machine is.
"""

import asyncio
import os
import subprocess
import sys
import time
from asyncio.base_events import BaseEventLoop
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from prober.config.loader import load
from prober.daemon import Daemon
from tests.integration.daemons import SILENT, write_config
from tests.integration.hostile_server import BEHAVIOURS

pytestmark = [pytest.mark.no_cover, pytest.mark.usefixtures("frozen_heap")]
"""Processor time is measured here; tracing would take most of it."""

HOSTILE = 50
ROUNDS = 3
MOST_LATE_SECONDS = 0.2  # 0.08 in the worst case; caches are cold on a busy machine
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A hostile server in a process of its own: what it computes is not ours."""
    command = [sys.executable, "-m", "tests.integration.hostile_server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@contextmanager
def longest_iteration() -> Iterator[list[float]]:
    """Measure the processor time (seconds) of each iteration of the event loop.

    Whatever is due during one, starts after it.
    """
    iterations: list[float] = [0.0]
    run: Callable[[BaseEventLoop], None] = vars(BaseEventLoop)["_run_once"]

    def measured(loop: BaseEventLoop) -> None:
        before = time.thread_time()
        run(loop)
        iterations.append(time.thread_time() - before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseEventLoop, "_run_once", measured)
        yield iterations


def written(directory: Path, port: int, behaviour: str) -> Path:
    names = ["healthy", *(f"hostile-{n}" for n in range(HOSTILE))]
    (directory / "token").write_text("Sk-A1b2/C3d4+E5f6g7H8i9j0")
    tenants = [
        {
            "name": name,
            "base_url": f"http://127.0.0.1:{port}/{'good' if name == 'healthy' else behaviour}",
            "token": {"file": "token"},
            "probes": ["datasets"],
        }
        for name in names
    ]
    return write_config(
        directory,
        tenants,
        reload={"on_change": False},
        defaults={"interval": "1h", "timeout": "60s", "connect_timeout": "30s", "proxy": "none"},
    )


@asynccontextmanager
async def running(file: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(load(file), os.environ, SILENT)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


async def all_run_once(daemon: Daemon) -> None:
    now = asyncio.get_running_loop().time()
    for tenant, each in daemon._runner.tenants.items():
        daemon._runner.on_due(tenant, each.probes[0].name, now)
    while daemon._runner.in_flight:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def samples(text: str, name: str, tenant: str = "healthy") -> list[tuple[str, float]]:
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    pairs = (line.rpartition(" ") for line in lines if f'tenant="{tenant}"' in line)
    return [(labels, float(value)) for labels, _, value in pairs]


def total(text: str, name: str) -> float:
    return sum(value for _, value in samples(text, name))


def outcomes(text: str, tenant: str) -> set[str]:
    """Return the reasons of a tenant's runs so far."""
    counted = samples(text, "prober_probe_runs_total", tenant)
    return {labels.split('reason="')[1].split('"')[0] for labels, value in counted if value}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_none_of_its_runs_is_lost_or_late(tmp_path: Path, port: int, behaviour: str) -> None:
    async with running(written(tmp_path, port, behaviour)) as daemon:
        longest: list[float] = []
        while len(longest) < ROUNDS:
            with longest_iteration() as iterations:
                await all_run_once(daemon)
            longest.append(max(iterations))
        text = daemon.metrics.render(False).decode()
    assert outcomes(text, "healthy") == {"ok"}
    assert total(text, "prober_probe_runs_total") >= ROUNDS
    skipped = samples(text, "prober_probe_skipped_total")
    # The schedule starts a probe that never ran as well, while one of these runs is in flight.
    assert [labels for labels, value in skipped if value and 'cause="overlap"' not in labels] == []
    assert min(longest) < MOST_LATE_SECONDS, longest
