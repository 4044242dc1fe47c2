"""What happened in a stretch of time: how many runs came to what, and how long answers took.

A tally is kept for a minute, an hour, or whatever is asked for: tallies can be added.

A histogram of durations that can be merged, and whose quantiles are within one per cent.

Buckets grow by a constant factor (a logarithmic histogram, as in DDSketch, Masson, Rim and Lee,
VLDB 2019): whatever the durations are, the relative error is bounded, and merging loses nothing.

A tenant's time in slots of a quarter of an hour: what strips and budgets are made of.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add, attrgetter
from types import MappingProxyType
from typing import Any

from prober.models import ProbeResult
from prober.outcomes import CLASSIFICATION, Culprit, Endpoint, Reason, SkipCause

RELATIVE_ERROR = 0.01
_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_MIN_SECONDS = 1e-6  # what is shorter counts as this long
_NONE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DurationHistogram:
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


def bucket_index(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into, 0 or more."""
    return max(0, math.ceil(math.log(max(seconds, _MIN_SECONDS) / _MIN_SECONDS) / _LOG_GROWTH))


def add_duration(sketch: DurationHistogram, seconds: float | None) -> DurationHistogram:
    """Return a sketch and one duration more; None is none."""
    if seconds is None:
        return sketch
    bucket = bucket_index(seconds)
    return DurationHistogram({**sketch.buckets, bucket: sketch.buckets.get(bucket, 0) + 1})


def merge_histograms(sketches: Iterable[DurationHistogram]) -> DurationHistogram:
    """Return the sketch of all that these hold."""
    buckets: dict[int, int] = {}
    for sketch in sketches:
        for bucket, count in sketch.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    return DurationHistogram(buckets)


def _middle(bucket: int) -> float:
    """Return the value whose relative distance from both ends of a bucket is the same."""
    return _MIN_SECONDS * math.exp(bucket * _LOG_GROWTH) * 2 / (1 + _GROWTH)


MAINTENANCE = "maintenance:"
SKIPPED = "skipped:"
_NOTHING: Mapping[str, int] = MappingProxyType({})
_NO_ANSWERS = DurationHistogram()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`counts` by kind: a reason, `maintenance:` and a reason, or `skipped:` and a cause.

    `server` and `network` hold the answers that could be split, but for those in maintenance.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    server: DurationHistogram = _NO_ANSWERS
    network: DurationHistogram = _NO_ANSWERS

    def count(self, kind: str) -> int:
        """Return how many there were of a kind."""
        return self.counts.get(kind, 0)

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        return sum(self.by_reason.values())

    @property
    def by_reason(self) -> Mapping[Reason, int]:
        """How many runs outside maintenance came to each reason."""
        return {Reason(kind): count for kind, count in self.counts.items() if ":" not in kind}

    @property
    def by_culprit(self) -> Mapping[Culprit, int]:
        """How many runs outside maintenance were whose; `none` are the good ones."""
        culprits: Counter[Culprit] = Counter()
        for reason, count in self.by_reason.items():
            culprits[CLASSIFICATION[reason].culprit] += count
        return culprits

    @property
    def in_maintenance(self) -> int:
        """How many runs there were in maintenance."""
        return sum(n for kind, n in self.counts.items() if kind.startswith(MAINTENANCE))

    @property
    def paused(self) -> int:
        """How many runs were skipped because the tenant's token was rejected."""
        return self.count(SKIPPED + SkipCause.TOKEN_REJECTED)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one run was, in brief: what histories are made of. `at` is in epoch seconds."""

    tenant: str
    probe: str
    at: float
    reason: Reason
    evidence: str = ""
    rule: str = ""
    in_maintenance: bool = False
    server_seconds: float | None = None
    network_seconds: float | None = None

    @property
    def culprit(self) -> Culprit:
        """Whose it is."""
        return CLASSIFICATION[self.reason].culprit


def summarize(result: ProbeResult) -> RunSummary:
    """Return a result in brief; the identity server's time is not the API's."""
    verdict, latency = result.verdict, result.verdict.latency
    measured = result.endpoint is Endpoint.API and result.exchange.failure is None
    return RunSummary(
        result.tenant,
        result.probe,
        result.started_at,
        verdict.reason,
        "" if verdict.succeeded else verdict.evidence,
        verdict.rule,
        result.in_maintenance,
        latency.server_seconds if measured else None,
        latency.network_seconds if measured else None,
    )


def add_run(tally: Aggregate, run: RunSummary) -> Aggregate:
    """Return a tally and one run more."""
    if run.in_maintenance:
        return _increment(tally, MAINTENANCE + run.reason)
    return Aggregate(
        _incremented(tally.counts, run.reason.value),
        add_duration(tally.server, run.server_seconds),
        add_duration(tally.network, run.network_seconds),
    )


def add_skip(tally: Aggregate, cause: SkipCause) -> Aggregate:
    """Return a tally and one more due run that was not started."""
    return _increment(tally, SKIPPED + cause)


def merge_aggregates(tallies: Iterable[Aggregate]) -> Aggregate:
    """Return the tally of all that these hold."""
    counts: Counter[str] = Counter()
    every = list(tallies)
    for tally in every:
        counts.update(tally.counts)
    return Aggregate(
        dict(counts),
        merge_histograms(tally.server for tally in every),
        merge_histograms(tally.network for tally in every),
    )


def _increment(tally: Aggregate, kind: str) -> Aggregate:
    return Aggregate(_incremented(tally.counts, kind), tally.server, tally.network)


def _incremented(counts: Mapping[str, int], kind: str) -> Mapping[str, int]:
    return {**counts, kind: counts.get(kind, 0) + 1}


BUCKET_SECONDS = 900


@dataclass(frozen=True, slots=True)
class TimeBucket:
    """Runs by culprit (`none`: good), runs held back by a dead token, and the time they took.

    `server_seconds` and `network_seconds` are sums over the `splits` answers that could be split.
    """

    none: int = 0
    credential: int = 0
    request: int = 0
    tenant: int = 0
    platform: int = 0
    network: int = 0
    undecided: int = 0
    prober: int = 0
    paused: int = 0
    in_maintenance: int = 0
    splits: int = 0
    server_seconds: float = 0.0
    network_seconds: float = 0.0

    def __add__(self, other: "TimeBucket") -> "TimeBucket":
        return TimeBucket(*map(add, values(self), values(other)))

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        return sum(self.count_of(culprit) for culprit in Culprit)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return self.runs - self.none

    def count_of(self, culprit: Culprit) -> int:
        """Return how many runs were whose."""
        number: int = getattr(self, culprit.value)
        return number


FIELDS = tuple(TimeBucket.__dataclass_fields__)
# In SQL, where `tenant` is the tenant's name.
COLUMNS = tuple("tenant_culprit" if name == "tenant" else name for name in FIELDS)
_all_of = attrgetter(*FIELDS)


def values(slot: TimeBucket) -> tuple[Any, ...]:
    """Return all numbers of a slot, in the order of its fields."""
    numbers: tuple[Any, ...] = _all_of(slot)
    return numbers


def bucket_start(moment: float) -> int:
    """Return the beginning (epoch seconds) of the slot that a moment lies in."""
    return int(moment // BUCKET_SECONDS) * BUCKET_SECONDS


def bucket_for(run: RunSummary) -> TimeBucket:
    """Return the slot that holds one run."""
    if run.in_maintenance:
        return TimeBucket(in_maintenance=1)
    counted = {run.culprit.value: 1}
    if run.server_seconds is None or run.network_seconds is None:
        return TimeBucket(**counted)
    return TimeBucket(
        **counted,
        splits=1,
        server_seconds=run.server_seconds,
        network_seconds=run.network_seconds,
    )


def sum_buckets(slots: Iterable[TimeBucket]) -> TimeBucket:
    """Return all of these in one."""
    return TimeBucket(*map(sum, zip(*map(values, (TimeBucket(), *slots)), strict=True)))
