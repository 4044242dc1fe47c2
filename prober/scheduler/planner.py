"""When each probe is due, and whether a due run starts: pure arithmetic on given moments.

A tenant's probes are spread evenly over their interval, and tenants are set off against each other
by a hash of their names, so that neither a tenant nor our own loop sees a burst, from the first
interval on, and neither a reload nor a restart moves anybody: the slots are those of the epoch.
Moments are seconds on one monotonic clock.

A probe with a long interval does not wait for its slot after a start if it has missed one: it runs
once within the first minute. Otherwise a probe that is due once a day would never run where the
prober is restarted daily.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
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


ProbeKey = tuple[str, str]
"""A tenant's name and a probe's."""

CATCH_UP_SECONDS = 60.0
"""How soon after a start a missed run is made up for; what runs as often needs none."""


def epoch_anchor(interval_seconds: float, monotonic: float, epoch: float) -> float:
    """Return when the interval that contains now began, counted from the epoch.

    `monotonic` and `epoch` are now on both clocks; the result is on the first. It is not the epoch
    itself, since the distance to it would cost the precision that short intervals need.
    """
    return monotonic - epoch % interval_seconds


def missed_probes(
    tenants: Sequence[Tenant], last_runs: Mapping[ProbeKey, float], epoch: float
) -> tuple[ProbeKey, ...]:
    """Return the probes that must not wait for their next slot.

    Their interval is longer than a minute, their last run (`last_runs`, epoch seconds) is older
    than it or not known, and their slot is more than a minute ahead. A last run in the future means
    that the clock was set back: it says nothing.
    """
    return tuple(
        (group.tenant, probe)
        for group in schedule_groups(tenants)
        if group.interval_seconds > CATCH_UP_SECONDS
        for probe, offset in zip(group.probes, group.offsets, strict=True)
        if (offset - epoch) % group.interval_seconds > CATCH_UP_SECONDS
        and not _ran_within(last_runs.get((group.tenant, probe)), group.interval_seconds, epoch)
    )


def _ran_within(last_run: float | None, interval_seconds: float, epoch: float) -> bool:
    return last_run is not None and 0 <= epoch - last_run <= interval_seconds


def catch_up_delays(probes: Collection[ProbeKey]) -> Mapping[ProbeKey, float]:
    """Return after how many seconds each of these runs: evenly over a minute, tenants mixed."""
    # A hash of both names, so that a tenant with many probes does not have them one after another.
    order = sorted(probes, key=lambda key: _fraction("/".join(key)))
    step_seconds = CATCH_UP_SECONDS / max(1, len(order))
    return {key: (number + 0.5) * step_seconds for number, key in enumerate(order)}


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
