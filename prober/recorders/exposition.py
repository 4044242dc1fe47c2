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

from prober.recorders.families import Family, Kind
from prober.recorders.series import Histogram, Shelf, bounds

_TEXTS_AT_A_TIME = 200
_GAP_SECONDS = 0.0002


def render(
    shelves: Iterable[Shelf], lock: AbstractContextManager[object], *, openmetrics: bool
) -> bytes:
    """Return the exposition of all shelves at one moment; may be called in any thread.

    The lock is held only while references to the texts are copied. They are joined a few at a
    time, with gaps in between in which the event loop gets hold of the interpreter: it would wait
    for 5 ms otherwise, and so would every answer that is being timed.
    """
    with lock:
        taken = [(shelf.family, list(shelf.texts.values())) for shelf in shelves]
    parts = []
    for family, texts in taken:
        parts.append(_heading(family, openmetrics=openmetrics).encode())
        for begin in range(0, len(texts), _TEXTS_AT_A_TIME):
            parts.append("".join(texts[begin : begin + _TEXTS_AT_A_TIME]).encode())
            if len(texts) > _TEXTS_AT_A_TIME:
                time.sleep(_GAP_SECONDS)
    if openmetrics:
        parts.append(b"# EOF\n")
    return b"".join(parts)


def _heading(family: Family, *, openmetrics: bool) -> str:
    name, text = family.name, family.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        name, text = name.removesuffix("_total"), text.replace('"', r"\"")
    return f"# HELP {name} {text}\n# TYPE {name} {family.kind.value}\n"


class ShelfCollector(Collector):
    """Yields what stands on the shelves as the client's own families."""

    def __init__(self, shelves: Iterable[Shelf], lock: AbstractContextManager[object]) -> None:
        self._shelves = shelves
        self._lock = lock

    def collect(self) -> Iterator[Metric]:
        """Return the families of one moment."""
        with self._lock:
            return iter([_collected(shelf) for shelf in self._shelves])


def _collected(shelf: Shelf) -> Metric:
    family = shelf.family
    if family.kind is Kind.HISTOGRAM:
        return _collected_histogram(shelf)
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=shelf.labels)
    for block in shelf.blocks.values():
        if not isinstance(block, Histogram):
            for key, value in block.values.items():
                metric.add_metric(block.owner + block.tails[key], value)
    return metric


def _collected_histogram(shelf: Shelf) -> Metric:
    metric = HistogramMetricFamily(shelf.family.name, shelf.family.help, labels=shelf.labels)
    for block in shelf.blocks.values():
        if isinstance(block, Histogram):
            buckets = list(zip(bounds(shelf.family), block.counts, strict=True))
            metric.add_metric(block.owner, buckets, block.total)
    return metric
