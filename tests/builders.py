"""Tenants, probes and exchanges with good defaults: a test names only what matters to it."""

from typing import Any

from prober.model import (
    Exchange,
    Failure,
    Phases,
    Probe,
    Response,
    Tenant,
    TokenSource,
    TokenSourceKind,
)
from prober.outcomes import FailureKind

URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
SERVER_TIMING = ("Server-Timing", "total;dur=37.7")
JSON = ("Content-Type", "application/json")


def a_probe(**overrides: Any) -> Probe:  # noqa: ANN401 -- whatever fields a Probe has
    return Probe(**{"name": "datasets", "path": "/api/v1/datasets", **overrides})


def a_tenant(**overrides: Any) -> Tenant:  # noqa: ANN401 -- whatever fields a Tenant has
    defaults: dict[str, Any] = {
        "name": "acme-prod",
        "environment": "production",
        "base_url": "https://cloud.uipath.com/acme/prod/reinfer_",
        "token": TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_PROD_TOKEN"),
        "probes": (a_probe(),),
    }
    return Tenant(**{**defaults, **overrides})


def an_answer(
    status: int = 200,
    body: bytes = b'{"status":"ok"}',
    headers: tuple[tuple[str, str], ...] = (JSON, SERVER_TIMING),
) -> Exchange:
    return Exchange(
        method="GET",
        url=URL,
        total_seconds=0.5,
        phases=Phases(resolve=0.0625, connect=0.0625, tls=0.125, wait=0.25),
        response=Response(status, headers, body),
    )


def a_failure(kind: FailureKind) -> Exchange:
    return Exchange(
        method="GET", url=URL, total_seconds=10.0, failure=Failure(kind, "seen by a test")
    )
