"""The configuration taken over by a running daemon: all or nothing, and nobody else notices."""

import asyncio
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import bcrypt
import pytest
import structlog
import yaml
from aiohttp import encode_basic_auth

from prober.config.loader import load
from prober.config.resolve import Config
from prober.daemon import Daemon
from tests.programs import get, started

PATIENCE_SECONDS = 120.0
RELOADS = 1000
MOST_THREADS = 40  # asyncio's own pool, and a few
BAD = "tenants: [{name: acme"


class Running:
    """A daemon as a process, and its configuration. Nobody answers its probes: they count too."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.file = directory, directory / "prober.yaml"
        self.log, self.url = directory / "log", ""
        self.headers: dict[str, str] = {}
        (directory / "token").write_text("a-token")

    def write(self, *tenants: str, **parts: object) -> None:
        file = self.file.with_suffix(".new")
        file.write_text(yaml.safe_dump(settings(*tenants, **parts)))
        file.replace(self.file)

    @contextmanager
    def running(self) -> Iterator[Popen[bytes]]:
        command = ("run", "--config", str(self.file))
        until = r'"listening": "([^"]+)"'
        with started(*command, until=until, log=self.log) as (process, url):
            self.url = url
            yield process

    def value(self, series: str) -> float | None:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def is_reloaded(self) -> bool:
        return self.value("prober_config_last_reload_successful") == 1.0

    def get(self, path: str) -> str:
        return get(self.url + path, **self.headers)

    def runs(self, tenant: str) -> float:
        labels = 'culprit="network",outcome="network_failure",probe="datasets"'
        name = f'{{{labels},reason="connection_refused",tenant="{tenant}"}}'
        return self.value(f"prober_probe_runs_total{name}") or 0.0

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"it did not come true\n{self.log.read_text()}"
            time.sleep(0.05)


def settings(*tenants: str, **parts: object) -> dict[str, object]:
    """Return a configuration of these tenants, at an address where nobody listens."""
    return {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "defaults": {"interval": "1s", "proxy": "none"},
        "tenants": [
            {
                "name": name,
                "base_url": "http://127.0.0.1:1/acme/prod/reinfer_",
                "token": {"file": "token"},
                "probes": ["datasets"],
            }
            for name in tenants
        ],
        **parts,
    }


@pytest.fixture
def installation(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_a_hang_up_takes_over_what_is_new_and_leaves_the_rest_alone(installation: Running) -> None:
    installation.write("acme", "beta", reload={"on_change": False})
    with installation.running() as process:
        installation.until(
            lambda: installation.runs("acme") >= 3 and installation.runs("beta") >= 1
        )
        before = installation.runs("acme")
        installation.write("acme", "gamma", reload={"on_change": False})
        process.send_signal(signal.SIGHUP)
        installation.until(lambda: installation.runs("gamma") >= 2)
        installation.until(lambda: installation.runs("acme") > before)
        reported = '"added": ["gamma"], "removed": ["beta"]'
        installation.until(lambda: reported in installation.log.read_text())
        assert 'tenant="beta"' not in get(f"{installation.url}/metrics")
        page = get(f"{installation.url}/")
        assert ("gamma" in page, "beta" in page) == (True, False)
        assert installation.value("prober_config_last_reload_successful") == 1.0
        assert process.poll() is None


def test_a_bad_file_changes_nothing_and_is_told_everywhere(installation: Running) -> None:
    installation.write("acme")
    with installation.running():
        installation.until(lambda: installation.runs("acme") >= 1)
        installation.file.write_text(BAD)
        installation.until(
            lambda: installation.value("prober_config_last_reload_successful") == 0.0
        )
        before = installation.runs("acme")
        installation.until(lambda: installation.runs("acme") > before)
        installation.until(lambda: "the file is invalid" in get(f"{installation.url}/"))
        page = get(f"{installation.url}/")
        assert "prober.yaml:1" in page
        installation.until(lambda: "config.reload_failed" in installation.log.read_text())
        installation.write("acme", "beta")  # a change of the file is enough
        installation.until(lambda: installation.runs("beta") >= 1)
        installation.until(installation.is_reloaded)
        assert installation.runs("acme") > before


def test_included_files_are_watched_too(installation: Running) -> None:
    included = installation.directory / "tenants.d"
    included.mkdir()
    beta = {"tenants": settings("beta")["tenants"]}
    beta["tenants"][0]["token"] = {"file": "../token"}  # type: ignore[index]
    installation.write("acme", include="tenants.d/*.yaml")
    with installation.running():
        installation.until(lambda: installation.runs("acme") >= 1)
        (included / "b.yaml").write_text(yaml.safe_dump(beta))
        installation.until(lambda: installation.runs("beta") >= 1)
        before = installation.runs("acme")
        (included / "b.yaml").write_text("tenants: [{name: beta, colour: red}]")
        installation.until(
            lambda: installation.value("prober_config_last_reload_successful") == 0.0
        )
        said = "tenants.d/b.yaml:1: tenants[0].colour: unknown key"
        installation.until(lambda: said in installation.log.read_text())
        (included / "b.yaml").unlink()
        installation.until(lambda: 'tenant="beta"' not in installation.get("/metrics"))
        installation.until(installation.is_reloaded)
        assert installation.runs("acme") >= before


def post(url: str, headers: dict[str, str]) -> tuple[int, str]:
    try:
        with urlopen(
            Request(url, method="POST", headers=headers), timeout=PATIENCE_SECONDS
        ) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_reload_by_http_says_what_came_of_it(installation: Running) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (installation.directory / "web.yml").write_text(f"basic_auth_users: {{ops: {hashed}}}")
    web = {"listen": "127.0.0.1:0", "enable_reload": True, "config_file": "web.yml"}
    parts = {"web": web, "reload": {"on_change": False}}
    installation.write("acme", **parts)
    with installation.running():
        installation.write("acme", "beta", history={"enabled": False}, **parts)
        assert post(f"{installation.url}/-/reload", {})[0] == 401
        installation.headers = {"Authorization": encode_basic_auth("ops", "secret")}
        assert post(f"{installation.url}/-/reload", installation.headers) == (200, "reloaded\n")
        installation.until(lambda: installation.runs("beta") >= 1)
        assert "config.restart_required" in installation.log.read_text()
        installation.file.write_text(BAD)
        status, text = post(f"{installation.url}/-/reload", installation.headers)
        assert status == 400
        assert "nothing has changed" in text
        assert "prober.yaml:1" in text


async def test_a_thousand_reloads_leak_nothing(installation: Running) -> None:
    installation.write("acme", "beta", defaults={"interval": "1h", "proxy": "none"})
    one = load(installation.file)
    installation.write("acme", "gamma", defaults={"interval": "30m", "proxy": "none"})
    other = load(installation.file)
    daemon = Daemon(one, os.environ, structlog.get_logger("test"))
    await daemon.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while daemon.metrics.self_health().history_written_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # a thread writes it
        before, objects = await after(daemon, [other, one] * 10)
        now, objects_now = await after(daemon, [other, one] * (RELOADS // 2))
        leaks = {name: count - before[name] for name, count in now.items()}
        assert (leaks["series"], leaks["jobs"]) == (0, 0)
        # A run, or the thread of the history, may be under way at one of the two.
        assert max(leaks.values()) < RELOADS / 10
        assert objects_now - objects < RELOADS  # not one object a reload
        assert threading.active_count() < MOST_THREADS
    finally:
        await daemon.stop()


async def after(daemon: Daemon, configurations: list[Config]) -> tuple[dict[str, int], int]:
    """Return what there is of all that could leak, and the number of objects, after reloads."""
    for number, configuration in enumerate(configurations):
        await daemon.apply(replace(configuration, hash=str(number % 2)))
    gc.collect()
    counted = {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "series": daemon.metrics.series_count,
        "timers": len(daemon._scheduler._timers),
        "jobs": len(daemon._scheduler._scheduler.get_jobs()),
    }
    return counted, len(gc.get_objects())
