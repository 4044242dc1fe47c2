"""A Retry-After pauses the tenant that it was given to, and no other."""

import asyncio
from collections import Counter

import pytest
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
    Response,
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
from tests.virtual_time import in_virtual_time, running_loop

PROBES = (a_probe(name="one"), a_probe(name="two"))
TENANTS = [
    a_tenant(name=name, base_url=f"http://{name}.test", probes=PROBES) for name in ("acme", "beta")
]


class Platform(EventSink):
    """Gives `acme` a response, and everybody else a 200; counts requests and skipped runs."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.requests: Counter[str] = Counter()
        self.skipped: Counter[tuple[str, SkipCause]] = Counter()
        metrics = PrometheusSink(
            TENANTS, histograms="off", max_loop_lag_seconds=1.0, started_at=0.0, build=Build("1")
        )
        deps = ProbeDeps(self, self, classify, lambda: running_loop().time())  # type: ignore[arg-type]
        logger = structlog.get_logger("prober")
        self.runner = ProbeRunner(deps, self, self, metrics, logger)  # type: ignore[arg-type]
        self.runner.apply(TENANTS, SchedulerSettings())
        self.runner.enable()

    async def lease(self, tenant: Tenant) -> TokenLease:
        return TokenLease(SecretStr("token"), TokenRef("0123abcd", tenant.token))

    def may_probe(self, *_: object) -> bool:
        return True

    def on_run_started(self, *_: object) -> None: ...

    def observe(self, *_: object) -> None: ...

    async def exchange(self, request: Request, *_: Probe | TransportOptions) -> HttpExchange:
        tenant = request.url.removeprefix("http://").partition(".")[0]
        self.requests[tenant] += 1
        response = self.response if tenant == "acme" else Response(200, (), b'{"status":"ok"}')
        return HttpExchange("GET", request.url, 0.1, response=response)

    def on_result(self, result: ProbeResult) -> None: ...

    def on_skip(self, skip: SkippedRun) -> None:
        self.skipped[skip.tenant, skip.cause] += 1

    async def run_for(self, seconds: int) -> None:
        """Let every probe be due each second."""
        for _ in range(seconds):
            for tenant in TENANTS:
                for probe in PROBES:
                    self.runner.on_due(tenant.name, probe.name, running_loop().time())
            await asyncio.sleep(1.0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b'{"status":"error","message":"Too many requests"}'),
        (503, b'{"status":"error","message":"Down"}'),
        (503, b"<html>a proxy</html>"),
    ],
)
@in_virtual_time
async def test_nothing_is_sent_until_the_time_has_passed(status: int, body: bytes) -> None:
    platform = Platform(Response(status, (("Retry-After", "60"),), body))
    await platform.run_for(60)
    assert platform.requests == {
        "acme": 2,
        "beta": 120,
    }  # both were due when the first was answered
    assert platform.skipped == {("acme", SkipCause.RATE_LIMITED): 118}
    await platform.run_for(2)
    assert platform.requests["acme"] == 4


@pytest.mark.parametrize(
    "response",
    [
        Response(429, (), b""),
        Response(429, (("Retry-After", "soon"),), b""),
        Response(200, (("Retry-After", "60"),), b'{"status":"ok"}'),
        Response(500, (("Retry-After", "60"),), b""),
    ],
    ids=["none", "garbage", "200", "500"],
)
@in_virtual_time
async def test_otherwise_every_run_is_started(response: Response) -> None:
    platform = Platform(response)
    await platform.run_for(10)
    assert platform.requests["acme"] == 20
    assert not platform.skipped


@in_virtual_time
async def test_no_response_stops_probing_for_more_than_five_minutes() -> None:
    platform = Platform(Response(503, (("Retry-After", "31536000"),), b""))
    await platform.run_for(302)
    assert platform.requests["acme"] == 4


@in_virtual_time
async def test_a_tenant_that_was_removed_and_added_again_is_probed_at_once() -> None:
    platform = Platform(Response(429, (("Retry-After", "60"),), b""))
    await platform.run_for(1)
    platform.runner.apply(TENANTS[1:], SchedulerSettings())
    platform.runner.apply(TENANTS, SchedulerSettings())
    await platform.run_for(1)
    assert platform.requests["acme"] == 4
