"""Runs with good defaults: a test names only what matters to it."""

from collections.abc import Callable, Iterable

from prober.outcomes import CLASSIFICATION, Culprit, Reason
from prober.stats.aggregates import (
    DurationHistogram,
    RunSummary,
    bucket_index,
    merge_histograms,
)
from prober.stats.incidents import FailureStreak, Incident, newest_incidents

NOW = 1_763_942_400.0  # 2025-11-24T00:00:00Z


def a_run(
    at: float = 0.0,
    reason: Reason = Reason.OK,
    *,
    culprit: Culprit | None = None,
    probe: str = "datasets",
    tenant: str = "acme",
    in_maintenance: bool = False,
    server: float | None = None,
    network: float | None = None,
    own: float | None = None,
) -> RunSummary:
    """Return a run that began `at` seconds after NOW."""
    evidence = "" if reason is Reason.OK else f"the evidence of {reason}"
    return RunSummary(
        tenant,
        probe,
        NOW + at,
        reason,
        culprit or CLASSIFICATION[reason].culprit,
        evidence,
        "11",
        in_maintenance,
        server,
        network,
        own,
    )


def histogram_of(
    durations_seconds: Iterable[float], bucket_of: Callable[[float], int] = bucket_index
) -> DurationHistogram:
    return merge_histograms(
        DurationHistogram({bucket_of(seconds): 1}) for seconds in durations_seconds
    )


def incidents_from_streaks(streaks: Iterable[FailureStreak]) -> tuple[Incident, ...]:
    """Return all incidents of some streaks, in the order of their start."""
    ordered = sorted(streaks, key=lambda each: each.started_at)
    return newest_incidents(ordered, len(ordered) + 1)[::-1]
