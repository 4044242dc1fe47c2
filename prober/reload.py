"""Taking over a changed configuration while probing goes on: all of it, or nothing.

Asked for by a signal, by HTTP, or by the file itself when it has changed and been left alone since.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from prober.config.diff import ConfigDiff
from prober.config.resolve import Config
from prober.errors import ConfigProblem, SettingsError
from prober.file_signature import file_signature
from prober.metrics.sink import PrometheusSink
from prober.systemd import SystemdNotifier

WATCH_SECONDS = 5.0

LoadConfig = Callable[[], Config]
"""Reads the configuration; blocks, and raises SettingsError."""


class Reloader:
    """Reads the file anew when asked to, one time after the other. `apply` puts it in force."""

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
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    def request(self) -> None:
        """Begin to reload; nobody waits for it."""
        self._track(asyncio.create_task(self.reload(), name="reload"))

    def watch(self, path: Path) -> None:
        """Reload whenever a file has changed."""
        self._track(asyncio.create_task(self._watch(path), name="settings watch"))

    async def close(self) -> None:
        """End what is going on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reload(self) -> tuple[ConfigProblem, ...]:
        """Put what the file says in force; return its problems, and then nothing has changed."""
        async with self._one_at_a_time:
            self._service.reloading()
            try:
                return await self._reload()
            finally:
                self._service.ready()

    async def _reload(self) -> tuple[ConfigProblem, ...]:
        try:
            configuration = await asyncio.to_thread(self._load)
        except SettingsError as error:
            self._refuse(error.problems)
            return error.problems
        told = await self._apply(configuration)
        self._metrics.configuration_loaded(time.time(), configuration.hash)
        self._log_changes(configuration, told)
        return ()

    async def _watch(self, path: Path) -> None:
        """Reload at the second look that finds a change, so that nothing half written is read."""
        read = seen = await asyncio.to_thread(file_signature, path)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            found = await asyncio.to_thread(file_signature, path)
            if found == seen and found != read:
                read = found
                self._logger.info("config.file_changed", file=str(path))
                await self.reload()
            seen = found

    def _refuse(self, problems: tuple[ConfigProblem, ...]) -> None:
        self._metrics.configuration_failed(str(problems[0]))
        self._service.status(f"not reloaded: {problems[0]}")
        self._logger.error(
            "config.reload_failed",
            problems=[str(problem) for problem in problems],
            message="the configuration before stays in force: mend the file, and reload",
        )

    def _log_changes(self, configuration: Config, diff: ConfigDiff) -> None:
        self._service.status(f"probing {len(configuration.tenants)} tenants")
        for warning in configuration.warnings:
            self._logger.warning("config.warning", key=warning.key, message=warning.message)
        if diff.needs_restart:
            self._logger.warning(
                "config.restart_required",
                keys=list(diff.needs_restart),
                message="these stay as they were until the prober is started again",
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
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._logger.error("config.reload_crashed", exc_info=task.exception())
