"""The prober's own health, as its metrics have it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from prober.metrics.registry import Histogram
from prober.outcomes import HistoryDropReason, SkipCause

_P99 = 0.99


@dataclass(frozen=True, slots=True)
class SelfHealth:
    """The prober's own health since its start. Times are epoch seconds.

    The two p99 values are upper bounds taken from histogram buckets, None without measurements.
    """

    version: str
    started_at: float
    heartbeat_at: float
    probes_in_flight: int
    runs: int
    start_delay_p99_seconds: float | None
    loop_lag_p99_seconds: float | None
    skipped: Mapping[SkipCause, int]
    discarded_measurements: int
    configuration_is_current: bool
    configuration_problem: str | None
    configuration_loaded_at: float
    state_write_failures: int
    history_written_at: float | None
    history_size_bytes: int
    history_dropped: Mapping[HistoryDropReason, int]
    state_is_writable: bool = True

    @property
    def skipped_by_itself(self) -> int:
        """Runs skipped for a reason in the prober; a rejected token or a Retry-After is not one."""
        others = {SkipCause.TOKEN_REJECTED, SkipCause.RATE_LIMITED}
        return sum(n for cause, n in self.skipped.items() if cause not in others)


def p99_upper_bound(histogram: Histogram | None) -> float | None:
    """Return the upper bound of the bucket that holds the 99th percentile, infinity for the last.

    Returns None without a histogram or without observations.
    """
    if histogram is None or histogram.counts[-1] == 0:
        return None
    rank = _P99 * histogram.counts[-1]
    # The last count, that of +Inf, has no upper bound of its own.
    for bound, count in zip(histogram.buckets, histogram.counts, strict=False):
        if count >= rank:
            return bound
    return float("inf")
