"""Tenants and probes with valid values: a test names only what matters to it."""

from typing import Any

from prober.models import (
    AlertSeverity,
    ConnectionPolicy,
    Probe,
    Tenant,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
)


def a_probe(**overrides: Any) -> Probe:  # noqa: ANN401 -- whatever fields a Probe has
    defaults: dict[str, Any] = {
        "name": "datasets",
        "sent_path": "/api/v1/datasets",
        "method": "GET",
        "interval_seconds": 60.0,
        "timeout_seconds": 10.0,
        "connect_timeout_seconds": 5.0,
        "connection": ConnectionPolicy.FRESH,
        "max_response_bytes": 1024 * 1024,
        "server_objective_seconds": 2.5,
        "network_objective_seconds": 0.5,
        "severity": AlertSeverity.TICKET,
    }
    return Probe(**{**defaults, **overrides})


def a_transport(**overrides: Any) -> TransportOptions:  # noqa: ANN401 -- whatever fields it has
    return TransportOptions(**{"proxy_url": None, "proxy_from_environment": True, **overrides})


def a_tenant(**overrides: Any) -> Tenant:  # noqa: ANN401 -- whatever fields a Tenant has
    defaults: dict[str, Any] = {
        "name": "acme-prod",
        "environment": "production",
        "base_url": "https://cloud.uipath.com/acme/prod/reinfer_",
        "token": TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_PROD_TOKEN"),
        "probes": (a_probe(),),
        "transport": a_transport(),
        "availability_objective_ratio": 0.995,
        "concurrency": 10,
    }
    return Tenant(**{**defaults, **overrides})
