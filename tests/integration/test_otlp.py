"""Metrics that are pushed, against a receiver on loopback."""

import gzip
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics

from prober.metrics.otlp import OtlpMissingError, OtlpPusher
from prober.metrics.sink import PrometheusSink
from prober.version import Build
from tests.programs import end, seconds_until, started
from tests.unit.metrics.factories import a_probe, a_tenant, an_answer


class Receiver:
    """What was received, and the credentials of each push; `status` is that of its responses."""

    def __init__(self) -> None:
        self.pushed: list[ResourceMetrics] = []
        self.authorizations: list[str | None] = []
        self.status = 200

    def metric(self, name: str) -> Metric | None:
        """Return a metric of the last push."""
        if not self.pushed:
            return None
        (scope,) = self.pushed[-1].scope_metrics
        return next((each for each in scope.metrics if each.name == name), None)


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.authorizations.append(self.headers.get("Authorization"))
            receiver.pushed += ExportMetricsServiceRequest.FromString(body).resource_metrics
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver, f"http://127.0.0.1:{server.server_port}/v1/metrics"
        finally:
            server.shutdown()
            thread.join()


def labels(point: NumberDataPoint) -> dict[str, str]:
    return {each.key: each.value.string_value for each in point.attributes}


async def test_the_values_are_those_of_a_scrape() -> None:
    sink = PrometheusSink(
        [a_tenant("acme", a_probe())],
        histograms="probe",
        max_loop_lag_seconds=0.05,
        started_at=1.0,
        build=Build("1.2.3"),
    )
    sink.on_result(an_answer())
    with receiving() as (receiver, url):
        pusher = OtlpPusher(url, 3600.0, lambda: sink.otlp_data(Build("1.2.3"), "here"))
        pusher.start()
        await pusher.close()  # the last values are pushed at the end
    (pushed,) = receiver.pushed
    resource = {each.key: each.value.string_value for each in pushed.resource.attributes}
    assert resource["service.name"] == "prober"
    assert resource["service.instance.id"] == "here"
    runs, success = receiver.metric("prober_probe_runs"), receiver.metric("prober_probe_success")
    duration = receiver.metric("prober_probe_duration_seconds")
    assert runs is not None
    assert success is not None
    assert duration is not None
    assert runs.sum.is_monotonic
    counted = {labels(each)["reason"]: each.as_double for each in runs.sum.data_points}
    assert counted.pop("ok") == 1
    assert set(counted.values()) == {0}
    assert [each.as_double for each in success.gauge.data_points] == [1]
    (point,) = duration.histogram.data_points
    assert (point.count, sum(point.bucket_counts)) == (1, 1)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert point.sum == pytest.approx(an_answer().verdict.latency.total_seconds)
    assert not point.HasField("min")
    scraped = {family.name for family in sink.registry.collect() if family.samples}
    (scope,) = pushed.scope_metrics
    assert {each.name for each in scope.metrics} == scraped


def test_the_daemon_pushes_with_the_variables_of_opentelemetry(tmp_path: Path) -> None:
    with receiving() as (receiver, url):
        file = tmp_path / "prober.yaml"
        file.write_text(
            "web: {listen: '127.0.0.1:0'}\n"
            "state: {directory: state}\n"
            f"metrics: {{otlp: {{endpoint: '{url}', interval: 1s}}}}\n"
            "defaults: {interval: 1s, timeout: 900ms}\n"
            "tenants:\n"
            "  - {name: lab, base_url: 'http://127.0.0.1:1/x', token: {env: HOME},\n"
            "     probes: [datasets]}\n"
        )
        command = ("run", "--config", str(file))
        log, environ = tmp_path / "log", {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20YQ"}
        with started(*command, until=r"(daemon\.started)", log=log, **environ) as (process, _):
            seconds_until(lambda: receiver.metric("prober_probe_runs") is not None)
            receiver.status = 503
            seen = len(receiver.pushed)
            seconds_until(lambda: len(receiver.pushed) > seen)
            receiver.status = 200
            assert end(process) == 0
    assert set(receiver.authorizations) == {"Basic YQ"}


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OtlpMissingError, match=r"install the extra, prober\[otlp\]"):
        OtlpPusher("http://127.0.0.1:1", 60.0, lambda: None)  # type: ignore[arg-type,return-value]
