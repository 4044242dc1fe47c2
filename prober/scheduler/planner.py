"""When probes are due, and whether a run that is due may start. Pure arithmetic on given times.

The probes of a tenant are spread evenly over their interval, and a hash of the tenant's name
shifts them. So neither a tenant nor the event loop gets a burst of requests, not even at start.
Due times are counted from the epoch, so neither a reload nor a restart moves them. Times are
seconds on one monotonic clock.

A probe with a long interval that missed its due time runs once within the first minute after a
start. Otherwise a daily probe would never run where the prober is restarted every day.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prober.models import Tenant
from prober.outcomes import SkipCause


@dataclass(frozen=True, slots=True)
class ScheduleGroup:
    """The probes of one tenant that have the same interval; one scheduler job plans them.

    Holds names only, so that a reload which changes other options does not change the group.
    `offsets[i]` is when `probes[i]` is due within the interval, in [0, interval).
    """

    tenant: str
    interval_seconds: float
    phase_seconds: float
    probes: tuple[str, ...]
    offsets: tuple[float, ...]

    @property
    def key(self) -> tuple[str, float]:
        """The identity of the group: a tenant has one group for each interval."""
        return self.tenant, self.interval_seconds

    def seconds_until_next(self, elapsed_seconds: float) -> float:
        """Return the time until the group's interval starts again.

        `elapsed_seconds` is the present time, counted from the scheduler's anchor.
        """
        return (self.phase_seconds - elapsed_seconds) % self.interval_seconds


@dataclass(frozen=True, slots=True)
class InFlight:
    """The number of runs in flight when another one is due.

    `shared` counts the runs of all tenants without one run of each.
    """

    same_probe: int
    same_tenant: int
    shared: int


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The maximum number of runs in flight, and the maximum delay of a start.

    `shared` limits the runs of all tenants beyond the first one of each. The first one is always
    allowed: otherwise tenants whose requests hang would use up the limit, and no others would be
    probed.
    """

    per_tenant: int
    shared: int
    max_start_delay_seconds: float


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
    groups: Iterable[ScheduleGroup], last_runs: Mapping[ProbeKey, float], epoch: float
) -> tuple[ProbeKey, ...]:
    """Return the probes that must not wait for their next slot.

    Their interval is longer than a minute, their last run (`last_runs`, epoch seconds) is older
    than it or not known, and their slot is more than a minute ahead. A last run in the future means
    that the clock was set back: it says nothing.
    """
    return tuple(
        (group.tenant, probe)
        for group in groups
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
    """Return the groups of all tenants: one for each tenant and interval."""
    return tuple(
        _group(tenant, interval)
        for tenant in tenants
        for interval in sorted({probe.interval_seconds for probe in tenant.probes})
    )


def due_times(
    group: ScheduleGroup, anchor: float, since: float, until: float
) -> Iterator[tuple[float, str]]:
    """Yield (due time, probe name) for every run that is due in [since, until).

    The first run of each probe is due at `anchor` plus its offset.
    """
    # One plan ends where the next one begins. Floating-point rounding at that edge must neither
    # plan a run twice nor leave it out, hence the tolerance of a millionth of the interval.
    tolerance = 1e-6
    for probe, offset in zip(group.probes, group.offsets, strict=True):
        first = anchor + offset
        number = math.ceil((since - first) / group.interval_seconds - tolerance)
        due_at = first + max(0, number) * group.interval_seconds
        while due_at < until - group.interval_seconds * tolerance:
            yield due_at, probe
            due_at += group.interval_seconds


def skip_reason(
    delay_seconds: float,
    in_flight: InFlight,
    limits: ConcurrencyLimits,
    *,
    may_use_token: bool = True,
    is_rate_limited: bool = False,
) -> SkipCause | None:
    """Return why a run that is due must be skipped, or None if it may start.

    `may_use_token` is False while the tenant's token is rejected, except for the canary run.
    `is_rate_limited` is True until the time that a Retry-After of the tenant asked for.
    """
    # If several causes apply, the first one here is counted.
    if not may_use_token:
        return SkipCause.TOKEN_REJECTED
    if is_rate_limited:
        return SkipCause.RATE_LIMITED
    if in_flight.same_probe > 0:
        return SkipCause.OVERLAP
    if delay_seconds > limits.max_start_delay_seconds:
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
    """Return a number in [0, 1) that depends on the name alone.

    Not hash(): Python salts it in each process, and every restart would move all probes.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
