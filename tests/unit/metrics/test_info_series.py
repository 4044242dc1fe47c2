"""Info series: what alert rules join on, from the first scrape and after a reload."""

from dataclasses import replace

import pytest

from prober.metrics.sink import PrometheusSink
from prober.models import AlertSeverity, Tenant, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import RejectionCause, TokenState
from tests.builders import a_probe
from tests.unit.metrics.factories import a_tenant, some_metrics

PAGE = a_probe(name="datasets", severity=AlertSeverity.PAGE)


def lines(text: bytes, name: str) -> list[str]:
    return [each for each in text.decode().splitlines() if each.startswith(f"{name}{{")]


def info(*tenants: Tenant, metrics: PrometheusSink | None = None) -> list[str]:
    """Return the labels of the info series of all probes."""
    sink = metrics or some_metrics(*tenants)
    found = lines(sink.render(openmetrics=False), "prober_probe_info")
    return [line.removeprefix("prober_probe_info{").removesuffix("} 1.0") for line in found]


def test_a_probe_says_how_severe_its_own_alerts_are_and_follows_a_reload() -> None:
    tenant = a_tenant("acme", PAGE, a_probe(name="sources"))
    metrics = some_metrics(tenant)
    assert info(metrics=metrics) == [
        'environment="production",probe="datasets",severity="page",tenant="acme"',
        'environment="production",probe="sources",severity="ticket",tenant="acme"',
    ]
    metrics.apply([replace(tenant, probes=(replace(PAGE, severity=AlertSeverity.TICKET),))])
    assert info(metrics=metrics) == [
        'environment="production",probe="datasets",severity="ticket",tenant="acme"',
    ]
    metrics.apply([replace(tenant, environment="test")])
    assert 'environment="test",probe="datasets",severity="page",tenant="acme"' in (
        info(metrics=metrics)
    )


def test_a_probe_has_the_environment_of_its_project() -> None:
    own = replace(PAGE, project="dev", environment="development")
    assert info(a_tenant("acme", own, a_probe(name="sources", project="prod"))) == [
        'environment="development",probe="datasets",severity="page",tenant="acme"',
        'environment="production",probe="sources",severity="ticket",tenant="acme"',
    ]


@pytest.mark.parametrize("fingerprint", [None, "8402192c"])
def test_a_tokens_source_is_known_without_a_token_too(fingerprint: str | None) -> None:
    metrics = some_metrics(a_tenant("acme", PAGE))
    source = TokenSource(TokenSourceKind.OAUTH, "https://x/token")
    metrics.on_token_status(
        TokenStatus(
            "acme",
            source,
            TokenState.REJECTED,
            fingerprint=fingerprint,
            cause=RejectionCause.SUPERSEDED,
        )
    )
    (line,) = lines(metrics.render(openmetrics=False), "prober_token_info")
    assert f'fingerprint="{fingerprint or ""}"' in line
    assert 'source="oauth"' in line
