"""Every metric family that this daemon exports, as one table. A public interface. Pure.

Names, labels and their order are those that dashboards and alert rules are written against. The
README's table is compared with this one, the series at start are made from it, and a row without a
value to put in it does not stand here.
"""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """What a family's numbers are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One family: `buckets` are a histogram's upper bounds in ascending order, without +Inf."""

    name: str
    kind: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def owner_labels(self) -> tuple[str, ...]:
        """The labels that name whose series they are: a probe, a tenant, a host, or none."""
        return tuple(label for label in self.labels if label in _OWNERS)


_OWNERS = frozenset({"tenant", "probe", "host"})
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
        "Verdicts, by what they came to.",
        (*_PROBE, "outcome", "reason", "culprit"),
    ),
    MetricDefinition(
        "prober_probe_success",
        MetricType.GAUGE,
        "Whether the last verdict was a success (1) or not (0).",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_consecutive_failures",
        MetricType.GAUGE,
        "Failures in a row of this culprit, 0 for all others.",
        (*_PROBE, "culprit"),
    ),
    MetricDefinition(
        "prober_probe_info",
        MetricType.GAUGE,
        "1, labelled with the severity of alerts about this probe alone, to join on.",
        (*_PROBE, "severity"),
    ),
    MetricDefinition(
        "prober_probe_interval_seconds",
        MetricType.GAUGE,
        "How often the probe is configured to run.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_run_timestamp_seconds",
        MetricType.GAUGE,
        "When the last run began, 0 before the first.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "When the last successful run began, 0 before the first.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_duration_seconds",
        MetricType.HISTOGRAM,
        "From the start of the attempt to the last byte, answers of the platform only.",
        _PROBE,
        _RESPONSE_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_server_seconds",
        MetricType.HISTOGRAM,
        "The platform's own time, from its Server-Timing header.",
        _PROBE,
        _RESPONSE_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_network_seconds",
        MetricType.HISTOGRAM,
        "Duration without the platform's own time and without the prober's.",
        _PROBE,
        _NETWORK_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_own_seconds",
        MetricType.HISTOGRAM,
        "What the prober itself took of a duration; in no other part.",
        ("tenant",),
        _OWN_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_last_duration_seconds",
        MetricType.GAUGE,
        "The last run's time by server, network and own, absent when it could not be split.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_probe_last_phase_duration_seconds",
        MetricType.GAUGE,
        "The last run's time by phase, absent where there was no such phase.",
        (*_PROBE, "phase"),
    ),
    MetricDefinition(
        "prober_probe_latency_objective_missed_total",
        MetricType.COUNTER,
        "Answers of the platform slower than the objective, by side.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_probe_latency_objective_seconds",
        MetricType.GAUGE,
        "What is slow, by side.",
        (*_PROBE, "component"),
    ),
    MetricDefinition(
        "prober_tenant_availability_objective_ratio",
        MetricType.GAUGE,
        "The share of runs that is meant to succeed.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_probe_http_responses_total",
        MetricType.COUNTER,
        "Whole HTTP answers, whoever gave them, by status code; past 8 codes a probe: other.",
        (*_PROBE, "code"),
    ),
    MetricDefinition(
        "prober_probe_server_timing_anomalies_total",
        MetricType.COUNTER,
        "Answers of the platform whose time could not be split, by why.",
        (*_PROBE, "kind"),
    ),
    MetricDefinition(
        "prober_measurements_discarded_total",
        MetricType.COUNTER,
        "Runs whose durations were not to be trusted, by why; their outcome still counts.",
        (*_PROBE, "cause"),
    ),
    MetricDefinition(
        "prober_probe_timing_fallbacks_total",
        MetricType.COUNTER,
        "Runs of which an arrival was timed by the event loop, not by the kernel, by why.",
        ("reason",),
    ),
    MetricDefinition(
        "prober_probe_tcp_retransmissions_total",
        MetricType.COUNTER,
        "TCP segments that were sent again, since nobody had acknowledged them.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_probe_last_tcp_rtt_seconds",
        MetricType.GAUGE,
        "TCP round-trip time to the far end at the end of the last run, absent where unknown.",
        _PROBE,
    ),
    MetricDefinition(
        "prober_token_state",
        MetricType.GAUGE,
        "1 for the state that the token is in, 0 for all others.",
        ("tenant", "state"),
    ),
    MetricDefinition(
        "prober_token_rejected_cause",
        MetricType.GAUGE,
        "1 for the cause that the token is rejected for, 0 for all others and while it is not.",
        ("tenant", "cause"),
    ),
    MetricDefinition(
        "prober_token_info",
        MetricType.GAUGE,
        "1, labelled with the kind of the token's source, and its fingerprint if there is one.",
        ("tenant", "fingerprint", "source"),
    ),
    MetricDefinition(
        "prober_token_expiry_timestamp_seconds",
        MetricType.GAUGE,
        "When the present token expires, absent where nobody knows.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_first_accepted_timestamp_seconds",
        MetricType.GAUGE,
        "When the platform first accepted the present token, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_last_accepted_timestamp_seconds",
        MetricType.GAUGE,
        "When the platform last accepted the present token, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_loaded_timestamp_seconds",
        MetricType.GAUGE,
        "When the present token was first read from its source, 0 before.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_rotations_total",
        MetricType.COUNTER,
        "New credentials picked up in place of others; kept across restarts.",
        ("tenant",),
    ),
    MetricDefinition(
        "prober_token_rejections_total",
        MetricType.COUNTER,
        "Times that the token came to be rejected, by cause.",
        ("tenant", "cause"),
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
        "Verdicts during maintenance, which count nowhere else, by outcome.",
        (*_PROBE, "outcome"),
    ),
    MetricDefinition(
        "prober_tls_certificate_expiry_timestamp_seconds",
        MetricType.GAUGE,
        "When the first certificate of the chain expires, absent until one was seen.",
        ("host",),
    ),
    MetricDefinition(
        "prober_tenant_info",
        MetricType.GAUGE,
        "1, labelled with what is known of a tenant, and with the labels of its own, to join on.",
        ("tenant", "environment", "base_url"),
    ),
    MetricDefinition(
        "prober_scheduler_heartbeat_timestamp_seconds",
        MetricType.GAUGE,
        "When the scheduler last ran its heartbeat, at first when the daemon was started.",
    ),
    MetricDefinition(
        "prober_scheduler_delay_seconds",
        MetricType.HISTOGRAM,
        "How long after their due moment runs were started.",
        (),
        _START_DELAY_BUCKETS,
    ),
    MetricDefinition(
        "prober_probe_skipped_total",
        MetricType.COUNTER,
        "Due runs that were not started, by why.",
        (*_PROBE, "cause"),
    ),
    MetricDefinition(
        "prober_event_loop_lag_seconds",
        MetricType.HISTOGRAM,
        "How late the event loop read what had arrived; sampled where the kernel does not tell.",
        (),
        _LOOP_LAG_BUCKETS,
    ),
    MetricDefinition(
        "prober_probes_in_flight", MetricType.GAUGE, "Runs that were started and have not ended."
    ),
    MetricDefinition(
        "prober_asyncio_tasks", MetricType.GAUGE, "Tasks of the event loop, at the last heartbeat."
    ),
    MetricDefinition(
        "prober_config_last_reload_successful",
        MetricType.GAUGE,
        "Whether the configuration was usable when it was last read (1) or not (0).",
    ),
    MetricDefinition(
        "prober_config_last_reload_success_timestamp_seconds",
        MetricType.GAUGE,
        "When the present configuration was read, 0 before the first.",
    ),
    MetricDefinition(
        "prober_config_info",
        MetricType.GAUGE,
        "1, labelled with a hash of the present configuration.",
        ("hash",),
    ),
    MetricDefinition(
        "prober_shard_active", MetricType.GAUGE, "1 for the shard probed here, else 0.", ("shard",)
    ),
    MetricDefinition(
        "prober_state_write_failures_total",
        MetricType.COUNTER,
        "Times that the state directory could not be written; what was to be saved is kept.",
    ),
    MetricDefinition(
        "prober_history_size_bytes", MetricType.GAUGE, "Size of the history's file, 0 without one."
    ),
    MetricDefinition(
        "prober_history_last_write_timestamp_seconds",
        MetricType.GAUGE,
        "When something was last written to the history, 0 before.",
    ),
    MetricDefinition(
        "prober_history_dropped_total",
        MetricType.COUNTER,
        "Runs, events and rows that the history had to let go before their time, by why.",
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
        "1, labelled with what was built.",
        ("version", "revision"),
    ),
)
