"""The composition root: builds the house, starts it, drains it, and owns every task.

Nothing else reaches across rooms. A run falls due (`schedule`), is started or skipped and counted
(`plan.reason_to_skip`), becomes a result (`attempt`), and is told to the recorders.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import structlog

from prober.attempt import VERSION, Collaborators, attempt
from prober.credential import TokenEvent, TokenStatus
from prober.errors import Problem, SettingsError
from prober.exchange.client import ExchangeClient
from prober.exchange.loop_lag import LoopLag
from prober.maintenance import Calendar
from prober.memory import Memory
from prober.model import Exchange, Failure, Probe, Result, Tenant
from prober.outcomes import FailureKind, SkipCause, TokenEventKind
from prober.recorders.log import LogRecorder
from prober.recorders.metrics import Metrics, series_estimate
from prober.recorders.recorder import FanOut, Recorder
from prober.schedule.clock import Clock
from prober.schedule.plan import Limits, Load, reason_to_skip
from prober.settings.resolve import Configuration
from prober.timeline.standing import TenantStanding
from prober.token_upkeep import TokenUpkeep
from prober.verdict.rules import judge
from prober.web.app import create_app
from prober.web.server import Listening, listen
from prober.web.site import Site

_NEW_TOKEN = frozenset({TokenEventKind.LOADED, TokenEventKind.ROTATED})
_Logger = structlog.typing.FilteringBoundLogger


def refuse_too_many_series(configuration: Configuration) -> None:
    """Raise SettingsError when the settings yield more series than `web.max_series` allows."""
    series = series_estimate(configuration.tenants, configuration.web.histograms)
    if series > configuration.web.max_series:
        raise SettingsError(
            (
                Problem(
                    str(configuration.source),
                    None,
                    "web.max_series",
                    f"these tenants and probes yield {series} series, more than the"
                    f" {configuration.web.max_series} allowed: raise web.max_series, or set"
                    " web.histograms to 'tenant' or 'off'",
                ),
            )
        )


class Daemon:
    """A prober at work. `extra` recorders hear every result beside metrics and log."""

    def __init__(
        self,
        configuration: Configuration,
        environ: Mapping[str, str],
        logger: _Logger,
        extra: Sequence[Recorder] = (),
    ) -> None:
        self._configuration = configuration
        self._logger = logger
        self.metrics = Metrics(
            configuration.tenants,
            histograms=configuration.web.histograms,
            max_loop_lag_seconds=configuration.measurement.max_loop_lag_seconds,
            started_at=time.time(),
            version=VERSION,
        )
        self._loop_lag = LoopLag(self.metrics.loop_lag)
        self._client = ExchangeClient(self._loop_lag)
        self.memory = Memory(configuration, self.metrics, logger)
        self._upkeep = TokenUpkeep(
            configuration, environ, self._client.exchange, self.metrics, logger, self
        )
        self.tokens = self._upkeep.keeper
        self._recorders = FanOut(
            (self.metrics, LogRecorder(logger), *self.memory.recorders, *extra),
            self._on_recorder_failure,
        )
        self._clock = Clock(self._on_due, self._on_heartbeat)
        self._calendars = {t.name: Calendar(t.maintenance) for t in configuration.tenants}
        self._tenants = {tenant.name: tenant for tenant in configuration.tenants}
        self._limits = {t.name: self._limits_of(t) for t in configuration.tenants}
        self._runs: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._in_flight: Counter[str | tuple[str, str]] = Counter()
        self._resources = AsyncExitStack()
        self._house: Collaborators | None = None
        self._stopping = False
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
        app = create_app(self._site())
        self.listening = await listen(app, configuration.web.host, configuration.web.port)
        self._resources.push_async_callback(self.listening.close)
        await self._resources.enter_async_context(self._client)
        await self._client.prepare(tenant.transport for tenant in configuration.tenants)
        self._resources.push_async_callback(self._upkeep.close)
        await self._upkeep.start()
        self._resources.push_async_callback(self.memory.close)
        await self.memory.start()
        self._house = Collaborators(self.tokens, self._client, judge, time.time)
        self._loop_lag.start()
        self._resources.callback(self._loop_lag.stop)
        self.metrics.configuration_loaded(time.time(), configuration.hash)
        self._clock.start(configuration.tenants)
        for warning in configuration.warnings:
            self._logger.warning("settings.warning", key=warning.key, message=warning.message)
        self._logger.info(
            "daemon.started",
            listening=self.listening.url,
            tenants=len(configuration.tenants),
            probes=sum(len(tenant.probes) for tenant in configuration.tenants),
            series=self.metrics.series_count,
            version=VERSION,
        )

    async def stop(self) -> None:
        """Start nothing more, let what is in flight end within the grace period, and close."""
        grace_seconds = self._configuration.schedule.grace_seconds
        self._stopping = True
        self._clock.stop()
        await self._upkeep.stop_watching()
        self._logger.info("daemon.stopping", in_flight=len(self._runs), grace_seconds=grace_seconds)
        if self._runs:
            await asyncio.wait(self._runs, timeout=grace_seconds)
        cut_off = list(self._runs)
        for task in cut_off:
            task.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        await self._resources.aclose()
        self._logger.info("daemon.stopped", cut_off=len(cut_off))

    def token_changed(self, status: TokenStatus) -> None:
        """See `Listener`."""
        self.memory.token_changed(status)

    def token_event(self, event: TokenEvent) -> None:
        """See `Listener`; a new token is tried at once."""
        self.memory.token_event(event)
        if event.kind in _NEW_TOKEN:
            self._probe_at_once(event.status.tenant)

    def _site(self) -> Site:
        web = self._configuration.web
        return Site(
            tenants=self._tenants,
            standing=self._standing,
            changes=lambda tenant: self.memory.board.changes[tenant],
            own_health=self.metrics.own_health,
            archive=self.memory.archive,
            render_metrics=self.metrics.render,
            is_ready=lambda: self._house is not None,
            now=time.time,
            run_once=self._run_once if web.ad_hoc_runs else None,
            hosts=web.hosts,
        )

    def _standing(self, tenant: str) -> TenantStanding:
        now = time.time()
        maintenance = self._calendars[tenant].at(now)
        return self.memory.board.standing(tenant, self.tokens.statuses, maintenance, now)

    async def _run_once(self, tenant_name: str, probe_name: str) -> Result:
        """Run a probe out of turn, for somebody who asked: it counts for nothing."""
        assert self._house is not None  # noqa: S101 -- pages are asked once it is ready
        tenant = self._tenants[tenant_name]
        probe = next(probe for probe in tenant.probes if probe.name == probe_name)
        return await attempt(tenant, probe, self._house)

    def _limits_of(self, tenant: Tenant) -> Limits:
        schedule = self._configuration.schedule
        return Limits(tenant.concurrency, schedule.concurrency, schedule.misfire_grace_seconds)

    def _on_due(self, tenant: Tenant, probe: Probe, moment: float) -> None:
        lateness_seconds = max(0.0, asyncio.get_running_loop().time() - moment)
        cause = self._reason_to_skip(tenant, probe, lateness_seconds)
        if cause is None:
            self._begin(tenant, probe, lateness_seconds)
        else:
            self.metrics.skipped(tenant.name, probe.name, cause)
            self.memory.skipped(tenant.name, probe.name, cause)

    def _reason_to_skip(
        self, tenant: Tenant, probe: Probe, lateness_seconds: float
    ) -> SkipCause | None:
        same_probe = self._in_flight[(tenant.name, probe.name)]
        load = Load(same_probe, self._in_flight[tenant.name], len(self._runs))
        may_ask = self.tokens.may_ask(tenant, probe.name)
        return reason_to_skip(lateness_seconds, load, self._limits[tenant.name], may_ask=may_ask)

    def _begin(self, tenant: Tenant, probe: Probe, lateness_seconds: float) -> None:
        self.metrics.run_started(lateness_seconds)
        self.tokens.run_begun(tenant)
        key = (tenant.name, probe.name)
        self._in_flight.update((key, tenant.name))
        task = asyncio.create_task(self._run(tenant, probe), name=f"probe {key[0]}/{key[1]}")
        self._runs[task] = key
        task.add_done_callback(self._on_run_ended)

    async def _run(self, tenant: Tenant, probe: Probe) -> None:
        assert self._house is not None  # noqa: S101 -- the clock starts after the house is built
        try:
            result = await attempt(tenant, probe, self._house)
        except Exception as error:
            self._logger.exception("probe.broke", tenant=tenant.name, probe=probe.name)
            result = _own_fault(tenant, probe, error)
        if self._calendars[tenant.name].at(result.started_at).is_active:
            result = replace(result, in_maintenance=True)
        self._recorders.record(result)

    def _on_run_ended(self, task: asyncio.Task[None]) -> None:
        key = self._runs.pop(task)
        self._in_flight.subtract((key, key[0]))
        self.metrics.run_finished()

    def _probe_at_once(self, tenant_name: str) -> None:
        """Start one run without waiting for its turn: there is a new token to be tried."""
        if self._house is None or self._stopping:
            return
        tenant = self._tenants[tenant_name]
        for probe in tenant.probes:
            if self._reason_to_skip(tenant, probe, 0.0) is None:
                self._begin(tenant, probe, 0.0)
                return

    def _on_heartbeat(self) -> None:
        now = time.time()
        self.metrics.heartbeat(now)
        for tenant, calendar in self._calendars.items():
            self.metrics.maintenance(tenant, is_active=calendar.at(now).is_active)

    def _on_recorder_failure(self, recorder: Recorder, error: Exception) -> None:
        self._logger.error(
            "recorder.failed",
            recorder=type(recorder).__name__,
            error=f"{type(error).__name__}: {error}",
        )


def _own_fault(tenant: Tenant, probe: Probe, error: Exception) -> Result:
    exchange = Exchange(
        method=probe.method,
        url=tenant.base_url + probe.path,
        total_seconds=0.0,
        failure=Failure(FailureKind.INTERNAL_ERROR, f"{type(error).__name__} in the prober"),
    )
    return Result(
        tenant.name, probe.name, time.time(), exchange, judge(exchange, probe.expectations)
    )


async def run(
    configuration: Configuration,
    environ: Mapping[str, str],
    logger: _Logger,
    until: Callable[[], asyncio.Future[None]],
) -> None:
    """Run a daemon until the future that `until` makes is done.

    Raises ListenError and StateDirectoryError.
    """
    daemon = Daemon(configuration, environ, logger)
    await daemon.start()
    try:
        await until()
    finally:
        await daemon.stop()
