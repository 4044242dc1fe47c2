"""The background tasks around tokens while the daemon runs: watching sources, and saving records.

Without a usable state directory probing continues and records are lost at a restart; that is
logged once, and counted. The directory is tried again until it can be used.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog

from prober.config.resolve import Config
from prober.errors import StateDirectoryError
from prober.metrics.sink import PrometheusSink
from prober.models import shared_groups
from prober.sinks import EventSink
from prober.state_directory import StateDirectory
from prober.tokens.manager import TokenManager
from prober.tokens.oauth_client import SendRequest
from prober.tokens.state_machine import Backoff, TokenRecord
from prober.tokens.store import TokenStore
from prober.version import current_version

_SAVE_PAUSE_SECONDS = 1.0
_RESTART_SECONDS = 1.0
_REOPEN_INITIAL_SECONDS = 1.0
_REOPEN_MAX_SECONDS = 60.0
_STORE = "tokens"


class TokenService:
    """Runs a `TokenManager`: opens its store, starts its tasks, and closes both."""

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
        self._directory_path = configuration.state_directory
        self._metrics = metrics
        self._logger = logger
        self._address: str | None = None
        self._directory: StateDirectory | None = None
        self._store: TokenStore | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_failing = False

    async def start(self, address: str | None = None) -> None:
        """Restore records, read every token, start to watch; raises StateDirectoryError.

        `address` is the URL of the web server, which is saved for commands on this machine.
        """
        self._address = address
        await asyncio.to_thread(self._open)
        if self._store is not None:
            try:
                self.manager.restore(self._store)
            except OSError as error:
                self._on_error(error)
        await self.manager.load()
        for group in shared_groups(self.manager.statuses):
            self._logger.warning(
                "token.shared",
                tenants=list(group),
                message="these tenants use the same token: a rejection affects all of them",
            )
        await self._save()
        self._tasks = [
            asyncio.create_task(self._supervise(self._keep_watching), name="token watch"),
            asyncio.create_task(self._supervise(self._keep_saving), name="token saving"),
        ]

    async def saved_records(self) -> Mapping[str, TokenRecord]:
        """Return the saved records of all tenants, removed ones included."""
        if self._store is None:
            return {}
        try:
            return await asyncio.to_thread(self._store.records)
        except OSError as error:
            self._on_error(error)
            return {}

    def apply(self, configuration: Config, saved: Mapping[str, TokenRecord]) -> None:
        """Apply a configuration; `saved` are the records from `saved_records`."""
        self.manager.apply_config(configuration.tenants, _backoff(configuration), saved)

    async def stop_watching(self) -> None:
        """Stop reading sources; responses of runs in flight are still processed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def close(self) -> None:
        """Save the last changes, and release the state directory."""
        await self.stop_watching()
        await self.manager.close()
        await self._save()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        if self._directory is not None:
            self._directory.close()

    def _open(self) -> None:
        try:
            # Once only: a second lock of this very process would conflict with the first.
            if self._directory is None:
                self._directory = StateDirectory.acquire(self._directory_path)
            self._store = TokenStore.open(self._directory_path, self._on_quarantine)
            if self._address is not None:
                self._directory.write_address(self._address)
        except OSError as error:
            self._on_error(error)

    async def _reopen(self) -> None:
        """Try to open the state directory, at growing intervals, until it can be used."""
        wait_seconds = _REOPEN_INITIAL_SECONDS
        while self._store is None:
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _REOPEN_MAX_SECONDS)
            try:
                await asyncio.to_thread(self._open)
            except StateDirectoryError as error:  # another prober has taken it meanwhile
                self._on_error(OSError(None, str(error)))
            if self._store is not None:
                self._adopt(self._store)
        self._on_written()

    def _adopt(self, store: TokenStore) -> None:
        try:
            self.manager.adopt(store)
        except OSError as error:
            # Nothing may be saved beside a key that is not the manager's.
            self._store = None
            store.close()
            self._on_error(error)

    async def _keep_watching(self) -> None:
        while True:
            await self.manager.poll()

    async def _keep_saving(self) -> None:
        if self._store is None:
            await self._reopen()
        while True:
            await self.manager.wait_for_unsaved()
            # At once, since a crash in the pause would lose it; the pause bounds the writes.
            await self._save()
            await asyncio.sleep(_SAVE_PAUSE_SECONDS)

    async def _save(self) -> None:
        if self._store is None:
            return
        try:
            await self.manager.save(self._store)
        except OSError as error:
            self._on_error(error)
        else:
            self._on_written()

    async def _supervise(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run endless work, and restart it if a bug ends it: probing depends on it."""
        while True:
            try:
                await work()
            except Exception:
                self._logger.exception("token_service.crashed")
            await asyncio.sleep(_RESTART_SECONDS)

    def _on_quarantine(self, path: Path, reason: str) -> None:
        self._logger.error(
            "state.quarantined",
            file=str(path),
            reason=reason,
            message="the file cannot be used; it was renamed, and token state starts empty",
        )

    def _on_written(self) -> None:
        self._metrics.state_written(_STORE)
        if self._is_failing:
            self._logger.info("state.write_recovered", directory=str(self._directory_path))
        self._is_failing = False

    def _on_error(self, error: OSError) -> None:
        self._metrics.state_write_failed(_STORE)
        # Logged once until a write succeeds: it is tried every second.
        if not self._is_failing:
            self._logger.error(
                "state.write_failed",
                directory=str(self._directory_path),
                error=error.strerror or str(error),
                message="probing continues, but token state is lost at a restart: make the"
                " directory writable, or set state.directory to another one",
            )
        self._is_failing = True


def _backoff(configuration: Config) -> Backoff:
    settings = configuration.tokens
    return Backoff(settings.retry_initial_seconds, settings.retry_max_seconds)
