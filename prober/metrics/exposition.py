"""The text of a scrape: the rendered lines of all families, joined.

The same values can be collected through prometheus-client's own registry. A test compares both
byte for byte, for the Prometheus text format 0.0.4 and for OpenMetrics 1.0.0.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ClientExemplar

from prober.metrics.definitions import MetricDefinition, MetricType
from prober.metrics.exemplars import LABEL
from prober.metrics.registry import (
    Histogram,
    LabelledSamples,
    MetricFamily,
    format_value,
    le_values,
)

_CHUNK_CHARACTERS = 256 * 1024


def iter_exposition(families: Iterable[MetricFamily], *, openmetrics: bool) -> Iterator[bytes]:
    """Yield the exposition in chunks, which are compressed one by one; from any thread."""
    for family in families:
        texts = _texts(family, openmetrics=openmetrics)
        yield _heading(family.definition, openmetrics=openmetrics).encode()
        # All owners of a family have texts of about the same length.
        owners_per_chunk = max(1, _CHUNK_CHARACTERS // (1 + len(texts[-1]))) if texts else 1
        for start in range(0, len(texts), owners_per_chunk):
            yield "".join(texts[start : start + owners_per_chunk]).encode()
    if openmetrics:
        # OpenMetrics requires the end marker: a reader can tell a complete text from a cut one.
        yield b"# EOF\n"


def _texts(family: MetricFamily, *, openmetrics: bool) -> list[str]:
    """Return the text of each owner, in OpenMetrics with the exemplars of histograms."""
    # A copy: the event loop may add or drop owners while a chunk is being sent. A text itself
    # is never changed, only replaced.
    if not openmetrics or family.definition.kind is not MetricType.HISTOGRAM:
        return list(family.text_by_owner.values())
    return [
        _with_exemplars(text, family.samples_by_owner.get(owner))
        for owner, text in list(family.text_by_owner.items())
    ]


def _with_exemplars(text: str, samples: LabelledSamples | Histogram | None) -> str:
    if not isinstance(samples, Histogram) or not samples.rendered_exemplars:
        return text
    lines = text.split("\n")  # the buckets come first
    for index, (request, value) in samples.rendered_exemplars.items():
        labels = f'{{{LABEL}="{request.request_id}"}}'
        lines[index] += f" # {labels} {format_value(value)} {request.started_at}"
    return "\n".join(lines)


def _heading(definition: MetricDefinition, *, openmetrics: bool) -> str:
    name, text = definition.name, definition.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        # In OpenMetrics the name of a counter family has no `_total`, only its samples have, and
        # quotes in a help text are escaped. The text format 0.0.4 does neither.
        name, text = name.removesuffix("_total"), text.replace('"', r"\"")
    unit = f"# UNIT {name} {definition.unit}\n" if openmetrics and definition.unit else ""
    return f"# HELP {name} {text}\n# TYPE {name} {definition.kind.value}\n{unit}"


class RegistryCollector(Collector):
    """Yields the values of all families as metric families of prometheus-client."""

    def __init__(
        self, families: Iterable[MetricFamily], lock: AbstractContextManager[object]
    ) -> None:
        self._families = families
        self._lock = lock

    def collect(self) -> Iterator[Metric]:
        """Return all families, consistent with each other."""
        # A list and not a generator: the client iterates after this method has returned, and
        # then the lock is not held.
        with self._lock:
            return iter([_collect(family) for family in self._families])


def _collect(family: MetricFamily) -> Metric:
    definition = family.definition
    if definition.kind is MetricType.HISTOGRAM:
        return _collect_histogram(family)
    kind = CounterMetricFamily if definition.kind is MetricType.COUNTER else GaugeMetricFamily
    metric = kind(definition.name, definition.help, labels=family.labels, unit=definition.unit)
    for samples in family.samples_by_owner.values():
        if not isinstance(samples, Histogram):
            for key, value in samples.values.items():
                metric.add_metric(samples.owner + samples.suffixes[key], value)
    return metric


def _collect_histogram(family: MetricFamily) -> Metric:
    metric = HistogramMetricFamily(
        family.definition.name,
        family.definition.help,
        labels=family.labels,
        unit=family.definition.unit,
    )
    for samples in family.samples_by_owner.values():
        if isinstance(samples, Histogram):
            metric.add_metric(samples.owner, list(_buckets(family, samples)), samples.total)
    return metric


def _buckets(
    family: MetricFamily, histogram: Histogram
) -> Iterator[tuple[str, float] | tuple[str, float, ClientExemplar]]:
    for index, (le, count) in enumerate(
        zip(le_values(family.definition), histogram.counts, strict=True)
    ):
        exemplar = histogram.exemplars.get(index)
        if exemplar is None:
            yield le, count
        else:
            labels = {LABEL: exemplar.request.request_id}
            yield le, count, ClientExemplar(labels, exemplar.value, exemplar.request.started_at)
