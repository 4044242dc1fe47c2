"""What a scrape is answered with: the ready texts of all families, joined.

The same numbers can be collected through prometheus-client's own registry; a test holds the two
byte-equal, for text 0.0.4 and for OpenMetrics 1.0.0.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from prober.metrics.definitions import MetricDefinition, MetricType
from prober.metrics.registry import Histogram, MetricFamily, le_values

_PART_CHARACTERS = 256 * 1024
_GAP_SECONDS = 0.0002


def iter_exposition(families: Iterable[MetricFamily], *, openmetrics: bool) -> Iterator[bytes]:
    """Yield the exposition of all shelves, a little at a time; may be called in any thread.

    Between parts the thread sleeps, so that the event loop gets hold of the interpreter: it would
    have to wait for 5 ms otherwise, and so would every answer that is being timed.
    """
    for shelf in families:
        texts = list(shelf.texts.values())
        yield _heading(shelf.family, openmetrics=openmetrics).encode()
        step = max(1, _PART_CHARACTERS // (1 + len(texts[-1]))) if texts else 1
        for begin in range(0, len(texts), step):
            yield "".join(texts[begin : begin + step]).encode()
            if len(texts) > step:
                time.sleep(_GAP_SECONDS)
    if openmetrics:
        yield b"# EOF\n"


def _heading(family: MetricDefinition, *, openmetrics: bool) -> str:
    name, text = family.name, family.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total"), text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind.value}\n"


class RegistryCollector(Collector):
    """Yields what stands on the shelves as the client's own families."""

    def __init__(
        self, families: Iterable[MetricFamily], lock: AbstractContextManager[object]
    ) -> None:
        self._shelves = families
        self._lock = lock

    def collect(self) -> Iterator[Metric]:
        """Return the families of one moment."""
        with self._lock:
            return iter([_collected(shelf) for shelf in self._shelves])


def _collected(metric_family: MetricFamily) -> Metric:
    family = metric_family.family
    if family.kind is MetricType.HISTOGRAM:
        return _collected_histogram(metric_family)
    kind = CounterMetricFamily if family.kind is MetricType.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=metric_family.labels)
    for block in metric_family.blocks.values():
        if not isinstance(block, Histogram):
            for key, value in block.values.items():
                metric.add_metric(block.owner + block.tails[key], value)
    return metric


def _collected_histogram(metric_family: MetricFamily) -> Metric:
    metric = HistogramMetricFamily(
        metric_family.family.name, metric_family.family.help, labels=metric_family.labels
    )
    for block in metric_family.blocks.values():
        if isinstance(block, Histogram):
            buckets = list(zip(le_values(metric_family.family), block.counts, strict=True))
            metric.add_metric(block.owner, buckets, block.total)
    return metric
