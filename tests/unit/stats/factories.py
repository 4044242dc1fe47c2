"""Runs with good defaults: a test names only what matters to it."""

from prober.outcomes import Reason
from prober.stats.aggregates import RunSummary

NOW = 1_763_942_400.0  # 2025-11-24T00:00:00Z


def a_run(
    at: float = 0.0,
    reason: Reason = Reason.OK,
    *,
    probe: str = "datasets",
    tenant: str = "acme",
    in_maintenance: bool = False,
    server: float | None = None,
    network: float | None = None,
) -> RunSummary:
    """Return a run that began `at` seconds after NOW."""
    evidence = "" if reason is Reason.OK else f"the evidence of {reason}"
    return RunSummary(
        tenant, probe, NOW + at, reason, evidence, "11", in_maintenance, server, network
    )
