"""Series of a histogram whose answers all take as long as a function of time says."""

from collections.abc import Callable

from prober.metrics.definitions import METRIC_DEFINITIONS

BOUNDS = {family.name: family.buckets for family in METRIC_DEFINITIONS if family.buckets}
Latency = Callable[[float], float]
"""Seconds, by seconds since the start."""


def histogram(
    bounds: tuple[float, ...],
    latency: Latency,
    until: int,
    step_seconds: int,
    answers: float = 10,
) -> dict[str, str]:
    """Return promtool's values by bound, and for `count` and `sum`; so many answers each step."""
    counts, total, seconds = [0.0] * len(bounds), 0.0, 0.0
    names = [*map(str, bounds), "+Inf", "count", "sum"]
    columns: dict[str, list[float]] = {name: [] for name in names}
    for at in range(0, until + 1, step_seconds):
        value = latency(at)
        counts = [
            count + answers * (value <= bound) for count, bound in zip(counts, bounds, strict=True)
        ]
        total, seconds = total + answers, seconds + answers * value
        for name, each in zip(names, [*counts, total, total, seconds], strict=True):
            columns[name].append(each)
    return {name: " ".join(f"{each:.7g}" for each in column) for name, column in columns.items()}
