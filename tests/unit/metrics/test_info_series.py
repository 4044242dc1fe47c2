"""Info series: what alert rules join on, from the first scrape and after a reload."""

from dataclasses import replace

import pytest

from prober.models import AlertSeverity, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import RejectionCause, TokenState
from tests.builders import a_probe
from tests.unit.metrics.factories import a_tenant, some_metrics

PAGE = a_probe(name="datasets", severity=AlertSeverity.PAGE)


def lines(text: bytes, name: str) -> list[str]:
    return [each for each in text.decode().splitlines() if each.startswith(f"{name}{{")]


def test_a_probe_says_how_severe_its_own_alerts_are_and_follows_a_reload() -> None:
    tenant = a_tenant("acme", PAGE, a_probe(name="sources"))
    metrics = some_metrics(tenant)
    assert lines(metrics.render(openmetrics=False), "prober_probe_info") == [
        'prober_probe_info{probe="datasets",severity="page",tenant="acme"} 1.0',
        'prober_probe_info{probe="sources",severity="ticket",tenant="acme"} 1.0',
    ]
    metrics.apply([replace(tenant, probes=(replace(PAGE, severity=AlertSeverity.TICKET),))])
    assert lines(metrics.render(openmetrics=False), "prober_probe_info") == [
        'prober_probe_info{probe="datasets",severity="ticket",tenant="acme"} 1.0',
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
