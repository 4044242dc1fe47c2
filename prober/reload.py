"""Reloads the configuration while probing continues: as a whole, or not at all.

A reload is started by a signal, by HTTP, or by a change of the file.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import structlog

from prober.config.diff import ConfigDiff
from prober.config.resolve import Config
from prober.errors import ConfigProblem, SettingsError
from prober.file_changes import FileChanges, until_still
from prober.file_signature import (
    ConfigSources,
    Signature,
    included_directories,
    sources_signature,
)
from prober.metrics.sink import PrometheusSink
from prober.systemd import SystemdNotifier

WATCH_SECONDS = 5.0
"""How often to look at the file where its changes are not notified."""
_STILL_SECONDS = 0.5

LoadConfig = Callable[[], Config]
"""Reads the configuration. Blocks; raises SettingsError."""


class Reloader:
    """Runs one reload at a time: reads the configuration with `load`, passes it to `apply`."""

    def __init__(
        self,
        load: LoadConfig,
        apply: Callable[[Config], Awaitable[ConfigDiff]],
        metrics: PrometheusSink,
        logger: structlog.typing.FilteringBoundLogger,
        service: SystemdNotifier,
    ) -> None:
        self._load = load
        self._apply = apply
        self._metrics = metrics
        self._logger = logger
        self._service = service
        self._reload_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    def request(self) -> None:
        """Start a reload in the background."""
        self._track(asyncio.create_task(self.reload(), name="reload"))

    def watch(self, sources: Callable[[], ConfigSources]) -> None:
        """Start to reload whenever a file of the configuration changes, appears or disappears.

        `sources` returns what the present configuration was read from.
        """
        self._track(asyncio.create_task(self._watch(sources), name="config watch"))

    async def close(self) -> None:
        """Cancel reloads and watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reload(self) -> tuple[ConfigProblem, ...]:
        """Reload now; return the problems, () if there are none. With problems nothing changes."""
        async with self._reload_lock:
            self._service.reloading()
            try:
                return await self._reload()
            finally:
                self._service.ready()

    async def _reload(self) -> tuple[ConfigProblem, ...]:
        try:
            configuration = await asyncio.to_thread(self._load)
        except SettingsError as error:
            self._report_failure(error.problems)
            return error.problems
        diff = await self._apply(configuration)
        self._metrics.configuration_loaded(time.time(), configuration.hash)
        self._log_changes(configuration, diff)
        return ()

    async def _watch(self, sources: Callable[[], ConfigSources]) -> None:
        """Reload when files have changed and then stayed the same for a while."""

        def look() -> tuple[tuple[str, Signature], ...]:
            return sources_signature(sources())

        with closing(FileChanges()) as changes:
            await _watch_sources(changes, sources())
            loaded = await asyncio.to_thread(look)
            while True:
                await changes.wait(WATCH_SECONDS)
                if await asyncio.to_thread(look) == loaded:
                    continue
                current = await until_still(look, _STILL_SECONDS)
                if current == loaded:
                    continue
                changed = sorted({name for name, _ in set(current) ^ set(loaded)})
                self._logger.info("config.file_changed", file=", ".join(changed))
                await self.reload()
                # The new configuration may include other files. What was changed since the reload
                # began still counts as changed.
                await _watch_sources(changes, sources())
                before = dict(current)
                loaded = tuple(
                    (name, before.get(name, now)) for name, now in await asyncio.to_thread(look)
                )

    def _report_failure(self, problems: tuple[ConfigProblem, ...]) -> None:
        self._metrics.configuration_failed(str(problems[0]))
        self._service.status(f"reload failed: {problems[0]}")
        self._logger.error(
            "config.reload_failed",
            problems=[str(problem) for problem in problems],
            message="the previous configuration stays active: fix the problems and reload",
        )

    def _log_changes(self, configuration: Config, diff: ConfigDiff) -> None:
        self._service.status(f"probing {len(configuration.tenants)} tenants")
        for warning in configuration.warnings:
            self._logger.warning(
                "config.warning", key=warning.key or warning.file, message=warning.message
            )
        if diff.needs_restart:
            self._logger.warning(
                "config.restart_required",
                keys=list(diff.needs_restart),
                message="changes of these keys take effect after a restart",
            )
        self._logger.info(
            "config.reloaded",
            added=list(diff.added),
            removed=list(diff.removed),
            changed=list(diff.changed),
            unchanged=diff.unchanged,
            hash=configuration.hash,
        )

    def _track(self, task: asyncio.Task[object]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._logger.error("config.reload_crashed", exc_info=task.exception())


async def _watch_sources(changes: FileChanges, sources: ConfigSources) -> None:
    directories = await asyncio.to_thread(included_directories, sources)
    await changes.watch(sources.files, directories)
