"""Standings with good defaults: a test names only what matters to it."""

from dataclasses import replace
from typing import Any

from prober.maintenance import FOREVER, MaintenanceStatus
from prober.models import (
    Failure,
    HttpExchange,
    Latency,
    ProbeResult,
    Response,
    TokenSource,
    TokenSourceKind,
    TokenStatus,
    Verdict,
)
from prober.outcomes import (
    CLASSIFICATION,
    FailureKind,
    LatencyComponent,
    Reason,
    Responder,
    SkipCause,
    TokenState,
)
from prober.stats.aggregates import TimeBucket
from prober.stats.incidents import FailureStreak
from prober.stats.status import ProbeStatus, TenantStatus
from tests.builders import a_probe, a_tenant

NOW = 1_763_942_400.0  # 2025-11-24T00:00:00Z
SOURCE = TokenSource(TokenSourceKind.FILE, "/etc/prober/acme.token")
VALID = TokenStatus("acme", SOURCE, TokenState.VALID, "0123abcd", first_accepted_at=NOW - 900)


def a_result(
    reason: Reason = Reason.OK,
    *,
    probe: str = "datasets",
    status: int = 200,
    ago: float = 10.0,
    latency: Latency = Latency(0.3, 0.2, 0.1),  # noqa: B008 -- it is frozen
    facts: dict[str, str] | None = None,
) -> ProbeResult:
    row = CLASSIFICATION[reason]
    failed = reason.value in {kind.value for kind in FailureKind}
    provenance = Responder.NOBODY if failed else Responder.PLATFORM
    verdict = Verdict(
        row.outcome, reason, row.culprit, provenance, "11", "what was seen", latency, facts or {}
    )
    exchange = HttpExchange(
        "GET",
        "https://acme.example/api/v1/datasets",
        0.3,
        response=None if failed else Response(status, (), b"{}"),
        failure=Failure(FailureKind(reason.value), "seen") if failed else None,
    )
    return ProbeResult("acme", probe, NOW - ago, exchange, verdict)


def a_standing(
    name: str = "datasets",
    reason: Reason | None = Reason.OK,
    *,
    slow: tuple[LatencyComponent, ...] = (),
    skipped: SkipCause | None = None,
    failing_for: float | None = None,
    **result: Any,  # noqa: ANN401 -- whatever a result takes
) -> ProbeStatus:
    probe = a_probe(name=name, sent_path=f"/api/v1/{name}")
    if reason is None:
        return ProbeStatus(probe, skipped=skipped)
    streak = None
    if failing_for is not None:
        since = NOW - failing_for
        culprit = CLASSIFICATION[reason].culprit
        streak = FailureStreak(
            "acme", name, culprit, reason, "11", "what was seen", since, NOW - 10
        )
    return ProbeStatus(probe, a_result(reason, probe=name, **result), streak, slow, skipped)


def a_tenant_standing(*probes: ProbeStatus, **overrides: Any) -> TenantStatus:  # noqa: ANN401
    shown = probes or (a_standing(),)
    tenant = a_tenant(
        name="acme",
        base_url="https://acme.example/reinfer_",
        token=SOURCE,
        probes=tuple(each.probe for each in shown),
    )
    standing = TenantStatus(
        tenant=tenant,
        token=VALID,
        probes=shown,
        buckets={},
        month=TimeBucket(),
        maintenance=MaintenanceStatus(None, NOW, FOREVER),
        known_since=NOW - 86_400 * 9,
    )
    return replace(standing, **overrides)
