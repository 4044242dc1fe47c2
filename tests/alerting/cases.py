"""For each alert: when it fires, to the minute, and what must leave it quiet.

Time begins at 0; samples come every 30 s. A case names only the series that matter; every tenant
has its info, its objective and one probe a minute beside them.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """`fires_at` None: stays quiet until `until`."""

    alert: str
    name: str
    series: dict[str, str]
    fires_at: str | None = None
    until: str = "60m"
    labels: dict[str, str] = field(default_factory=dict)


def probe(metric: str, *labels: str, tenant: str = "acme", name: str = "datasets") -> str:
    every = ['job="prober"', 'instance="a"', f'tenant="{tenant}"', f'probe="{name}"', *labels]
    return f"{metric}{{{','.join(every)}}}"


def tenant(metric: str, *labels: str, name: str = "acme", instance: str = "a") -> str:
    every = ['job="prober"', f'instance="{instance}"', f'tenant="{name}"', *labels]
    return f"{metric}{{{','.join(every)}}}"


def prober(metric: str, *labels: str) -> str:
    every = ['job="prober"', 'instance="a"', *labels]
    return f"{metric}{{{','.join(every)}}}"


def runs(culprit: str, reason: str, outcome: str = "api_error") -> str:
    parts = (f'culprit="{culprit}"', f'reason="{reason}"', f'outcome="{outcome}"')
    return probe("prober_probe_runs_total", *parts)


def surroundings(*names: str) -> dict[str, str]:
    every: dict[str, str] = {}
    for name in names:
        environment, url = 'environment="production"', 'base_url="https://x"'
        every[tenant("prober_tenant_info", environment, url, name=name)] = "1x10000"
        every[tenant("prober_tenant_availability_objective_ratio", name=name)] = "0.995x10000"
        every[probe("prober_probe_interval_seconds", tenant=name)] = "60x10000"
    return every


STATE, CAUSE = "prober_token_state", "prober_token_rejected_cause"
EXPIRY = "prober_token_expiry_timestamp_seconds"
FAILURES = "prober_probe_consecutive_failures"
SUPERSEDED = tenant(CAUSE, 'cause="superseded"')
VALID, REJECTED = tenant(STATE, 'state="valid"'), tenant(STATE, 'state="rejected"')
SERVER_ERROR = runs("platform", "server_error")
DAY = 86_400
LATE = "prober_schedule_lateness_seconds_bucket"
LAG = "prober_event_loop_lag_seconds_bucket"
CREDENTIAL, PLATFORM = {"culprit": "credential"}, {"culprit": "platform"}
NETWORK, PROBER = {"culprit": "network"}, {"culprit": "prober"}


def network(name: str, instance: str = "a") -> str:
    return tenant(FAILURES, 'probe="datasets"', 'culprit="network"', name=name, instance=instance)


CASES = (
    Case(
        "ProberTokenRejected",
        "superseded",
        {SUPERSEDED: "0x9 1x200"},
        "6m",
        labels={"cause": "superseded", "severity": "page", **CREDENTIAL},
    ),
    Case("ProberTokenRejected", "a rotation inside the grace", {SUPERSEDED: "0x9 1 1 0x200"}),
    Case(
        "ProberTokenExpiresSoon",
        "in 13.99 days",
        {tenant(EXPIRY): f"{14 * DAY}x200"},
        "10m30s",
        labels={"severity": "ticket", **CREDENTIAL},
    ),
    Case("ProberTokenExpiresSoon", "in 15 days", {tenant(EXPIRY): f"{15 * DAY}x200"}),
    Case(
        "ProberTokenExpiresSoon",
        "an OAuth token is renewed",
        {
            tenant(EXPIRY): "3600x200",
            tenant("prober_token_info", 'source="oauth"', 'fingerprint="x"'): "1x200",
        },
    ),
    Case(
        "ProberTokenExpiresVerySoon",
        "in 3 days",
        {tenant(EXPIRY): f"{3 * DAY}x200"},
        "10m30s",
        labels={"severity": "page", **CREDENTIAL},
    ),
    Case("ProberTokenExpiresVerySoon", "in 4 days", {tenant(EXPIRY): f"{4 * DAY}x200"}),
    Case(
        "ProberTokenOverdue",
        "past its age and still accepted",
        {tenant(EXPIRY): "60x200", VALID: "1x200"},
        "11m30s",
        labels=CREDENTIAL,
    ),
    Case(
        "ProberTokenOverdue",
        "past its age and rejected: that is another alert",
        {tenant(EXPIRY): "60x200", VALID: "0x200"},
    ),
    Case(
        "ProberTokenRotated",
        "one more",
        {tenant("prober_token_rotations_total"): "3x9 4x200"},
        "5m",
        labels={"severity": "info", **CREDENTIAL},
    ),
    Case(
        "ProberTokenRotated",
        "a restart remembers the number",
        {tenant("prober_token_rotations_total"): "3x9 _x3 3x200"},
    ),
    Case(
        "ProberTokenShared",
        "two tenants, one fingerprint",
        {
            tenant("prober_token_info", 'source="file"', 'fingerprint="x"'): "1x200",
            tenant("prober_token_info", 'source="file"', 'fingerprint="x"', name="two"): "1x200",
        },
        "10m",
        labels={"severity": "info", **CREDENTIAL},
    ),
    Case(
        "ProberTokenShared",
        "two tenants, two fingerprints",
        {
            tenant("prober_token_info", 'source="file"', 'fingerprint="x"'): "1x200",
            tenant("prober_token_info", 'source="file"', 'fingerprint="y"', name="two"): "1x200",
        },
    ),
    Case(
        "ProberPermissionDenied",
        "three refusals while the token is accepted",
        {probe(FAILURES, 'culprit="credential"'): "0x9 1 2 3x200", VALID: "1x300"},
        "8m",
        labels={"probe": "datasets", **CREDENTIAL},
    ),
    Case(
        "ProberPermissionDenied",
        "refusals with a rejected token",
        {probe(FAILURES, 'culprit="credential"'): "0x9 3x200", VALID: "0x300"},
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "every run fails: 7.2 % of an hour",
        {SERVER_ERROR: "0x20 0+0.5x200"},
        "15m",
        labels={"severity": "page", **PLATFORM},
    ),
    Case("ProberErrorBudgetBurnsFast", "a single 5xx", {SERVER_ERROR: "0x20 1x200"}),
    Case(
        "ProberErrorBudgetBurnsFast",
        "a single 5xx against an objective that is too strict for the rate of probes",
        {
            SERVER_ERROR: "0x20 1x200",
            tenant("prober_tenant_availability_objective_ratio"): "0.999x10000",
        },
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "a counter reset",
        {SERVER_ERROR: "50x20 0x200"},
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "the broken probe was removed",
        {SERVER_ERROR.replace("datasets", "gone"): "0+1x200"},
    ),
    Case(
        "ProberErrorBudgetBurnsSlowly",
        "2.5 % of runs for hours",
        {SERVER_ERROR: "0+0.0125x2000"},
        until="16h",
        fires_at="14h31m30s",
        labels={"severity": "ticket", **PLATFORM},
    ),
    Case(
        "ProberErrorBudgetBurnsSlowly",
        "a young tenant with one failure",
        {SERVER_ERROR: "0x20 1x500"},
        until="4h",
    ),
    Case(
        "ProberServerSlow",
        "every answer is slow",
        {probe("prober_probe_slow_total", 'side="server"'): "0x9 0+0.5x200"},
        "18m",
        labels=PLATFORM,
    ),
    Case(
        "ProberServerSlow",
        "a third of the answers",
        {probe("prober_probe_slow_total", 'side="server"'): "0x9 0+0.17x200"},
    ),
    Case(
        "ProberRateLimited",
        "three times in a quarter",
        {runs("request", "rate_limited"): "0x9 1 2 3x200"},
        "6m",
        labels={"culprit": "request"},
    ),
    Case("ProberRateLimited", "twice", {runs("request", "rate_limited"): "0x9 1 1.9x200"}),
    Case(
        "ProberEnvelopeInconsistent",
        "three in an hour",
        {runs("platform", "inconsistent_envelope"): "0x9 1 2 3.2x200"},
        "6m",
        labels=PLATFORM,
    ),
    Case(
        "ProberEnvelopeInconsistent", "two", {runs("platform", "malformed_envelope"): "0x9 2x200"}
    ),
    Case(
        "ProberVantagePointOffline",
        "two of three tenants",
        {network("acme"): "0x9 2x200", network("two"): "0x9 2x200", network("three"): "0x300"},
        "5m30s",
        labels={"instance": "a", "tenant": "all", **NETWORK},
    ),
    Case(
        "ProberVantagePointOffline",
        "one of three tenants",
        {network("acme"): "2x200", network("two"): "0x300", network("three"): "0x300"},
    ),
    Case("ProberVantagePointOffline", "a lone tenant", {network("acme"): "9x200"}),
    Case(
        "ProberTenantUnreachable",
        "one tenant alone",
        {network("acme"): "0x9 1 2 3x200", network("two"): "0x300"},
        "8m",
        labels={"tenant": "acme", "severity": "page", **NETWORK},
    ),
    Case(
        "ProberTenantUnreachable",
        "all tenants: that is our own network",
        {network("acme"): "0x9 3x200", network("two"): "0x9 3x200"},
    ),
    Case(
        "ProberTenantUnreachable",
        "one of its probes gets through",
        {
            network("acme"): "0x9 9x200",
            network("acme").replace("datasets", "sources"): "0x300",
            network("two"): "0x300",
        },
    ),
    Case(
        "ProberTenantSilent",
        "no probe is answered",
        {probe(FAILURES, 'culprit="undecided"'): "0x9 1 2 3x200"},
        "8m",
        labels={"culprit": "undecided", "severity": "page"},
    ),
    Case(
        "ProberTenantSilent",
        "two time-outs",
        {probe(FAILURES, 'culprit="undecided"'): "0x9 1 2 0x200"},
    ),
    Case(
        "ProberNetworkSlow",
        "every answer",
        {probe("prober_probe_slow_total", 'side="network"'): "0x9 0+0.5x200"},
        "18m",
        labels=NETWORK,
    ),
    Case(
        "ProberNetworkSlow",
        "the server is slow",
        {probe("prober_probe_slow_total", 'side="server"'): "0+1x200"},
    ),
    Case(
        "ProberCertificateExpires",
        "in 21 days",
        {prober("prober_tls_certificate_expiry_timestamp_seconds", 'host="h"'): f"{21 * DAY}x300"},
        "60m30s",
        until="2h",
        labels={"host": "h", **NETWORK},
    ),
    Case(
        "ProberCertificateExpires",
        "in 22 days",
        {prober("prober_tls_certificate_expiry_timestamp_seconds", 'host="h"'): f"{22 * DAY}x300"},
        until="2h",
    ),
    Case("ProberAbsent", "no target", {}, "5m", labels=PROBER),
    Case("ProberAbsent", "a target that is down", {prober("up"): "0x300"}),
    Case("ProberDown", "down", {prober("up"): "1x9 0x200"}, "7m", labels=PROBER),
    Case("ProberDown", "a restart", {prober("up"): "1x9 0 0 1x200"}),
    Case(
        "ProberSchedulerStalled",
        "no heartbeat",
        {prober("prober_scheduler_heartbeat_timestamp_seconds"): "0+30x10 300x200"},
        "8m",
        labels=PROBER,
    ),
    Case(
        "ProberSchedulerStalled",
        "a heartbeat",
        {prober("prober_scheduler_heartbeat_timestamp_seconds"): "0+30x300"},
    ),
    Case(
        "ProberProbesStale",
        "the last run is three intervals old",
        {probe("prober_probe_last_run_timestamp_seconds"): "0+30x10 300x200"},
        "11m",
        labels=PROBER,
    ),
    Case(
        "ProberProbesStale",
        "a rejected token holds them back",
        {
            probe("prober_probe_last_run_timestamp_seconds"): "0+30x10 300x200",
            REJECTED: "0x10 1x200",
        },
    ),
    Case(
        "ProberProbesStale",
        "a tenant that was removed",
        {probe("prober_probe_last_run_timestamp_seconds", tenant="gone"): "30x4 _x200"},
    ),
    Case(
        "ProberScheduleLate",
        "five seconds",
        {
            prober(LATE, 'le="1.0"'): "0x300",
            prober(LATE, 'le="5.0"'): "0+10x300",
            prober(LATE, 'le="+Inf"'): "0+10x300",
        },
        "15m30s",
        labels=PROBER,
    ),
    Case(
        "ProberScheduleLate",
        "half a second",
        {prober(LATE, 'le="0.5"'): "0+10x300", prober(LATE, 'le="+Inf"'): "0+10x300"},
    ),
    Case(
        "ProberEventLoopLags",
        "a quarter of a second",
        {
            prober(LAG, 'le="0.05"'): "0x300",
            prober(LAG, 'le="0.25"'): "0+10x300",
            prober(LAG, 'le="+Inf"'): "0+10x300",
        },
        "15m30s",
        labels=PROBER,
    ),
    Case(
        "ProberEventLoopLags",
        "a millisecond",
        {prober(LAG, 'le="0.001"'): "0+10x300", prober(LAG, 'le="+Inf"'): "0+10x300"},
    ),
    Case(
        "ProberMeasurementsDiscarded",
        "one in ten",
        {
            probe("prober_measurements_discarded_total", 'cause="loop_lag"'): "0+1x300",
            runs("none", "ok", "success"): "0+10x300",
        },
        "15m30s",
        labels=PROBER,
    ),
    Case(
        "ProberMeasurementsDiscarded",
        "one in a hundred",
        {
            probe("prober_measurements_discarded_total", 'cause="loop_lag"'): "0+1x300",
            runs("none", "ok", "success"): "0+100x300",
        },
    ),
    Case(
        "ProberRunsSkipped",
        "every other one",
        {probe("prober_schedule_skipped_total", 'cause="overlap"'): "0+0.25x300"},
        "17m",
        labels=PROBER,
    ),
    Case(
        "ProberRunsSkipped",
        "held back by a rejected token",
        {probe("prober_schedule_skipped_total", 'cause="token_rejected"'): "0+0.5x300"},
    ),
    Case(
        "ProberReloadFailed",
        "failed",
        {prober("prober_config_last_reload_successful"): "1x9 0x200"},
        "10m",
        labels=PROBER,
    ),
    Case(
        "ProberReloadFailed",
        "a good reload",
        {prober("prober_config_last_reload_successful"): "1x9 0 1x200"},
    ),
    Case(
        "ProberFault",
        "three in a row",
        {probe(FAILURES, 'culprit="prober"'): "0x9 1 2 3x200"},
        "7m",
        labels=PROBER,
    ),
    Case("ProberFault", "two", {probe(FAILURES, 'culprit="prober"'): "0x9 1 2 0x200"}),
    Case(
        "ProberStateNotSaved",
        "a full disk",
        {prober("prober_state_write_failures_total"): "0+30x300"},
        "15m30s",
        labels=PROBER,
    ),
    Case(
        "ProberStateNotSaved",
        "once, long ago",
        {prober("prober_state_write_failures_total"): "0 1x300"},
    ),
)
