"""For each alert: when it fires, to the minute, and what must leave it quiet.

Time begins at 0; there is a sample for each evaluation, every 30 s, and it is scraped ten seconds
before. A case names only the series that matter; every tenant has its info, its objective and one
probe a minute beside them.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """`fires_at` None: stays quiet until `until`."""

    alert: str
    name: str
    series: dict[str, str]
    fires_at: str | None = None
    until: str = "30m"  # each minute of it costs
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


def reference(name: str, location: str | None = None) -> str:
    place = [] if location is None else [f'location="{location}"']
    return prober("prober_reference_reachable", *place, f'reference="https://{name}.example"')


STATE, CAUSE = "prober_token_state", "prober_token_rejected_cause"
EXPIRY = "prober_token_expiry_timestamp_seconds"
FAILURES = "prober_probe_consecutive_failures"
SUPERSEDED = tenant(CAUSE, 'cause="superseded"')
VALID, REJECTED = tenant(STATE, 'state="valid"'), tenant(STATE, 'state="rejected"')
SERVER_ERROR = runs("platform", "server_error")
DAY = 86_400
LATE = "prober_scheduler_delay_seconds_bucket"
LAG = "prober_event_loop_lag_seconds_bucket"
CREDENTIAL, PLATFORM = {"culprit": "credential"}, {"culprit": "platform"}
NETWORK, PROBER = {"culprit": "network"}, {"culprit": "prober"}


def seen(culprit: str, location: str, name: str = "acme", probe_name: str = "datasets") -> str:
    parts = (f'probe="{probe_name}"', f'culprit="{culprit}"', f'location="{location}"')
    return tenant(FAILURES, *parts, name=name, instance=location)


def observed(location: str) -> dict[str, str]:
    """One probe of the tenant is answered there."""
    labels = ('probe="datasets"', f'location="{location}"')
    last_run = tenant("prober_probe_last_run_timestamp_seconds", *labels, instance=location)
    return {
        last_run: "0+30x300",
        **{seen(each, location): "0x300" for each in ("network", "undecided", "prober")},
    }


def held(shard: int, instance: str, location: str = "here") -> str:
    labels = f'job="prober",instance="{instance}",location="{location}",shard="{shard}"'
    return f"prober_shard_active{{{labels}}}"


def up(instance: str, location: str = "here") -> str:
    return f'up{{job="prober",instance="{instance}",location="{location}"}}'


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
        "1m30s",
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
        "1m30s",
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
        {probe(FAILURES, 'culprit="credential"'): "0x9 3x200", REJECTED: "1x300"},
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "every run fails: 7.2 % of an hour",
        {SERVER_ERROR: "0x20 0+0.5x200"},
        "15m",
        labels={"severity": "page", **PLATFORM},
    ),
    Case("ProberErrorBudgetBurnsFast", "a single 5xx", {SERVER_ERROR: "0x20 1x200"}, until="60m"),
    Case(
        "ProberErrorBudgetBurnsFast",
        "a single 5xx against an objective that is too strict for the rate of probes",
        {
            SERVER_ERROR: "0x20 1x200",
            tenant("prober_tenant_availability_objective_ratio"): "0.999x10000",
        },
        until="60m",
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "a counter reset",
        {SERVER_ERROR: "50x20 0x200"},
        until="60m",
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "the broken probe was removed",
        {SERVER_ERROR.replace("datasets", "gone"): "0+1x200"},
        until="60m",
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
        {
            probe(
                "prober_probe_latency_objective_missed_total", 'component="server"'
            ): "0x9 0+0.5x200"
        },
        "17m30s",
        labels=PLATFORM,
    ),
    Case(
        "ProberServerSlow",
        "a third of the answers",
        {
            probe(
                "prober_probe_latency_objective_missed_total", 'component="server"'
            ): "0x9 0+0.17x200"
        },
    ),
    Case(
        "ProberRateLimited",
        "three times in a quarter",
        {runs("request", "rate_limited"): "0x9 1 2 3x200"},
        "7m",
        labels={"culprit": "request"},
    ),
    Case("ProberRateLimited", "twice", {runs("request", "rate_limited"): "0x9 1 2x200"}),
    Case(
        "ProberEnvelopeInconsistent",
        "three in an hour",
        {runs("platform", "inconsistent_envelope"): "0x9 1 2 3x200"},
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
        labels={"location": "a", "tenant": "all", **NETWORK},
    ),
    Case(
        "ProberVantagePointOffline",
        "the shards of a location count together",
        {
            seen("network", "here"): "0x9 2x200",
            seen("network", "here", "two").replace('instance="here"', 'instance="b"'): "0x9 2x200",
            seen("network", "here", "three").replace('instance="here"', 'instance="c"'): "0x300",
            seen("network", "there"): "0x300",
            seen("network", "there", "two"): "0x300",
        },
        "5m30s",
        labels={"location": "here", "tenant": "all", **NETWORK},
    ),
    Case(
        "ProberVantagePointOffline",
        "of one that stands still nothing is believed",
        {
            network("acme"): "0x9 2x200",
            network("two"): "0x9 2x200",
            prober("prober_scheduler_heartbeat_timestamp_seconds"): "0+30x5 150x300",
        },
    ),
    Case(
        "ProberVantagePointOffline",
        "one of three tenants",
        {network("acme"): "2x200", network("two"): "0x300", network("three"): "0x300"},
    ),
    Case("ProberVantagePointOffline", "a lone tenant", {network("acme"): "9x200"}),
    Case(
        "ProberReferencesUnreachable",
        "all references",
        {reference("one"): "1x9 0x200", reference("two"): "0x300"},
        "6m",
        labels={"location": "a", "tenant": "all", **NETWORK},
    ),
    Case(
        "ProberReferencesUnreachable",
        "the shards of a location count together",
        {
            reference("one", "here"): "0x300",
            reference("one", "here").replace('instance="a"', 'instance="b"'): "1x9 0x200",
            reference("one", "there"): "1x300",
        },
        "6m",
        labels={"location": "here", "tenant": "all", **NETWORK},
    ),
    Case(
        "ProberReferencesUnreachable",
        "one of two references",
        {reference("one"): "0x300", reference("two"): "1x300"},
    ),
    Case(
        "ProberReferencesUnreachable",
        "a check that fails once",
        {reference("one"): "1x9 0x1 1x300"},
    ),
    Case(
        "ProberStatusPageUnreadable",
        "for an hour",
        {prober("prober_status_page_readable"): "1x9 0x300"},
        "1h5m",
        until="2h",
        labels={"culprit": "prober", "severity": "ticket"},
    ),
    Case(
        "ProberStatusPageUnreadable",
        "another prober reads it",
        {
            prober("prober_status_page_readable"): "0x300",
            prober("prober_status_page_readable").replace('"a"', '"b"'): "1x300",
        },
        until="2h",
    ),
    Case(
        "ProberTenantUnreachable",
        "one tenant alone",
        {network("acme"): "0x9 1 2 3x200", network("two"): "0x300"},
        "7m",
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
        "ProberTenantUnreachable",
        "from one location of two",
        {
            seen("network", "here"): "0x9 1 2 3x200",
            seen("network", "there"): "0x300",
        },
        "7m",
        labels={"tenant": "acme", "location": "here", "severity": "page", **NETWORK},
    ),
    Case(
        "ProberTenantUnreachable",
        "from two locations: that is another alert",
        {
            seen("network", "here"): "0x9 1 2 3x200",
            seen("network", "there"): "0x9 1 2 3x200",
        },
    ),
    Case(
        "ProberTenantUnreachableWidely",
        "from two locations",
        {
            seen("network", "here"): "0x9 1 2 3x200",
            seen("network", "there"): "0x9 1 2 3x200",
        },
        "7m",
        labels={"tenant": "acme", "location": "", "severity": "page", **NETWORK},
    ),
    Case(
        "ProberTenantUnreachableWidely",
        "from one location",
        {seen("network", "here"): "9x200", seen("network", "there"): "0x300"},
    ),
    Case(
        "ProberTenantUnreachableWidely",
        "one of two locations reaches no tenant",
        {
            seen("network", "here"): "9x200",
            seen("network", "here", "two"): "9x200",
            seen("network", "there"): "9x200",
            seen("network", "there", "two"): "0x200",
        },
    ),
    Case(
        "ProberTenantSilent",
        "two locations are silent: that is the platform's",
        {seen("undecided", "here"): "9x200", seen("undecided", "there"): "9x200"},
    ),
    Case(
        "ProberTenantSilent",
        "another location is answered: that is the network's",
        {seen("undecided", "here"): "9x200", **observed("there")},
    ),
    Case(
        "ProberTenantSilentFromLocation",
        "another location is answered",
        {seen("undecided", "here"): "0x9 1 2 3x200", **observed("there")},
        "7m",
        labels={"tenant": "acme", "location": "here", "severity": "page", **NETWORK},
    ),
    Case(
        "ProberTenantSilentFromLocation",
        "another location has not asked yet",
        {
            seen("undecided", "here"): "9x200",
            **observed("there"),
            tenant(
                "prober_probe_last_run_timestamp_seconds",
                'probe="datasets"',
                'location="there"',
                instance="there",
            ): "0x300",
        },
    ),
    Case(
        "ProberTenantSilentFromLocation",
        "there is no other location",
        {seen("undecided", "here"): "9x200"},
    ),
    Case(
        "ProberTenantDown",
        "silent at two locations",
        {
            seen("undecided", "here"): "0x9 1 2 3x200",
            seen("undecided", "there"): "0x9 1 2 3x200",
        },
        "7m",
        labels={"tenant": "acme", "severity": "page", "environment": "production", **PLATFORM},
    ),
    Case(
        "ProberTenantDown",
        "an error at one location, silence at the other",
        {
            seen("undecided", "here"): "0x9 1 2 3x200",
            seen("platform", "here"): "0x300",
            seen("undecided", "there"): "0x300",
            seen("platform", "there"): "0x9 1 2 3x200",
        },
        "7m",
        labels={"tenant": "acme", **PLATFORM},
    ),
    Case(
        "ProberTenantDown",
        "at one location alone",
        {seen("undecided", "here"): "9x200", seen("undecided", "there"): "0x300"},
    ),
    Case(
        "ProberTenantDown",
        "one probe of it is answered at one of the two locations",
        {
            seen("undecided", "here"): "9x200",
            seen("undecided", "there"): "9x200",
            seen("undecided", "there", probe_name="sources"): "0x200",
        },
    ),
    Case(
        "ProberTenantDown",
        "all tenants: that is another alert",
        {
            seen("undecided", location, name): "0x9 1 2 3x200"
            for location in ("here", "there")
            for name in ("acme", "two")
        },
    ),
    Case(
        "ProberPlatformDown",
        "two of three tenants, from two locations",
        {
            seen("platform", location, name): "0x300" if name == "three" else "0x9 1 2x200"
            for location in ("here", "there")
            for name in ("acme", "two", "three")
        },
        "6m",
        labels={"tenant": "all", "severity": "page", **PLATFORM},
    ),
    Case(
        "ProberPlatformDown",
        "from one location alone",
        {
            seen("undecided", location, name): "9x300" if location == "here" else "0x300"
            for location in ("here", "there")
            for name in ("acme", "two")
        },
    ),
    Case(
        "ProberPlatformDown",
        "a lone tenant",
        {seen("platform", "here"): "9x300", seen("platform", "there"): "9x300"},
    ),
    Case(
        "ProberTenantSilent",
        "no probe is answered",
        {probe(FAILURES, 'culprit="undecided"'): "0x9 1 2 3x200"},
        "7m",
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
        {
            probe(
                "prober_probe_latency_objective_missed_total", 'component="network"'
            ): "0x9 0+0.5x200"
        },
        "17m30s",
        labels=NETWORK,
    ),
    Case(
        "ProberNetworkSlow",
        "every answer at one location of two",
        {
            **{
                tenant(
                    "prober_probe_interval_seconds",
                    'probe="datasets"',
                    f'location="{each}"',
                    instance=each,
                ): "60x300"
                for each in ("here", "there")
            },
            tenant(
                "prober_probe_latency_objective_missed_total",
                'probe="datasets"',
                'location="here"',
                'component="network"',
                instance="here",
            ): "0x9 0+0.5x200",
        },
        "17m30s",
        labels={"location": "here", **NETWORK},
    ),
    Case(
        "ProberNetworkSlow",
        "the server is slow",
        {probe("prober_probe_latency_objective_missed_total", 'component="server"'): "0+1x200"},
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
        "ProberDown",
        "one of two at a location that do the same",
        {up("a"): "1x9 0x200", up("b"): "1x300", held(0, "a"): "1x9 stale", held(0, "b"): "1x300"},
        "7m",
        labels={"instance": "a", **PROBER},
    ),
    Case(
        "ProberDown",
        "a shard, reported by its peers",
        {
            up("a"): "1x9 0x200",
            up("b"): "1x300",
            held(0, "a"): "1x9 stale",
            held(0, "b"): "0x300",
            held(1, "b"): "1x300",
        },
    ),
    Case(
        "ProberDown",
        "all shards: that is the location's alert",
        {up("a"): "1x9 0x200", up("b"): "1x9 0x200"},
    ),
    Case(
        "ProberLocationMissing",
        "all of its instances are down",
        {up("a"): "1x9 0x200", up("b"): "1x9 0x200", up("c", "there"): "1x300"},
        "7m",
        labels={"location": "here", "severity": "page", **PROBER},
    ),
    Case(
        "ProberLocationMissing",
        "it is no target any more",
        {up("a"): "1x9 stale", up("c", "there"): "1x300"},
        "7m",
        labels={"location": "here", "severity": "page", **PROBER},
    ),
    Case(
        "ProberLocationMissing",
        "its only instance is down: that is ProberDown",
        {up("a"): "1x9 0x200", up("c", "there"): "1x300"},
    ),
    Case("ProberLocationMissing", "one of two is up", {up("a"): "0x200", up("b"): "1x200"}),
    Case("ProberLocationMissing", "no location is named", {prober("up"): "1x9 stale"}),
    Case(
        "ProberShardMissing",
        "one of two has ended",
        {
            held(0, "a"): "1x9 stale",
            held(1, "a"): "0x9 stale",
            held(0, "b"): "0x300",
            held(1, "b"): "1x300",
        },
        "7m",
        labels={"shard": "0", "location": "here", "severity": "page", **PROBER},
    ),
    Case(
        "ProberShardMissing",
        "a restart",
        {
            held(0, "a"): "1x9 stale _x2 1x200",
            held(1, "a"): "0x9 stale _x2 0x200",
            held(0, "b"): "0x300",
            held(1, "b"): "1x300",
        },
    ),
    Case("ProberShardMissing", "no shards", {held(0, "a"): "1x300", held(0, "b"): "1x9 stale"}),
    Case(
        "ProberShardsDisagree",
        "one was started with another number",
        {held(0, "a"): "1x300", held(1, "a"): "0x300", held(0, "b"): "0x300", held(1, "b"): "1x300"}
        | {held(each, "c"): "1x300" if each == 2 else "0x300" for each in range(3)},
        "15m",
        labels={"location": "here", "severity": "ticket", **PROBER},
    ),
    Case(
        "ProberShardsDisagree",
        "two hold the same shard",
        {held(0, each): "1x300" for each in "ab"} | {held(1, each): "0x300" for each in "ab"},
        "15m",
        labels={"location": "here", "severity": "ticket", **PROBER},
    ),
    Case(
        "ProberShardsDisagree",
        "two locations, each with its own number of shards, and two that are not divided",
        {held(0, "a"): "1x300", held(1, "a"): "0x300", held(0, "b"): "0x300", held(1, "b"): "1x300"}
        | {held(0, each, "there"): "1x300" for each in "cd"},
    ),
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
        "a Retry-After holds them back",
        {
            probe("prober_probe_last_run_timestamp_seconds"): "0+30x10 300x200",
            probe("prober_probe_skipped_total", 'cause="rate_limited"'): "0x10 0+0.5x200",
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
        {probe("prober_probe_skipped_total", 'cause="overlap"'): "0+0.25x300"},
        "16m30s",
        labels=PROBER,
    ),
    Case(
        "ProberRunsSkipped",
        "held back by a rejected token",
        {probe("prober_probe_skipped_total", 'cause="token_rejected"'): "0+0.5x300"},
    ),
    Case(
        "ProberRunsSkipped",
        "held back by a Retry-After",
        {probe("prober_probe_skipped_total", 'cause="rate_limited"'): "0+0.5x300"},
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
    Case(
        "ProberStateNotSaved",
        "never opened: the one failure was before the first scrape",
        {
            prober("prober_state_write_failures_total"): "1x300",
            prober("prober_state_writable"): "0x300",
        },
        "15m",
        labels=PROBER,
    ),
    Case(
        "ProberStateNotSaved",
        "opened after some minutes",
        {
            prober("prober_state_write_failures_total"): "1x300",
            prober("prober_state_writable"): "0x20 1x280",
        },
    ),
)
