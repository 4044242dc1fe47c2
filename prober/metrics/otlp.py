"""Pushes the metrics by OTLP over HTTP, where nothing may scrape the prober. Off by default.

OpenTelemetry's own exporter sends them (the extra `otlp`); its variables apply, such as
OTEL_EXPORTER_OTLP_HEADERS for credentials and OTEL_EXPORTER_OTLP_CERTIFICATE. The names are those
of `/metrics`, except that counters have no `_total`: a receiver adds it again.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import TYPE_CHECKING

from prober.errors import ProberError
from prober.metrics.definitions import MetricType
from prober.metrics.registry import Histogram, MetricFamily, le_values
from prober.version import Build

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import (
        HistogramDataPoint,
        Metric,
        MetricsData,
        NumberDataPoint,
    )

_TOTAL = "_total"
_NANOSECONDS = 1_000_000_000


class OtlpMissingError(ProberError):
    """OpenTelemetry's exporter is not installed."""


class OtlpPusher:
    """Pushes every `interval_seconds` until it is closed. `collect` returns the data; may block.

    A receiver that is away costs its data points and a log line by OpenTelemetry, and nothing else:
    values are cumulative, and the next push has them all.
    """

    def __init__(
        self,
        endpoint: str,
        interval_seconds: float,
        collect: Callable[[], "MetricsData"],
    ) -> None:
        self._interval_seconds = interval_seconds
        self._collect = collect
        self._exporter = _create_exporter(endpoint, interval_seconds)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to push."""
        self._task = asyncio.create_task(self._push_forever(), name="OTLP push")

    async def close(self) -> None:
        """Stop, and push the last values."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await asyncio.to_thread(self._push)
            await asyncio.to_thread(self._exporter.shutdown)

    async def _push_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            await asyncio.to_thread(self._push)

    def _push(self) -> None:
        self._exporter.export(self._collect())


def _create_exporter(endpoint: str, interval_seconds: float) -> "OTLPMetricExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter,
        )
    except ImportError as error:
        raise OtlpMissingError(
            "metrics.otlp needs OpenTelemetry's exporter: install the extra, prober[otlp]"
        ) from error
    return OTLPMetricExporter(endpoint=endpoint, timeout=min(interval_seconds, 10.0))


def metrics_data(
    families: Iterable[MetricFamily],
    lock: AbstractContextManager[object],
    build: Build,
    instance: str,
    started_at: float,
) -> "MetricsData":
    """Return all values now; the lock is held for one family at a time.

    `instance` names this prober among others: it becomes Prometheus' label `instance`, and
    `service.name` its label `job`.
    """
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        MetricsData,
        ResourceMetrics,
        ScopeMetrics,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

    resource = Resource(
        {
            "service.name": "prober",
            "service.instance.id": instance,
            "service.version": build.version,
        }
    )
    times = (int(started_at * _NANOSECONDS), time.time_ns())
    metrics = [metric for family in families for metric in _metrics(family, lock, times)]
    scope = ScopeMetrics(InstrumentationScope("prober", build.version), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metrics(
    family: MetricFamily, lock: AbstractContextManager[object], times: tuple[int, int]
) -> Iterator["Metric"]:
    from opentelemetry.sdk.metrics import export  # noqa: PLC0415

    definition, cumulative = family.definition, export.AggregationTemporality.CUMULATIVE
    with lock:
        if definition.kind is MetricType.HISTOGRAM:
            histograms = list(_histogram_points(family, times))
        else:
            numbers = list(_number_points(family, times))
    if definition.kind is MetricType.HISTOGRAM:
        data: export.DataT = export.Histogram(histograms, cumulative)
    elif definition.kind is MetricType.COUNTER:
        data = export.Sum(numbers, cumulative, is_monotonic=True)
    else:
        data = export.Gauge(numbers)
    if data.data_points:
        yield export.Metric(definition.name.removesuffix(_TOTAL), definition.help, "", data)


def _number_points(family: MetricFamily, times: tuple[int, int]) -> Iterator["NumberDataPoint"]:
    from opentelemetry.sdk.metrics.export import NumberDataPoint  # noqa: PLC0415

    for samples in family.samples_by_owner.values():
        if not isinstance(samples, Histogram):
            for key, value in samples.values.items():
                names = samples.owner + samples.suffixes[key]
                labels = dict(zip(family.labels, names, strict=True))
                yield NumberDataPoint(labels, *times, value)


def _histogram_points(
    family: MetricFamily, times: tuple[int, int]
) -> Iterator["HistogramDataPoint"]:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint  # noqa: PLC0415

    bounds = [float(each) for each in le_values(family.definition)[:-1]]
    for samples in family.samples_by_owner.values():
        if isinstance(samples, Histogram):
            own = [after - before for before, after in pairwise((0, *samples.counts))]
            labels = dict(zip(family.labels, samples.owner, strict=True))
            # The registry keeps neither the least nor the greatest value: both are left out.
            yield HistogramDataPoint(
                labels,
                *times,
                samples.counts[-1],
                samples.total,
                own,
                bounds,
                min=None,  # type: ignore[arg-type]
                max=None,  # type: ignore[arg-type]
            )
