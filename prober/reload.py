"""Taking over a changed configuration while probing goes on: all of it, or nothing.

Asked for by a signal, by HTTP, or by the file itself when it has changed and been left alone since.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from prober.errors import Problem, SettingsError
from prober.file_version import file_version
from prober.recorders.metrics import Metrics
from prober.sdnotify import ServiceManager
from prober.settings.changes import Changes
from prober.settings.resolve import Configuration

WATCH_SECONDS = 2.5

Load = Callable[[], Configuration]
"""Reads the configuration; blocks, and raises SettingsError."""


class Reloader:
    """Reads the file anew when asked to, one time after the other. `apply` puts it in force."""

    def __init__(
        self,
        load: Load,
        apply: Callable[[Configuration], Awaitable[Changes]],
        metrics: Metrics,
        logger: structlog.typing.FilteringBoundLogger,
        service: ServiceManager,
    ) -> None:
        self._load = load
        self._apply = apply
        self._metrics = metrics
        self._logger = logger
        self._service = service
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    def request(self) -> None:
        """Begin to reload; nobody waits for it."""
        self._own(asyncio.create_task(self.reload(), name="reload"))

    def watch(self, path: Path) -> None:
        """Reload whenever a file has changed."""
        self._own(asyncio.create_task(self._watch(path), name="settings watch"))

    async def close(self) -> None:
        """End what is going on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reload(self) -> tuple[Problem, ...]:
        """Put what the file says in force; return its problems, and then nothing has changed."""
        async with self._one_at_a_time:
            self._service.reloading()
            try:
                return await self._reload()
            finally:
                self._service.ready()

    async def _reload(self) -> tuple[Problem, ...]:
        try:
            configuration = await asyncio.to_thread(self._load)
        except SettingsError as error:
            self._refuse(error.problems)
            return error.problems
        told = await self._apply(configuration)
        self._metrics.configuration_loaded(time.time(), configuration.hash)
        self._tell(configuration, told)
        return ()

    async def _watch(self, path: Path) -> None:
        """Reload at the second look that finds a change, so that nothing half written is read."""
        read = seen = await asyncio.to_thread(file_version, path)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            found = await asyncio.to_thread(file_version, path)
            if found == seen and found != read:
                read = found
                self._logger.info("settings.file_changed", file=str(path))
                await self.reload()
            seen = found

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        self._metrics.configuration_failed(str(problems[0]))
        self._service.status(f"not reloaded: {problems[0]}")
        self._logger.error(
            "settings.not_reloaded",
            problems=[str(problem) for problem in problems],
            message="the configuration before stays in force: mend the file, and reload",
        )

    def _tell(self, configuration: Configuration, told: Changes) -> None:
        self._service.status(f"probing {len(configuration.tenants)} tenants")
        for warning in configuration.warnings:
            self._logger.warning("settings.warning", key=warning.key, message=warning.message)
        if told.needs_restart:
            self._logger.warning(
                "settings.needs_restart",
                keys=list(told.needs_restart),
                message="these stay as they were until the prober is started again",
            )
        self._logger.info(
            "settings.reloaded",
            added=list(told.added),
            removed=list(told.removed),
            changed=list(told.changed),
            unchanged=told.unchanged,
            hash=configuration.hash,
        )

    def _own(self, task: asyncio.Task[object]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._logger.error("reload.broke", exc_info=task.exception())
