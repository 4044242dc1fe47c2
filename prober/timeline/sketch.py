"""A histogram of durations that can be merged, and whose quantiles are within one per cent.

Buckets grow by a constant factor (a logarithmic histogram, as in DDSketch, Masson, Rim and Lee,
VLDB 2019): whatever the durations are, the relative error is bounded, and merging loses nothing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

RELATIVE_ERROR = 0.01
_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_LEAST_SECONDS = 1e-6  # what is shorter counts as this long
_NONE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sketch:
    """How many durations fell into each bucket; `buckets` has no zeros."""

    buckets: Mapping[int, int] = field(default_factory=lambda: _NONE)

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """Return the duration that a share (0 to 1) of all do not exceed; None if there are none.

        The lower nearest rank: of n sorted durations, that at floor(share * (n - 1)).
        """
        if not self.buckets:
            return None
        rank = math.floor(share * (self.count - 1))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank < 0:
                return _middle(bucket)
        raise AssertionError("a rank is below the count")


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into, 0 or more."""
    return max(0, math.ceil(math.log(max(seconds, _LEAST_SECONDS) / _LEAST_SECONDS) / _LOG_GROWTH))


def sketch_of(durations_seconds: Iterable[float]) -> Sketch:
    """Return the sketch of some durations."""
    return merged(Sketch({bucket_of(seconds): 1}) for seconds in durations_seconds)


def with_duration(sketch: Sketch, seconds: float | None) -> Sketch:
    """Return a sketch and one duration more; None is none."""
    if seconds is None:
        return sketch
    bucket = bucket_of(seconds)
    return Sketch({**sketch.buckets, bucket: sketch.buckets.get(bucket, 0) + 1})


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """Return the sketch of all that these hold."""
    buckets: dict[int, int] = {}
    for sketch in sketches:
        for bucket, count in sketch.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    return Sketch(buckets)


def _middle(bucket: int) -> float:
    """Return the value whose relative distance from both ends of a bucket is the same."""
    return _LEAST_SECONDS * math.exp(bucket * _LOG_GROWTH) * 2 / (1 + _GROWTH)
