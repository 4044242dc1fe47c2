"""The recorder that knows how everything stands now: what pages show, without asking the history.

It lives on the event loop. Of the past it keeps a day, in slots; the rest it is told.
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
    shared_token_rejected_for,
    shared_with,
    without_large_body,
)
from prober.outcomes import Endpoint, SkipCause
from prober.sinks import EventSink
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_for, bucket_start, summarize
from prober.stats.incidents import FailureStreak, advance
from prober.stats.status import ProbeStatus, TenantStatus

DAY_SECONDS = 86_400
_ProbeKey = tuple[str, str]


class StatusTracker(EventSink):
    """The current status of every tenant and probe. `started_at` is in epoch seconds."""

    def __init__(self, tenants: Sequence[Tenant], started_at: float) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.changes: Counter[str] = Counter()
        self._standings: dict[_ProbeKey, ProbeStatus] = {}
        self._slots: dict[str, dict[int, TimeBucket]] = defaultdict(dict)
        self._earlier: Mapping[str, TimeBucket] = {}
        self._certificates: dict[str, float] = {}
        self._known_since = started_at
        self._sync_tenants(tenants)

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Take over settings: of what is gone nothing is kept, of all else everything."""
        self._sync_tenants(tenants)
        self.changes.update(self.tenants.keys())

    def _sync_tenants(self, tenants: Sequence[Tenant]) -> None:
        self.tenants = {tenant.name: tenant for tenant in tenants}
        probes = {(tenant.name, probe.name): probe for tenant in tenants for probe in tenant.probes}
        self._standings = {
            key: replace(self._standings.get(key) or ProbeStatus(probe), probe=probe)
            for key, probe in probes.items()
        }
        for kept in (self._slots, self._certificates, self.changes):
            for name in kept.keys() - self.tenants.keys():
                del kept[name]

    def on_result(self, result: ProbeResult) -> None:
        """Make a result the last one of its probe, and count it."""
        key = (result.tenant, result.probe)
        standing, run = self._standings[key], summarize(result)
        _, streak = advance(standing.streak, run)
        slow = slow_components(result.verdict.latency, standing.probe)
        self._standings[key] = ProbeStatus(standing.probe, without_large_body(result), streak, slow)
        self._add(result.tenant, result.started_at, bucket_for(run))
        expiry = result.exchange.certificate_expiry_timestamp_seconds
        if expiry is not None and result.endpoint is Endpoint.API:
            self._certificates[result.tenant] = expiry

    def on_skip(self, skip: SkippedRun) -> None:
        """Note why the last due run was skipped; count it if the token is rejected."""
        key = (skip.tenant, skip.probe)
        self._standings[key] = replace(self._standings[key], skipped=skip.cause)
        paused = skip.cause is SkipCause.TOKEN_REJECTED
        self._add(skip.tenant, skip.at, TimeBucket(paused=1) if paused else TimeBucket())

    def on_token_status(self, status: TokenStatus) -> None:
        """Mark the tenant as changed; the status itself is passed to `status`."""
        self.changes[status.tenant] += 1

    def restore(
        self,
        slots: Mapping[str, Mapping[int, TimeBucket]],
        spells: Sequence[FailureStreak],
        known_since: float | None,
    ) -> None:
        """Take over what was known before the start, and has not been recorded since."""
        for tenant, known in slots.items():
            for at, slot in known.items():
                self._slots[tenant][at] = slot + self._slots[tenant].get(at, TimeBucket())
        for streak in spells:
            self._restore_streak(streak)
        if known_since is not None:
            self._known_since = min(self._known_since, known_since)
        self.changes.update(self.tenants.keys())

    def restore_monthly_totals(self, sums: Mapping[str, TimeBucket]) -> None:
        """Take over the sums of 30 days, but for the last one."""
        self._earlier = sums

    def status(
        self,
        tenant: str,
        statuses: Mapping[str, TokenStatus],
        maintenance: MaintenanceStatus,
        now: float,
    ) -> TenantStatus:
        """Return how a tenant stands; `statuses` are those of all tenants' tokens."""
        known = self.tenants[tenant]
        slots = self._last_day(tenant, now)
        return TenantStatus(
            tenant=known,
            token=statuses[tenant],
            probes=tuple(self._standings[(tenant, probe.name)] for probe in known.probes),
            buckets=slots,
            month=sum(slots.values(), self._earlier.get(tenant, TimeBucket())),
            maintenance=maintenance,
            known_since=self._known_since,
            shared_with=shared_with(statuses, tenant),
            token_rejected_for=shared_token_rejected_for(statuses, tenant),
            certificate_expiry=self._certificates.get(tenant),
        )

    def result(self, tenant: str, probe: str) -> ProbeResult | None:
        """Return the last result of a probe."""
        return self._standings[(tenant, probe)].result

    def _restore_streak(self, streak: FailureStreak) -> None:
        key = (streak.tenant, streak.probe)
        standing = self._standings.get(key)
        if standing is None or streak.ended_at is not None:
            return
        if standing.result is None:
            self._standings[key] = replace(standing, streak=streak)
        elif standing.streak is not None and standing.streak.culprit is streak.culprit:
            longer = replace(standing.streak, started_at=streak.started_at)
            self._standings[key] = replace(standing, streak=longer)

    def _add(self, tenant: str, at: float, slot: TimeBucket) -> None:
        slots, beginning = self._slots[tenant], bucket_start(at)
        known = slots.get(beginning)
        slots[beginning] = slot if known is None else known + slot
        self.changes[tenant] += 1

    def _last_day(self, tenant: str, now: float) -> Mapping[int, TimeBucket]:
        slots, since = self._slots[tenant], bucket_start(now) - DAY_SECONDS + BUCKET_SECONDS
        for at in [at for at in slots if at < since]:
            del slots[at]
        return dict(sorted(slots.items()))
