"""The configuration and web.yml are watched by notification: the periods here never end."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import structlog

from prober import reload
from prober.config.resolve import Config
from prober.errors import ConfigProblem
from prober.file_changes import FileChanges
from prober.file_signature import ConfigSources, included_directories
from prober.metrics.sink import PrometheusSink
from prober.reload import Reloader
from prober.systemd import SystemdNotifier
from prober.web.auth import AccessPolicy
from prober.web.tls import WebConfigReloader
from tests.unit.test_file_changes import kubernetes_volume, replace, rewrite, swap_volume

_NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 60.0


def swap(path: Path) -> None:
    swap_volume(path.parent, 2)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that is set once a task waits for changes."""
    event, wait = asyncio.Event(), FileChanges.wait

    async def noted(self: FileChanges, timeout_seconds: float) -> frozenset[Path]:
        event.set()
        return await wait(self, timeout_seconds)

    monkeypatch.setattr(FileChanges, "wait", noted)
    return event


def add_include(path: Path) -> None:
    (path.parent.parent / "conf.d" / "new.yaml").write_text("new")


def test_directories_of_includes_are_those_in_which_a_file_may_appear(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "conf.d").mkdir(parents=True)
    patterns = (f"{tmp_path}/a/*.yaml", f"{tmp_path}/*/conf.d/*.yaml")
    found = included_directories(ConfigSources((), patterns))
    assert found == {tmp_path, tmp_path / "a", tmp_path / "a" / "conf.d", tmp_path / "b" / "conf.d"}


@pytest.mark.parametrize("act", [rewrite, replace, swap, add_include])
async def test_a_changed_configuration_file_is_loaded_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    waiting: asyncio.Event,
    act: Callable[[Path], None],
) -> None:
    reloaded = asyncio.Event()

    async def note(_: Reloader) -> tuple[ConfigProblem, ...]:
        reloaded.set()
        return ()

    monkeypatch.setattr(Reloader, "reload", note)
    monkeypatch.setattr(reload, "WATCH_SECONDS", _NEVER_SECONDS)
    path = kubernetes_volume(tmp_path / "config")
    sources = ConfigSources((path,), (str(tmp_path / "conf.d" / "*.yaml"),))
    (tmp_path / "conf.d").mkdir()
    nothing = cast("Config", None)
    reloader = Reloader(
        lambda: nothing,
        lambda _: pytest.fail("it was not loaded"),
        cast("PrometheusSink", None),
        structlog.get_logger("test"),
        SystemdNotifier(),
    )
    reloader.watch(lambda: sources)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting.wait()
            act(path)
            await reloaded.wait()
    finally:
        await reloader.close()


@pytest.mark.parametrize("act", [rewrite, replace, swap])
async def test_a_changed_web_file_is_loaded_at_once(
    tmp_path: Path, waiting: asyncio.Event, act: Callable[[Path], None]
) -> None:
    path, loop = kubernetes_volume(tmp_path / "config"), asyncio.get_running_loop()
    policy, read = AccessPolicy(files=(path,)), asyncio.Event()

    def reread() -> AccessPolicy:
        loop.call_soon_threadsafe(read.set)
        return policy

    reloader = WebConfigReloader(policy, reread, period_seconds=_NEVER_SECONDS)
    reloader.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting.wait()
            act(path)
            await read.wait()
    finally:
        await reloader.close()
