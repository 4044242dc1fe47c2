"""When each probe is due, and whether a due run starts: pure arithmetic on given moments.

A tenant's probes are spread evenly over their interval, and tenants are set off against each other
by a hash of their names, so that neither a tenant nor our own loop sees a burst, from the first
interval on, and a reload moves nobody else. Moments are seconds on one monotonic clock.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prober.models import Tenant
from prober.outcomes import SkipCause


@dataclass(frozen=True, slots=True)
class ScheduleGroup:
    """The probes of one tenant that share an interval; one scheduler job paces them.

    Tenant and probes are named, since all else about them may change with a reload. `offsets[i]` is
    where in the interval `probes[i]` is due, in [0, interval).
    """

    tenant: str
    interval_seconds: float
    phase_seconds: float
    probes: tuple[str, ...]
    offsets: tuple[float, ...]

    @property
    def key(self) -> tuple[str, float]:
        """What it is known by: no tenant has two beats of one interval."""
        return self.tenant, self.interval_seconds

    def seconds_until_next(self, elapsed_seconds: float) -> float:
        """Return how long after a moment, counted from the anchor, the beat begins again."""
        return (self.phase_seconds - elapsed_seconds) % self.interval_seconds


@dataclass(frozen=True, slots=True)
class InFlight:
    """What is in flight when a run falls due.

    `shared`: of all tenants, but without one run of each.
    """

    same_probe: int
    same_tenant: int
    shared: int


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """How much may be in flight, and how late a run may start.

    `shared` is for the runs of all tenants beyond the first of each: that one has a place of its
    own, or tenants that hang would take all places, and others would not be probed.
    """

    per_tenant: int
    shared: int
    misfire_grace_seconds: float


def schedule_groups(tenants: Sequence[Tenant]) -> tuple[ScheduleGroup, ...]:
    """Return the beats of all tenants: one for each tenant and interval."""
    return tuple(
        _group(tenant, interval)
        for tenant in tenants
        for interval in sorted({probe.interval_seconds for probe in tenant.probes})
    )


def due_times(
    group: ScheduleGroup, anchor: float, since: float, until: float
) -> Iterator[tuple[float, str]]:
    """Yield (moment, probe's name) of every run due in [since, until), counted from `anchor`."""
    for probe, offset in zip(group.probes, group.offsets, strict=True):
        first = anchor + offset
        # A millionth of the interval forgives rounding at the window's edges.
        number = math.ceil((since - first) / group.interval_seconds - 1e-6)
        moment = first + max(0, number) * group.interval_seconds
        while moment < until - group.interval_seconds * 1e-6:
            yield moment, probe
            moment += group.interval_seconds


def skip_reason(
    delay_seconds: float,
    in_flight: InFlight,
    limits: ConcurrencyLimits,
    *,
    may_use_token: bool = True,
    is_rate_limited: bool = False,
) -> SkipCause | None:
    """Return why a due run must not start, or None if it may.

    `may_use_token` is False while the tenant's token is rejected, but for the canary;
    `is_rate_limited` is True while a Retry-After of the tenant has not passed.
    """
    if not may_use_token:
        return SkipCause.TOKEN_REJECTED
    if is_rate_limited:
        return SkipCause.RATE_LIMITED
    if in_flight.same_probe > 0:
        return SkipCause.OVERLAP
    if delay_seconds > limits.misfire_grace_seconds:
        return SkipCause.MISFIRE
    if in_flight.same_tenant >= limits.per_tenant:
        return SkipCause.CONCURRENCY
    if in_flight.same_tenant > 0 and in_flight.shared >= limits.shared:
        return SkipCause.CONCURRENCY
    return None


def _group(tenant: Tenant, interval_seconds: float) -> ScheduleGroup:
    probes = tuple(p.name for p in tenant.probes if p.interval_seconds == interval_seconds)
    phase = _fraction(tenant.name) * interval_seconds
    step = interval_seconds / len(probes)
    offsets = tuple((phase + index * step) % interval_seconds for index in range(len(probes)))
    return ScheduleGroup(tenant.name, interval_seconds, phase, probes, offsets)


def _fraction(name: str) -> float:
    """Return a number in [0, 1) that is the same for a name on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
