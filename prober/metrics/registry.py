"""Metric values and their exposition text: only the text of what changed is rendered again.

With ten thousand probes there are about a million series, and few of them change between two
scrapes. So each `MetricFamily` keeps, for each owner (a probe, a tenant, a host, or the daemon
itself), the values and the rendered lines. A change marks the owner's lines as dirty and does no
more; they are rendered once before the next scrape, however many changes there were.

`MetricRegistry` holds all families. Every series whose label values are known in advance is
exported as 0 from the start, so that `rate()` and `increase()` see the first event. The enums of
`outcomes` are those label values: a new member gets its series without a change here. Families
whose label values are not known in advance start empty.
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
from prober.metrics.exemplars import Exemplar, MeasuredRequest
from prober.models import CANARY_STAGES, MAX_ITEMS, PHASE_NAMES, Probe, Tenant
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
from prober.stats.aggregates import run_kind
from prober.status_page import IMPACTS

Labels = tuple[str, ...]
"""Label names, or label values in the order of their names."""

NO_LABELS = ""
"""The key of a series that is the only one of its owner."""

Dirty = OrderedDict[Labels, list["LabelledSamples | Histogram"]]
"""What has to be rendered again, by owner. Shared by all families of a registry."""

_COUNT, _SUM = ("_count",), ("_sum",)
_NO_EXEMPLARS: Mapping[int, Exemplar] = MappingProxyType({})
_MAX_TEMPLATES = 64
_EXPONENT_FROM = 1e6  # from here on prometheus-client writes exponents


class MetricFamily:
    """All series of one metric: values and rendered text by owner, in the same order.

    `labels` starts as the labels of the definition and may get more (a tenant's own labels).
    `histogram_suffixes` are the suffixes of a histogram's lines. `dirty` may be shared by many
    families.
    """

    __slots__ = (
        "_initial_values",
        "_templates",
        "definition",
        "dirty",
        "histogram_suffixes",
        "labels",
        "samples_by_owner",
        "text_by_owner",
    )

    def __init__(self, definition: MetricDefinition, dirty: Dirty) -> None:
        self.definition = definition
        self.dirty = dirty
        self._templates: dict[tuple[Labels, tuple[Labels, ...], str], str] = {}
        self._initial_values: dict[tuple[tuple[str, ...], float], dict[str, float]] = {}
        self.labels = definition.labels
        self.histogram_suffixes = (*((le,) for le in le_values(definition)), _COUNT, _SUM)
        self.samples_by_owner: dict[Labels, LabelledSamples | Histogram] = {}
        self.text_by_owner: dict[Labels, str] = {}

    def samples(
        self,
        owner: Labels,
        suffixes: Mapping[str, Labels],
        value: float | None = 0.0,
    ) -> "LabelledSamples":
        """Return the samples of `owner`, created if new; see `LabelledSamples` for the rest."""
        known = self.samples_by_owner.get(owner)
        if not isinstance(known, LabelledSamples):
            known = self.samples_by_owner[owner] = LabelledSamples(self, owner, suffixes, value)
        return known

    def histogram(self, owner: Labels) -> "Histogram":
        """Return the histogram of `owner`, created empty if new."""
        known = self.samples_by_owner.get(owner)
        if not isinstance(known, Histogram):
            known = self.samples_by_owner[owner] = Histogram(self, owner)
        return known

    @property
    def series_count(self) -> int:
        """The number of series now."""
        return sum(samples.series_count for samples in self.samples_by_owner.values())

    def initial_values(self, keys: tuple[str, ...], value: float) -> dict[str, float]:
        """Return values for new samples. The dict is shared: copy it before the first change."""
        # Many series, such as skips and anomalies, keep their initial 0 forever. With thousands
        # of probes one shared dict for all of them saves memory.
        key = keys, value
        if key not in self._initial_values:
            self._initial_values[key] = dict.fromkeys(keys, value)
        return self._initial_values[key]

    def mark_dirty(self, samples: "LabelledSamples | Histogram") -> None:
        """Note that samples have changed since they were rendered."""
        # The empty text reserves the place: the order of owners in the exposition must be that
        # of `samples_by_owner`, not the order in which they happen to be rendered.
        self.text_by_owner.setdefault(samples.owner, "")
        self.dirty.setdefault(samples.owner, []).append(samples)

    def render(
        self,
        samples: "LabelledSamples | Histogram",
        suffixes: tuple[Labels, ...],
        values: tuple[float, ...],
    ) -> None:
        """Render the text of samples, one line for each suffix and value."""
        # A reload may have dropped the samples, or replaced them by others of the same owner,
        # while they were waiting to be rendered.
        if self.samples_by_owner.get(samples.owner) is not samples:
            return
        owner = _ordered_labels(self.labels[: len(samples.owner)], samples.owner)
        # Equal values, nearly always zeros, go into the template: one number is formatted in
        # place of dozens.
        if values and values.count(values[0]) == len(values):
            template = self._template(len(owner), suffixes, format_value(values[0]))
            self.text_by_owner[samples.owner] = template % (owner * len(values))
            return
        parameters: list[str] = []
        for value in values:
            parameters += owner
            parameters.append(format_value(value))
        template = self._template(len(owner), suffixes)
        self.text_by_owner[samples.owner] = template % tuple(parameters)

    def drop(self, owner: Labels) -> None:
        """Delete the series of an owner."""
        samples = self.samples_by_owner.pop(owner, None)
        self.text_by_owner.pop(owner, None)
        # The dirty samples of other families with the same owner have to stay.
        left = [each for each in self.dirty.pop(owner, ()) if each is not samples]
        if left:
            self.dirty[owner] = left

    def _template(self, owner_labels: int, suffixes: tuple[Labels, ...], value: str = "%s") -> str:
        """Return the lines with `%s` for the owner's label values and, by default, the value."""
        key = self.labels, suffixes, value
        if key not in self._templates:
            # Status codes and equal values make new templates; the limit bounds their memory.
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            owner = self.labels[:owner_labels]
            self._templates[key] = "".join(self._line(owner, each, value) for each in suffixes)
        return self._templates[key]

    def _line(self, owner: Labels, suffix: Labels, value: str) -> str:
        name, labels = self.definition.name, self.labels[len(owner) :]
        if self.definition.kind is MetricType.HISTOGRAM:
            if suffix in {_COUNT, _SUM}:
                name, suffix = name + suffix[0], ()
            else:
                name, labels = f"{name}_bucket", ("le",)
        # The line becomes a %-template, so a percent sign in a label value has to be doubled.
        pairs = zip(labels, (each.replace("%", "%%") for each in suffix), strict=True)
        return f"{name}{format_labels(pairs, owner)} {value}\n"


class LabelledSamples:
    """The series of one owner in a counter or gauge family.

    Each series has a key; `suffixes` maps the key to the label values that follow the owner's.
    All series start at `value`, or are absent if it is None.
    """

    __slots__ = ("_family", "_is_dirty", "_owns_values", "owner", "suffixes", "values")

    def __init__(
        self,
        family: MetricFamily,
        owner: Labels,
        suffixes: Mapping[str, Labels],
        value: float | None,
    ) -> None:
        self.owner = owner
        self.suffixes = suffixes
        self.values: dict[str, float] = {}
        self._owns_values = True
        self._family = family
        self._is_dirty = False
        self.redefine(suffixes, value)

    @property
    def series_count(self) -> int:
        """The number of series that have a value."""
        return len(self.values)

    def redefine(self, suffixes: Mapping[str, Labels], value: float | None) -> None:
        """Replace all series by these, with a new initial value."""
        self.suffixes = suffixes
        initial = {} if value is None else self._family.initial_values(tuple(suffixes), value)
        self._set_values(initial)
        self._owns_values = False

    def declare(self, key: str, suffix: Labels) -> None:
        """Add a series; it is absent until it has a value."""
        self.suffixes = {**self.suffixes, key: suffix}

    def set(self, value: float, key: str = NO_LABELS) -> None:
        """Set the value of a series."""
        if self.values.get(key) != value:
            if not self._owns_values:  # copy on write: see `MetricFamily.initial_values`
                self.values, self._owns_values = dict(self.values), True
            self.values[key] = value
            self._mark_dirty()

    def add(self, amount: float = 1.0, key: str = NO_LABELS) -> None:
        """Add to the value of a series; raises KeyError if it has none."""
        self.set(self.values[key] + amount, key)

    def replace(self, values: Mapping[str, float]) -> None:
        """Set the values of these series; all others become absent."""
        if values != self.values:
            self._set_values(dict(values))

    def replace_series(self, values: Mapping[Labels, float]) -> None:
        """Set the values of the series with these label values; all others become absent."""
        keyed = {"\0".join(suffix): suffix for suffix in values}
        if keyed != dict(self.suffixes):
            self.suffixes = keyed
        self.replace(dict(zip(keyed, values.values(), strict=True)))

    def refresh(self) -> None:
        """Render the text again."""
        # Cleared first: a change that comes later must mark the samples again.
        self._is_dirty = False
        suffixes = tuple([self.suffixes[key] for key in self.values])
        self._family.render(self, suffixes, tuple(self.values.values()))

    def _set_values(self, values: dict[str, float]) -> None:
        self.values, self._owns_values = values, True
        self._mark_dirty()

    def _mark_dirty(self) -> None:
        if not self._is_dirty:
            self._is_dirty = True
            self._family.mark_dirty(self)


class Histogram:
    """The histogram of one owner."""

    __slots__ = (
        "_bucket_counts",
        "_family",
        "_is_dirty",
        "exemplars",
        "owner",
        "rendered_exemplars",
        "total",
    )

    def __init__(self, family: MetricFamily, owner: Labels) -> None:
        self.owner = owner
        # Counts of single buckets, not cumulative: an observation changes only one of them.
        self._bucket_counts = [0] * (len(family.definition.buckets) + 1)
        self.total = 0.0
        # By the index of the bucket. Replaced and never changed: a scrape reads it in a thread.
        self.exemplars = self.rendered_exemplars = _NO_EXEMPLARS
        self._family = family
        self._is_dirty = True
        family.mark_dirty(self)

    @property
    def buckets(self) -> tuple[float, ...]:
        """The upper bounds of all buckets except +Inf."""
        return self._family.definition.buckets

    @property
    def counts(self) -> tuple[int, ...]:
        """The cumulative counts, one for each upper bound; the last one (+Inf) counts all."""
        return tuple(accumulate(self._bucket_counts))

    @property
    def series_count(self) -> int:
        """The number of series: the buckets, the count and the sum."""
        return len(self._bucket_counts) + 2

    def observe(self, value: float, request: MeasuredRequest | None = None) -> None:
        """Count one observation; `request` makes it the exemplar of its bucket."""
        self.total += value
        # bisect_left: a value equal to an upper bound belongs to that bucket (`le`).
        index = bisect_left(self._family.definition.buckets, value)
        self._bucket_counts[index] += 1
        if request is not None:
            self.exemplars = {**self.exemplars, index: Exemplar(request, value)}
        if not self._is_dirty:
            self._is_dirty = True
            self._family.mark_dirty(self)

    def refresh(self) -> None:
        """Render the text again."""
        self._is_dirty = False
        self.rendered_exemplars = self.exemplars
        counts = self.counts
        values = (*counts, counts[-1], self.total)
        self._family.render(self, self._family.histogram_suffixes, values)


@lru_cache(maxsize=64)
def le_values(definition: MetricDefinition) -> tuple[str, ...]:
    """Return the values of the label `le`, with +Inf last."""
    return (*map(floatToGoString, definition.buckets), "+Inf")


def format_value(value: float) -> str:
    """Return a finite number as prometheus-client writes it."""
    # repr() is what the client calls for this range too, and skips its checks: this runs for
    # every changed series of every scrape.
    if 0.0 <= value < _EXPONENT_FROM:
        return repr(float(value))
    text: str = floatToGoString(value)
    return text


def format_labels(pairs: Iterable[tuple[str, str]], placeholders: Labels = ()) -> str:
    """Return `{a="1",b="2"}`, or an empty text without labels.

    Names are sorted, as prometheus-client sorts them. The value of each label in `placeholders`
    is `%s`.
    """
    known = [(name, f'{name}="{_escape(value)}"') for name, value in pairs]
    every = sorted(known + [(name, f'{name}="%s"') for name in placeholders])
    return f"{{{','.join(text for _, text in every)}}}" if every else ""


# The samples of one owner are rendered one after the other, so a small cache has most hits.
@lru_cache(maxsize=64)
def _ordered_labels(names: Labels, values: Labels) -> Labels:
    """Return escaped label values in the order of their sorted names, as in the template."""
    return tuple(_escape(value) for _, value in sorted(zip(names, values, strict=True)))


def _escape(value: str) -> str:
    # The backslash comes first: the other two replacements add backslashes.
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


HistogramScope = Literal["probe", "tenant", "off"]
"""Whether the latency histograms exist for each probe, for each tenant, or not at all."""

LOOP_LAG = "loop_lag"
OWN = "own"
SINK_NAMES = ("metrics", "log", "status", "history", "runner", "permissions")
"""The event sinks of the daemon itself; label values of `prober_sink_failures_total`."""
GOOD_CODE, OTHER = "200", "other"

_Suffixes = Mapping[str, Labels]
_SINGLE_SERIES: _Suffixes = MappingProxyType({NO_LABELS: ()})


def _label_values(words: Iterable[str]) -> _Suffixes:
    # The key of an enum member is the member itself: it hashes and compares like its text.
    return MappingProxyType(
        {word: (word.value if isinstance(word, StrEnum) else word,) for word in words}
    )


def verdict_labels(reason: Reason, culprit: Culprit) -> Labels:
    """Return the values of `outcome`, `reason` and `culprit`."""
    return (CLASSIFICATION[reason].outcome.value, reason.value, culprit.value)


# Reasons with a varying culprit are left out: which culprits a probe can have is known from its
# expectations and checks.
_RUNS: _Suffixes = MappingProxyType(
    {
        run_kind(reason, row.culprit): verdict_labels(reason, row.culprit)
        for reason, row in CLASSIFICATION.items()
        if not row.culprit_varies
    }
)


_SUFFIXES: Mapping[str, _Suffixes] = MappingProxyType(
    {
        "prober_probe_runs_total": _RUNS,
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
        "prober_sink_failures_total": _label_values(SINK_NAMES),  # other sinks: once they fail
        "prober_canary_seconds": _label_values(CANARY_STAGES),
        "prober_status_page_incidents": _label_values(IMPACTS),
        "prober_shard_active": _label_values(("0",)),  # redefined where there are more shards
        "prober_probe_check_failed": MappingProxyType({}),  # as the probe's checks have it
    }
)
_ABSENT_AT_START = frozenset(
    {
        "prober_probe_last_duration_seconds",
        "prober_probe_last_phase_duration_seconds",
        "prober_probe_last_tcp_rtt_seconds",
        "prober_probe_value",
        "prober_probe_value_timestamp_seconds",
        "prober_token_info",
        "prober_token_permission_missing",
        "prober_token_expiry_timestamp_seconds",
        "prober_tls_certificate_expiry_timestamp_seconds",
        "prober_config_info",
        "prober_canary_seconds",
        "prober_status_page_readable",
        "prober_status_page_read_timestamp_seconds",
        "prober_status_page_incidents",
        "prober_status_page_incident_start_timestamp_seconds",
    }
)


class MetricRegistry:
    """The families of all metrics, in the order of `METRIC_DEFINITIONS`.

    Not thread-safe: `PrometheusSink` holds its lock around every call.
    """

    def __init__(self, histograms: HistogramScope) -> None:
        self._dirty: Dirty = OrderedDict()
        self._families = {
            definition.name: MetricFamily(definition, self._dirty)
            for definition in _definitions(histograms)
        }

    @property
    def families(self) -> Collection[MetricFamily]:
        """All families, in the order of the exposition."""
        return self._families.values()

    @property
    def series_count(self) -> int:
        """The number of series (lines of the exposition) now."""
        return sum(family.series_count for family in self.families)

    def refresh(self) -> int:
        """Render the dirty text of one owner; return how many owners are left."""
        if self._dirty:
            # All families of one owner together, so that the numbers of one probe (its runs and
            # its durations, for example) are of the same time in every scrape. The owner that has
            # waited longest comes first: a probe that changes all the time cannot starve others.
            _, waiting = self._dirty.popitem(last=False)
            for samples in waiting:
                samples.refresh()
        return len(self._dirty)

    def samples(self, name: str, owner: Labels = ()) -> LabelledSamples:
        """Return the samples of an owner in a family, created with all known label values."""
        value = None if name in _ABSENT_AT_START else 0.0
        return self._families[name].samples(owner, _SUFFIXES.get(name, _SINGLE_SERIES), value)

    def set_info(self, name: str, owner: Labels, values: Labels | None) -> None:
        """Set the only series of an owner in an info family to 1; None makes it absent.

        `values` are the label values after the owner's. They replace the present ones: an info
        metric must not keep a series for each earlier value.
        """
        suffixes: _Suffixes = {} if values is None else {NO_LABELS: values}
        self._families[name].samples(owner, suffixes, 1.0).redefine(suffixes, 1.0)

    def extend_labels(self, name: str, wanted: Iterable[str]) -> Labels:
        """Add labels after a family's own, and return the added ones, sorted.

        A name that the family has itself is left out. The caller must set all samples of the
        family again, since their label values no longer match.
        """
        family = self._families[name]
        extra = tuple(sorted(set(wanted) - set(family.definition.labels)))
        family.labels = family.definition.labels + extra
        return extra

    def histogram(self, name: str, owner: Labels = ()) -> Histogram | None:
        """Return the histogram of an owner or of its tenant; None if there is no such family."""
        family = self._families.get(name)
        # A family per tenant has one label: the probe is cut off from the owner.
        return None if family is None else family.histogram(owner[: len(family.labels)])

    def drop(self, name: str, owner: Labels) -> None:
        """Delete the series of an owner in one family."""
        self._families[name].drop(owner)

    def keep_only(self, owners: Mapping[Labels, Collection[Labels]]) -> None:
        """Delete the series of every owner that is not in `owners`.

        `owners` is keyed by owner labels; families with other owner labels stay as they are.
        """
        for family in self.families:
            wanted = owners.get(family.definition.owner_labels)
            if wanted is not None:
                for owner in [each for each in family.samples_by_owner if each not in wanted]:
                    family.drop(owner)


def series_estimate(tenants: Sequence[Tenant], histograms: HistogramScope) -> int:
    """Return how many series this configuration has at start, without creating them.

    The values of checks are counted as many as there can be. Later there are at most 18 more for
    each probe (three latency components, seven phases, seven more status codes, a round-trip time),
    two for each token, and one for each host.
    """
    owner_counts = {
        (): 1,
        ("tenant",): len(tenants),
        ("tenant", "probe"): sum(len(tenant.probes) for tenant in tenants),
    }
    probes = [probe for tenant in tenants for probe in tenant.probes]
    of_probes = sum(
        len(each.expectations.culprits) + len(each.needs or ()) + _check_series(each)
        for each in probes
    )
    return of_probes + sum(
        _series_at_start(definition) * owner_counts.get(definition.owner_labels, 0)
        for definition in _definitions(histograms)
    )


def _check_series(probe: Probe) -> int:
    """Return the greatest number of series of a probe's checks: values, failed or not, runs."""
    values = sum(MAX_ITEMS if check.each else 1 for check in probe.checks)
    gauges = sum(check.has_limits for check in probe.checks)
    return min(values, MAX_ITEMS) + gauges + len(probe.check_culprits)


def _series_at_start(definition: MetricDefinition) -> int:
    if definition.kind is MetricType.HISTOGRAM:
        return len(le_values(definition)) + len(("count", "sum"))
    if definition.name in _ABSENT_AT_START:
        return 0
    return len(_SUFFIXES.get(definition.name, _SINGLE_SERIES))


def _definitions(histograms: HistogramScope) -> tuple[MetricDefinition, ...]:
    if histograms == "off":
        return tuple(each for each in METRIC_DEFINITIONS if each.name not in LATENCY_HISTOGRAMS)
    if histograms == "tenant":
        return tuple(
            replace(each, labels=("tenant",)) if each.name in LATENCY_HISTOGRAMS else each
            for each in METRIC_DEFINITIONS
        )
    return METRIC_DEFINITIONS
