"""Starts the runs that are due, or skips and counts them; passes results to the event sinks.

Also bounds concurrency, applies maintenance windows, and drains running probes at shutdown.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from prober.classifier.retry_after import retry_after_seconds
from prober.config.sections import SchedulerSettings
from prober.history.annotations import StartedMaintenance
from prober.maintenance import MaintenanceSchedule, MaintenanceStatus
from prober.metrics.sink import PrometheusSink
from prober.models import (
    Failure,
    HttpExchange,
    Probe,
    ProbeResult,
    SkippedRun,
    Tenant,
    TokenEvent,
)
from prober.outcomes import Endpoint, FailureKind, SkipCause, TokenEventKind
from prober.probe import ProbeDeps, run_probe
from prober.scheduler.planner import ConcurrencyLimits, InFlight, skip_reason
from prober.sinks import EventSink
from prober.tokens.manager import TokenManager

_NEW_TOKEN = frozenset({TokenEventKind.LOADED, TokenEventKind.ROTATED})


class ProbeRunner(EventSink):
    """Turns due times into results. Lives on the event loop.

    Starts nothing before `enable` and after `drain`. Due times and results of tenants and probes
    that a reload has removed meanwhile are ignored.
    """

    def __init__(
        self,
        deps: ProbeDeps,
        tokens: TokenManager,
        sink: EventSink,
        metrics: PrometheusSink,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.is_enabled = False
        self._probes: dict[tuple[str, str], Probe] = {}
        self._maintenance: dict[str, MaintenanceSchedule] = {}
        self.started_maintenance: dict[str, StartedMaintenance] = {}
        self._limits: dict[str, ConcurrencyLimits] = {}
        self._deps = deps
        self._tokens = tokens
        self._sink = sink
        self._metrics = metrics
        self._logger = logger
        self.annotate: Callable[[ProbeResult], ProbeResult] = lambda result: result
        """Adds to a result what is known outside the run; see `Daemon`."""
        self._running: dict[asyncio.Task[None], tuple[str | tuple[str, str], ...]] = {}
        self._in_flight: Counter[str | tuple[str, str]] = Counter()
        self._busy_tenants = 0  # those with a run in flight
        # Until when each tenant is not probed, since a response said so; on `loop.time()`.
        self._retry_at: dict[str, float] = {}

    def apply(self, tenants: Sequence[Tenant], scheduler: SchedulerSettings) -> None:
        """Apply a configuration; runs in flight finish with the one that they started with."""
        self.tenants.clear()  # in place, since the web server reads the same dict
        self.tenants.update({tenant.name: tenant for tenant in tenants})
        self._probes = {(t.name, probe.name): probe for t in tenants for probe in t.probes}
        self._deps.check_streaks.keep_only(self._probes)
        self._retry_at = {name: at for name, at in self._retry_at.items() if name in self.tenants}
        self._maintenance = {
            tenant.name: MaintenanceSchedule(tenant.maintenance) for tenant in tenants
        }
        self._limits = {
            tenant.name: ConcurrencyLimits(
                tenant.concurrency, scheduler.max_concurrent, scheduler.max_start_delay_seconds
            )
            for tenant in tenants
        }

    def enable(self) -> None:
        """Start runs from now on."""
        self.is_enabled = True

    async def drain(self, grace_seconds: float) -> int:
        """Start no more runs and wait for those in flight; return how many had to be cancelled."""
        self.is_enabled = False
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        cancelled = list(self._running)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        return len(cancelled)

    @property
    def in_flight(self) -> int:
        """The number of runs in flight."""
        return len(self._running)

    def maintenance(self, tenant: str, now: float) -> MaintenanceStatus:
        """Return the maintenance status of a tenant at `now` (epoch seconds)."""
        scheduled, started = self._maintenance[tenant].at(now), self.started_maintenance.get(tenant)
        if started is None or not started.started_at <= now < started.ends_at:
            return scheduled
        return replace(scheduled, ends_at=max(started.ends_at, scheduled.ends_at or 0.0))

    def start_maintenance(self, started: StartedMaintenance) -> None:
        """Apply maintenance that a user started, beside the windows of the configuration."""
        self.started_maintenance[started.tenant] = started

    def on_due(self, tenant: str, probe: str, due_at: float) -> None:
        """Start a run that is due at `due_at` (as of `loop.time()`), or skip and count it."""
        if not self.is_enabled or (tenant, probe) not in self._probes:
            return
        delay_seconds = max(0.0, asyncio.get_running_loop().time() - due_at)
        cause = self._skip_reason(tenant, probe, delay_seconds)
        if cause is None:
            self._start_run(tenant, probe, delay_seconds)
        else:
            self._sink.on_skip(SkippedRun(tenant, probe, self._deps.now(), cause))

    def on_token_event(self, event: TokenEvent) -> None:
        """Try a new token at once."""
        if event.kind in _NEW_TOKEN:
            self.run_now(event.status.tenant)

    def run_now(self, tenant: str) -> None:
        """Start one run of a tenant without waiting for the schedule."""
        if not self.is_enabled or tenant not in self.tenants:
            return
        for probe in self.tenants[tenant].probes:
            # A canary is billed: it runs when it is due, and not to try a token.
            if probe.canary is None and self._skip_reason(tenant, probe.name, 0.0) is None:
                self._start_run(tenant, probe.name, 0.0)
                return

    async def run_once(self, tenant: str, probe: str) -> ProbeResult:
        """Run a probe on request and return its result, which is not recorded."""
        return await run_probe(
            self.tenants[tenant], self._probes[tenant, probe], self._deps, is_recorded=False
        )

    def _skip_reason(self, tenant: str, probe: str, delay_seconds: float) -> SkipCause | None:
        same_probe = self._in_flight[(tenant, probe)]
        shared = len(self._running) - self._busy_tenants
        load = InFlight(same_probe, self._in_flight[tenant], shared)
        return skip_reason(
            delay_seconds,
            load,
            self._limits[tenant],
            may_use_token=self._tokens.may_probe(self.tenants[tenant], probe),
            is_rate_limited=self._is_rate_limited(tenant),
        )

    def _is_rate_limited(self, tenant: str) -> bool:
        retry_at = self._retry_at.get(tenant)
        if retry_at is None:
            return False
        if asyncio.get_running_loop().time() < retry_at:
            return True
        del self._retry_at[tenant]
        return False

    def _apply_retry_after(self, result: ProbeResult) -> None:
        """Pause a tenant for as long as a response asks for.

        The OAuth client applies what an identity server asks for: that is no reason not to report
        that there is no token.
        """
        if result.endpoint is not Endpoint.API:
            return
        wait_seconds = retry_after_seconds(result.exchange.response, self._deps.now())
        if wait_seconds > 0:
            retry_at = asyncio.get_running_loop().time() + wait_seconds
            self._retry_at[result.tenant] = max(retry_at, self._retry_at.get(result.tenant, 0.0))

    def _start_run(self, tenant: str, probe: str, delay_seconds: float) -> None:
        self._metrics.run_started(delay_seconds)
        self._tokens.on_run_started(self.tenants[tenant])
        key = (tenant, probe)
        # A canary waits for minutes: it must not take the place of its tenant's other probes.
        is_canary = self._probes[key].canary is not None
        counted: tuple[str | tuple[str, str], ...] = (key,) if is_canary else (key, tenant)
        for each in counted:
            self._in_flight[each] += 1
        self._busy_tenants += not is_canary and self._in_flight[tenant] == 1
        run = self._run(self.tenants[tenant], self._probes[key])
        task = asyncio.create_task(run, name=f"probe {tenant}/{probe}")
        self._running[task] = counted
        task.add_done_callback(self._on_run_done)

    async def _run(self, tenant: Tenant, probe: Probe) -> None:
        try:
            result = await run_probe(tenant, probe, self._deps)
        except Exception as error:
            # A bug must not go unnoticed: it becomes a result, and so a metric and an alert.
            self._logger.exception("probe.crashed", tenant=tenant.name, probe=probe.name)
            result = self._internal_error_result(tenant, probe, error)
        if (tenant.name, probe.name) not in self._probes:  # removed by a reload during the run
            return
        self._apply_retry_after(result)
        result = self.annotate(result)
        if self.maintenance(tenant.name, result.started_at).is_active:
            result = replace(result, in_maintenance=True)
        self._sink.on_result(result)

    def _on_run_done(self, task: asyncio.Task[None]) -> None:
        for counted in self._running.pop(task):  # the probe, and all probes of the tenant
            self._in_flight[counted] -= 1
            if not self._in_flight[counted]:
                del self._in_flight[counted]
                self._busy_tenants -= isinstance(counted, str)
        self._metrics.run_finished()

    def _internal_error_result(self, tenant: Tenant, probe: Probe, error: Exception) -> ProbeResult:
        failure = Failure(FailureKind.INTERNAL_ERROR, f"{type(error).__name__} in the prober")
        url = tenant.base_url + probe.shown_path
        exchange = HttpExchange(probe.method, url, total_seconds=0.0, failure=failure)
        verdict = self._deps.classify(exchange, probe.expectations)
        return ProbeResult(tenant.name, probe.name, time.time(), exchange, verdict)
