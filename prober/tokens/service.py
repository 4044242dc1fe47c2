"""What goes on around tokens as long as a daemon runs: watching, saving, and saying what happened.

Without a usable state directory probing goes on, and a restart forgets: said once, and counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog

from prober.config.resolve import Config
from prober.metrics.sink import PrometheusSink
from prober.models import shared_groups
from prober.sinks import EventSink
from prober.state_directory import StateDirectory
from prober.tokens.manager import TokenManager
from prober.tokens.oauth_client import SendRequest
from prober.tokens.state_machine import Backoff, TokenRecord
from prober.tokens.store import TokenStore
from prober.version import current_version

SAVE_SECONDS = 1.0
_AFTER_A_BUG_SECONDS = 1.0


class TokenService:
    """Runs a keeper. `also` hears all that the keeper says, after metrics and log."""

    def __init__(
        self,
        configuration: Config,
        environ: Mapping[str, str],
        send: SendRequest,
        metrics: PrometheusSink,
        logger: structlog.typing.FilteringBoundLogger,
        sink: EventSink,
    ) -> None:
        self.manager = TokenManager(
            configuration.tenants,
            environ,
            send,
            now=time.time,
            version=current_version().version,
            sink=sink,
            backoff=_backoff(configuration),
        )
        self._path = configuration.state_directory
        self._metrics = metrics
        self._logger = logger
        self._directory: StateDirectory | None = None
        self._file: TokenStore | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._cannot_save = False

    async def start(self) -> None:
        """Remember, read every token, begin to watch; raises StateDirectoryError."""
        await asyncio.to_thread(self._open)
        if self._file is not None:
            try:
                self.manager.restore(self._file)
            except OSError as error:
                self._on_error(error)
        await self.manager.load()
        for group in shared_groups(self.manager.statuses):
            self._logger.warning(
                "token.shared",
                tenants=list(group),
                message="these tenants hold the same token: they share a fate",
            )
        await self._save()
        self._tasks = [
            asyncio.create_task(self._supervise(self._keep_watching), name="token watch"),
            asyncio.create_task(self._supervise(self._keep_saving), name="token saving"),
        ]

    async def saved_records(self) -> Mapping[str, TokenRecord]:
        """Return what is known of the tokens of all tenants that there ever were."""
        if self._file is None:
            return {}
        try:
            return await asyncio.to_thread(self._file.records)
        except OSError as error:
            self._on_error(error)
            return {}

    def apply(self, configuration: Config, saved: Mapping[str, TokenRecord]) -> None:
        """Take over settings; see `remembered`."""
        self.manager.apply_config(configuration.tenants, _backoff(configuration), saved)

    async def stop_watching(self) -> None:
        """Take no new token any more; answers are still noted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def close(self) -> None:
        """Save for the last time, and let go of the state directory."""
        await self.stop_watching()
        await self.manager.close()
        await self._save()
        if self._file is not None:
            await asyncio.to_thread(self._file.close)
        if self._directory is not None:
            self._directory.close()

    def _open(self) -> None:
        try:
            self._directory = StateDirectory.acquire(self._path)
            self._file = TokenStore.open(self._path, self._on_quarantine)
        except OSError as error:
            self._on_error(error)

    async def _keep_watching(self) -> None:
        while True:
            await self.manager.poll()

    async def _keep_saving(self) -> None:
        while True:
            await self.manager.wait_for_unsaved()
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    async def _save(self) -> None:
        if self._file is None:
            return
        try:
            await self.manager.save(self._file)
        except OSError as error:
            self._on_error(error)
        else:
            if self._cannot_save:
                self._logger.info("state.write_recovered", directory=str(self._path))
            self._cannot_save = False

    async def _supervise(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do endless work; should a bug end it, say so and begin it anew: probing depends on it."""
        while True:
            try:
                await work()
            except Exception:
                self._logger.exception("token_service.crashed")
            await asyncio.sleep(_AFTER_A_BUG_SECONDS)

    def _on_quarantine(self, path: Path, why: str) -> None:
        self._logger.error(
            "state.quarantined",
            file=str(path),
            why=why,
            message="what was known of tokens' lives is forgotten; a new ledger is begun",
        )

    def _on_error(self, error: OSError) -> None:
        self._metrics.state_write_failed()
        if not self._cannot_save:
            self._logger.error(
                "state.write_failed",
                directory=str(self._path),
                error=error.strerror or str(error),
                message="probing goes on, but a restart will forget the tokens' lives: make the"
                " directory writable, or set state.directory to another",
            )
        self._cannot_save = True


def _backoff(configuration: Config) -> Backoff:
    settings = configuration.tokens
    return Backoff(settings.retry_initial_seconds, settings.retry_max_seconds)
