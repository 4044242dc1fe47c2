"""Availability by two indicators, and what is left of the error budget.

*Platform*: the share of runs that did not fail by the platform's own fault: what a supplier owes.
*End-to-end*: the share of runs in which a caller would have got what he asked for: all failures
count, and so do runs that were held back because the token was dead. The prober's own faults and
runs in maintenance count in neither: nothing was learned of the platform.
"""

from dataclasses import dataclass

from prober.outcomes import Culprit
from prober.stats.aggregates import Aggregate, TimeBucket

BUDGET_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Availability:
    """Ratios of `asked` runs; None where nothing was asked."""

    runs: int
    platform_failures: int
    end_to_end_failures: int

    @property
    def platform(self) -> float | None:
        """The platform's availability."""
        return None if self.runs == 0 else 1 - self.platform_failures / self.runs

    @property
    def end_to_end(self) -> float | None:
        """Availability as a caller saw it."""
        return None if self.runs == 0 else 1 - self.end_to_end_failures / self.runs


def availability_from_bucket(slot: TimeBucket) -> Availability:
    """Return the availability in a stretch of a tenant's time."""
    asked = slot.runs - slot.prober + slot.paused
    return Availability(asked, slot.platform, asked - slot.none)


def availability_from_aggregate(tally: Aggregate) -> Availability:
    """Return the availability that a tally tells."""
    whose = tally.by_culprit
    asked = tally.runs - whose.get(Culprit.PROBER, 0) + tally.paused
    return Availability(asked, whose.get(Culprit.PLATFORM, 0), asked - whose.get(Culprit.NONE, 0))


def budget_left(platform_failures: int, runs_per_second: float, objective_ratio: float) -> float:
    """Return the share of 30 days' error budget that is left; below 0: overspent.

    The budget is a share of all runs that 30 days have by their configured rate, so that a tenant
    of yesterday is not judged by one day.
    """
    allowed = runs_per_second * BUDGET_SECONDS * (1 - objective_ratio)
    return 1 - platform_failures / allowed if allowed > 0 else 0.0
