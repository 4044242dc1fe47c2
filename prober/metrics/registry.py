"""Numbers and their text, kept together: of what has changed the lines are made anew, once.

A `Shelf` holds one family. On it stands one block for each owner (a probe, a tenant, a host, or
the daemon itself), and for each block one text. A change makes the text stale, and no more: it is
made anew before the next scrape, however many changes there were until then.

All families with the label values that they begin with: every series at 0 before anything ran.

The closed sets of words give the label values, so that a new word has its series without a change
here. Families whose label values only the world knows begin empty.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Literal

from prometheus_client.utils import floatToGoString

from prober.metrics.definitions import (
    LATENCY_HISTOGRAMS,
    METRIC_DEFINITIONS,
    MetricDefinition,
    MetricType,
)
from prober.models import PHASE_NAMES, Tenant
from prober.outcomes import (
    CLASSIFICATION,
    Culprit,
    HistoryDropReason,
    LatencyComponent,
    Outcome,
    Reason,
    RejectionCause,
    ServerTimingAnomaly,
    SkipCause,
    TimingFallback,
    TokenState,
)

Labels = tuple[str, ...]

NO_LABELS = ""
"""The key of a series that is its owner's only one."""

Dirty = OrderedDict[Labels, list["LabelledSamples | Histogram"]]
"""Whose texts are to be made anew, by their owners."""

_COUNT, _SUM = ("_count",), ("_sum",)
_MAX_TEMPLATES = 64
_EXPONENT_FROM = 1e6  # where the client begins to write exponents


class MetricFamily:
    """One family: its blocks by owner, and the text of each, in the same order.

    `labels` may name more labels than the family does (a tenant's own). `tails` are those of a
    histogram's lines. `stale` may be shared by many shelves.
    """

    __slots__ = (
        "_beginnings",
        "_templates",
        "blocks",
        "family",
        "labels",
        "stale",
        "tails",
        "texts",
    )

    def __init__(self, family: MetricDefinition, dirty: Dirty) -> None:
        self.family = family
        self.stale = dirty
        self._templates: dict[tuple[Labels, tuple[Labels, ...], str], str] = {}
        self._beginnings: dict[tuple[tuple[str, ...], float], dict[str, float]] = {}
        self.labels = family.labels
        self.tails = (*((le,) for le in le_values(family)), _COUNT, _SUM)
        self.blocks: dict[Labels, LabelledSamples | Histogram] = {}
        self.texts: dict[Labels, str] = {}

    def block(
        self,
        owner: Labels,
        tails: Mapping[str, Labels],
        value: float | None = 0.0,
    ) -> "LabelledSamples":
        """Return the samples of `owner`, created if new; see `LabelledSamples` for the rest."""
        found = self.blocks.get(owner)
        if not isinstance(found, LabelledSamples):
            found = self.blocks[owner] = LabelledSamples(self, owner, tails, value)
        return found

    def histogram(self, owner: Labels) -> "Histogram":
        """Return the histogram of `owner`, made empty if it is new."""
        found = self.blocks.get(owner)
        if not isinstance(found, Histogram):
            found = self.blocks[owner] = Histogram(self, owner)
        return found

    @property
    def series_count(self) -> int:
        """How many series stand here now."""
        return sum(block.series_count for block in self.blocks.values())

    def initial_values(self, keys: tuple[str, ...], value: float) -> dict[str, float]:
        """Return the values that blocks begin with; shared, since most never get others."""
        key = keys, value
        if key not in self._beginnings:
            self._beginnings[key] = dict.fromkeys(keys, value)
        return self._beginnings[key]

    def mark_dirty(self, block: "LabelledSamples | Histogram") -> None:
        """Take note that a block has changed since its text was made."""
        self.texts.setdefault(block.owner, "")  # its place among the others
        self.stale.setdefault(block.owner, []).append(block)

    def refresh(
        self,
        block: "LabelledSamples | Histogram",
        tails: tuple[Labels, ...],
        numbers: tuple[float, ...],
    ) -> None:
        """Make a block's text anew, unless it is gone: a line for each tail and number."""
        if self.blocks.get(block.owner) is not block:
            return
        owner = _ordered_labels(self.labels[: len(block.owner)], block.owner)
        if numbers and numbers.count(numbers[0]) == len(numbers):  # as most are for ever
            template = self._template(len(owner), tails, format_value(numbers[0]))
            self.texts[block.owner] = template % (owner * len(numbers))
            return
        filling: list[str] = []
        for each in numbers:
            filling += owner
            filling.append(format_value(each))
        self.texts[block.owner] = self._template(len(owner), tails) % tuple(filling)

    def drop(self, owner: Labels) -> None:
        """Forget an owner's series."""
        block = self.blocks.pop(owner, None)
        self.texts.pop(owner, None)
        left = [each for each in self.stale.pop(owner, ()) if each is not block]
        if left:  # an owner of the same name on another shelf
            self.stale[owner] = left

    def _template(self, owner_labels: int, tails: tuple[Labels, ...], value: str = "%s") -> str:
        """Return lines that lack their owner's label values, and their numbers if not told."""
        key = self.labels, tails, value
        if key not in self._templates:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            owner = self.labels[:owner_labels]
            self._templates[key] = "".join(self._line(owner, tail, value) for tail in tails)
        return self._templates[key]

    def _line(self, owner: Labels, tail: Labels, value: str) -> str:
        name, labels = self.family.name, self.labels[len(owner) :]
        if self.family.kind is MetricType.HISTOGRAM:
            if tail in {_COUNT, _SUM}:
                name, tail = name + tail[0], ()
            else:
                name, labels = f"{name}_bucket", ("le",)
        known = zip(labels, (each.replace("%", "%%") for each in tail), strict=True)
        return f"{name}{format_labels(known, owner)} {value}\n"


class LabelledSamples:
    """One owner's series of a counter or a gauge.

    A series is known by a key; `tails` says for each key which label values follow the owner's.
    All begin at `value`, or are absent if it is None.
    """

    __slots__ = ("_is_stale", "_owns_values", "_shelf", "owner", "tails", "values")

    def __init__(
        self,
        family: MetricFamily,
        owner: Labels,
        tails: Mapping[str, Labels],
        value: float | None,
    ) -> None:
        self.owner = owner
        self.tails = tails
        self.values: dict[str, float] = {}
        self._owns_values = True
        self._shelf = family
        self._is_stale = False
        self.redefine(tails, value)

    @property
    def series_count(self) -> int:
        """How many series have a value."""
        return len(self.values)

    def redefine(self, tails: Mapping[str, Labels], value: float | None) -> None:
        """Forget all series and begin anew with these."""
        self.tails = tails
        self._fill({} if value is None else self._shelf.initial_values(tuple(tails), value))
        self._owns_values = False

    def declare(self, key: str, tail: Labels) -> None:
        """Make a series known; it is absent until it has a value."""
        self.tails = {**self.tails, key: tail}

    def set(self, value: float, key: str = NO_LABELS) -> None:
        """Give a series a value."""
        if self.values.get(key) != value:
            if not self._owns_values:
                self.values, self._owns_values = dict(self.values), True
            self.values[key] = value
            if not self._is_stale:
                self._is_stale = True
                self._shelf.mark_dirty(self)

    def add(self, amount: float = 1.0, key: str = NO_LABELS) -> None:
        """Add to a series that has a value."""
        self.set(self.values[key] + amount, key)

    def replace(self, values: Mapping[str, float]) -> None:
        """Give the series of `values` these values, and make all others absent."""
        if values != self.values:
            self._fill(dict(values))

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        tails = tuple([self.tails[key] for key in self.values])
        self._shelf.refresh(self, tails, tuple(self.values.values()))

    def _fill(self, values: dict[str, float]) -> None:
        self.values, self._owns_values = values, True
        if not self._is_stale:
            self._is_stale = True
            self._shelf.mark_dirty(self)


class Histogram:
    """One owner's histogram."""

    __slots__ = ("_in_buckets", "_is_stale", "_shelf", "owner", "total")

    def __init__(self, family: MetricFamily, owner: Labels) -> None:
        self.owner = owner
        self._in_buckets = [0] * (len(family.family.buckets) + 1)
        self.total = 0.0
        self._shelf = family
        self._is_stale = True
        family.mark_dirty(self)

    @property
    def buckets(self) -> tuple[float, ...]:
        """The upper bounds of all buckets but the last."""
        return self._shelf.family.buckets

    @property
    def counts(self) -> tuple[int, ...]:
        """How many measurements do not exceed each upper bound; the last one (+Inf) counts all."""
        return tuple(accumulate(self._in_buckets))

    @property
    def series_count(self) -> int:
        """How many series this is: the buckets, the count and the sum."""
        return len(self._in_buckets) + 2

    def observe(self, value: float) -> None:
        """Count one measurement."""
        self.total += value
        self._in_buckets[bisect_left(self._shelf.family.buckets, value)] += 1
        if not self._is_stale:
            self._is_stale = True
            self._shelf.mark_dirty(self)

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        counts = self.counts
        self._shelf.refresh(self, self._shelf.tails, (*counts, counts[-1], self.total))


@lru_cache(maxsize=64)
def le_values(family: MetricDefinition) -> tuple[str, ...]:
    """Return the values of `le`, +Inf last."""
    return (*map(floatToGoString, family.buckets), "+Inf")


def format_value(value: float) -> str:
    """Return a finite number as the client writes it."""
    if 0.0 <= value < _EXPONENT_FROM:
        return repr(float(value))
    text: str = floatToGoString(value)
    return text


def format_labels(pairs: Iterable[tuple[str, str]], left_open: Labels = ()) -> str:
    """Return `{a="1",b="2"}`, sorted by name as the client does, or nothing.

    Values of `left_open` are `%s`.
    """
    known = [(name, f'{name}="{_escaped(value)}"') for name, value in pairs]
    every = sorted(known + [(name, f'{name}="%s"') for name in left_open])
    return f"{{{','.join(text for _, text in every)}}}" if every else ""


@lru_cache(maxsize=64)  # an owner's blocks are made anew one after the other
def _ordered_labels(names: Labels, values: Labels) -> Labels:
    """Return label values as text, in the order in which the client writes their names."""
    return tuple(_escaped(value) for _, value in sorted(zip(names, values, strict=True)))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


HistogramScope = Literal["probe", "tenant", "off"]
"""Whether the latency histograms exist for each probe, for each tenant, or not at all."""

LOOP_LAG = "loop_lag"
OWN = "own"
SINK_NAMES = ("metrics", "log", "status", "history", "runner")
"""The event sinks of the daemon itself; label values of `prober_sink_failures_total`."""
GOOD_CODE, OTHER = "200", "other"

_Tails = Mapping[str, Labels]
_ONE: _Tails = MappingProxyType({NO_LABELS: ()})


def _label_values(words: Iterable[str]) -> _Tails:
    return MappingProxyType(
        {word: (word.value if isinstance(word, StrEnum) else word,) for word in words}
    )


def _verdict(reason: Reason) -> Labels:
    row = CLASSIFICATION[reason]
    return (row.outcome.value, reason.value, row.culprit.value)


_TAILS: Mapping[str, _Tails] = MappingProxyType(
    {
        "prober_probe_runs_total": MappingProxyType({r: _verdict(r) for r in Reason}),
        "prober_probe_consecutive_failures": _label_values(
            c for c in Culprit if c is not Culprit.NONE
        ),
        "prober_probe_last_duration_seconds": _label_values((*LatencyComponent, OWN)),
        "prober_probe_last_phase_duration_seconds": _label_values(PHASE_NAMES),
        "prober_probe_latency_objective_missed_total": _label_values(LatencyComponent),
        "prober_probe_latency_objective_seconds": _label_values(LatencyComponent),
        "prober_probe_http_responses_total": _label_values((GOOD_CODE, OTHER)),
        "prober_probe_server_timing_anomalies_total": _label_values(ServerTimingAnomaly),
        "prober_measurements_discarded_total": _label_values((LOOP_LAG,)),
        "prober_probe_timing_fallbacks_total": _label_values(TimingFallback),
        "prober_token_state": _label_values(TokenState),
        "prober_token_rejected_cause": _label_values(RejectionCause),
        "prober_token_rejections_total": _label_values(RejectionCause),
        "prober_probe_skipped_total": _label_values(SkipCause),
        "prober_maintenance_runs_total": _label_values(Outcome),
        "prober_history_dropped_total": _label_values(HistoryDropReason),
        "prober_sink_failures_total": _label_values(SINK_NAMES),  # others when they first fail
        "prober_shard_active": _label_values(("0",)),  # more where there are more shards
    }
)
_ABSENT_AT_START = frozenset(
    {
        "prober_probe_last_duration_seconds",
        "prober_probe_last_phase_duration_seconds",
        "prober_probe_last_tcp_rtt_seconds",
        "prober_token_info",
        "prober_token_expiry_timestamp_seconds",
        "prober_tls_certificate_expiry_timestamp_seconds",
        "prober_config_info",
    }
)


class MetricRegistry:
    """The shelves of all families, in the table's order."""

    def __init__(self, histograms: HistogramScope) -> None:
        self._stale: Dirty = OrderedDict()
        self._shelves = {
            family.name: MetricFamily(family, self._stale) for family in _families(histograms)
        }

    @property
    def families(self) -> Collection[MetricFamily]:
        """Every shelf, in the table's order."""
        return self._shelves.values()

    @property
    def series_count(self) -> int:
        """How many series (lines of text) there are now."""
        return sum(shelf.series_count for shelf in self.families)

    def refresh(self, most_owners: int) -> int:
        """Make stale texts anew, of so many owners; return how many there are left.

        What belongs to one owner is of one moment.
        """
        for _ in range(min(most_owners, len(self._stale))):
            _, blocks = self._stale.popitem(last=False)
            for block in blocks:
                block.refresh()
        return len(self._stale)

    def block(self, name: str, owner: Labels = ()) -> LabelledSamples:
        """Return an owner's series of a family, made with its closed sets if they are new."""
        value = None if name in _ABSENT_AT_START else 0.0
        return self._shelves[name].block(owner, _TAILS.get(name, _ONE), value)

    def set_info(self, name: str, owner: Labels, tail: Labels | None) -> None:
        """Set an owner's one series of an info family: 1 with `tail` as labels; None: absent."""
        tails: _Tails = {} if tail is None else {NO_LABELS: tail}
        self._shelves[name].block(owner, tails, 1.0).redefine(tails, 1.0)

    def extend_labels(self, name: str, wanted: Iterable[str]) -> Labels:
        """Give a family further labels after its own, and return these, sorted.

        A name that the family has of its own is left out. Its series must be told anew.
        """
        shelf = self._shelves[name]
        extra = tuple(sorted(set(wanted) - set(shelf.family.labels)))
        shelf.labels = shelf.family.labels + extra
        return extra

    def histogram(self, name: str, owner: Labels = ()) -> Histogram | None:
        """Return an owner's histogram, or that of its tenant, or None if there shall be none."""
        shelf = self._shelves.get(name)
        return None if shelf is None else shelf.histogram(owner[: len(shelf.labels)])

    def keep_only(self, owners: Mapping[Labels, Collection[Labels]]) -> None:
        """Forget every owner that is not in `owners`, which is keyed by the owners' labels."""
        for shelf in self.families:
            wanted = owners.get(shelf.family.owner_labels)
            if wanted is not None:
                for owner in [owner for owner in shelf.blocks if owner not in wanted]:
                    shelf.drop(owner)


def series_estimate(tenants: Sequence[Tenant], histograms: HistogramScope) -> int:
    """Return how many series these settings yield at start, by arithmetic alone.

    Later come at most 18 for each probe (three parts, seven phases, seven more status codes, a
    round trip), two for each token, one for each host.
    """
    owners = {
        (): 1,
        ("tenant",): len(tenants),
        ("tenant", "probe"): sum(len(tenant.probes) for tenant in tenants),
    }
    return sum(
        _series_at_start(family) * owners.get(family.owner_labels, 0)
        for family in _families(histograms)
    )


def _series_at_start(family: MetricDefinition) -> int:
    if family.kind is MetricType.HISTOGRAM:
        return len(le_values(family)) + len(("count", "sum"))
    if family.name in _ABSENT_AT_START:
        return 0
    return len(_TAILS.get(family.name, _ONE))


def _families(histograms: HistogramScope) -> tuple[MetricDefinition, ...]:
    if histograms == "off":
        return tuple(
            family for family in METRIC_DEFINITIONS if family.name not in LATENCY_HISTOGRAMS
        )
    if histograms == "tenant":
        return tuple(
            replace(family, labels=("tenant",)) if family.name in LATENCY_HISTOGRAMS else family
            for family in METRIC_DEFINITIONS
        )
    return METRIC_DEFINITIONS
