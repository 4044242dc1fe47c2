"""Availability by two indicators, the objective, and the error budget that is left. Pure.

*Platform availability* is the share of observed runs that did not fail because of the platform:
what the supplier is responsible for. The platform is observed in a run if it responded, or its edge
in its place: runs that failed on the network path or for an undecided cause say nothing about the
platform. The recording rules (prober-recording-slow.yml) have the same definition.

*End-to-end availability* is the share of runs in which a caller would have got what was asked for:
every failure counts, and so do runs that were paused because the token was rejected. Neither counts
the prober's own errors and runs in maintenance, which say nothing about the platform.
"""

from dataclasses import dataclass

from prober.stats.aggregates import Aggregate, TimeBucket, bucket_from_aggregate

BUDGET_SECONDS = 30 * 86_400.0
_ROUNDING = 1e-6  # 1 - 0.995 is a little more than 0.005


@dataclass(frozen=True, slots=True)
class Availability:
    """A tenant's or a probe's availability in a period.

    `runs` includes paused ones, and leaves out those in maintenance and the prober's own errors.
    `coverage_ratio` is the share of observed runs among all that were due outside maintenance, the
    prober's own errors included. Ratios, and `objective_met`, are None where there
    were no runs for them. `allowed_failures` of the platform would just have met the objective.
    """

    objective_ratio: float
    runs: int
    observed_runs: int
    coverage_ratio: float | None
    allowed_failures: float
    platform_failures: int
    platform_ratio: float | None
    end_to_end_failures: int
    end_to_end_ratio: float | None
    paused: int
    in_maintenance: int
    prober_faults: int
    objective_met: bool | None


def availability_from_bucket(bucket: TimeBucket, objective_ratio: float) -> Availability:
    """Return the availability in a time bucket, or in a sum of them."""
    runs = bucket.runs - bucket.prober + bucket.paused
    due = runs + bucket.prober
    observed = bucket.none + bucket.credential + bucket.request + bucket.tenant + bucket.platform
    end_to_end_failures = runs - bucket.none
    allowed_failures = observed * (1 - objective_ratio)
    return Availability(
        objective_ratio=objective_ratio,
        runs=runs,
        observed_runs=observed,
        coverage_ratio=observed / due if due else None,
        allowed_failures=allowed_failures,
        platform_failures=bucket.platform,
        platform_ratio=1 - bucket.platform / observed if observed else None,
        end_to_end_failures=end_to_end_failures,
        end_to_end_ratio=1 - end_to_end_failures / runs if runs else None,
        paused=bucket.paused,
        in_maintenance=bucket.in_maintenance,
        prober_faults=bucket.prober,
        objective_met=bucket.platform <= allowed_failures + _ROUNDING if observed else None,
    )


def availability_from_aggregate(aggregate: Aggregate, objective_ratio: float) -> Availability:
    """Return the availability in an aggregate."""
    bucket = bucket_from_aggregate(aggregate)
    return availability_from_bucket(bucket, objective_ratio)


def budget_left(platform_failures: int, runs_per_second: float, objective_ratio: float) -> float:
    """Return the share of 30 days' error budget that is left; below 0 it is overspent.

    The budget is a share of the runs that 30 days have at the configured rate, not of the runs that
    there were: one bad hour must not use up the budget of a tenant that was added yesterday.
    """
    allowed_failures = runs_per_second * BUDGET_SECONDS * (1 - objective_ratio)
    return 1 - platform_failures / allowed_failures if allowed_failures > 0 else 0.0
