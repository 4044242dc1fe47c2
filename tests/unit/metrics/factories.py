"""Results with good defaults: name only what matters."""

from collections.abc import Mapping

from prober.metrics.sink import HistogramScope, PrometheusSink
from prober.models import (
    Failure,
    HttpExchange,
    Latency,
    Phases,
    Probe,
    ProbeResult,
    Response,
    Tenant,
    TokenSource,
    TokenSourceKind,
    Verdict,
)
from prober.outcomes import CLASSIFICATION, FailureKind, Reason, Responder, ServerTimingAnomaly
from prober.version import Build
from tests import builders

NOW = 1_763_941_234.125


def a_probe(name: str = "datasets", interval_seconds: float = 60.0) -> Probe:
    return builders.a_probe(name=name, interval_seconds=interval_seconds)


def a_tenant(name: str = "acme", *probes: Probe, **labels: str) -> Tenant:
    return builders.a_tenant(
        name=name,
        environment="production",
        base_url=f"https://{name}.example/acme/prod/reinfer_",
        token=TokenSource(TokenSourceKind.ENVIRONMENT, "TOKEN"),
        probes=probes or (a_probe(),),
        labels=labels,
    )


def an_answer(
    reason: Reason = Reason.OK,
    *,
    provenance: Responder = Responder.PLATFORM,
    status: int = 200,
    server: float | ServerTimingAnomaly = 0.25,
    network: float = 0.0625,
    own: float = 0.0,
    loop_lag: float = 0.0,
    certificate_expiry: float | None = None,
    facts: Mapping[str, str] | None = None,
) -> ProbeResult:
    phases = Phases(resolve=0.001, connect=0.01, tls=0.02, send=0.001, wait=0.28, transfer=0.0005)
    if isinstance(server, ServerTimingAnomaly):
        latency = Latency(network + own, own_seconds=own, anomaly=server)
    else:
        latency = Latency(server + network + own, server, network, own)
    exchange = HttpExchange(
        "GET",
        "https://acme.example/",
        latency.total_seconds,
        phases,
        Response(status, (), b"{}"),
        loop_lag_seconds=loop_lag,
        certificate_expiry_timestamp_seconds=certificate_expiry,
    )
    return a_result(exchange, reason, provenance, latency, facts)


def a_failure(kind: FailureKind, *, loop_lag: float = 0.0) -> ProbeResult:
    failure = Failure(kind, "seen by a test")
    phases = Phases(resolve=0.002, connect=0.5)
    partial = Response(200, (), b"{") if kind is FailureKind.TRUNCATED else None
    exchange = HttpExchange(
        "GET",
        "https://acme.example/",
        0.5,
        phases,
        response=partial,
        failure=failure,
        loop_lag_seconds=loop_lag,
    )
    return a_result(exchange, Reason(kind.value), Responder.NOBODY, Latency(0.5))


def a_result(
    exchange: HttpExchange,
    reason: Reason,
    provenance: Responder,
    latency: Latency,
    facts: Mapping[str, str] | None = None,
) -> ProbeResult:
    row, facts = CLASSIFICATION[reason], {"a": "b"} if facts is None else facts
    verdict = Verdict(
        row.outcome, reason, row.culprit, provenance, "15", "seen by a test", latency, facts
    )
    return ProbeResult("acme", "datasets", NOW, exchange, verdict)


def some_metrics(*tenants: Tenant, histograms: HistogramScope = "probe") -> PrometheusSink:
    return PrometheusSink(
        tenants or (a_tenant(),),
        histograms=histograms,
        max_loop_lag_seconds=0.05,
        started_at=NOW,
        build=Build("1.2.3", "4f5e6d7c"),
    )
