"""What readers cost: pages over a month of 1,400 probes, and 20 pages that are watched live."""

import asyncio
import gzip
import os
import shutil
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp
from playwright.sync_api import sync_playwright

from prober.history.reader import HistoryReader
from prober.stats.aggregates import summarize
from prober.web.context import WebContext
from tests.benchmarks.processes import rss_bytes
from tests.benchmarks.results import Figure, middle
from tests.e2e.fleet_site import PROBES, Fleet, LiveSite, served
from tests.integration.web.app_factory import ACME, NOW, Installation
from tests.integration.web.app_factory import served as served_site
from tests.integration.web.months import write_month
from tests.unit.metrics.factories import an_answer

GROUP = "reading"
_TENANTS, _FLEET, _WATCHERS = 200, 300, 20
_STREAKS = 43_200  # of each probe one a day
_PAGES = ("/", "/incidents?since=30d", "/tenants/t0?range=30d", "/tenants/t0?range=24h")
_MIB = 1024 * 1024
_PACE_SECONDS = 60.0


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return what pages take, and what a watched page is sent."""
    seconds = asyncio.run(_slowest_page(directory / "month", 1 if quick else 3))
    with served(Fleet(_FLEET).with_trouble()) as site:
        page_bytes = _packed_bytes(site.url)
        usable = _interactive_seconds(site.url, 2 if quick else 7)
        feed_bytes, memory = _watch(site, 10.0 if quick else 60.0)
    return [
        Figure(GROUP, "slowest page, a month of 1,400 probes", seconds * 1000, "ms", 300.0),
        Figure(GROUP, "overview of 300 tenants, compressed", page_bytes / 1000, "kB", 60.0),
        Figure(GROUP, "overview of 300 tenants, until it can be used", usable, "s", 1.0,
               "in Chromium: median from the request until all scripts have run"),
        Figure(GROUP, "live updates of 300 tenants x 5 probes", feed_bytes / 1000, "kB/s", 5.0,
               "a watcher, after the first second"),
        Figure(GROUP, "memory above, 20 watchers", memory / _MIB, "MiB", 50.0),
    ]  # fmt: skip


async def _slowest_page(directory: Path, rounds: int) -> float:
    """Return the time (seconds) of the slowest page, each at its best."""
    run = replace(summarize(an_answer()), at=NOW)
    await asyncio.to_thread(write_month, directory, NOW, streaks=_STREAKS, run=run)
    slowest = 0.0
    async with served_site(_month_site(directory)) as client:
        for path in (*_PAGES, await _an_incident(client)):
            best = float("inf")
            for _ in range(rounds + 1):  # at first, templates are compiled
                began = time.monotonic()
                async with client.get(path) as response:
                    await response.read()
                best = min(best, time.monotonic() - began)
            slowest = max(slowest, best)
    return slowest


async def _an_incident(client: aiohttp.ClientSession) -> str:
    """Return the path of an incident's page."""
    async with client.get("/api/v1/incidents?since=30d&limit=1") as response:
        [incident] = (await response.json())["incidents"]
    return f"/incidents/{incident['id']}"


def _interactive_seconds(url: str, times: int) -> float:
    """Return the median of the times until a browser has run the scripts of a page.

    They are modules, which run in order once the page is parsed, before `DOMContentLoaded`.
    """
    measured = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page, found = browser.new_page(), []
        for _ in range(times + 1):  # the first one starts the browser's processes
            page.goto(url)
            found.append(float(page.evaluate(measured)) / 1000)
        browser.close()
    return middle(found[1:])


def _month_site(directory: Path) -> WebContext:
    tenants = {f"t{n}": replace(ACME, name=f"t{n}") for n in range(_TENANTS)}
    site = Installation(None).site()
    return replace(
        site,
        tenants=tenants,
        history=HistoryReader(directory),
        status=lambda name: replace(site.status("acme"), tenant=tenants[name]),
        changes=lambda _: 0,
    )


def _packed_bytes(url: str) -> int:
    with urlopen(Request(url, headers={"Accept-Encoding": "gzip"}), timeout=60) as response:
        body: bytes = response.read()
    return len(body) if gzip.decompress(body) else 0


def _watch(site: LiveSite, seconds: float) -> tuple[float, int]:
    """Return bytes per second of one watcher of many, and the memory (bytes) that all take."""
    before, received, over = rss_bytes(os.getpid()), [0], threading.Event()

    def watch(counts: bool) -> None:
        request = Request(f"{site.url}/live", headers={"Accept-Encoding": "gzip"})
        with urlopen(request, timeout=60) as feed:
            while not over.is_set() and (data := feed.read1(65_536)):
                if counts:
                    received[0] += len(data)

    threads = [
        threading.Thread(target=watch, args=(n == 0,), daemon=True) for n in range(_WATCHERS)
    ]
    with ExitStack() as at_end:
        at_end.callback(over.set)
        for thread in threads:
            thread.start()
        time.sleep(2.0)
        first = received[0]
        _run_probes(site, seconds)
        return (received[0] - first) / seconds, rss_bytes(os.getpid()) - before


def _run_probes(site: LiveSite, seconds: float) -> None:
    """Let each probe run once a minute."""
    names, began, number = list(site.fleet.tenants), time.monotonic(), 0
    pause = _PACE_SECONDS / (len(names) * len(PROBES))
    while time.monotonic() - began < seconds:
        tenant, probe = names[number % len(names)], number // len(names) % len(PROBES)
        latency = 0.08 + (number * 37 % 90) / 400
        site.do(lambda t=tenant, p=probe, s=latency: site.fleet.succeed(t, p, server=s))  # type: ignore[misc]
        number += 1
        time.sleep(max(0.0, began + number * pause - time.monotonic()))
