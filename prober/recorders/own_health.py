"""The prober's own health, read from its own metrics: for the pages' footer. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prober.outcomes import HistoryLoss, SkipCause

P99 = 0.99


@dataclass(frozen=True, slots=True)
class OwnHealth:
    """How well the prober itself does since it was started; moments are epoch seconds.

    The two p99 are upper bounds, by the histograms' buckets; None where nothing was measured.
    """

    version: str
    started_at: float
    heartbeat_at: float
    probes_in_flight: int
    runs: int
    lateness_p99_seconds: float | None
    loop_lag_p99_seconds: float | None
    skipped: Mapping[SkipCause, int]
    discarded_measurements: int
    configuration_is_current: bool
    configuration_problem: str | None
    configuration_loaded_at: float
    state_write_failures: int
    history_written_at: float | None
    history_size_bytes: int
    history_lost: Mapping[HistoryLoss, int]

    @property
    def skipped_by_itself(self) -> int:
        """How many runs it skipped for reasons of its own: a dead token is not one."""
        return sum(n for cause, n in self.skipped.items() if cause is not SkipCause.TOKEN_REJECTED)


def bound_of_quantile(
    share: float, upper_bounds: tuple[float, ...], cumulative: Sequence[int]
) -> float | None:
    """Return the least upper bound that so many of all are within; infinite past the last."""
    if not cumulative or cumulative[-1] == 0:
        return None
    wanted = share * cumulative[-1]
    for bound, count in zip(upper_bounds, cumulative, strict=False):
        if count >= wanted:
            return bound
    return float("inf")
