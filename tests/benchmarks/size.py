"""What size costs: memory, start, scrape and reload with ten thousand probes.

Histograms are kept for each tenant (`metrics.histograms: tenant`). Probes run each minute; the hold
of a scrape is measured while hardly any does, since each holds the loop as well.
"""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.background_load import Scrapes, scrape
from tests.benchmarks.daemon import PROBES_PER_TENANT, Load, Recorded, recorded_daemon
from tests.benchmarks.nginx import StaticPlatform, static_platform
from tests.benchmarks.processes import rss_bytes
from tests.benchmarks.results import Figure, formatted

GROUP = "size"
LARGEST = 10_000
_MIB = 1024 * 1024
_TARGETS = {"rss": 400.0, "start": 5.0, "scrape": 2.0, "hold": 10.0}
_SETTLE_SECONDS = 3.0
_RELOAD_LIMIT_SECONDS = 60.0
_RELOADED = re.compile(r'"event": "config\.reloaded"')


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return what each size costs; targets hold for the largest."""
    figures: list[Figure] = []
    with static_platform(directory) as platform:
        for probes in (100, 1000) if quick else (100, 1000, LARGEST):
            figures += _of(directory / str(probes), platform, probes, quick=quick)
    return figures


def _of(directory: Path, platform: StaticPlatform, probes: int, *, quick: bool) -> list[Figure]:
    sections = {
        "web": {"listen": "127.0.0.1:0"},
        "metrics": {"max_series": 10_000_000, "histograms": "tenant"},
    }
    more: dict[str, Any] = {"sections": sections}
    alone, during = _holds(directory / "quiet", Load(platform.plain_url, probes, "1h", **more))
    load = Load(platform.plain_url, probes, "60s", **more)
    first, later = Scrapes(), Scrapes()
    with recorded_daemon(directory, load) as recorded:
        daemon = recorded.daemon
        time.sleep(_SETTLE_SECONDS)
        scrape(daemon.url, first)
        time.sleep(3.0 if quick else 20.0)
        for _ in range(3):
            scrape(daemon.url, later)
            time.sleep(2.0)
        rss = rss_bytes(daemon.pid) / _MIB
        reload_seconds = _reload(recorded, directory)
    start = recorded.ready_after_seconds
    targets = _TARGETS if probes == LARGEST else {}
    size = f"{probes:,} probes"
    scraped = max(first.seconds + later.seconds)
    tenants = probes // PROBES_PER_TENANT
    return [
        Figure(GROUP, f"memory, {size}", rss, "MiB", targets.get("rss"), f"{tenants:,} tenants"),
        Figure(GROUP, f"start, {size}", start, "s", targets.get("start")),
        Figure(
            GROUP,
            f"scrape, {size}",
            scraped,
            "s",
            targets.get("scrape"),
            f"{formatted(later.sent_bytes / _MIB, 'MiB')} gzip; the first took"
            f" {formatted(first.seconds[0], 's')}, later ones {formatted(max(later.seconds), 's')}",
        ),
        Figure(
            GROUP,
            f"longest hold of the loop during scrapes, {size}",
            during * 1e3,
            "ms",
            targets.get("hold"),
            f"{formatted(alone * 1e3, 'ms')} in the seconds before; no probe due meanwhile",
        ),
        Figure(GROUP, f"reload, one tenant changed, {size}", reload_seconds, "s"),
    ]


def _holds(directory: Path, load: Load) -> tuple[float, float]:
    """Return the longest holds of a loop that has little else to do, before and during a scrape.

    It is the first scrape, of which all texts are to be made.
    """
    scrapes = Scrapes()
    with recorded_daemon(directory, load, "--holds") as recorded:
        time.sleep(_SETTLE_SECONDS)
        before = time.time()
        scrape(recorded.daemon.url, scrapes)
    holds = recorded.rows["holds"]
    span = (before - _SETTLE_SECONDS / 2, before)
    return _longest(holds, span), _longest(holds, scrapes.spans[0])


def _longest(holds: list[list[float]], span: tuple[float, float]) -> float:
    return max((hold for at, hold, _ in holds if span[0] <= at <= span[1] + hold), default=0.0)


def _reload(recorded: Recorded, directory: Path) -> float:
    """Change one tenant, let it be read anew, and return how long it took."""
    settings = json.loads(recorded.settings.read_text())
    settings["tenants"][0]["environment"] = "another"
    log, changed = directory / "log", recorded.settings.with_suffix(".new")
    changed.write_text(json.dumps(settings))
    changed.replace(recorded.settings)
    began = time.monotonic()
    os.kill(recorded.daemon.pid, signal.SIGHUP)
    while time.monotonic() - began < _RELOAD_LIMIT_SECONDS:
        if _RELOADED.search(log.read_text()):
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"no reload in\n{log.read_text()[-2000:]}")
