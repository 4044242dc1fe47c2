"""Whether probing still makes progress, judged by its counts of runs. Pure.

A heartbeat alone proves too little: it goes on as long as the event loop turns, even if no run is
due any more, or if runs that are due never start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prober.models import Tenant

_ATTEMPTS = 4  # a rejected token is tried again, and on another route, after another probe's check
_MARGIN_SECONDS = 30.0  # for an OAuth token request and a busy machine


@dataclass(frozen=True, slots=True)
class StallState:
    """Counts that change whenever a run starts, ends, or is skipped for a rejected token.

    `progressed_at` is when they last changed, in monotonic seconds. `stall_timeout_seconds` is how
    long they may stay the same.
    """

    counts: tuple[int, ...]
    stall_timeout_seconds: float
    progressed_at: float


def advance_stall_state(
    before: StallState | None, counts: tuple[int, ...], stall_timeout_seconds: float, now: float
) -> StallState:
    """Return the state at `now`; a changed timeout (a reload) restarts the time."""
    if before is not None and (before.counts, before.stall_timeout_seconds) == (
        counts,
        stall_timeout_seconds,
    ):
        return before
    return StallState(counts, stall_timeout_seconds, now)


def stall_timeout_seconds(tenants: Sequence[Tenant]) -> float:
    """Return how long the counts may stay the same in normal operation; infinite without probes.

    A probe is due within the shortest interval. It starts, unless its last run has not ended.
    """
    probes = [probe for tenant in tenants for probe in tenant.probes]
    if not probes:
        return float("inf")
    interval = min(probe.interval_seconds for probe in probes)
    longest_run = max(probe.timeout_seconds for probe in probes) * _ATTEMPTS
    return interval + longest_run + _MARGIN_SECONDS


def is_stalled(state: StallState, now: float) -> bool:
    """Return whether the counts have not changed for longer than the timeout."""
    return now - state.progressed_at > state.stall_timeout_seconds
