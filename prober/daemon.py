"""The composition root: builds the house, starts it, lets it change, and ends it.

Nothing else reaches across rooms. A run falls due (`schedule`), is started or skipped and counted
(`runs`), becomes a result (`attempt`), and is told to the recorders.

What is set of the interpreter, so that the event loop waits for nobody else.

Whatever the loop waits for, every answer under way is measured too slow by as much.

Whether settings yield more series than they allow: known before anything is started.
"""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType

import structlog

from prober.classifier.rules import classify
from prober.config.diff import ConfigDiff, config_diff, with_restart_only_settings
from prober.config.resolve import Config
from prober.config.schema import is_loopback
from prober.config.web_config import web_config_reader
from prober.errors import ConfigProblem, SettingsError
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.logs import LogSink
from prober.metrics.registry import series_estimate
from prober.metrics.sink import PrometheusSink
from prober.probe import ProbeDeps
from prober.reload import LoadConfig, Reloader
from prober.runner import ProbeRunner
from prober.scheduler.scheduler import HEARTBEAT_SECONDS, Scheduler
from prober.scheduler.stall import stall_timeout_seconds
from prober.sinks import EventSink, FanOutSink
from prober.stats.status import TenantStatus
from prober.status_service import StatusService
from prober.systemd import SystemdNotifier, Watchdog
from prober.tokens.service import TokenService
from prober.version import current_version
from prober.web.app import create_app
from prober.web.context import WebContext
from prober.web.metrics import warm_up
from prober.web.server import ConnectionLimits, ConnectionManager, WebServer, listen
from prober.web.tls import WebConfigReloader

_SWITCH_SECONDS = 0.0005
_COLLECT_AFTER = (10_000, 20, 50)


def tune_gc_and_switch_interval() -> None:
    """Set it for the whole process, once what lives as long has been built.

    A thread that computes (the history's, a page's) hands the interpreter over within half a
    millisecond, not five. The garbage collector stops everything while it looks, with ten thousand
    probes for a fifth of a second: it passes over what there is now, and comes seldom.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def check_series_limit(configuration: Config) -> Config:
    """Return it; raise SettingsError when it yields more series than `web.max_series` allows."""
    series = series_estimate(configuration.tenants, configuration.web.histograms)
    if series > configuration.web.max_series:
        raise SettingsError(
            (
                ConfigProblem(
                    str(configuration.source),
                    None,
                    "web.max_series",
                    f"these tenants and probes yield {series} series, more than the"
                    f" {configuration.web.max_series} allowed: raise web.max_series, or set"
                    " web.histograms to 'tenant' or 'off'",
                ),
            )
        )
    return configuration


_Logger = structlog.typing.FilteringBoundLogger


class Daemon:
    """A prober at work. `extra` sinks, by name, receive every event too.

    `load` reads the configuration anew when it is to be reloaded; without it, it cannot be.
    `service` hears how things go.
    """

    def __init__(
        self,
        configuration: Config,
        environ: Mapping[str, str],
        logger: _Logger,
        extra: Mapping[str, EventSink] = MappingProxyType({}),
        load: LoadConfig | None = None,
        service: SystemdNotifier | None = None,
    ) -> None:
        self._configuration = configuration
        self._logger = logger
        self._systemd = SystemdNotifier() if service is None else service
        self._watchdog = Watchdog(self._systemd, logger)
        self._stall_timeout_seconds = stall_timeout_seconds(configuration.tenants)
        self.metrics = _create_metrics(configuration)
        self._client = ProbeHttpClient(EventLoopLagMonitor(self.metrics.loop_lag))
        self.status = StatusService(configuration, self.metrics, logger)
        sinks = self._create_sinks(extra)
        self._token_service = TokenService(
            configuration, environ, self._client.exchange, self.metrics, logger, sinks
        )
        self.tokens = self._token_service.manager
        self._runner = ProbeRunner(
            ProbeDeps(self.tokens, self._client, classify, time.time, asyncio.to_thread),
            self.tokens,
            sinks,
            self.metrics,
            logger,
        )
        # Last, so that metrics and log have a token event before the run that it starts.
        sinks.add("runner", self._runner)
        self._runner.apply(configuration.tenants, configuration.schedule)
        self._scheduler = Scheduler(
            self._runner.on_due,
            self._on_heartbeat,
            heartbeat_seconds=self._watchdog.heartbeat_seconds(HEARTBEAT_SECONDS),
        )
        self._reloader = None if load is None else self._build_reloader(load)
        self._web_config = WebConfigReloader(
            configuration.access, web_config_reader(configuration), logger
        )
        self._resources = AsyncExitStack()
        self.listening: WebServer | None = None

    async def start(self) -> None:
        """Bind the web server and begin to probe; raises ListenError and StateDirectoryError."""
        try:
            await self._start()
        except BaseException:
            await self._resources.aclose()
            raise

    async def _start(self) -> None:
        configuration = self._configuration
        web, keeper = configuration.web, self._web_config
        doors = ConnectionManager(keeper, ConnectionLimits(web.max_connections))
        self.listening = await listen(
            create_app(self._web_context(), keeper), web.host, web.port, doors
        )
        self._resources.push_async_callback(self.listening.close)
        self._resources.push_async_callback(keeper.close)
        keeper.start()
        await self._resources.enter_async_context(self._client)
        await self._client.reload_tls(tenant.transport for tenant in configuration.tenants)
        self._resources.push_async_callback(self._token_service.close)
        await self._token_service.start()
        self._resources.push_async_callback(self.status.close)
        await self.status.start()
        self.metrics.configuration_loaded(time.time(), configuration.hash)
        self._runner.enable()
        self._scheduler.start(configuration.tenants, self.status.last_runs)
        texts = warm_up(self.metrics.refresh)
        self._resources.callback(asyncio.create_task(texts, name="first texts of metrics").cancel)
        if self._reloader is not None and configuration.reload.on_change:
            self._reloader.watch(configuration.source)
        for warning in configuration.warnings:
            self._logger.warning("config.warning", key=warning.key, message=warning.message)
        self._logger.info(
            "daemon.started",
            listening=self.listening.url,
            shard=str(configuration.shard),
            tenants=len(configuration.tenants),
            probes=sum(len(tenant.probes) for tenant in configuration.tenants),
            series=self.metrics.series_count,
            version=current_version().version,
        )
        self._systemd.status(f"probing {len(configuration.tenants)} tenants")
        self._systemd.ready()

    async def stop(self) -> None:
        """Start nothing more, let what is in flight end within the grace period, and close."""
        grace_seconds = self._configuration.schedule.grace_seconds
        if self._reloader is not None:
            await self._reloader.close()
        self._systemd.stopping()
        self._scheduler.stop()
        await self._token_service.stop_watching()
        self._logger.info(
            "daemon.stopping", in_flight=self._runner.in_flight, grace_seconds=grace_seconds
        )
        cut_off = await self._runner.drain(grace_seconds)
        await self._resources.aclose()
        self._logger.info("daemon.stopped", cut_off=cut_off)

    def request_reload(self) -> None:
        """Begin to read the configuration anew."""
        if self._reloader is not None and self._runner.is_enabled:
            self._reloader.request()

    async def apply(self, configuration: Config) -> ConfigDiff:
        """Put another configuration in force; what it leaves as it was does not notice."""
        told = config_diff(self._configuration, configuration)
        in_force = with_restart_only_settings(self._configuration, configuration)
        await self._client.reload_tls(tenant.transport for tenant in in_force.tenants)
        remembered = await self._token_service.saved_records()
        # From here on nothing waits: no run sees half of it.
        self._configuration = in_force
        self.metrics.apply(in_force.tenants)
        self.metrics.max_loop_lag_seconds = in_force.measurement.max_loop_lag_seconds
        self._stall_timeout_seconds = stall_timeout_seconds(in_force.tenants)
        self.status.apply(in_force)
        self._token_service.apply(in_force, remembered)
        self._runner.apply(in_force.tenants, in_force.schedule)
        self._scheduler.apply(in_force.tenants)
        self._on_heartbeat()
        return told

    def _create_sinks(self, extra: Mapping[str, EventSink]) -> FanOutSink:
        builtin = {"metrics": self.metrics, "log": LogSink(self._logger), **self.status.sinks}
        sinks = FanOutSink(builtin, self._on_sink_failure)
        for name, sink in extra.items():
            sinks.add(name, sink)
        return sinks

    def _build_reloader(self, load: LoadConfig) -> Reloader:
        return Reloader(
            lambda: check_series_limit(load()),
            self.apply,
            self.metrics,
            self._logger,
            self._systemd,
        )

    def _web_context(self) -> WebContext:
        web, reloader = self._configuration.web, self._reloader
        return WebContext(
            tenants=self._runner.tenants,
            status=self._status,
            changes=lambda tenant: self.status.tracker.changes[tenant],
            self_health=self.metrics.self_health,
            history=self.status.archive,
            render_metrics=self.metrics.exposition,
            refresh_metrics=self.metrics.refresh,
            is_ready=lambda: self._runner.is_enabled,
            now=time.time,
            run_once=self._runner.run_once if web.ad_hoc_runs else None,
            reload=reloader.reload if web.reload and reloader is not None else None,
            allowed_hosts=web.hosts,
            is_loopback=is_loopback(web.host),
        )

    def _status(self, tenant: str) -> TenantStatus:
        now = time.time()
        maintenance = self._runner.maintenance(tenant, now)
        return self.status.tracker.status(tenant, self.tokens.statuses, maintenance, now)

    def _on_heartbeat(self) -> None:
        now = time.time()
        self.metrics.heartbeat(now, len(asyncio.all_tasks()))
        seen = self.metrics.self_health()
        self._watchdog.tick(seen, self._stall_timeout_seconds, time.monotonic())
        for tenant in self._configuration.tenants:
            if tenant.maintenance:  # few have any, and this must not hold the loop
                is_active = self._runner.maintenance(tenant.name, now).is_active
                self.metrics.maintenance(tenant.name, is_active=is_active)

    def _on_sink_failure(self, sink: str, method: str, error: Exception, *, is_new: bool) -> None:
        if is_new:  # once; prober_sink_failures_total counts them all
            self._logger.error("sink.failed", sink=sink, method=method, exc_info=error)
        self.metrics.sink_failed(sink)


def _create_metrics(configuration: Config) -> PrometheusSink:
    return PrometheusSink(
        configuration.tenants,
        histograms=configuration.web.histograms,
        max_loop_lag_seconds=configuration.measurement.max_loop_lag_seconds,
        started_at=time.time(),
        build=current_version(),
        shard=configuration.shard,
    )


async def run_daemon(
    configuration: Config,
    environ: Mapping[str, str],
    logger: _Logger,
    until: Callable[[Callable[[], None]], asyncio.Future[None]],
    load: LoadConfig,
) -> None:
    """Run a daemon until the future is done that `until` makes, given what a hang-up shall do.

    Raises ListenError and StateDirectoryError.
    """
    service = SystemdNotifier.from_environ(environ, os.getpid())
    daemon = Daemon(configuration, environ, logger, load=load, service=service)
    tune_gc_and_switch_interval()
    ended = until(daemon.request_reload)
    await daemon.start()
    try:
        await ended
    finally:
        await daemon.stop()
