"""Every metric that this daemon exports, in one table. A public interface. Pure.

Dashboards and alert rules depend on names, labels and the order of labels. The table in the
documentation and the series at start are made from this one.
"""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """The type of a metric family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric family.

    `buckets` are the upper bounds of a histogram in ascending order, without +Inf.
    """

    name: str
    kind: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The unit in the name, as OpenMetrics wants it: its last word, empty without one."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in _UNITS else ""

    @property
    def owner_labels(self) -> tuple[str, ...]:
        """The labels that name the owner of a series, such as a probe; it may have none."""
        return tuple(label for label in self.labels if label in _OWNERS)


_UNITS = frozenset({"seconds", "bytes", "ratio"})
_OWNERS = frozenset({"tenant", "probe", "host", "reference"})
_PROBE = ("tenant", "probe")
_RESPONSE_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
_NETWORK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_START_DELAY_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
_LOOP_LAG_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_OWN_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

LATENCY_HISTOGRAMS = (
    "prober_probe_duration_seconds",
    "prober_probe_server_seconds",
    "prober_probe_network_seconds",
)

METRIC_DEFINITIONS = (
    MetricDefinition(
        "prober_probe_runs_total",
        MetricType.COUNTER,
        "Probe runs by outcome, reason and culprit.",
        (*_PROBE, "outcome", "reason", "culprit"),
    ),
    MetricDefinition(
        "prober_probe_success",
        MetricType.GAUGE,
        "Whether the last run succeeded (1) or not (0).",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_consecutive_failures",
        MetricType.GAUGE,
        "Consecutive failures with this culprit, 0 for all others; without failed checks.",
        (*_PROBE, "culprit"),
    ),
    MetricDefinition(
        "prober_probe_info",
        MetricType.GAUGE,
        "Always 1; labels are the severity of alerts about this probe alone, and its environment.",
        (*_PROBE, "severity", "environment"),
    ),
    MetricDefinition(
        "prober_probe_interval_seconds",
        MetricType.GAUGE,
        "Configured interval of the probe.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_run_timestamp_seconds",
        MetricType.GAUGE,
        "Start time of the last run, 0 before the first.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "Start time of the last successful run, 0 before the first.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_duration_seconds",
        MetricType.HISTOGRAM,
        "Time from the start of a request to the last byte, platform responses only.",
        _PROBE,
        _RESPONSE_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_server_seconds",
        MetricType.HISTOGRAM,
        "Processing time of the platform, from its Server-Timing header.",
        _PROBE,
        _RESPONSE_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_network_seconds",
        MetricType.HISTOGRAM,
        "Duration of a request without the platform's processing time and the prober's own.",
        _PROBE,
        _NETWORK_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_own_seconds",
        MetricType.HISTOGRAM,
        "Time of a request spent in the prober itself; in no other component.",
        ("tenant",),
        _OWN_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_last_duration_seconds",
        MetricType.GAUGE,
        "Duration of the last run by component, absent if it could not be split.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_probe_last_phase_duration_seconds",
        MetricType.GAUGE,
        "Duration of the last run by phase, absent for a phase that did not occur.",
        (*_PROBE, "phase"),
    ),
    MetricDefinition(
        "prober_probe_latency_objective_missed_total",
        MetricType.COUNTER,
        "Platform responses slower than the latency objective, by component.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_probe_latency_objective_seconds",
        MetricType.GAUGE,
        "Latency objective, by component.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_tenant_availability_objective_ratio",
        MetricType.GAUGE,
        "Availability objective: the share of runs that should succeed.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_probe_http_responses_total",
        MetricType.COUNTER,
        "Complete HTTP responses of any origin by status code; after 8 codes of a probe: other.",
        (*_PROBE, "code"),
    ),
    MetricDefinition(
        "prober_probe_server_timing_anomalies_total",
        MetricType.COUNTER,
        "Platform responses whose duration could not be split, by kind of anomaly.",
        (*_PROBE, "kind"),
    ),
    MetricDefinition(
        "prober_probe_value",
        MetricType.GAUGE,
        "Value of a check in the last response that was checked; of a boolean 1 or 0.",
        (*_PROBE, "check", "item"),
    ),
    MetricDefinition(
        "prober_probe_value_timestamp_seconds",
        MetricType.GAUGE,
        "Value of a check of a timestamp in the last response that was checked.",
        (*_PROBE, "check", "item"),
    ),
    MetricDefinition(
        "prober_probe_check_failed",
        MetricType.GAUGE,
        "Whether a check failed in the last response that was checked (1) or not (0).",
        (*_PROBE, "check", "culprit", "severity"),
    ),
    MetricDefinition(
        "prober_measurements_discarded_total",
        MetricType.COUNTER,
        "Runs with durations discarded as not trustworthy, by cause; their outcome still counts.",
        (*_PROBE, "cause"),
    ),
    MetricDefinition(
        "prober_probe_timing_fallbacks_total",
        MetricType.COUNTER,
        "Runs with an arrival timed by the event loop and not by the kernel, by reason.",
        ("reason",),
    ),
    MetricDefinition(
        "prober_probe_tcp_retransmissions_total",
        MetricType.COUNTER,
        "TCP segments of requests that were retransmitted.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_stale_connections_total",
        MetricType.COUNTER,
        "Requests sent again, as the server closed a kept connection without a response.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_tcp_rtt_seconds",
        MetricType.GAUGE,
        "TCP round-trip time to the peer at the end of the last run, absent if unknown.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_token_state",
        MetricType.GAUGE,
        "1 for the current state of the token, 0 for all others.",
        ("tenant", "state"),
    ),
    MetricDefinition(
        "prober_token_rejected_cause",
        MetricType.GAUGE,
        "1 for the cause of the current rejection, 0 for all others and while not rejected.",
        ("tenant", "cause"),
    ),
    MetricDefinition(
        "prober_token_info",
        MetricType.GAUGE,
        "Always 1; labels are the kind of source, and the fingerprint if there is a token.",
        ("tenant", "fingerprint", "source"),
    ),
    MetricDefinition(
        "prober_token_expiry_timestamp_seconds",
        MetricType.GAUGE,
        "Expiry time of the current token, absent if unknown.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_first_accepted_timestamp_seconds",
        MetricType.GAUGE,
        "When the platform first accepted the current token, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_last_accepted_timestamp_seconds",
        MetricType.GAUGE,
        "When the platform last accepted the current token, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_loaded_timestamp_seconds",
        MetricType.GAUGE,
        "When the current token was first read from its source, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_rotations_total",
        MetricType.COUNTER,
        "Credentials replaced by new ones; kept across restarts.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_rejections_total",
        MetricType.COUNTER,
        "Changes of the token to rejected, by cause.",
        ("tenant", "cause"),
    ),
    MetricDefinition(
        "prober_token_permission_missing",
        MetricType.GAUGE,
        "Whether the token's user lacks a permission that the probe needs (1): lost, or refused.",
        (*_PROBE, "permission"),
    ),
    MetricDefinition(
        "prober_maintenance_active",
        MetricType.GAUGE,
        "Whether a maintenance window of the tenant is open (1) or not (0).",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_maintenance_runs_total",
        MetricType.COUNTER,
        "Runs during maintenance by outcome; they are not in prober_probe_runs_total.",
        (*_PROBE, "outcome"),
    ),
    MetricDefinition(
        "prober_tls_certificate_expiry_timestamp_seconds",
        MetricType.GAUGE,
        "Earliest expiry of the server's certificate chain, absent before the first TLS handshake.",
        ("host",),
    ),
    MetricDefinition(
        "prober_tenant_info",
        MetricType.GAUGE,
        "Always 1; labels are the tenant's environment, base URL and configured labels, for joins.",
        ("tenant", "environment", "base_url"),
    ),
    MetricDefinition(
        "prober_canary_seconds",
        MetricType.GAUGE,
        "Time from a canary's last write to each stage, absent for one that was not reached.",
        (*_PROBE, "stage"),
    ),
    MetricDefinition(
        "prober_reference_reachable",
        MetricType.GAUGE,
        "Whether the last check of a reference reached it (1) or not (0).",
        ("reference",),
    ),
    MetricDefinition(
        "prober_reference_check_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the last check of a reference.",
        ("reference",),
    ),
    MetricDefinition(
        "prober_status_page_readable",
        MetricType.GAUGE,
        "Whether the supplier's status page can be read (1) or not (0), absent without one.",
    ),
    MetricDefinition(
        "prober_status_page_read_timestamp_seconds",
        MetricType.GAUGE,
        "When the supplier's status page was last read, absent before the first time.",
    ),
    MetricDefinition(
        "prober_status_page_incidents",
        MetricType.GAUGE,
        "Open incidents on the supplier's status page by impact, absent without one.",
        ("impact",),
    ),
    MetricDefinition(
        "prober_status_page_incident_start_timestamp_seconds",
        MetricType.GAUGE,
        "Start of the oldest open incident on the supplier's status page, absent without one.",
    ),
    MetricDefinition(
        "prober_scheduler_heartbeat_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the last heartbeat of the scheduler, at first the start time of the daemon.",
    ),
    MetricDefinition(
        "prober_scheduler_delay_seconds",
        MetricType.HISTOGRAM,
        "Delay between the time a run was due and its start.",
        (),
        _START_DELAY_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_skipped_total",
        MetricType.COUNTER,
        "Runs that were due and not started, by cause.",
        (*_PROBE, "cause"),
    ),
    MetricDefinition(
        "prober_event_loop_lag_seconds",
        MetricType.HISTOGRAM,
        "Delay before the event loop reads received data, sampled without kernel timestamps.",
        (),
        _LOOP_LAG_BUCKETS,
    ),
    MetricDefinition("prober_probes_in_flight", MetricType.GAUGE, "Runs in flight."),
    MetricDefinition(
        "prober_asyncio_tasks", MetricType.GAUGE, "Asyncio tasks at the last heartbeat."
    ),
    MetricDefinition(
        "prober_config_last_reload_successful",
        MetricType.GAUGE,
        "Whether the last load of the configuration succeeded (1) or not (0).",
    ),
    MetricDefinition(
        "prober_config_last_reload_success_timestamp_seconds",
        MetricType.GAUGE,
        "When the current configuration was loaded, 0 before the first.",
    ),
    MetricDefinition(
        "prober_config_info",
        MetricType.GAUGE,
        "Always 1; the label is a hash of the current configuration.",
        ("hash",),
    ),
    MetricDefinition(
        "prober_shard_active",
        MetricType.GAUGE,
        "1 for the shard of this instance, 0 for all others.",
        ("shard",),
    ),
    MetricDefinition(
        "prober_state_writable",
        MetricType.GAUGE,
        "Whether the state directory can be written (1) or not (0): token state and history.",
    ),
    MetricDefinition(
        "prober_state_write_failures_total",
        MetricType.COUNTER,
        "Failed reads and writes of the state directory; writes are retried.",
    ),
    MetricDefinition(
        "prober_history_size_bytes", MetricType.GAUGE, "Size of the history file, 0 without one."
    ),
    MetricDefinition(
        "prober_history_last_write_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the last write to the history, 0 before the first.",
    ),
    MetricDefinition(
        "prober_history_dropped_total",
        MetricType.COUNTER,
        "Runs, events and rows dropped from the history before the end of retention, by cause.",
        ("cause",),
    ),
    MetricDefinition(
        "prober_sink_failures_total",
        MetricType.COUNTER,
        "Results, skipped runs and token events that an event sink failed to process.",
        ("sink",),
    ),
    MetricDefinition(
        "prober_build_info",
        MetricType.GAUGE,
        "Always 1; labels are the version and the commit of the build.",
        ("version", "revision"),
    ),
)
