"""What happened in a period of time: how many runs had which result, and how long they took. Pure.

Three kinds of sums are kept, and each can be merged with others of its kind:

- a `DurationHistogram` of durations;
- an `Aggregate` of one probe's runs in any period (a minute, an hour, a whole report);
- a `TimeBucket` of all of a tenant's runs in a quarter of an hour, which is small enough to keep
  30 days of it in memory: timelines and error budgets are computed from it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import add, attrgetter
from types import MappingProxyType
from typing import Any

from prober.models import ProbeResult
from prober.outcomes import CLASSIFICATION, Culprit, Endpoint, Reason, SkipCause

RELATIVE_ERROR = 0.01
"""How far a quantile of a `DurationHistogram` may be from the true one."""

# Bucket n holds the durations in (min * growth**(n - 1), min * growth**n]. With this growth, the
# value in the middle (see `_middle_seconds`) is within RELATIVE_ERROR of all that the bucket holds.
_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_MIN_SECONDS = 1e-6  # shorter durations count as this long: log(0) is not defined
_COARSE_BUCKETS = 5
_NO_COUNTS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DurationHistogram:
    """How many durations fell into each bucket; `buckets` has no zeros.

    Buckets grow by a constant factor (a logarithmic histogram, as in DDSketch: Masson, Rim and
    Lee, VLDB 2019). The relative error of a quantile is therefore bounded for durations of any
    size, and merging histograms loses nothing.
    """

    buckets: Mapping[int, int] = field(default_factory=lambda: _NO_COUNTS)

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return sum(self.buckets.values())

    def quantile(self, ratio: float) -> float | None:
        """Return the duration (seconds) at a ratio from 0 to 1; None if the histogram is empty.

        The lower nearest rank: of n sorted durations, the one at floor(ratio * (n - 1)).
        """
        if not self.buckets:
            return None
        rank = math.floor(ratio * (self.count - 1))
        # Buckets have no order of their own: they are merged from several sources.
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank < 0:
                return _middle_seconds(bucket)
        raise AssertionError("a rank is below the count")


def bucket_index(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into, 0 or more."""
    return max(0, math.ceil(math.log(max(seconds, _MIN_SECONDS) / _MIN_SECONDS) / _LOG_GROWTH))


def coarse_bucket_index(seconds: float) -> int:
    """Return the bucket in the middle of five neighbours, to which each of them is rounded.

    A quantile is then within 5 % of the true one, and a minute of the history takes half the bytes.
    """
    return (bucket_index(seconds) + _COARSE_BUCKETS // 2) // _COARSE_BUCKETS * _COARSE_BUCKETS


def add_duration(
    histogram: DurationHistogram,
    seconds: float | None,
    bucket_of: Callable[[float], int] = bucket_index,
) -> DurationHistogram:
    """Return a histogram with one more duration; None adds nothing."""
    if seconds is None:
        return histogram
    bucket = bucket_of(seconds)
    count = histogram.buckets.get(bucket, 0) + 1
    # Copied, since values are immutable; a minute of one probe has a handful of buckets.
    return DurationHistogram({**histogram.buckets, bucket: count})


def merge_histograms(histograms: Iterable[DurationHistogram]) -> DurationHistogram:
    """Return the histogram of everything that these hold."""
    buckets: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    return DurationHistogram(buckets)


def _middle_seconds(bucket: int) -> float:
    """Return the value whose relative distance from both ends of a bucket is the same."""
    return _MIN_SECONDS * math.exp(bucket * _LOG_GROWTH) * 2 / (1 + _GROWTH)


MAINTENANCE = "maintenance:"
SKIPPED = "skipped:"
BY = "@"
_NOTHING: Mapping[str, int] = MappingProxyType({})
_EMPTY_HISTOGRAM = DurationHistogram()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One probe's runs in a period of time.

    `counts` are by kind: a reason, `maintenance:` and a reason, or `skipped:` and a cause. A reason
    with a varying culprit is followed by it: `expectation_failed@tenant`.
    `server`, `network` and `own` (the prober's own time, in coarse buckets) hold the times of the
    responses with a known server time, without those in maintenance.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    server: DurationHistogram = _EMPTY_HISTOGRAM
    network: DurationHistogram = _EMPTY_HISTOGRAM
    own: DurationHistogram = _EMPTY_HISTOGRAM

    def count(self, kind: str) -> int:
        """Return how many there were of a kind."""
        return self.counts.get(kind, 0)

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        # Kinds with a prefix contain a colon; no reason and no culprit does.
        return sum(count for kind, count in self.counts.items() if ":" not in kind)

    @property
    def by_reason_and_culprit(self) -> Mapping[tuple[Reason, Culprit], int]:
        """How many runs outside maintenance had each reason and culprit."""
        return {parse_kind(kind): count for kind, count in self.counts.items() if ":" not in kind}

    @property
    def by_culprit(self) -> Mapping[Culprit, int]:
        """How many runs outside maintenance had each culprit; `none` are the successful ones."""
        culprits: Counter[Culprit] = Counter()
        for (_, culprit), count in self.by_reason_and_culprit.items():
            culprits[culprit] += count
        return culprits

    @property
    def in_maintenance(self) -> int:
        """How many runs there were in maintenance."""
        return sum(n for kind, n in self.counts.items() if kind.startswith(MAINTENANCE))

    @property
    def paused(self) -> int:
        """How many runs were skipped because the tenant's token was rejected."""
        return self.count(SKIPPED + SkipCause.TOKEN_REJECTED)


def run_kind(reason: Reason, culprit: Culprit) -> str:
    """Return the kind of `Aggregate.counts` that a run belongs to."""
    is_fixed = not CLASSIFICATION[reason].culprit_varies
    return reason.value if is_fixed else f"{reason.value}{BY}{culprit.value}"


def parse_kind(kind: str) -> tuple[Reason, Culprit]:
    """Return the reason and culprit of a kind; raises ValueError if it has none."""
    reason, _, culprit = kind.partition(BY)
    known = Reason(reason)
    return known, Culprit(culprit) if culprit else CLASSIFICATION[known].culprit


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the history needs to know of one run; `at` is in epoch seconds.

    The three parts of its latency are known together, or none of them is.
    """

    tenant: str
    probe: str
    at: float
    reason: Reason
    culprit: Culprit
    evidence: str = ""
    rule: str = ""
    in_maintenance: bool = False
    server_seconds: float | None = None
    network_seconds: float | None = None
    own_seconds: float | None = None


def summarize(result: ProbeResult) -> RunSummary:
    """Return the summary of a result."""
    verdict, latency = result.verdict, result.verdict.latency
    # The identity server's time is not the API's, and a failed request has no complete time.
    is_measured = (
        result.endpoint is Endpoint.API
        and result.exchange.failure is None
        and latency.server_seconds is not None
    )
    return RunSummary(
        result.tenant,
        result.probe,
        result.started_at,
        verdict.reason,
        verdict.culprit,
        "" if verdict.succeeded else verdict.evidence,
        verdict.rule,
        result.in_maintenance,
        latency.server_seconds if is_measured else None,
        latency.network_seconds if is_measured else None,
        latency.own_seconds if is_measured else None,
    )


def add_run(aggregate: Aggregate, run: RunSummary) -> Aggregate:
    """Return an aggregate with one more run."""
    # Only counted: the latency of planned work would distort the percentiles.
    if run.in_maintenance:
        return _increment(aggregate, MAINTENANCE + run.reason)
    return Aggregate(
        _incremented(aggregate.counts, run_kind(run.reason, run.culprit)),
        add_duration(aggregate.server, run.server_seconds),
        add_duration(aggregate.network, run.network_seconds),
        add_duration(aggregate.own, run.own_seconds, coarse_bucket_index),
    )


def add_skip(aggregate: Aggregate, cause: SkipCause) -> Aggregate:
    """Return an aggregate with one more run that was due and not started."""
    return _increment(aggregate, SKIPPED + cause)


def merge_aggregates(aggregates: Iterable[Aggregate]) -> Aggregate:
    """Return the aggregate of everything that these hold."""
    counts: Counter[str] = Counter()
    every = list(aggregates)  # iterated four times
    for aggregate in every:
        counts.update(aggregate.counts)
    return Aggregate(
        dict(counts),
        merge_histograms(aggregate.server for aggregate in every),
        merge_histograms(aggregate.network for aggregate in every),
        merge_histograms(aggregate.own for aggregate in every),
    )


def _increment(aggregate: Aggregate, kind: str) -> Aggregate:
    return replace(aggregate, counts=_incremented(aggregate.counts, kind))


def _incremented(counts: Mapping[str, int], kind: str) -> Mapping[str, int]:
    return {**counts, kind: counts.get(kind, 0) + 1}


BUCKET_SECONDS = 900


@dataclass(frozen=True, slots=True)
class TimeBucket:
    """A tenant's runs in a quarter of an hour, by culprit (`none`: successful).

    `paused` runs were due and not started, because the token was rejected. `server_seconds`,
    `network_seconds` and `own_seconds` are sums over the `splits` responses with a known server
    time; `own_seconds` is 0 in what was recorded before it was kept.

    The history has a column for each field (`history.writer.BUCKET_COLUMNS`): a new field needs a
    migration.
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
    own_seconds: float = 0.0

    def __add__(self, other: "TimeBucket") -> "TimeBucket":
        return TimeBucket(*map(add, bucket_values(self), bucket_values(other)))

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        return sum(self.count_of(culprit) for culprit in Culprit)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return self.runs - self.none

    def count_of(self, culprit: Culprit) -> int:
        """Return how many runs a culprit is responsible for."""
        count: int = getattr(self, culprit.value)
        return count


BUCKET_FIELDS = tuple(TimeBucket.__dataclass_fields__)
# One call for all fields: sums of 30 days add up thousands of buckets for each tenant.
_all_fields_of = attrgetter(*BUCKET_FIELDS)


def bucket_values(bucket: TimeBucket) -> tuple[Any, ...]:
    """Return all numbers of a time bucket, in the order of its fields."""
    numbers: tuple[Any, ...] = _all_fields_of(bucket)
    return numbers


def bucket_start(timestamp: float) -> int:
    """Return the start (epoch seconds) of the time bucket that a time falls into."""
    return int(timestamp // BUCKET_SECONDS) * BUCKET_SECONDS


def bucket_for(run: RunSummary) -> TimeBucket:
    """Return the time bucket that holds one run."""
    if run.in_maintenance:
        return TimeBucket(in_maintenance=1)
    counts = {run.culprit.value: 1}
    if run.server_seconds is None or run.network_seconds is None:
        return TimeBucket(**counts)
    return TimeBucket(
        **counts,
        splits=1,
        server_seconds=run.server_seconds,
        network_seconds=run.network_seconds,
        own_seconds=run.own_seconds or 0.0,
    )


def bucket_from_aggregate(aggregate: Aggregate) -> TimeBucket:
    """Return the runs of an aggregate as a time bucket, without their latency."""
    by_culprit = {culprit.value: count for culprit, count in aggregate.by_culprit.items()}
    return TimeBucket(
        **by_culprit, paused=aggregate.paused, in_maintenance=aggregate.in_maintenance
    )


def sum_buckets(buckets: Iterable[TimeBucket]) -> TimeBucket:
    """Return the sum of time buckets."""
    return TimeBucket(*map(sum, zip(*map(bucket_values, (TimeBucket(), *buckets)), strict=True)))
