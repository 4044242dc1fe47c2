"""No question of a reader holds up the event loop, or takes much memory, whatever happened."""

import asyncio
import gc
import os
import re
import threading
import time
import tracemalloc
from asyncio.events import Handle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import yaml

from prober.config.loader import load
from prober.daemon import Daemon
from prober.history.reader import HistoryReader
from prober.report.builder import ReportContext, build_report
from prober.report.markdown import render_markdown
from prober.report.query import read_history
from prober.report.time_range import TimeRange
from prober.stats.aggregates import summarize
from prober.web.api import OPERATIONS
from tests.integration.daemons import SILENT
from tests.integration.web.app_factory import ACME, NOW, Installation, served
from tests.integration.web.months import write_month
from tests.unit.metrics.factories import an_answer
from tests.unit.report.report_factory import VANTAGE

pytestmark = [pytest.mark.no_cover, pytest.mark.usefixtures("frozen_heap")]
"""Processor time is measured here; tracing would take half of it."""

MOST_CPU_SECONDS = 0.05
MOST_BYTES = 64 * 1024 * 1024
INCIDENT = f"t0.{NOW - 20 * 86_400:.0f}.network"
TENANTS = {f"t{n}": replace(ACME, name=f"t{n}", probes=ACME.probes) for n in range(200)}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("month")
    write_month(directory, NOW, run=replace(summarize(an_answer()), at=NOW))
    return directory


@contextmanager
def longest_turn() -> Iterator[list[float]]:
    """Measure the processor time (seconds) of each turn of the event loop in this thread.

    Time on the clock would depend on how busy the machine is.
    """
    loop_thread, turns = threading.get_ident(), [0.0]
    run = Handle._run

    def measured(handle: Handle) -> None:
        before = time.thread_time()
        run(handle)
        if threading.get_ident() == loop_thread:
            turns.append(time.thread_time() - before)

    Handle._run = measured  # type: ignore[method-assign, assignment]
    try:
        yield turns
    finally:
        Handle._run = run  # type: ignore[method-assign]


@asynccontextmanager
async def client_of(month: Path) -> AsyncIterator[aiohttp.ClientSession]:
    installation = Installation(None)
    site = replace(
        installation.site(),
        tenants=TENANTS,
        history=HistoryReader(month),
        status=lambda name: replace(installation.site().status("acme"), tenant=TENANTS[name]),
        changes=lambda _: 0,
    )
    async with served(site) as client:
        yield client


def paths() -> list[str]:
    asked = []
    for operation in OPERATIONS:
        path = operation.path.format(tenant="t0", number=1, incident=INCIDENT)
        names = {each.name for each in operation.parameters}
        query = "&".join(
            f"{name}={value}"
            for name, value in (("since", "30d"), ("range", "30d"), ("limit", "200"))
            if name in names
        )
        asked.append(f"{path}?{query}")
    pages = ["/", "/incidents?since=30d", "/tenants/t0?range=30d", "/tenants/t0?range=24h"]
    pages += [f"/incidents/{INCIDENT}", "/incidents.atom", "/incidents.json"]
    return [*asked, *pages, "/tenants/t1", "/badge/t0.svg", "/metrics", "/api/v1/openapi.json"]


async def test_no_question_holds_up_the_loop(month: Path) -> None:
    async with client_of(month) as client:
        await client.get("/incidents?since=1h")  # templates are compiled at their first use
        await client.get("/tenants/t1")
        for path in paths():
            longest: list[float] = []
            while not longest or (min(longest) >= MOST_CPU_SECONDS and len(longest) < 3):
                with longest_turn() as turns:  # a busy machine's caches are cold now and then
                    async with client.get(path) as response:
                        await response.read()
                        assert response.status in {200, 404}, path
                longest.append(max(turns))
            assert min(longest) < MOST_CPU_SECONDS, (path, longest)


async def peak_bytes(directory: Path, spells: int) -> dict[str, int]:
    """Return the most memory that each question takes, and that eight at once take."""
    write_month(
        directory, NOW, streaks=spells, tenants=20, run=replace(summarize(an_answer()), at=NOW)
    )
    peaks: dict[str, int] = {}
    async with client_of(directory) as client:

        async def ask(path: str) -> None:
            async with client.get(path) as response:
                await response.read()

        for path in paths():  # templates are compiled and caches filled at their first use
            await ask(path)
        for path in paths():
            gc.collect()
            tracemalloc.start()
            await ask(path)
            peaks[path] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        tracemalloc.start()
        await asyncio.gather(*(ask("/api/v1/incidents?since=30d") for _ in range(8)))
        peaks["eight at once"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peaks


async def test_what_a_question_takes_does_not_grow_with_the_history(tmp_path: Path) -> None:
    small = await peak_bytes(tmp_path / "small", 1_000)
    large = await peak_bytes(tmp_path / "large", 8_000)
    for path, peak in large.items():
        assert peak < MOST_BYTES / 2, path
        assert peak < 1.5 * small[path] + 1024 * 1024, path


async def test_all_incidents_can_be_asked_for_page_by_page(tmp_path: Path) -> None:
    write_month(
        tmp_path, NOW, streaks=3_000, tenants=20, run=replace(summarize(an_answer()), at=NOW)
    )
    async with client_of(tmp_path) as client:
        seen, cursor = [], ""
        while True:
            query = f"since=30d&limit=150{cursor}"
            async with client.get(f"/api/v1/incidents?{query}") as response:
                document = await response.json()
            seen += document["incidents"]
            if document["next_cursor"] is None:
                break
            cursor = f"&cursor={document['next_cursor']}"
        async with client.get("/incidents?since=30d") as response:
            following = re.search(r'href="(\?[^"]*cursor=[^"]*)"', await response.text())
        assert following is not None
        async with client.get(f"/incidents{following[1].replace('&amp;', '&')}") as response:
            assert response.status == 200
    keys = [(each["started_at"], each["tenant"], each["in_maintenance"]) for each in seen]
    assert len(set(keys)) == len(keys) > 150
    assert [key[0] for key in keys] == sorted((key[0] for key in keys), reverse=True)
    assert sum(each["failures"] for each in seen) == 3_000


@pytest.mark.parametrize(
    "cursor", ["", "x", "1~2", "1e999~dns~0~t0", "nan~platform~0~t0", "1~x~2~t"]
)
async def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    async with (
        served(Installation(tmp_path).site()) as client,
        client.get(f"/api/v1/incidents?cursor={cursor}") as response,
    ):
        assert response.status == 400
        assert "next_cursor" in (await response.json())["error"]


def written(directory: Path, port: int) -> Path:
    (directory / "token").write_text("a-token")
    names = ["healthy", *(f"t{n}" for n in range(20))]
    tenants = [
        {
            "name": name,
            "base_url": f"http://127.0.0.1:{port}/{name}",
            "proxy": "none",
            "token": {"file": "token"},
            "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(7)],
        }
        for name in names
    ]
    settings = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "reload": {"on_change": False},
        "defaults": {"interval": "1h", "timeout": "60s", "connect_timeout": "30s"},
        "tenants": tenants,
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


async def probe_on(daemon: Daemon, runs: list[int], end: asyncio.Event) -> None:
    """Make a probe run again as soon as its last run has ended."""
    loop = asyncio.get_running_loop()
    while not end.is_set():
        daemon._runner.on_due("healthy", "p0", loop.time())
        while daemon._runner.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        runs[0] += 1


@asynccontextmanager
async def a_platform() -> AsyncIterator[int]:
    body = b'{"status": "ok", "datasets": [{"id": "0123456789abcdef", "name": "a", "owner": "b"}]}'
    response = b"HTTP/1.1 200 OK\r\nServer-Timing: total;dur=0.01\r\nContent-Length: %d\r\n\r\n%b"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_probing_goes_on_while_everything_is_asked(tmp_path: Path) -> None:
    run = replace(summarize(an_answer()), at=time.time())
    write_month(tmp_path / "state", time.time(), streaks=30_000, tenants=20, run=run)
    async with a_platform() as port:
        daemon = Daemon(load(written(tmp_path, port)), os.environ, SILENT)
        await daemon.start()
        assert daemon.listening is not None
        end, runs = asyncio.Event(), [0]
        probing = asyncio.create_task(probe_on(daemon, runs, end))
        async with aiohttp.ClientSession(daemon.listening.url) as client:

            async def ask(path: str) -> None:
                async with client.get(path) as response:
                    await response.read()
                    assert response.status in {200, 404}, path

            for path in paths():
                before = runs[0]
                await asyncio.gather(*(ask(path) for _ in range(8 if "incidents" in path else 1)))
                while runs[0] == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        end.set()
        await probing
        text = daemon.metrics.render(False).decode()
        await daemon.stop()
    healthy = [line for line in text.splitlines() if 'tenant="healthy"' in line]
    counted = [line for line in healthy if line.startswith("prober_probe_runs_total{")]
    assert {'reason="ok"' in line for line in counted if not line.endswith(" 0.0")} == {True}
    skipped = [line for line in healthy if line.startswith("prober_probe_skipped_total{")]
    # The schedule starts a probe that never ran as well, while one of these runs is in flight.
    skipped = [line for line in skipped if 'cause="overlap"' not in line]
    assert skipped
    assert all(line.endswith(" 0.0") for line in skipped)


def report_peak_bytes(directory: Path, streaks: int) -> int:
    """Return the most memory that a report about the month takes."""
    run = replace(summarize(an_answer()), at=NOW)
    write_month(directory, NOW, streaks=streaks, tenants=2, probes=1, run=run)
    span = TimeRange(NOW - 30 * 86_400, NOW)
    context = ReportContext(NOW, "UTC", VANTAGE, 30 * 86_400.0)
    tenant = replace(ACME, name="t0")
    for _ in range(2):  # at first, templates are compiled and caches filled
        gc.collect()
        tracemalloc.start()
        report = build_report(tenant, read_history(directory, "t0", span, NOW), span, context)
        assert render_markdown(report)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert report.incident_count > 0
    return peak


def test_a_report_does_not_grow_with_the_history(tmp_path: Path) -> None:
    small = report_peak_bytes(tmp_path / "small", 1_500)
    large = report_peak_bytes(tmp_path / "large", 9_000)
    assert large < MOST_BYTES
    assert large < 1.5 * small + 1024 * 1024
