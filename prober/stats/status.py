"""How things stand now: a tenant, its token and its probes, as far as is known."""

from collections.abc import Mapping
from dataclasses import dataclass

from prober.maintenance import MaintenanceStatus
from prober.models import Probe, ProbeResult, Tenant, TokenStatus
from prober.outcomes import LatencyComponent, Reason, SkipCause, TokenState
from prober.stats.aggregates import TimeBucket
from prober.stats.incidents import FailureStreak


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """How one probe stands: its last run, the spell it is in, and why it did not run since."""

    probe: Probe
    result: ProbeResult | None = None
    streak: FailureStreak | None = None
    slow: tuple[LatencyComponent, ...] = ()
    skipped: SkipCause | None = None

    @property
    def reason(self) -> Reason | None:
        """What the last run came to."""
        return None if self.result is None else self.result.verdict.reason


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """How one tenant stands.

    `slots` are those of the last day, by their beginning in epoch seconds, `month` is the sum of
    the last 30. Nothing is known from before `known_since`.
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

    def is_paused(self, standing: ProbeStatus) -> bool:
        """Whether a probe is not run since the token was rejected for another one."""
        if self.token.state is not TokenState.REJECTED:
            return False
        return standing.reason is not Reason.TOKEN_REJECTED
