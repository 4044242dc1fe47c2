"""The event sink behind the status pages: the current status of everything, held in memory.

It lives on the event loop. It holds one day in time buckets; totals of the days before are read
from the history and passed in.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prober.classifier.observation import slow_components
from prober.maintenance import MaintenanceStatus
from prober.models import (
    ProbeResult,
    SkippedRun,
    Tenant,
    TokenStatus,
    Verdict,
    shared_token_rejected_for,
    shared_with,
    without_large_body,
)
from prober.outcomes import Endpoint, SkipCause
from prober.sinks import EventSink
from prober.stats.aggregates import (
    BUCKET_SECONDS,
    DurationHistogram,
    RunSummary,
    TimeBucket,
    bucket_for,
    bucket_index,
    bucket_start,
    summarize,
)
from prober.stats.incidents import FailureStreak, advance
from prober.stats.status import ProbeStatus, RecentLatency, TenantStatus

DAY_SECONDS = 86_400
_RECENT_BUCKETS = 5  # the current one and the four before it: an hour at least
_ProbeKey = tuple[str, str]


class _RecentTimes:
    """The latest server and network times of one tenant, by time bucket."""

    __slots__ = ("_by_bucket",)

    def __init__(self) -> None:
        self._by_bucket: dict[int, tuple[Counter[int], Counter[int]]] = {}

    def add(self, run: RunSummary) -> None:
        """Add the times of a run that has both."""
        if run.in_maintenance or run.server_seconds is None or run.network_seconds is None:
            return
        start = bucket_start(run.at)
        server, network = self._by_bucket.setdefault(start, (Counter(), Counter()))
        server[bucket_index(run.server_seconds)] += 1
        network[bucket_index(run.network_seconds)] += 1
        if len(self._by_bucket) > _RECENT_BUCKETS:
            del self._by_bucket[min(self._by_bucket)]

    def latency(self, now: float) -> RecentLatency:
        """Return the times of the last hour or a little more."""
        since = bucket_start(now) - (_RECENT_BUCKETS - 1) * BUCKET_SECONDS
        server: Counter[int] = Counter()
        network: Counter[int] = Counter()
        for start, (of_server, of_network) in self._by_bucket.items():
            if start >= since:
                server.update(of_server)
                network.update(of_network)
        return RecentLatency(DurationHistogram(server), DurationHistogram(network))


class StatusTracker(EventSink):
    """The current status of every tenant and probe. `started_at` is in epoch seconds."""

    def __init__(self, tenants: Sequence[Tenant], started_at: float) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.changes: Counter[str] = Counter()
        self._status_by_probe: dict[_ProbeKey, ProbeStatus] = {}
        self._buckets: dict[str, dict[int, TimeBucket]] = defaultdict(dict)
        self._monthly_totals: Mapping[str, TimeBucket] = {}
        self._certificate_expiry: dict[str, float] = {}
        self._recent: defaultdict[str, _RecentTimes] = defaultdict(_RecentTimes)
        self._known_since = started_at
        self._sync_tenants(tenants)

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Apply a configuration; what is known of removed tenants and probes is deleted."""
        self._sync_tenants(tenants)
        self.changes.update(self.tenants.keys())

    def _sync_tenants(self, tenants: Sequence[Tenant]) -> None:
        self.tenants = {tenant.name: tenant for tenant in tenants}
        probes = {(tenant.name, probe.name): probe for tenant in tenants for probe in tenant.probes}
        self._status_by_probe = {
            key: replace(self._status_by_probe.get(key) or ProbeStatus(probe), probe=probe)
            for key, probe in probes.items()
        }
        for by_tenant in (self._buckets, self._certificate_expiry, self._recent, self.changes):
            for name in by_tenant.keys() - self.tenants.keys():
                del by_tenant[name]

    def on_result(self, result: ProbeResult) -> None:
        """Make a result the last one of its probe, and count it."""
        key = (result.tenant, result.probe)
        status, run = self._status_by_probe[key], summarize(result)
        _, streak = advance(status.streak, run)
        slow = slow_components(result.verdict.latency, status.probe)
        checks = result.verdict.checks
        self._status_by_probe[key] = ProbeStatus(
            status.probe,
            without_large_body(result),
            streak,
            slow,
            checks=status.checks if checks is None else checks,
            checked_at=status.checked_at if checks is None else result.started_at,
        )
        self._add(result.tenant, result.started_at, bucket_for(run))
        self._recent[result.tenant].add(run)
        expiry = result.exchange.certificate_expiry_timestamp_seconds
        if expiry is not None and result.endpoint is Endpoint.API:
            self._certificate_expiry[result.tenant] = expiry

    def on_skip(self, skip: SkippedRun) -> None:
        """Note why the last due run was skipped; count it if the token is rejected."""
        key = (skip.tenant, skip.probe)
        self._status_by_probe[key] = replace(self._status_by_probe[key], skipped=skip.cause)
        paused = skip.cause is SkipCause.TOKEN_REJECTED
        self._add(skip.tenant, skip.at, TimeBucket(paused=1) if paused else TimeBucket())

    def on_token_status(self, status: TokenStatus) -> None:
        """Mark the tenant as changed; the status itself is passed to `status`."""
        self.changes[status.tenant] += 1

    def restore(
        self,
        buckets: Mapping[str, Mapping[int, TimeBucket]],
        streaks: Sequence[FailureStreak],
        known_since: float | None,
    ) -> None:
        """Add what the history knows of the time before the start.

        Results may already have come in since the start, so buckets are added and not replaced.
        """
        for tenant, restored in buckets.items():
            for at, bucket in restored.items():
                self._buckets[tenant][at] = bucket + self._buckets[tenant].get(at, TimeBucket())
        for streak in streaks:
            self._restore_streak(streak)
        if known_since is not None:
            self._known_since = min(self._known_since, known_since)
        self.changes.update(self.tenants.keys())

    def restore_monthly_totals(self, totals: Mapping[str, TimeBucket]) -> None:
        """Set the totals of the last 30 days without the last day, which is in the buckets."""
        self._monthly_totals = totals

    def status(
        self,
        tenant: str,
        statuses: Mapping[str, TokenStatus],
        maintenance: MaintenanceStatus,
        now: float,
    ) -> TenantStatus:
        """Return the status of a tenant; `statuses` are the token statuses of all tenants."""
        configured = self.tenants[tenant]
        buckets = self._last_day(tenant, now)
        return TenantStatus(
            tenant=configured,
            token=statuses[tenant],
            probes=tuple(
                self._status_by_probe[(tenant, probe.name)] for probe in configured.probes
            ),
            buckets=buckets,
            month=sum(buckets.values(), self._monthly_totals.get(tenant, TimeBucket())),
            maintenance=maintenance,
            known_since=self._known_since,
            shared_with=shared_with(statuses, tenant),
            token_rejected_for=shared_token_rejected_for(statuses, tenant),
            certificate_expiry=self._certificate_expiry.get(tenant),
            recent_latency=self._recent[tenant].latency(now),
        )

    def failing(self) -> Mapping[str, Verdict]:
        """Return the last verdict of a failing probe of each tenant that has one.

        Failures in maintenance are expected, and left out.
        """
        failing: dict[str, Verdict] = {}
        for (tenant, _), status in self._status_by_probe.items():
            result = status.result
            if result is not None and not result.verdict.succeeded and not result.in_maintenance:
                failing.setdefault(tenant, result.verdict)
        return failing

    def result(self, tenant: str, probe: str) -> ProbeResult | None:
        """Return the last result of a probe."""
        return self._status_by_probe[(tenant, probe)].result

    def _restore_streak(self, streak: FailureStreak) -> None:
        key = (streak.tenant, streak.probe)
        status = self._status_by_probe.get(key)
        if status is None or streak.ended_at is not None:
            return
        # A result that came in since the start decides: a success has ended the streak, and a
        # failure of the same culprit continues it from its earlier start.
        if status.result is None:
            self._status_by_probe[key] = replace(status, streak=streak)
        elif status.streak is not None and status.streak.culprit is streak.culprit:
            longer = replace(status.streak, started_at=streak.started_at)
            self._status_by_probe[key] = replace(status, streak=longer)

    def _add(self, tenant: str, at: float, bucket: TimeBucket) -> None:
        buckets, start = self._buckets[tenant], bucket_start(at)
        known = buckets.get(start)
        buckets[start] = bucket if known is None else known + bucket
        self.changes[tenant] += 1

    def _last_day(self, tenant: str, now: float) -> Mapping[int, TimeBucket]:
        buckets, since = self._buckets[tenant], bucket_start(now) - DAY_SECONDS + BUCKET_SECONDS
        for start in [start for start in buckets if start < since]:
            del buckets[start]
        return dict(sorted(buckets.items()))
