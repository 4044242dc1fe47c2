import pytest

from prober.metrics.definitions import LATENCY_HISTOGRAMS, METRIC_DEFINITIONS, MetricDefinition

PUBLIC = {
    "prober_probe_runs_total": ("counter", "tenant probe outcome reason culprit"),
    "prober_probe_success": ("gauge", "tenant probe"),
    "prober_probe_consecutive_failures": ("gauge", "tenant probe culprit"),
    "prober_probe_info": ("gauge", "tenant probe severity environment"),
    "prober_probe_interval_seconds": ("gauge", "tenant probe"),
    "prober_probe_last_run_timestamp_seconds": ("gauge", "tenant probe"),
    "prober_probe_last_success_timestamp_seconds": ("gauge", "tenant probe"),
    "prober_probe_duration_seconds": ("histogram", "tenant probe"),
    "prober_probe_server_seconds": ("histogram", "tenant probe"),
    "prober_probe_network_seconds": ("histogram", "tenant probe"),
    "prober_probe_own_seconds": ("histogram", "tenant"),
    "prober_probe_last_duration_seconds": ("gauge", "tenant probe component"),
    "prober_probe_last_phase_duration_seconds": ("gauge", "tenant probe phase"),
    "prober_probe_latency_objective_missed_total": ("counter", "tenant probe component"),
    "prober_probe_latency_objective_seconds": ("gauge", "tenant probe component"),
    "prober_tenant_availability_objective_ratio": ("gauge", "tenant"),
    "prober_probe_http_responses_total": ("counter", "tenant probe code"),
    "prober_probe_server_timing_anomalies_total": ("counter", "tenant probe kind"),
    "prober_probe_value": ("gauge", "tenant probe check item"),
    "prober_probe_value_timestamp_seconds": ("gauge", "tenant probe check item"),
    "prober_probe_check_failed": ("gauge", "tenant probe check culprit severity"),
    "prober_measurements_discarded_total": ("counter", "tenant probe cause"),
    "prober_probe_timing_fallbacks_total": ("counter", "reason"),
    "prober_probe_tcp_retransmissions_total": ("counter", "tenant probe"),
    "prober_probe_stale_connections_total": ("counter", "tenant probe"),
    "prober_probe_last_tcp_rtt_seconds": ("gauge", "tenant probe"),
    "prober_token_state": ("gauge", "tenant state"),
    "prober_token_rejected_cause": ("gauge", "tenant cause"),
    "prober_token_info": ("gauge", "tenant fingerprint source"),
    "prober_token_expiry_timestamp_seconds": ("gauge", "tenant"),
    "prober_token_first_accepted_timestamp_seconds": ("gauge", "tenant"),
    "prober_token_last_accepted_timestamp_seconds": ("gauge", "tenant"),
    "prober_token_loaded_timestamp_seconds": ("gauge", "tenant"),
    "prober_token_rotations_total": ("counter", "tenant"),
    "prober_token_rejections_total": ("counter", "tenant cause"),
    "prober_token_permission_missing": ("gauge", "tenant probe permission"),
    "prober_tls_certificate_expiry_timestamp_seconds": ("gauge", "host"),
    "prober_tenant_info": ("gauge", "tenant environment base_url"),
    "prober_canary_seconds": ("gauge", "tenant probe stage"),
    "prober_reference_reachable": ("gauge", "reference"),
    "prober_reference_check_timestamp_seconds": ("gauge", "reference"),
    "prober_status_page_readable": ("gauge", ""),
    "prober_status_page_read_timestamp_seconds": ("gauge", ""),
    "prober_status_page_incidents": ("gauge", "impact"),
    "prober_status_page_incident_start_timestamp_seconds": ("gauge", ""),
    "prober_scheduler_heartbeat_timestamp_seconds": ("gauge", ""),
    "prober_scheduler_delay_seconds": ("histogram", ""),
    "prober_probe_skipped_total": ("counter", "tenant probe cause"),
    "prober_event_loop_lag_seconds": ("histogram", ""),
    "prober_asyncio_tasks": ("gauge", ""),
    "prober_probes_in_flight": ("gauge", ""),
    "prober_config_last_reload_successful": ("gauge", ""),
    "prober_config_last_reload_success_timestamp_seconds": ("gauge", ""),
    "prober_config_info": ("gauge", "hash"),
    "prober_state_writable": ("gauge", ""),
    "prober_state_write_failures_total": ("counter", ""),
    "prober_history_size_bytes": ("gauge", ""),
    "prober_history_last_write_timestamp_seconds": ("gauge", ""),
    "prober_history_dropped_total": ("counter", "cause"),
    "prober_maintenance_active": ("gauge", "tenant"),
    "prober_maintenance_runs_total": ("counter", "tenant probe outcome"),
    "prober_shard_active": ("gauge", "shard"),
    "prober_sink_failures_total": ("counter", "sink"),
    "prober_build_info": ("gauge", "version revision"),
}


def test_names_types_and_the_order_of_labels_are_the_public_ones() -> None:
    declared = {
        family.name: (family.kind.value, " ".join(family.labels)) for family in METRIC_DEFINITIONS
    }

    assert declared == PUBLIC


@pytest.mark.parametrize("family", METRIC_DEFINITIONS, ids=lambda family: family.name)
def test_every_family_explains_itself_in_a_sentence(family: MetricDefinition) -> None:
    assert family.help.endswith(".")
    assert ("_total" in family.name) == (family.kind.value == "counter")


@pytest.mark.parametrize("family", METRIC_DEFINITIONS, ids=lambda family: family.name)
def test_histograms_alone_have_buckets_and_these_ascend(family: MetricDefinition) -> None:
    assert bool(family.buckets) == (family.kind.value == "histogram")
    assert list(family.buckets) == sorted(set(family.buckets))


def test_the_buckets_of_latencies_are_the_public_ones() -> None:
    buckets = {f.name: f.buckets for f in METRIC_DEFINITIONS if f.name in LATENCY_HISTOGRAMS}
    answer = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
    network = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

    assert tuple(buckets.values()) == (answer, answer, network)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("prober_probe_runs_total", ("tenant", "probe")),
        ("prober_token_state", ("tenant",)),
        ("prober_tls_certificate_expiry_timestamp_seconds", ("host",)),
        ("prober_config_info", ()),
    ],
)
def test_a_family_says_whose_its_series_are(name: str, owner: tuple[str, ...]) -> None:
    assert next(f for f in METRIC_DEFINITIONS if f.name == name).owner_labels == owner
