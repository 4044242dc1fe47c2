"""Whether probing goes on, judged by what it leaves behind: pure.

A loop that merely turns is not enough. As long as the event loop lives the heartbeat beats, though
nothing falls due any more, or what falls due is never begun. So the counts of runs are watched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prober.models import Tenant

_ATTEMPTS = 4  # a rejected token is tried again, and on another route, after another probe's check
_MARGIN_SECONDS = 30.0  # a token from an identity server, a machine that is busy


@dataclass(frozen=True, slots=True)
class StallState:
    """Counts that change whenever a run begins, ends, or is held back for its token.

    `moved_at` is when they last did, in monotonic seconds, and `patience_seconds` how long they may
    rest since then.
    """

    counts: tuple[int, ...]
    stall_timeout_seconds: float
    progressed_at: float


def advance_stall_state(
    before: StallState | None, counts: tuple[int, ...], stall_timeout_seconds: float, now: float
) -> StallState:
    """Return how things stand `now`; other settings begin with a patience of their own."""
    if before is not None and (before.counts, before.stall_timeout_seconds) == (
        counts,
        stall_timeout_seconds,
    ):
        return before
    return StallState(counts, stall_timeout_seconds, now)


def stall_timeout_seconds(tenants: Sequence[Tenant]) -> float:
    """Return how long the counts may rest while all is well; infinite where there are no probes.

    Some probe falls due within the shortest interval, and begins unless one is still under way.
    """
    probes = [probe for tenant in tenants for probe in tenant.probes]
    if not probes:
        return float("inf")
    interval = min(probe.interval_seconds for probe in probes)
    longest_run = max(probe.timeout_seconds for probe in probes) * _ATTEMPTS
    return interval + longest_run + _MARGIN_SECONDS


def is_stalled(seen: StallState, now: float) -> bool:
    """Tell whether nothing has begun, ended, or been held back for too long."""
    return now - seen.progressed_at > seen.stall_timeout_seconds
