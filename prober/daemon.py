"""The composition root: builds the house, starts it, lets it change, and ends it.

Nothing else reaches across rooms. A run falls due (`schedule`), is started or skipped and counted
(`runs`), becomes a result (`attempt`), and is told to the recorders.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from prober.access.keeper import AccessKeeper
from prober.attempt import VERSION, Collaborators
from prober.build import this_build
from prober.credential import TokenEvent, TokenStatus
from prober.exchange.client import ExchangeClient
from prober.exchange.loop_lag import LoopLag
from prober.interpreter import let_the_loop_run
from prober.memory import Memory
from prober.outcomes import TokenEventKind
from prober.recorders.log import LogRecorder
from prober.recorders.metrics import Metrics
from prober.recorders.recorder import FanOut, Recorder
from prober.reload import Load, Reloader
from prober.runs import Runs
from prober.schedule.clock import HEARTBEAT_SECONDS, Clock
from prober.schedule.progress import patience_seconds
from prober.sdnotify import ServiceManager
from prober.series_limit import refuse_too_many_series
from prober.settings.changes import Changes, adopted, changes
from prober.settings.resolve import Configuration
from prober.settings.web_file import reread_access
from prober.timeline.standing import TenantStanding
from prober.token_upkeep import TokenUpkeep
from prober.verdict.rules import judge
from prober.watchdog import Watchdog
from prober.web.app import create_app
from prober.web.doors import Bounds, Doors
from prober.web.scrapes import prepare
from prober.web.server import Listening, listen
from prober.web.site import Site

_NEW_TOKEN = frozenset({TokenEventKind.LOADED, TokenEventKind.ROTATED})
_Logger = structlog.typing.FilteringBoundLogger


class Daemon:
    """A prober at work. `extra` recorders hear every result beside metrics and log.

    `load` reads the configuration anew when it is to be reloaded; without it, it cannot be.
    `service` hears how things go.
    """

    def __init__(
        self,
        configuration: Configuration,
        environ: Mapping[str, str],
        logger: _Logger,
        extra: Sequence[Recorder] = (),
        load: Load | None = None,
        service: ServiceManager | None = None,
    ) -> None:
        self._configuration = configuration
        self._logger = logger
        self._service = ServiceManager() if service is None else service
        self._watchdog = Watchdog(self._service, logger)
        self._patience_seconds = patience_seconds(configuration.tenants)
        self.metrics = Metrics(
            configuration.tenants,
            histograms=configuration.web.histograms,
            max_loop_lag_seconds=configuration.measurement.max_loop_lag_seconds,
            started_at=time.time(),
            build=this_build(),
            shard=configuration.shard,
        )
        self._client = ExchangeClient(LoopLag(self.metrics.loop_lag))
        self.memory = Memory(configuration, self.metrics, logger)
        self._upkeep = TokenUpkeep(
            configuration, environ, self._client.exchange, self.metrics, logger, self
        )
        self.tokens = self._upkeep.keeper
        self._runs = Runs(
            Collaborators(self.tokens, self._client, judge, time.time),
            self.tokens,
            FanOut(
                (self.metrics, LogRecorder(logger), *self.memory.recorders, *extra),
                self._on_recorder_failure,
            ),
            self.metrics,
            self.memory.skipped,
            logger,
        )
        self._runs.apply(configuration.tenants, configuration.schedule)
        self._clock = Clock(
            self._runs.fall_due,
            self._on_heartbeat,
            heartbeat_seconds=self._watchdog.heartbeat_seconds(HEARTBEAT_SECONDS),
        )
        self._reloader = None if load is None else self._made_reloader(load)
        self._access = AccessKeeper(configuration.access, reread_access(configuration), logger)
        self._resources = AsyncExitStack()
        self.listening: Listening | None = None

    async def start(self) -> None:
        """Bind the web server and begin to probe; raises ListenError and StateDirectoryError."""
        try:
            await self._start()
        except BaseException:
            await self._resources.aclose()
            raise

    async def _start(self) -> None:
        configuration = self._configuration
        web, keeper = configuration.web, self._access
        doors = Doors(keeper, Bounds(web.max_connections))
        self.listening = await listen(create_app(self._site(), keeper), web.host, web.port, doors)
        self._resources.push_async_callback(self.listening.close)
        self._resources.push_async_callback(keeper.close)
        keeper.start()
        await self._resources.enter_async_context(self._client)
        await self._client.renew(tenant.transport for tenant in configuration.tenants)
        self._resources.push_async_callback(self._upkeep.close)
        await self._upkeep.start()
        self._resources.push_async_callback(self.memory.close)
        await self.memory.start()
        self.metrics.configuration_loaded(time.time(), configuration.hash)
        self._runs.open()
        self._clock.start(configuration.tenants)
        texts = prepare(self.metrics.refresh)
        self._resources.callback(asyncio.create_task(texts, name="first texts of metrics").cancel)
        if self._reloader is not None and configuration.reload.on_change:
            self._reloader.watch(configuration.source)
        for warning in configuration.warnings:
            self._logger.warning("settings.warning", key=warning.key, message=warning.message)
        self._logger.info(
            "daemon.started",
            listening=self.listening.url,
            shard=str(configuration.shard),
            tenants=len(configuration.tenants),
            probes=sum(len(tenant.probes) for tenant in configuration.tenants),
            series=self.metrics.series_count,
            version=VERSION,
        )
        self._service.status(f"probing {len(configuration.tenants)} tenants")
        self._service.ready()

    async def stop(self) -> None:
        """Start nothing more, let what is in flight end within the grace period, and close."""
        grace_seconds = self._configuration.schedule.grace_seconds
        if self._reloader is not None:
            await self._reloader.close()
        self._service.stopping()
        self._clock.stop()
        await self._upkeep.stop_watching()
        self._logger.info(
            "daemon.stopping", in_flight=self._runs.in_flight, grace_seconds=grace_seconds
        )
        cut_off = await self._runs.drain(grace_seconds)
        await self._resources.aclose()
        self._logger.info("daemon.stopped", cut_off=cut_off)

    def request_reload(self) -> None:
        """Begin to read the configuration anew."""
        if self._reloader is not None and self._runs.is_open:
            self._reloader.request()

    async def apply(self, configuration: Configuration) -> Changes:
        """Put another configuration in force; what it leaves as it was does not notice."""
        told = changes(self._configuration, configuration)
        in_force = adopted(self._configuration, configuration)
        await self._client.renew(tenant.transport for tenant in in_force.tenants)
        remembered = await self._upkeep.remembered()
        # From here on nothing waits: no run sees half of it.
        self._configuration = in_force
        self.metrics.apply(in_force.tenants)
        self.metrics.max_loop_lag_seconds = in_force.measurement.max_loop_lag_seconds
        self._patience_seconds = patience_seconds(in_force.tenants)
        self.memory.apply(in_force)
        self._upkeep.apply(in_force, remembered)
        self._runs.apply(in_force.tenants, in_force.schedule)
        self._clock.apply(in_force.tenants)
        self._on_heartbeat()
        return told

    def token_changed(self, status: TokenStatus) -> None:
        """See `Listener`."""
        self.memory.token_changed(status)

    def token_event(self, event: TokenEvent) -> None:
        """See `Listener`; a new token is tried at once."""
        self.memory.token_event(event)
        if event.kind in _NEW_TOKEN:
            self._runs.probe_at_once(event.status.tenant)

    def _made_reloader(self, load: Load) -> Reloader:
        return Reloader(
            lambda: refuse_too_many_series(load()),
            self.apply,
            self.metrics,
            self._logger,
            self._service,
        )

    def _site(self) -> Site:
        web, reloader = self._configuration.web, self._reloader
        return Site(
            tenants=self._runs.tenants,
            standing=self._standing,
            changes=lambda tenant: self.memory.board.changes[tenant],
            own_health=self.metrics.own_health,
            archive=self.memory.archive,
            render_metrics=self.metrics.exposition,
            refresh_metrics=self.metrics.refresh,
            is_ready=lambda: self._runs.is_open,
            now=time.time,
            run_once=self._runs.run_once if web.ad_hoc_runs else None,
            reload=reloader.reload if web.reload and reloader is not None else None,
            hosts=web.hosts,
        )

    def _standing(self, tenant: str) -> TenantStanding:
        now = time.time()
        maintenance = self._runs.maintenance(tenant, now)
        return self.memory.board.standing(tenant, self.tokens.statuses, maintenance, now)

    def _on_heartbeat(self) -> None:
        now = time.time()
        self.metrics.heartbeat(now, len(asyncio.all_tasks()))
        seen = self.metrics.own_health()
        self._watchdog.beat(seen, self._patience_seconds, time.monotonic())
        for tenant in self._configuration.tenants:
            if tenant.maintenance:  # few have any, and this must not hold the loop
                is_active = self._runs.maintenance(tenant.name, now).is_active
                self.metrics.maintenance(tenant.name, is_active=is_active)

    def _on_recorder_failure(self, recorder: Recorder, error: Exception) -> None:
        self._logger.error(
            "recorder.failed",
            recorder=type(recorder).__name__,
            error=f"{type(error).__name__}: {error}",
        )


async def run(
    configuration: Configuration,
    environ: Mapping[str, str],
    logger: _Logger,
    until: Callable[[Callable[[], None]], asyncio.Future[None]],
    load: Load,
) -> None:
    """Run a daemon until the future is done that `until` makes, given what a hang-up shall do.

    Raises ListenError and StateDirectoryError.
    """
    service = ServiceManager.of(environ, os.getpid())
    daemon = Daemon(configuration, environ, logger, load=load, service=service)
    let_the_loop_run()
    ended = until(daemon.request_reload)
    await daemon.start()
    try:
        await ended
    finally:
        await daemon.stop()
