"""Prometheus metrics: what results, skipped runs, tokens and the scheduler do to the series.

`ProbeMetrics` and `TokenMetrics` hold the samples of one probe and of one token. They look them
up once, since a lookup for every result would cost more than the update. `PrometheusSink` is the
event sink around them.

Changes come from the event loop's thread; `exposition` may run in any thread. Every change holds
the lock, so that no scrape sees half of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client.registry import CollectorRegistry

from prober.classifier.observation import is_trustworthy, slow_components
from prober.metrics.checks import CheckMetrics
from prober.metrics.exemplars import measured_request
from prober.metrics.exposition import RegistryCollector, iter_exposition
from prober.metrics.otlp import metrics_data
from prober.metrics.outside import set_references, set_status_page
from prober.metrics.registry import (
    LOOP_LAG,
    NO_LABELS,
    OTHER,
    OWN,
    HistogramScope,
    MetricRegistry,
    verdict_labels,
)
from prober.metrics.self_health import SelfHealth, p99_upper_bound
from prober.models import (
    CANARY_STAGES,
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
    Reason,
    RejectionCause,
    Responder,
    SkipCause,
    TokenEventKind,
    TokenState,
)
from prober.references import ReferenceStatus
from prober.sinks import EventSink
from prober.stats.aggregates import run_kind
from prober.status_page import SupplierStatus
from prober.version import Build

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

MAX_CODES = 8
"""How many status codes of a probe get a series of their own; the others count as `other`."""

_NO_FAILURES: Mapping[str, float] = MappingProxyType(
    {culprit: 0.0 for culprit in Culprit if culprit is not Culprit.NONE}
)


class ProbeMetrics:
    """The samples of one probe."""

    __slots__ = (
        "_anomalies",
        "_checks",
        "_codes",
        "_consecutive",
        "_discarded",
        "_duration",
        "_interval",
        "_last_durations",
        "_last_run",
        "_last_success",
        "_maintenance_runs",
        "_network",
        "_objective",
        "_own",
        "_owner",
        "_phases",
        "_probe",
        "_registry",
        "_retransmissions",
        "_round_trip",
        "_runs",
        "_server",
        "_skipped",
        "_slow",
        "_stale_connections",
        "_success",
        "_tenant_environment",
    )

    def __init__(self, registry: MetricRegistry, tenant: Tenant, probe: Probe) -> None:
        self._registry = registry
        self._owner = owner = (tenant.name, probe.name)
        self._tenant_environment = tenant.environment
        self._runs = registry.samples("prober_probe_runs_total", owner)
        self._success = registry.samples("prober_probe_success", owner)
        self._consecutive = registry.samples("prober_probe_consecutive_failures", owner)
        self._interval = registry.samples("prober_probe_interval_seconds", owner)
        self._last_run = registry.samples("prober_probe_last_run_timestamp_seconds", owner)
        self._last_success = registry.samples("prober_probe_last_success_timestamp_seconds", owner)
        self._duration = registry.histogram("prober_probe_duration_seconds", owner)
        self._server = registry.histogram("prober_probe_server_seconds", owner)
        self._network = registry.histogram("prober_probe_network_seconds", owner)
        self._own = registry.histogram("prober_probe_own_seconds", owner)
        self._retransmissions = registry.samples("prober_probe_tcp_retransmissions_total", owner)
        self._stale_connections = registry.samples("prober_probe_stale_connections_total", owner)
        self._round_trip = registry.samples("prober_probe_last_tcp_rtt_seconds", owner)
        self._last_durations = registry.samples("prober_probe_last_duration_seconds", owner)
        self._phases = registry.samples("prober_probe_last_phase_duration_seconds", owner)
        self._slow = registry.samples("prober_probe_latency_objective_missed_total", owner)
        self._objective = registry.samples("prober_probe_latency_objective_seconds", owner)
        self._codes = registry.samples("prober_probe_http_responses_total", owner)
        self._anomalies = registry.samples("prober_probe_server_timing_anomalies_total", owner)
        self._discarded = registry.samples("prober_measurements_discarded_total", owner)
        self._skipped = registry.samples("prober_probe_skipped_total", owner)
        self._maintenance_runs = registry.samples("prober_maintenance_runs_total", owner)
        self._checks = CheckMetrics(registry, owner)
        self.configure(probe)

    def configure(self, probe: Probe) -> None:
        """Apply the probe's configuration; its counters stay."""
        self._probe = probe
        info = (probe.severity.value, probe.environment or self._tenant_environment)
        self._registry.set_info("prober_probe_info", self._owner, info)
        self._interval.set(probe.interval_seconds)
        for culprit in sorted(probe.expectations.culprits):
            self._run_kind(Reason.EXPECTATION_FAILED, culprit)
        for culprit in sorted(probe.check_culprits):
            self._run_kind(Reason.CHECK_FAILED, culprit)
        self._objective.replace(
            {
                LatencyComponent.SERVER: probe.server_objective_seconds,
                LatencyComponent.NETWORK: probe.network_objective_seconds,
            }
        )
        self._checks.configure(probe)

    def count_skip(self, cause: str) -> None:
        """Count a skipped run."""
        self._skipped.add(key=cause)

    def record(self, result: ProbeResult, max_loop_lag_seconds: float) -> bool:
        """Update the samples from a result; return whether its durations were discarded.

        The outcome always counts. Durations count only if they are trustworthy, and only those of
        requests to the API: the OAuth server is no part of the probed service's latency.
        """
        exchange, verdict = result.exchange, result.verdict
        self._record_verdict(result)
        if self._probe.canary is not None:
            self._registry.samples("prober_canary_seconds", self._owner).replace(
                {
                    step.name: step.started_after_seconds + step.seconds
                    for step in result.steps
                    if step.succeeded and step.name in CANARY_STAGES
                }
            )
        # "Last" gauges are emptied when this run has no value for them: an old value would look
        # like a measurement of this run.
        if result.endpoint is not Endpoint.API:
            self._phases.replace({})
            self._last_durations.replace({})
            return False
        self._record_connection(exchange.tcp)
        if exchange.stale_connection_retries:
            self._stale_connections.add(float(exchange.stale_connection_retries))
        if exchange.failure is None and exchange.response is not None:
            self._count_code(str(exchange.response.status))
        from_platform = _is_platform_response(exchange, verdict)
        if from_platform and verdict.latency.anomaly is not None:
            self._anomalies.add(key=verdict.latency.anomaly)
        if not is_trustworthy(exchange, max_loop_lag_seconds):
            # The event loop timed this run and was busy: its timestamps may be too late.
            self._discarded.add(key=LOOP_LAG)
            return True
        self._phases.replace(dict(exchange.phases.as_pairs()))
        if from_platform:
            self._record_latency(result)
        else:
            self._last_durations.replace({})
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
            self._runs.add(key=self._run_kind(verdict.reason, verdict.culprit))
        self._last_run.set(result.started_at)
        self._success.set(1.0 if verdict.succeeded else 0.0)
        if verdict.succeeded:
            self._last_success.set(result.started_at)
        # A failure of one culprit ends the streak of every other one, and so does a success or a
        # run in maintenance, which must not lead to an alert. A failed check is no failure of the
        # request: it has a gauge of its own.
        consecutive = dict(_NO_FAILURES)
        is_failure = verdict.culprit in consecutive and verdict.reason is not Reason.CHECK_FAILED
        if is_failure and not result.in_maintenance:
            consecutive[verdict.culprit] = self._consecutive.values[verdict.culprit] + 1.0
        self._consecutive.replace(consecutive)
        if verdict.checks is not None:
            self._checks.record(verdict.checks, in_maintenance=result.in_maintenance)

    def _run_kind(self, reason: Reason, culprit: Culprit) -> str:
        """Return the key of a series of runs, which exists from then on."""
        kind = run_kind(reason, culprit)
        if kind not in self._runs.values:
            self._runs.declare(kind, verdict_labels(reason, culprit))
            self._runs.set(0.0, kind)
        return kind

    def _count_code(self, code: str) -> None:
        codes = self._codes
        if code not in codes.values:
            # A server could send any code: the limit bounds the number of series. `other` is one
            # of the values but no code, hence `>`.
            if len(codes.values) > MAX_CODES:
                code = OTHER
            else:
                codes.declare(code, (code,))
                codes.set(0.0, code)
        codes.add(key=code)

    def _record_latency(self, result: ProbeResult) -> None:
        # Runs in maintenance show up in the "last" gauges, but not in what objectives are made of.
        latency, counts = result.verdict.latency, not result.in_maintenance
        request = measured_request(result.verdict.facts, result.started_at)
        if self._duration is not None and counts:
            self._duration.observe(latency.total_seconds, request)
        if latency.server_seconds is None or latency.network_seconds is None:
            self._last_durations.replace({})
            return
        if self._server is not None and self._network is not None and counts:
            self._server.observe(latency.server_seconds, request)
            self._network.observe(latency.network_seconds, request)
        if self._own is not None and counts:
            self._own.observe(latency.own_seconds)
        durations: dict[str, float] = {
            LatencyComponent.SERVER: latency.server_seconds,
            LatencyComponent.NETWORK: latency.network_seconds,
            OWN: latency.own_seconds,
        }
        self._last_durations.replace(durations)
        for component in slow_components(latency, self._probe) if counts else ():
            self._slow.add(key=component)


def _is_platform_response(exchange: HttpExchange, verdict: Verdict) -> bool:
    """Return whether a complete response came from the platform; only those are measured."""
    return exchange.failure is None and verdict.responder is Responder.PLATFORM


class TokenMetrics:
    """The samples of one tenant's token."""

    __slots__ = (
        "_cause",
        "_expiry",
        "_first_accepted",
        "_info",
        "_last_accepted",
        "_last_state",
        "_loaded",
        "_owner",
        "_registry",
        "_rejections",
        "_rotations",
        "_state",
    )

    def __init__(self, registry: MetricRegistry, tenant: str) -> None:
        self._registry = registry
        self._owner = owner = (tenant,)
        self._state = registry.samples("prober_token_state", owner)
        self._cause = registry.samples("prober_token_rejected_cause", owner)
        self._expiry = registry.samples("prober_token_expiry_timestamp_seconds", owner)
        self._first_accepted = registry.samples(
            "prober_token_first_accepted_timestamp_seconds", owner
        )
        self._last_accepted = registry.samples(
            "prober_token_last_accepted_timestamp_seconds", owner
        )
        self._loaded = registry.samples("prober_token_loaded_timestamp_seconds", owner)
        self._rotations = registry.samples("prober_token_rotations_total", owner)
        self._rejections = registry.samples("prober_token_rejections_total", owner)
        self._info: tuple[str, str] | None = None
        self._last_state: tuple[TokenState | None, RejectionCause | None] = (None, None)
        # One state must be 1 from the start; after a reload the present one is already set.
        if not any(self._state.values.values()):
            self._state.set(1.0, TokenState.MISSING)

    def update(self, status: TokenStatus) -> None:
        """Set the gauges to the present status."""
        # Most updates change a timestamp alone (a token was accepted again): skip the rest.
        if (status.state, status.cause) != self._last_state:
            self._last_state = (status.state, status.cause)
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
        # Without a token the source is exported too. To Prometheus an empty label is no label.
        info = (status.fingerprint or "", status.source.kind.value)
        if info != self._info:
            self._info = info
            self._registry.set_info("prober_token_info", self._owner, info)


__all__ = ("HistogramScope", "PrometheusSink")

_CERTIFICATE = "prober_tls_certificate_expiry_timestamp_seconds"
_HTTPS_PORT = 443


class PrometheusSink(EventSink):
    """Keeps every series of `METRIC_DEFINITIONS` and renders them for a scrape.

    If the event loop timed a run and its lag exceeded `max_loop_lag_seconds`, the run's durations
    are discarded and counted as such. `started_at` is in epoch seconds. Events of tenants and
    probes that are not (or no longer) configured are ignored.
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
        self._metrics = metrics = MetricRegistry(histograms)
        self._lock = Lock()
        self.max_loop_lag_seconds = max_loop_lag_seconds
        self._probes: dict[tuple[str, str], ProbeMetrics] = {}
        self._tokens: dict[str, TokenMetrics] = {}
        self._hosts: dict[str, str] = {}
        self._all_skipped: Counter[SkipCause] = Counter()
        self._all_discarded = 0
        self._heartbeat = metrics.samples("prober_scheduler_heartbeat_timestamp_seconds")
        self._start_delay = metrics.histogram("prober_scheduler_delay_seconds")
        self._loop_lag = metrics.histogram("prober_event_loop_lag_seconds")
        self._fallbacks = metrics.samples("prober_probe_timing_fallbacks_total")
        self._in_flight = metrics.samples("prober_probes_in_flight")
        self._tasks = metrics.samples("prober_asyncio_tasks")
        self._loaded = metrics.samples("prober_config_last_reload_successful")
        self._loaded_at = metrics.samples("prober_config_last_reload_success_timestamp_seconds")
        self._state_writable = metrics.samples("prober_state_writable")
        self._state_writable.set(1.0)
        self._failing_stores: set[str] = set()
        self._state_write_failures = metrics.samples("prober_state_write_failures_total")
        self._history_size = metrics.samples("prober_history_size_bytes")
        self._history_written = metrics.samples("prober_history_last_write_timestamp_seconds")
        self._history_dropped = metrics.samples("prober_history_dropped_total")
        self._sink_failures = metrics.samples("prober_sink_failures_total")
        metrics.set_info("prober_build_info", (), (build.version, build.revision))
        shards = metrics.samples("prober_shard_active")
        shards.redefine({str(index): (str(index),) for index in range(shard.count)}, 0.0)
        shards.set(1.0, str(shard.index))
        self._heartbeat.set(started_at)
        self._version, self._started_at = build.version, started_at
        self._configuration_problem: str | None = None
        self._client_registry = CollectorRegistry()
        self._client_registry.register(RegistryCollector(metrics.families, self._lock))
        self.apply(tenants)

    @property
    def registry(self) -> CollectorRegistry:
        """A prometheus-client registry with the same values; for tests, since it is slow."""
        return self._client_registry

    def otlp_data(self, build: Build, instance: str) -> "MetricsData":
        """Return all values for OpenTelemetry's exporter; from any thread."""
        families = self._metrics.families
        return metrics_data(families, self._lock, build, instance, self._started_at)

    @property
    def series_count(self) -> int:
        """The number of series in a scrape now."""
        with self._lock:
            return self._metrics.series_count

    def render(self, openmetrics: bool) -> bytes:  # noqa: FBT001 -- a Callable[[bool], bytes]
        """Return the exposition as text 0.0.4 or as OpenMetrics 1.0.0; from any thread."""
        return b"".join(self.exposition(openmetrics))

    def exposition(self, openmetrics: bool) -> Iterator[bytes]:  # noqa: FBT001 -- see `render`
        """Yield the exposition in chunks; see `render`."""
        # Whatever has changed since the last `refresh` is rendered here. The chunks need no lock.
        with self._lock:
            while self._metrics.refresh():
                pass
        yield from iter_exposition(self._metrics.families, openmetrics=openmetrics)

    def refresh(self) -> int:
        """Render one owner's text; return how many owners are left.

        Called in small steps on the event loop before a scrape, so that `exposition` has little
        left to render while it holds the lock: the event loop waits for that lock.
        """
        with self._lock:
            return self._metrics.refresh()

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Apply a configuration: series of removed tenants and probes go, others keep values."""
        with self._lock:
            self._hosts = {tenant.name: _host(tenant) for tenant in tenants}
            owners = {(t.name, p.name) for t in tenants for p in t.probes}
            self._metrics.keep_only(
                {
                    ("tenant", "probe"): owners,
                    ("tenant",): {(tenant.name,) for tenant in tenants},
                    ("host",): {(host,) for host in self._hosts.values()},
                }
            )
            # New objects on the kept samples: counters go on, options are those of the new file.
            self._probes = {
                (tenant.name, probe.name): ProbeMetrics(self._metrics, tenant, probe)
                for tenant in tenants
                for probe in tenant.probes
            }
            self._tokens = {
                tenant.name: TokenMetrics(self._metrics, tenant.name) for tenant in tenants
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
                self._metrics.samples(_CERTIFICATE, (self._hosts[result.tenant],)).set(expiry)

    def on_skip(self, skip: SkippedRun) -> None:
        """Count a skipped run."""
        probe = self._probes.get((skip.tenant, skip.probe))
        if probe is not None:
            with self._lock:
                probe.count_skip(skip.cause)
                self._all_skipped[skip.cause] += 1

    def run_started(self, delay_seconds: float) -> None:
        """Count a run that was started `delay_seconds` after it was due."""
        with self._lock:
            self._in_flight.add()
            if self._start_delay is not None:
                self._start_delay.observe(delay_seconds)

    def run_finished(self) -> None:
        """Count down the runs in flight, whatever the outcome."""
        with self._lock:
            self._in_flight.add(-1.0)

    def loop_lag(self, seconds: float) -> None:
        """Observe a sample of the event loop's lag."""
        if self._loop_lag is not None:
            with self._lock:
                self._loop_lag.observe(seconds)

    def heartbeat(self, timestamp: float, tasks: int) -> None:
        """Record a heartbeat of the scheduler at `timestamp` (epoch seconds)."""
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

    def state_write_failed(self, store: str) -> None:
        """Count a failed write to the state directory by `store`, which cannot be written now."""
        with self._lock:
            self._state_write_failures.add()
            self._failing_stores.add(store)
            self._state_writable.set(0.0)

    def state_written(self, store: str) -> None:
        """Note that `store` can be written."""
        if store in self._failing_stores:  # the usual case costs no lock
            with self._lock:
                self._failing_stores.discard(store)
                self._state_writable.set(float(not self._failing_stores))

    def maintenance(self, tenant: str, *, is_active: bool) -> None:
        """Set whether a maintenance window of a tenant is open."""
        with self._lock:
            self._metrics.samples("prober_maintenance_active", (tenant,)).set(float(is_active))

    def references(self, statuses: Sequence[ReferenceStatus]) -> None:
        """Set the last checks of all references; those of others go."""
        with self._lock:
            set_references(self._metrics, statuses)

    def status_page(self, status: SupplierStatus | None) -> None:
        """Set what the supplier's status page says; None removes all its series."""
        with self._lock:
            set_status_page(self._metrics, status)

    def permissions(self, tenant: str, missing: Mapping[str, Mapping[str, bool]]) -> None:
        """Set which permissions are missing for each probe of a tenant, by their API names."""
        with self._lock:
            for probe, by_name in missing.items():
                samples = self._metrics.samples("prober_token_permission_missing", (tenant, probe))
                if samples.suffixes.keys() != by_name.keys():
                    samples.redefine({name: (name,) for name in by_name}, 0.0)
                for name, is_missing in by_name.items():
                    samples.set(float(is_missing), name)

    def history_written(self, timestamp: float, size_bytes: int) -> None:
        """Record a write to the history at `timestamp` (epoch seconds) and the file's size."""
        with self._lock:
            self._history_written.set(timestamp)
            self._history_size.set(float(size_bytes))

    def history_dropped(self, cause: HistoryDropReason, number: int) -> None:
        """Count entries that are not, or no longer, in the history."""
        with self._lock:
            self._history_dropped.add(float(number), cause)

    def configuration_loaded(self, timestamp: float, configuration_hash: str) -> None:
        """Record the configuration in force and when it was loaded (epoch seconds)."""
        self._configuration_problem = None
        with self._lock:
            self._loaded.set(1.0)
            self._loaded_at.set(timestamp)
            self._metrics.set_info("prober_config_info", (), (configuration_hash,))

    def configuration_failed(self, problem: str) -> None:
        """Record that a configuration was rejected; the previous one stays in force."""
        self._configuration_problem = problem
        with self._lock:
            self._loaded.set(0.0)

    def self_health(self) -> SelfHealth:
        """Return the prober's own health."""
        with self._lock:
            return SelfHealth(
                version=self._version,
                started_at=self._started_at,
                heartbeat_at=self._heartbeat.values[NO_LABELS],
                probes_in_flight=int(self._in_flight.values[NO_LABELS]),
                runs=0 if self._start_delay is None else self._start_delay.counts[-1],
                start_delay_p99_seconds=p99_upper_bound(self._start_delay),
                loop_lag_p99_seconds=p99_upper_bound(self._loop_lag),
                skipped={cause: self._all_skipped[cause] for cause in SkipCause},
                discarded_measurements=self._all_discarded,
                configuration_is_current=self._loaded.values[NO_LABELS] == 1.0,
                configuration_problem=self._configuration_problem,
                configuration_loaded_at=self._loaded_at.values[NO_LABELS],
                state_write_failures=int(self._state_write_failures.values[NO_LABELS]),
                history_written_at=self._history_written.values[NO_LABELS] or None,
                history_size_bytes=int(self._history_size.values[NO_LABELS]),
                history_dropped={
                    c: int(self._history_dropped.values[c]) for c in HistoryDropReason
                },
                state_is_writable=not self._failing_stores,
            )

    def _apply_tenants(self, tenants: Sequence[Tenant]) -> None:
        # All series of a metric should have the same label names, so each tenant gets the labels
        # of all tenants.
        every = (label for tenant in tenants for label in tenant.labels)
        extra = self._metrics.extend_labels("prober_tenant_info", every)
        for tenant in tenants:
            owner = (tenant.name,)
            objective = self._metrics.samples("prober_tenant_availability_objective_ratio", owner)
            objective.set(tenant.availability_objective_ratio)
            active = self._metrics.samples("prober_maintenance_active", owner)
            if not tenant.maintenance:  # a reload may have removed the window that was open
                active.set(0.0)
            # To Prometheus, a label with an empty value is the same as no label.
            values = (tenant.labels.get(label, "") for label in extra)
            info = (tenant.environment, tenant.base_url, *values)
            self._metrics.set_info("prober_tenant_info", owner, info)


def _host(tenant: Tenant) -> str:
    """Return the host of a tenant's certificate, with the port unless it is 443."""
    parts = urlsplit(tenant.base_url)
    host = parts.hostname or ""
    return host if parts.port in {None, _HTTPS_PORT} else f"{host}:{parts.port}"
