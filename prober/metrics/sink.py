"""Results, schedule and tokens as numbers for Prometheus.

Changes come from the event loop's thread; `exposition` may run in any other. Every change holds
the lock, so that no scrape sees half of it.

What one result changes: the series of one probe, looked up once and kept.

What is known of one tenant's token, as numbers.

The prober's own health, read from its own metrics: for the pages' footer. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from urllib.parse import urlsplit

from prometheus_client.registry import CollectorRegistry

from prober.classifier.observation import is_trustworthy, slow_components
from prober.metrics import registry
from prober.metrics.exposition import RegistryCollector, iter_exposition
from prober.metrics.registry import LOOP_LAG, NO_LABELS, OTHER, OWN, HistogramScope, MetricRegistry
from prober.models import (
    SINGLE_SHARD,
    HttpExchange,
    Probe,
    ProbeResult,
    Shard,
    SkippedRun,
    TcpEvidence,
    Tenant,
    TokenEvent,
    TokenStatus,
    Verdict,
)
from prober.outcomes import (
    Culprit,
    Endpoint,
    HistoryDropReason,
    LatencyComponent,
    RejectionCause,
    Responder,
    SkipCause,
    TokenEventKind,
    TokenState,
)
from prober.sinks import EventSink
from prober.version import Build

MAX_CODES = 8
"""How many status codes a probe has series for; all further ones are counted as `other`."""

_NO_FAILURES: Mapping[str, float] = MappingProxyType(
    {culprit: 0.0 for culprit in Culprit if culprit is not Culprit.NONE}
)


class ProbeMetrics:
    """The series of one probe, and what a result does to them."""

    __slots__ = (
        "_anomalies",
        "_codes",
        "_consecutive",
        "_discarded",
        "_duration",
        "_interval",
        "_last_run",
        "_last_seconds",
        "_last_success",
        "_maintenance_runs",
        "_network",
        "_objective",
        "_own",
        "_owner",
        "_phases",
        "_probe",
        "_retransmissions",
        "_round_trip",
        "_runs",
        "_server",
        "_skipped",
        "_slow",
        "_store",
        "_success",
    )

    def __init__(self, store: MetricRegistry, tenant: Tenant, probe: Probe) -> None:
        self._store = store
        self._owner = owner = (tenant.name, probe.name)
        self._runs = store.block("prober_probe_runs_total", owner)
        self._success = store.block("prober_probe_success", owner)
        self._consecutive = store.block("prober_probe_consecutive_failures", owner)
        self._interval = store.block("prober_probe_interval_seconds", owner)
        self._last_run = store.block("prober_probe_last_run_timestamp_seconds", owner)
        self._last_success = store.block("prober_probe_last_success_timestamp_seconds", owner)
        self._duration = store.histogram("prober_probe_duration_seconds", owner)
        self._server = store.histogram("prober_probe_server_seconds", owner)
        self._network = store.histogram("prober_probe_network_seconds", owner)
        self._own = store.histogram("prober_probe_own_seconds", owner)
        self._retransmissions = store.block("prober_probe_tcp_retransmissions_total", owner)
        self._round_trip = store.block("prober_probe_last_tcp_rtt_seconds", owner)
        self._last_seconds = store.block("prober_probe_last_duration_seconds", owner)
        self._phases = store.block("prober_probe_last_phase_duration_seconds", owner)
        self._slow = store.block("prober_probe_latency_objective_missed_total", owner)
        self._objective = store.block("prober_probe_latency_objective_seconds", owner)
        self._codes = store.block("prober_probe_http_responses_total", owner)
        self._anomalies = store.block("prober_probe_server_timing_anomalies_total", owner)
        self._discarded = store.block("prober_measurements_discarded_total", owner)
        self._skipped = store.block("prober_probe_skipped_total", owner)
        self._maintenance_runs = store.block("prober_maintenance_runs_total", owner)
        self.configure(probe)

    def configure(self, probe: Probe) -> None:
        """Take over the probe's settings; its counters stay."""
        self._probe = probe
        self._store.set_info("prober_probe_info", self._owner, (probe.severity.value,))
        self._interval.set(probe.interval_seconds)
        self._objective.replace(
            {
                LatencyComponent.SERVER: probe.server_objective_seconds,
                LatencyComponent.NETWORK: probe.network_objective_seconds,
            }
        )

    def count_skip(self, cause: str) -> None:
        """Count a run that was not started."""
        self._skipped.add(key=cause)

    def record(self, result: ProbeResult, max_loop_lag_seconds: float) -> bool:
        """Take in a result: the outcome always, durations of the API if they are to be trusted.

        Tell whether they were discarded.
        """
        exchange, verdict = result.exchange, result.verdict
        self._record_verdict(result)
        if result.endpoint is not Endpoint.API:
            self._phases.replace({})
            self._last_seconds.replace({})
            return False
        self._record_connection(exchange.tcp)
        if exchange.failure is None and exchange.response is not None:
            self._count_code(str(exchange.response.status))
        answered = _answered_by_platform(exchange, verdict)
        if answered and verdict.latency.anomaly is not None:
            self._anomalies.add(key=verdict.latency.anomaly)
        if not is_trustworthy(exchange, max_loop_lag_seconds):
            self._discarded.add(key=LOOP_LAG)
            return True
        self._phases.replace(dict(exchange.phases.as_pairs()))
        if answered:
            self._record_latency(result)
        else:
            self._last_seconds.replace({})
        return False

    def _record_connection(self, tcp: TcpEvidence | None) -> None:
        self._round_trip.replace({} if tcp is None else {NO_LABELS: tcp.rtt_seconds})
        if tcp is not None and tcp.retransmissions:
            self._retransmissions.add(float(tcp.retransmissions))

    def _record_verdict(self, result: ProbeResult) -> None:
        verdict = result.verdict
        if result.in_maintenance:
            self._maintenance_runs.add(key=verdict.outcome)
        else:
            self._runs.add(key=verdict.reason)
        self._last_run.set(result.started_at)
        self._success.set(1.0 if verdict.succeeded else 0.0)
        if verdict.succeeded:
            self._last_success.set(result.started_at)
        in_a_row = dict(_NO_FAILURES)
        if verdict.culprit in in_a_row and not result.in_maintenance:
            in_a_row[verdict.culprit] = self._consecutive.values[verdict.culprit] + 1.0
        self._consecutive.replace(in_a_row)

    def _count_code(self, code: str) -> None:
        codes = self._codes
        if code not in codes.values:
            if len(codes.values) > MAX_CODES:  # `other` is one of them, and no code
                code = OTHER
            else:
                codes.declare(code, (code,))
                codes.set(0.0, code)
        codes.add(key=code)

    def _record_latency(self, result: ProbeResult) -> None:
        latency, counts = result.verdict.latency, not result.in_maintenance
        if self._duration is not None and counts:
            self._duration.observe(latency.total_seconds)
        if latency.server_seconds is None or latency.network_seconds is None:
            self._last_seconds.replace({})
            return
        if self._server is not None and self._network is not None and counts:
            self._server.observe(latency.server_seconds)
            self._network.observe(latency.network_seconds)
        if self._own is not None and counts:
            self._own.observe(latency.own_seconds)
        sides: dict[str, float] = {
            LatencyComponent.SERVER: latency.server_seconds,
            LatencyComponent.NETWORK: latency.network_seconds,
            OWN: latency.own_seconds,
        }
        self._last_seconds.replace(sides)
        for side in slow_components(latency, self._probe) if counts else ():
            self._slow.add(key=side)


def _answered_by_platform(exchange: HttpExchange, verdict: Verdict) -> bool:
    """Tell whether a whole answer came, and from the platform: only such are measured."""
    return exchange.failure is None and verdict.responder is Responder.PLATFORM


class TokenMetrics:
    """The series of one tenant's token, looked up once and kept."""

    __slots__ = (
        "_cause",
        "_expiry",
        "_first_accepted",
        "_last_accepted",
        "_loaded",
        "_owner",
        "_rejections",
        "_rotations",
        "_stands",
        "_state",
        "_store",
        "_told",
    )

    def __init__(self, store: MetricRegistry, tenant: str) -> None:
        self._store = store
        self._owner = owner = (tenant,)
        self._state = store.block("prober_token_state", owner)
        self._cause = store.block("prober_token_rejected_cause", owner)
        self._expiry = store.block("prober_token_expiry_timestamp_seconds", owner)
        self._first_accepted = store.block("prober_token_first_accepted_timestamp_seconds", owner)
        self._last_accepted = store.block("prober_token_last_accepted_timestamp_seconds", owner)
        self._loaded = store.block("prober_token_loaded_timestamp_seconds", owner)
        self._rotations = store.block("prober_token_rotations_total", owner)
        self._rejections = store.block("prober_token_rejections_total", owner)
        self._told: tuple[str, str] | None = None
        self._stands: tuple[TokenState | None, RejectionCause | None] = (None, None)
        if not any(self._state.values.values()):
            self._state.set(1.0, TokenState.MISSING)

    def update(self, status: TokenStatus) -> None:
        """Set the gauges to the present status."""
        if (status.state, status.cause) != self._stands:
            self._stands = (status.state, status.cause)
            self._state.replace({each: float(each is status.state) for each in TokenState})
            self._cause.replace({each: float(each is status.cause) for each in RejectionCause})
        self._expiry.replace({} if status.expires_at is None else {NO_LABELS: status.expires_at})
        self._first_accepted.set(status.first_accepted_at or 0.0)
        self._last_accepted.set(status.last_accepted_at or 0.0)
        self._loaded.set(status.loaded_at or 0.0)
        self._rotations.set(float(status.rotations))
        self._set_token_info(status)

    def count_rejection(self, cause: RejectionCause) -> None:
        """Count a rejection."""
        self._rejections.add(key=cause)

    def _set_token_info(self, status: TokenStatus) -> None:
        # Without a token the source is known all the same: to Prometheus, an empty label is none.
        told = (status.fingerprint or "", status.source.kind.value)
        if told != self._told:
            self._told = told
            self._store.set_info("prober_token_info", self._owner, told)


P99 = 0.99


@dataclass(frozen=True, slots=True)
class SelfHealth:
    """How well the prober itself does since it was started; moments are epoch seconds.

    The two p99 are upper bounds, by the histograms' buckets; None where nothing was measured.
    """

    version: str
    started_at: float
    heartbeat_at: float
    probes_in_flight: int
    runs: int
    start_delay_p99_seconds: float | None
    loop_lag_p99_seconds: float | None
    skipped: Mapping[SkipCause, int]
    discarded_measurements: int
    configuration_is_current: bool
    configuration_problem: str | None
    configuration_loaded_at: float
    state_write_failures: int
    history_written_at: float | None
    history_size_bytes: int
    history_dropped: Mapping[HistoryDropReason, int]

    @property
    def skipped_by_itself(self) -> int:
        """How many runs it skipped for reasons of its own: a dead token or a Retry-After is not."""
        others = {SkipCause.TOKEN_REJECTED, SkipCause.RATE_LIMITED}
        return sum(n for cause, n in self.skipped.items() if cause not in others)


def quantile_upper_bound(
    share: float, upper_bounds: tuple[float, ...], cumulative: Sequence[int]
) -> float | None:
    """Return the least upper bound that so many of all are within; infinite past the last."""
    if not cumulative or cumulative[-1] == 0:
        return None
    wanted = share * cumulative[-1]
    for bound, count in zip(upper_bounds, cumulative, strict=False):
        if count >= wanted:
            return bound
    return float("inf")


__all__ = ("HistogramScope", "PrometheusSink")

_CERTIFICATE = "prober_tls_certificate_expiry_timestamp_seconds"
_HTTPS_PORT = 443
_OWNERS_PER_STEP = 2  # five probes' texts hold a slow machine for 5 ms


class PrometheusSink(EventSink):
    """Keeps every series of `METRIC_DEFINITIONS` and renders them for a scrape.

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
        shard: Shard = SINGLE_SHARD,
    ) -> None:
        self._store = store = MetricRegistry(histograms)
        self._lock = Lock()
        self.max_loop_lag_seconds = max_loop_lag_seconds
        self._probes: dict[tuple[str, str], ProbeMetrics] = {}
        self._tokens: dict[str, TokenMetrics] = {}
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
        self._sink_failures = store.block("prober_sink_failures_total")
        store.set_info("prober_build_info", (), (build.version, build.revision))
        shards = store.block("prober_shard_active")
        shards.redefine({str(index): (str(index),) for index in range(shard.count)}, 0.0)
        shards.set(1.0, str(shard.index))
        self._heartbeat.set(started_at)
        self._version, self._started_at = build.version, started_at
        self._configuration_problem: str | None = None
        self._registry = CollectorRegistry()
        self._registry.register(RegistryCollector(store.families, self._lock))
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
            while self._store.refresh(_OWNERS_PER_STEP):
                pass
        yield from iter_exposition(self._store.families, openmetrics=openmetrics)

    def refresh(self) -> int:
        """Prepare a rendering a little further; return how many more such steps there are.

        Called so often on the event loop, it leaves little but joining to `exposition`.
        """
        with self._lock:
            return -(-self._store.refresh(_OWNERS_PER_STEP) // _OWNERS_PER_STEP)

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
                (tenant.name, probe.name): ProbeMetrics(self._store, tenant, probe)
                for tenant in tenants
                for probe in tenant.probes
            }
            self._tokens = {
                tenant.name: TokenMetrics(self._store, tenant.name) for tenant in tenants
            }
            self._apply_tenants(tenants)

    def on_result(self, result: ProbeResult) -> None:
        """Update the series of a probe from a result."""
        probe = self._probes.get((result.tenant, result.probe))
        if probe is None:
            return
        with self._lock:
            self._all_discarded += probe.record(result, self.max_loop_lag_seconds)
            fallback = result.exchange.timing_fallback
            if fallback is not None:
                self._fallbacks.add(key=fallback)
            expiry = result.exchange.certificate_expiry_timestamp_seconds
            if expiry is not None and result.endpoint is Endpoint.API:
                self._store.block(_CERTIFICATE, (self._hosts[result.tenant],)).set(expiry)

    def on_skip(self, skip: SkippedRun) -> None:
        """Count a skipped run."""
        probe = self._probes.get((skip.tenant, skip.probe))
        if probe is not None:
            with self._lock:
                probe.count_skip(skip.cause)
                self._all_skipped[skip.cause] += 1

    def run_started(self, delay_seconds: float) -> None:
        """Count a run that was started so long after its due moment."""
        with self._lock:
            self._in_flight.add()
            if self._lateness is not None:
                self._lateness.observe(delay_seconds)

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

    def on_token_status(self, status: TokenStatus) -> None:
        """Update the series of a tenant's token."""
        token = self._tokens.get(status.tenant)
        if token is not None:
            with self._lock:
                token.update(status)

    def on_token_event(self, event: TokenEvent) -> None:
        """Count a rejection; other events change no counter."""
        token, cause = self._tokens.get(event.status.tenant), event.status.cause
        if event.kind is TokenEventKind.REJECTED and token is not None and cause is not None:
            with self._lock:
                token.count_rejection(cause)

    def sink_failed(self, sink: str) -> None:
        """Count an exception that an event sink raised."""
        with self._lock:
            if sink not in self._sink_failures.values:
                self._sink_failures.declare(sink, (sink,))
                self._sink_failures.set(0.0, sink)
            self._sink_failures.add(key=sink)

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

    def history_dropped(self, cause: HistoryDropReason, number: int) -> None:
        """Count what is not, or no longer, in the history."""
        with self._lock:
            self._history_lost.add(float(number), cause)

    def configuration_loaded(self, timestamp: float, configuration_hash: str) -> None:
        """Note which configuration is used, and since when (epoch seconds)."""
        self._configuration_problem = None
        with self._lock:
            self._loaded.set(1.0)
            self._loaded_at.set(timestamp)
            self._store.set_info("prober_config_info", (), (configuration_hash,))

    def configuration_failed(self, problem: str) -> None:
        """Note that the configuration could not be used, and why; the one before stays."""
        self._configuration_problem = problem
        with self._lock:
            self._loaded.set(0.0)

    def self_health(self) -> SelfHealth:
        """Return how well the prober itself does."""
        only = registry.NO_LABELS
        with self._lock:
            return SelfHealth(
                version=self._version,
                started_at=self._started_at,
                heartbeat_at=self._heartbeat.values[only],
                probes_in_flight=int(self._in_flight.values[only]),
                runs=0 if self._lateness is None else self._lateness.counts[-1],
                start_delay_p99_seconds=_p99(self._lateness),
                loop_lag_p99_seconds=_p99(self._lag),
                skipped={cause: self._all_skipped[cause] for cause in SkipCause},
                discarded_measurements=self._all_discarded,
                configuration_is_current=self._loaded.values[only] == 1.0,
                configuration_problem=self._configuration_problem,
                configuration_loaded_at=self._loaded_at.values[only],
                state_write_failures=int(self._state_write_failures.values[only]),
                history_written_at=self._history_written.values[only] or None,
                history_size_bytes=int(self._history_size.values[only]),
                history_dropped={c: int(self._history_lost.values[c]) for c in HistoryDropReason},
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
            self._store.set_info("prober_tenant_info", owner, known)


def _p99(histogram: registry.Histogram | None) -> float | None:
    if histogram is None:
        return None
    return quantile_upper_bound(P99, histogram.buckets, histogram.counts)


def _host(tenant: Tenant) -> str:
    """Return the host of a tenant's certificate, with its port if that is not the usual one."""
    parts = urlsplit(tenant.base_url)
    host = parts.hostname or ""
    return host if parts.port in {None, _HTTPS_PORT} else f"{host}:{parts.port}"
