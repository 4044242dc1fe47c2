"""Tenants and probes with good defaults: a test names only what matters to it."""

from typing import Any

from prober.models import Probe, Tenant, TokenSource, TokenSourceKind


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
