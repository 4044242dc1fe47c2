"""The composition root: creates all components, connects, starts, reloads and stops them.

The way of a run: it falls due (`scheduler`), is started or skipped (`runner`), is carried out and
classified (`probe`), and its result goes to the event sinks (`sinks`).
"""

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TypeVar

import structlog

from prober.canary import InThread, Pacing
from prober.classifier.rules import classify
from prober.config.addresses import is_loopback
from prober.config.diff import ConfigDiff, config_diff, with_restart_only_settings
from prober.config.file_checks import permission_warnings
from prober.config.limits import check_series_limit
from prober.config.loader import locate
from prober.config.machine_limits import current_limits, limit_warnings
from prober.config.resolve import Config
from prober.config.web_config import web_config_reader
from prober.history.annotations import StartedMaintenance
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.logs import LogSink
from prober.metrics.otlp import OtlpPusher
from prober.metrics.self_health import SelfHealth
from prober.metrics.sink import PrometheusSink
from prober.models import TransportOptions
from prober.monitors import OutsideMonitor
from prober.probe import ProbeDeps
from prober.reload import LoadConfig, Reloader
from prober.runner import ProbeRunner
from prober.scheduler.scheduler import HEARTBEAT_SECONDS, Scheduler
from prober.scheduler.stall import stall_timeout_seconds
from prober.sinks import EventSink, FanOutSink
from prober.stats.status import TenantStatus
from prober.status_service import StatusService
from prober.systemd import SystemdNotifier, Watchdog, status_line
from prober.tokens.permissions import PermissionTracker
from prober.tokens.service import TokenService
from prober.version import current_version
from prober.web.app import create_app
from prober.web.context import WebContext
from prober.web.metrics import warm_up
from prober.web.server import ConnectionLimits, ConnectionManager, WebServer, listen
from prober.web.tls import WebConfigReloader

_SWITCH_INTERVAL_SECONDS = 0.0005
_GC_THRESHOLDS = (10_000, 20, 50)


def tune_gc_and_switch_interval() -> None:
    """Tune the interpreter so that runs start on time; call it once all long-lived objects exist.

    A thread that computes (for the history or a page) gives up the GIL after 0.5 ms in place of
    5 ms: while 20 pages are watched on a busy machine, the latest 5 % of runs start two to three
    times as late without. The garbage collector blocks everything, with ten thousand probes for a
    fifth of a second. So the objects that exist now are exempt from it, and it runs rarely.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.collect()  # before freeze, so that no garbage is kept forever
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


_Logger = structlog.typing.FilteringBoundLogger


class Daemon:
    """A running prober.

    `extra` sinks, by name, receive every event too. `load` reads the configuration again for a
    reload; without it there are no reloads. `service` is notified of the state of the daemon.
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
        self._permissions = self._create_permission_tracker(sinks)
        self._runner = ProbeRunner(
            self._create_probe_deps(),
            self.tokens,
            sinks,
            self.metrics,
            logger,
        )
        self._outside = self._create_outside_monitor()
        self._runner.annotate = self._outside.annotated
        # Last, so that metrics and log have a token event before the run that it starts.
        sinks.add("runner", self._runner)
        self._runner.apply(configuration.tenants, configuration.scheduler)
        self._scheduler = Scheduler(
            self._runner.on_due,
            self._on_heartbeat,
            heartbeat_seconds=self._watchdog.heartbeat_seconds(HEARTBEAT_SECONDS),
            on_clock_step=self._on_clock_step,
        )
        self._reloader = None if load is None else self._build_reloader(load)
        self._web_config = WebConfigReloader(
            configuration.access, web_config_reader(configuration), logger
        )
        self._resources = AsyncExitStack()
        self._reload_requested = False
        self.listening: WebServer | None = None

    async def start(self) -> None:
        """Start the web server and probing; raises ListenError and StateDirectoryError."""
        try:
            await self._start()
        except BaseException:
            await self._resources.aclose()
            raise

    async def _start(self) -> None:
        configuration = self._configuration
        web, web_config = configuration.web, self._web_config
        connections = ConnectionManager(web_config, ConnectionLimits(web.max_connections))
        self.listening = await listen(
            create_app(self._web_context(), web_config), web.host, web.port, connections
        )
        self._resources.push_async_callback(self.listening.close)
        self._resources.push_async_callback(web_config.close)
        web_config.start()
        await self._resources.enter_async_context(self._client)
        await self._client.reload_tls(_transports(configuration))
        self._resources.push_async_callback(self._token_service.close)
        await self._token_service.start(self.listening.local_url + web.route_prefix)
        self._resources.push_async_callback(self.status.close)
        await self.status.start()
        await self._restore_annotations()
        self.metrics.configuration_loaded(time.time(), configuration.hash)
        self._runner.enable()
        self._outside.start()
        self._resources.push_async_callback(self._outside.close)
        self._scheduler.start(configuration.tenants, self.status.last_runs)
        self._start_otlp()
        # The first scrape would otherwise have to render the text of every series.
        warming_up = asyncio.create_task(warm_up(self.metrics.refresh), name="warm up metrics")
        self._resources.callback(warming_up.cancel)
        if self._reloader is not None and configuration.reload.on_change:
            self._reloader.watch(lambda: self._configuration.sources)
        notes = await asyncio.to_thread(permission_warnings, configuration)
        notes += limit_warnings(configuration, current_limits())
        for warning in (*configuration.warnings, *locate(configuration.source, notes)):
            self._logger.warning(
                "config.warning", key=warning.key or warning.file, message=warning.message
            )
        self._logger.info(
            "daemon.started",
            listening=self.listening.url,
            shard=str(configuration.shard),
            tenants=len(configuration.tenants),
            probes=sum(len(tenant.probes) for tenant in configuration.tenants),
            series=self.metrics.series_count,
            version=current_version().version,
        )
        self._update_service_status(self.metrics.self_health())
        self._systemd.ready()
        if self._reload_requested:
            self.request_reload()

    async def stop(self) -> None:
        """Start no more runs, wait for those in flight within the grace period, and close all."""
        grace_seconds = self._configuration.shutdown_timeout_seconds
        if self._reloader is not None:
            await self._reloader.close()
        self._systemd.stopping()
        self._scheduler.stop()
        await self._token_service.stop_watching()
        self._logger.info(
            "daemon.stopping", in_flight=self._runner.in_flight, grace_seconds=grace_seconds
        )
        cancelled = await self._runner.drain(grace_seconds)
        await self._resources.aclose()
        self._logger.info("daemon.stopped", cancelled=cancelled)

    def request_reload(self) -> None:
        """Start a reload of the configuration; during the start, as soon as that is complete."""
        if self._reloader is None:
            return
        if self._runner.is_enabled:
            self._reloader.request()
        else:
            self._reload_requested = True

    async def apply(self, configuration: Config) -> ConfigDiff:
        """Apply a new configuration; unchanged tenants and probes are not affected."""
        diff = config_diff(self._configuration, configuration)
        in_force = with_restart_only_settings(self._configuration, configuration)
        await self._client.reload_tls(_transports(in_force))
        saved = await self._token_service.saved_records()
        # No await from here on: no run may see half of the new configuration.
        self._configuration = in_force
        self.metrics.apply(in_force.tenants)
        self.metrics.max_loop_lag_seconds = in_force.measurement.max_loop_lag_seconds
        self._stall_timeout_seconds = stall_timeout_seconds(in_force.tenants)
        self.status.apply(in_force)
        self._token_service.apply(in_force, saved)
        self._permissions.apply(in_force.tenants)
        self._runner.apply(in_force.tenants, in_force.scheduler)
        self._scheduler.apply(in_force.tenants)
        self._outside.apply(in_force)
        self._on_heartbeat()
        return diff

    def _create_sinks(self, extra: Mapping[str, EventSink]) -> FanOutSink:
        builtin = {"metrics": self.metrics, "log": LogSink(self._logger), **self.status.sinks}
        sinks = FanOutSink(builtin, self._on_sink_failure)
        for name, sink in extra.items():
            sinks.add(name, sink)
        return sinks

    def _create_probe_deps(self) -> ProbeDeps:
        in_thread = one_at_a_time()
        return ProbeDeps(
            self.tokens,
            self._client,
            classify,
            time.time,
            in_thread,
            permissions=self._permissions,
            pacing=Pacing(asyncio.sleep, time.monotonic, in_thread),
        )

    def _create_outside_monitor(self) -> OutsideMonitor:
        return OutsideMonitor(
            self._configuration,
            self._client.exchange,
            self.metrics,
            self._logger,
            time.time,
            self.status.record_published,
        )

    def _create_permission_tracker(self, sinks: FanOutSink) -> PermissionTracker:
        tracker = PermissionTracker(
            self._configuration.tenants,
            time.time,
            self.metrics.permissions,
            sinks,
            lambda: self.tokens.statuses,
        )
        sinks.add("permissions", tracker)
        return tracker

    def _start_otlp(self) -> None:
        settings = self._configuration.metrics.otlp
        if settings is None:
            return
        host, shard = socket.gethostname(), self._configuration.shard
        instance = host if shard.count == 1 else f"{host}/{shard.index}"
        pusher = OtlpPusher(
            settings.endpoint,
            settings.interval_seconds,
            lambda: self.metrics.otlp_data(current_version(), instance),
        )
        pusher.start()
        self._resources.push_async_callback(pusher.close)

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
            history=self.status.history,
            supplier=lambda: self._outside.status_page.status,
            references=lambda: self._outside.references.statuses,
            render_metrics=self.metrics.exposition,
            refresh_metrics=self.metrics.refresh,
            is_ready=lambda: self._runner.is_enabled,
            now=time.time,
            stuck_reason=self._stuck_reason,
            run_once=self._runner.run_once if web.enable_run_now else None,
            reload=reloader.reload if web.enable_reload and reloader is not None else None,
            annotations=self.status.annotations if web.enable_annotations else None,
            start_maintenance=self._start_maintenance,
            report=self._report if self._configuration.history.enabled else None,
            links=web.links,
            runbooks=web.runbooks,
            route_prefix=web.route_prefix,
            allowed_hosts=web.allowed_hosts,
            is_loopback=is_loopback(web.host),
        )

    def _report(self, tenant: str, seconds: float) -> str:
        configuration = self._configuration
        # Late: a template engine and the report's code are a tenth of the daemon's start.
        from prober.report.page import recent_report_html  # noqa: PLC0415

        return recent_report_html(
            configuration.state_directory,
            self._runner.tenants[tenant],
            seconds,
            time.time(),
            configuration.history.retention_seconds,
        )

    def _start_maintenance(self, started: StartedMaintenance) -> None:
        self._runner.start_maintenance(started)
        self.status.tracker.changes[started.tenant] += 1

    async def _restore_annotations(self) -> None:
        try:
            annotations = await self.status.annotations.load()
        except OSError as error:
            self._logger.warning("annotations.unreadable", error=error.strerror or str(error))
            return
        for started in annotations.maintenance:
            self._runner.start_maintenance(started)

    def _status(self, tenant: str) -> TenantStatus:
        now = time.time()
        maintenance = self._runner.maintenance(tenant, now)
        return self.status.tracker.status(tenant, self.tokens.statuses, maintenance, now)

    def _stuck_reason(self) -> str | None:
        return self._watchdog.stuck_reason(
            self.metrics.self_health(), self._stall_timeout_seconds, time.monotonic()
        )

    def _on_heartbeat(self) -> None:
        now = time.time()
        self.metrics.heartbeat(now, len(asyncio.all_tasks()))
        health = self.metrics.self_health()
        self._watchdog.tick(health, self._stall_timeout_seconds, time.monotonic())
        self._update_service_status(health)
        for tenant in self._configuration.tenants:
            started = self._runner.started_maintenance.get(tenant.name)
            if tenant.maintenance or started:  # few have any: this must not block the loop
                is_active = self._runner.maintenance(tenant.name, now).is_active
                self.metrics.maintenance(tenant.name, is_active=is_active)

    def _update_service_status(self, health: SelfHealth) -> None:
        tenants = len(self._configuration.tenants)
        self._systemd.status(status_line(tenants, self.status.tracker.failing(), health))

    def _on_clock_step(self, seconds: float) -> None:
        self._logger.warning(
            "clock.stepped",
            seconds=round(seconds, 1),
            message="the wall clock was set: intervals stay as they are, but times before and"
            " after it do not compare",
        )

    def _on_sink_failure(self, sink: str, method: str, error: Exception, *, is_new: bool) -> None:
        if is_new:  # once; prober_sink_failures_total counts them all
            self._logger.error("sink.failed", sink=sink, method=method, exc_info=error)
        self.metrics.sink_failed(sink)


def _transports(configuration: Config) -> Iterator[TransportOptions]:
    yield from (tenant.transport for tenant in configuration.tenants)
    yield configuration.outside_transport


_T = TypeVar("_T")


def one_at_a_time() -> InThread:
    """Return what reads large bodies in a thread, one after another.

    The JSON parser does not give up the interpreter while it reads a body: with several of them,
    the event loop would have to wait until all of them were read.
    """
    turn = asyncio.Semaphore()

    async def in_thread(work: Callable[[], _T]) -> _T:
        async with turn:
            return await asyncio.to_thread(work)

    return in_thread


def _create_metrics(configuration: Config) -> PrometheusSink:
    return PrometheusSink(
        configuration.tenants,
        histograms=configuration.metrics.histograms,
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
    """Run a daemon until a future is done.

    `until` creates that future; it is passed the function to call at SIGHUP. Raises ListenError
    and StateDirectoryError.
    """
    service = SystemdNotifier.from_environ(environ, os.getpid())
    daemon = Daemon(configuration, environ, logger, load=load, service=service)
    tune_gc_and_switch_interval()
    stop_requested = until(daemon.request_reload)
    await daemon.start()
    try:
        await stop_requested
    finally:
        await daemon.stop()
