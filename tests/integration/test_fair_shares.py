"""Tenants that hang do not keep others from being probed."""

import asyncio
from collections import Counter

import structlog
from pydantic import SecretStr

from prober.classifier.rules import classify
from prober.config.sections import SchedulerSettings
from prober.metrics.sink import PrometheusSink
from prober.models import (
    HttpExchange,
    Probe,
    ProbeResult,
    Request,
    SkippedRun,
    Tenant,
    TokenRef,
    TransportOptions,
)
from prober.outcomes import SkipCause
from prober.probe import ProbeDeps
from prober.runner import ProbeRunner
from prober.sinks import EventSink
from prober.tokens.manager import TokenLease
from prober.version import Build
from tests.builders import a_probe, a_tenant
from tests.unit.classifier.factories import an_answer


class Installation(EventSink):
    """Grants every token, and lets the requests of some tenants hang."""

    def __init__(self, tenants: list[Tenant]) -> None:
        self.recorded: Counter[str] = Counter()
        self.skipped: Counter[tuple[str, SkipCause]] = Counter()
        self.end = asyncio.Event()
        metrics = PrometheusSink(
            tenants, histograms="off", max_loop_lag_seconds=1.0, started_at=0.0, build=Build("1")
        )
        collaborators = ProbeDeps(self, self, classify, lambda: 0.0)  # type: ignore[arg-type]
        logger = structlog.get_logger("prober")
        self.runs = ProbeRunner(collaborators, self, self, metrics, logger)  # type: ignore[arg-type]
        self.runs.apply(tenants, SchedulerSettings())
        self.runs.enable()

    async def lease(self, tenant: Tenant) -> TokenLease:
        return TokenLease(SecretStr("token"), TokenRef("0123abcd", tenant.token))

    def may_probe(self, *_: object) -> bool:
        return True

    def on_run_started(self, *_: object) -> None: ...

    def observe(self, *_: object) -> None: ...

    async def exchange(self, request: Request, _: Probe, __: TransportOptions) -> HttpExchange:
        if "hung" in request.url:
            await self.end.wait()
        return an_answer()

    def on_result(self, result: ProbeResult) -> None:
        self.recorded[result.tenant] += 1

    def on_skip(self, skip: SkippedRun) -> None:
        self.skipped[skip.tenant, skip.cause] += 1


async def test_a_healthy_tenant_is_probed_beside_a_hundred_that_hang() -> None:
    probes = tuple(a_probe(name=f"p{n}") for n in range(10))
    tenants = [
        a_tenant(name=f"t{n}", base_url=f"http://hung-{n}.test", probes=probes) for n in range(300)
    ]
    tenants.append(a_tenant(name="healthy", base_url="http://healthy.test", probes=probes))
    installation = Installation(tenants)
    now = asyncio.get_running_loop().time()
    for _ in range(3):
        for tenant in tenants:
            for probe in tenant.probes:
                installation.runs.on_due(tenant.name, probe.name, now)
                if tenant.name == "healthy":
                    for _ in range(10):  # a run takes a few turns of the loop
                        await asyncio.sleep(0)
    assert installation.recorded["healthy"] == 30
    assert not [key for key in installation.skipped if key[0] == "healthy"]
    assert installation.runs.in_flight == 200 + 300
    installation.end.set()
    assert await installation.runs.drain(10.0) == 0
    assert installation.runs._busy_tenants == 0
