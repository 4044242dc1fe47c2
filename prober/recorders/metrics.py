"""Results, schedule and tokens as numbers for Prometheus.

Changes come from the event loop's thread; `exposition` may run in any other. Every change holds
the lock, so that no scrape sees half of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock
from urllib.parse import urlsplit

from prometheus_client.registry import CollectorRegistry

from prober.build import Build
from prober.credential import TokenEvent, TokenStatus
from prober.model import WHOLE, Result, Shard, Tenant
from prober.outcomes import Counterpart, HistoryLoss, SkipCause, TokenEventKind
from prober.recorders import series
from prober.recorders.exposition import ShelfCollector, parts
from prober.recorders.own_health import P99, OwnHealth, bound_of_quantile
from prober.recorders.probe_series import ProbeSeries
from prober.recorders.store import HistogramScope, Store
from prober.recorders.token_series import TokenSeries

__all__ = ("HistogramScope", "Metrics")

_CERTIFICATE = "prober_tls_certificate_expiry_timestamp_seconds"
_HTTPS_PORT = 443
_OWNERS_AT_A_TIME = 2  # five probes' texts hold a slow machine for 5 ms


class Metrics:
    """A recorder that keeps every series of `families.FAMILIES`, and renders them for a scrape.

    Where the event loop timed an attempt, its durations are left out and counted above
    `max_loop_lag_seconds` of lag.
    `started_at` is in epoch seconds. What concerns a tenant or a probe that is not (or no longer)
    configured is ignored.
    """

    def __init__(
        self,
        tenants: Sequence[Tenant],
        *,
        histograms: HistogramScope,
        max_loop_lag_seconds: float,
        started_at: float,
        build: Build,
        shard: Shard = WHOLE,
    ) -> None:
        self._store = store = Store(histograms)
        self._lock = Lock()
        self.max_loop_lag_seconds = max_loop_lag_seconds
        self._probes: dict[tuple[str, str], ProbeSeries] = {}
        self._tokens: dict[str, TokenSeries] = {}
        self._hosts: dict[str, str] = {}
        self._all_skipped: Counter[SkipCause] = Counter()
        self._all_discarded = 0
        self._heartbeat = store.block("prober_scheduler_heartbeat_timestamp_seconds")
        self._lateness = store.histogram("prober_scheduler_delay_seconds")
        self._lag = store.histogram("prober_event_loop_lag_seconds")
        self._fallbacks = store.block("prober_probe_timing_fallbacks_total")
        self._in_flight = store.block("prober_probes_in_flight")
        self._tasks = store.block("prober_asyncio_tasks")
        self._loaded = store.block("prober_config_last_reload_successful")
        self._loaded_at = store.block("prober_config_last_reload_success_timestamp_seconds")
        self._state_write_failures = store.block("prober_state_write_failures_total")
        self._history_size = store.block("prober_history_size_bytes")
        self._history_written = store.block("prober_history_last_write_timestamp_seconds")
        self._history_lost = store.block("prober_history_dropped_total")
        store.tell("prober_build_info", (), (build.version, build.revision))
        shards = store.block("prober_shard_active")
        shards.redefine({str(index): (str(index),) for index in range(shard.count)}, 0.0)
        shards.set(1.0, str(shard.index))
        self._heartbeat.set(started_at)
        self._version, self._started_at = build.version, started_at
        self._configuration_problem: str | None = None
        self._registry = CollectorRegistry()
        self._registry.register(ShelfCollector(store.shelves, self._lock))
        self.apply(tenants)

    @property
    def registry(self) -> CollectorRegistry:
        """A registry of prometheus-client that collects the same numbers, slowly."""
        return self._registry

    @property
    def series_count(self) -> int:
        """How many series a scrape brings now."""
        with self._lock:
            return self._store.series_count

    def render(self, openmetrics: bool) -> bytes:  # noqa: FBT001 -- a Callable[[bool], bytes]
        """Return the exposition, as text 0.0.4 or as OpenMetrics 1.0.0; from any thread."""
        return b"".join(self.exposition(openmetrics))

    def exposition(self, openmetrics: bool) -> Iterator[bytes]:  # noqa: FBT001 -- see `render`
        """Yield what `render` returns, part by part."""
        with self._lock:
            while self._store.refresh(_OWNERS_AT_A_TIME):
                pass
        yield from parts(self._store.shelves, openmetrics=openmetrics)

    def refresh(self) -> int:
        """Prepare a rendering a little further; return how many more such steps there are.

        Called so often on the event loop, it leaves little but joining to `exposition`.
        """
        with self._lock:
            return -(-self._store.refresh(_OWNERS_AT_A_TIME) // _OWNERS_AT_A_TIME)

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Take over settings: what is gone loses its series, all others keep their numbers."""
        with self._lock:
            self._hosts = {tenant.name: _host(tenant) for tenant in tenants}
            owners = {(t.name, p.name) for t in tenants for p in t.probes}
            self._store.keep_only(
                {
                    ("tenant", "probe"): owners,
                    ("tenant",): {(tenant.name,) for tenant in tenants},
                    ("host",): {(host,) for host in self._hosts.values()},
                }
            )
            self._probes = {
                (tenant.name, probe.name): ProbeSeries(self._store, tenant, probe)
                for tenant in tenants
                for probe in tenant.probes
            }
            self._tokens = {
                tenant.name: TokenSeries(self._store, tenant.name) for tenant in tenants
            }
            self._apply_tenants(tenants)

    def record(self, result: Result) -> None:
        """Take in a result."""
        probe = self._probes.get((result.tenant, result.probe))
        if probe is None:
            return
        with self._lock:
            self._all_discarded += probe.record(result, self.max_loop_lag_seconds)
            fallback = result.exchange.timing_fallback
            if fallback is not None:
                self._fallbacks.add(key=fallback)
            expiry = result.exchange.certificate_expiry_timestamp_seconds
            if expiry is not None and result.counterpart is Counterpart.API:
                self._store.block(_CERTIFICATE, (self._hosts[result.tenant],)).set(expiry)

    def skipped(self, tenant: str, probe: str, cause: SkipCause) -> None:
        """Count a due run that was not started."""
        series = self._probes.get((tenant, probe))
        if series is not None:
            with self._lock:
                series.skipped(cause)
                self._all_skipped[cause] += 1

    def run_started(self, lateness_seconds: float) -> None:
        """Count a run that was started so long after its due moment."""
        with self._lock:
            self._in_flight.add()
            if self._lateness is not None:
                self._lateness.observe(lateness_seconds)

    def run_finished(self) -> None:
        """Note that a run has ended, however it did."""
        with self._lock:
            self._in_flight.add(-1.0)

    def loop_lag(self, seconds: float) -> None:
        """Count a sample of the event loop's lag."""
        if self._lag is not None:
            with self._lock:
                self._lag.observe(seconds)

    def heartbeat(self, timestamp: float, tasks: int) -> None:
        """Note that the scheduler ran its heartbeat at `timestamp` (epoch seconds)."""
        with self._lock:
            self._heartbeat.set(timestamp)
            self._tasks.set(float(tasks))

    def token_changed(self, status: TokenStatus) -> None:
        """Take in what is known of a tenant's token now."""
        series = self._tokens.get(status.tenant)
        if series is not None:
            with self._lock:
                series.changed(status)

    def token_event(self, event: TokenEvent) -> None:
        """Count a rejection."""
        series, cause = self._tokens.get(event.status.tenant), event.status.cause
        if event.kind is TokenEventKind.REJECTED and series is not None and cause is not None:
            with self._lock:
                series.rejected(cause)

    def state_write_failed(self) -> None:
        """Count that the state directory could not be written."""
        with self._lock:
            self._state_write_failures.add()

    def maintenance(self, tenant: str, *, is_active: bool) -> None:
        """Note whether a maintenance window of a tenant is open."""
        with self._lock:
            self._store.block("prober_maintenance_active", (tenant,)).set(float(is_active))

    def history_written(self, timestamp: float, size_bytes: int) -> None:
        """Note that the history was written (epoch seconds), and how large it is."""
        with self._lock:
            self._history_written.set(timestamp)
            self._history_size.set(float(size_bytes))

    def history_lost(self, cause: HistoryLoss, number: int) -> None:
        """Count what is not, or no longer, in the history."""
        with self._lock:
            self._history_lost.add(float(number), cause)

    def configuration_loaded(self, timestamp: float, configuration_hash: str) -> None:
        """Note which configuration is used, and since when (epoch seconds)."""
        self._configuration_problem = None
        with self._lock:
            self._loaded.set(1.0)
            self._loaded_at.set(timestamp)
            self._store.tell("prober_config_info", (), (configuration_hash,))

    def configuration_failed(self, problem: str) -> None:
        """Note that the configuration could not be used, and why; the one before stays."""
        self._configuration_problem = problem
        with self._lock:
            self._loaded.set(0.0)

    def own_health(self) -> OwnHealth:
        """Return how well the prober itself does."""
        only = series.ONLY
        with self._lock:
            return OwnHealth(
                version=self._version,
                started_at=self._started_at,
                heartbeat_at=self._heartbeat.values[only],
                probes_in_flight=int(self._in_flight.values[only]),
                runs=0 if self._lateness is None else self._lateness.counts[-1],
                lateness_p99_seconds=_p99(self._lateness),
                loop_lag_p99_seconds=_p99(self._lag),
                skipped={cause: self._all_skipped[cause] for cause in SkipCause},
                discarded_measurements=self._all_discarded,
                configuration_is_current=self._loaded.values[only] == 1.0,
                configuration_problem=self._configuration_problem,
                configuration_loaded_at=self._loaded_at.values[only],
                state_write_failures=int(self._state_write_failures.values[only]),
                history_written_at=self._history_written.values[only] or None,
                history_size_bytes=int(self._history_size.values[only]),
                history_lost={c: int(self._history_lost.values[c]) for c in HistoryLoss},
            )

    def _apply_tenants(self, tenants: Sequence[Tenant]) -> None:
        every = (label for tenant in tenants for label in tenant.labels)
        own = self._store.extend_labels("prober_tenant_info", every)
        for tenant in tenants:
            owner = (tenant.name,)
            objective = self._store.block("prober_tenant_availability_objective_ratio", owner)
            objective.set(tenant.availability_objective_ratio)
            active = self._store.block("prober_maintenance_active", owner)
            if not tenant.maintenance:  # a reload may have ended an open window
                active.set(0.0)
            # A label without a value is, to Prometheus, no label.
            values = (tenant.labels.get(label, "") for label in own)
            known = (tenant.environment, tenant.base_url, *values)
            self._store.tell("prober_tenant_info", owner, known)


def _p99(histogram: series.Histogram | None) -> float | None:
    if histogram is None:
        return None
    return bound_of_quantile(P99, histogram.buckets, histogram.counts)


def _host(tenant: Tenant) -> str:
    """Return the host of a tenant's certificate, with its port if that is not the usual one."""
    parts = urlsplit(tenant.base_url)
    host = parts.hostname or ""
    return host if parts.port in {None, _HTTPS_PORT} else f"{host}:{parts.port}"
