"""The current status of a tenant, its token and its probes."""

from collections.abc import Mapping
from dataclasses import dataclass

from prober.maintenance import MaintenanceStatus
from prober.models import CheckResult, Probe, ProbeResult, Tenant, TokenStatus
from prober.outcomes import LatencyComponent, Reason, SkipCause, TokenState
from prober.stats.aggregates import DurationHistogram, TimeBucket
from prober.stats.incidents import FailureStreak


@dataclass(frozen=True, slots=True)
class RecentLatency:
    """The server and network times of a tenant's latest responses, without those in maintenance."""

    server: DurationHistogram
    network: DurationHistogram


_NO_LATENCY = RecentLatency(DurationHistogram(), DurationHistogram())


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """The current status of one probe.

    `result` is of the last run, `streak` the ongoing failure streak, `slow` the latency components
    that exceed their objective. `skipped` says why the last due run was not started; it is None if
    it was started. `checks` are from the last response that was checked; `checked_at` is when that
    run started (epoch seconds).
    """

    probe: Probe
    result: ProbeResult | None = None
    streak: FailureStreak | None = None
    slow: tuple[LatencyComponent, ...] = ()
    skipped: SkipCause | None = None
    checks: tuple[CheckResult, ...] = ()
    checked_at: float | None = None

    @property
    def reason(self) -> Reason | None:
        """The reason of the last run's verdict."""
        return None if self.result is None else self.result.verdict.reason


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """The current status of one tenant.

    `buckets` are the time buckets of the last day by start (epoch seconds), `month` is the sum of
    the last 30 days. There is no data from before `known_since`. `token_rejected_for` is another
    tenant for which the same token is already rejected.
    """

    tenant: Tenant
    token: TokenStatus
    probes: tuple[ProbeStatus, ...]
    buckets: Mapping[int, TimeBucket]
    month: TimeBucket
    maintenance: MaintenanceStatus
    known_since: float
    shared_with: tuple[str, ...] = ()
    token_rejected_for: str | None = None
    certificate_expiry: float | None = None
    recent_latency: RecentLatency = _NO_LATENCY

    def is_paused(self, probe_status: ProbeStatus) -> bool:
        """Return whether a probe is not run because the token was rejected in another probe."""
        if self.token.state is not TokenState.REJECTED:
            return False
        return probe_status.reason is not Reason.TOKEN_REJECTED
