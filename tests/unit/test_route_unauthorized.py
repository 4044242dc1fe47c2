"""A 401 on one route, over the real token manager: the token is alive until all routes refuse it.

The platform is a function from route and token to a status; time is what a test says.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from prober.classifier.rules import classify
from prober.models import (
    HttpExchange,
    OAuthClient,
    Probe,
    Request,
    Response,
    Tenant,
    TokenEvent,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
)
from prober.outcomes import Reason, TokenState
from prober.probe import ProbeDeps, run_probe
from prober.sinks import EventSink
from prober.tokens.manager import TokenManager
from tests.builders import a_probe, a_tenant
from tests.unit.classifier.factories import SERVER_TIMING

FETCH = a_probe(name="fetch", sent_path="/fetch", method="POST", body=b"{}")
STREAM = a_probe(name="stream", sent_path="/stream")
DATASETS = a_probe()
START = 1_800_000_000.0
TOKEN_URL = "https://identity.test/connect/token"


def always_alive(_token: str) -> bool:
    return True


@dataclass
class Platform(EventSink):
    """Refuses a token that is dead, and some routes to all tokens; issues OAuth tokens."""

    refused_paths: frozenset[str] = frozenset({"/fetch", "/stream"})
    is_alive: Callable[[str], bool] = always_alive
    now: float = START
    environ: dict[str, str] = field(default_factory=dict)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: list[str] = field(default_factory=list)

    async def exchange(self, request: Request, *_: Probe | TransportOptions) -> HttpExchange:
        await asyncio.sleep(0)
        if request.url == TOKEN_URL:
            self.requests["", "token"] += 1
            body = b'{"access_token":"issued-%d","expires_in":3600,"token_type":"Bearer"}'
            return _response(request, 200, body % self.requests["", "token"])
        host, _slash, path = request.url.removeprefix("http://").partition("/")
        self.requests[host, f"/{path}"] += 1
        assert request.authorization is not None
        token = request.authorization.get_secret_value().removeprefix("Bearer ")
        if not self.is_alive(token) or f"/{path}" in self.refused_paths:
            return _response(request, 401, b'{"status":"error","message":"no"}')
        return _response(request, 200, b'{"status":"ok","user":{},"datasets":[]}')

    def on_token_event(self, event: TokenEvent) -> None:
        self.events.append(event.kind.value)

    async def manager(self, tenants: list[Tenant]) -> TokenManager:
        for tenant in tenants:
            self.environ.setdefault(tenant.name, f"token-of-{tenant.name}")
        manager = TokenManager(
            tenants, self.environ, self.exchange, now=lambda: self.now, version="0", sink=self
        )
        await manager.load()
        return manager

    def deps(self, manager: TokenManager) -> ProbeDeps:
        return ProbeDeps(manager, self, classify, lambda: self.now)


def _response(request: Request, status: int, body: bytes) -> HttpExchange:
    headers = (SERVER_TIMING, ("Content-Type", "application/json"))
    return HttpExchange(request.method, request.url, 0.5, response=Response(status, headers, body))


def tenants_with(count: int, *probes: Probe) -> list[Tenant]:
    return [
        a_tenant(
            name=f"t{n}",
            base_url=f"http://t{n}",
            token=TokenSource(TokenSourceKind.ENVIRONMENT, f"t{n}"),
            probes=probes,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 6])
async def test_a_route_that_answers_401_leaves_every_token_alive(count: int) -> None:
    platform, tenants = Platform(), tenants_with(count, FETCH, STREAM, DATASETS)
    manager = await platform.manager(tenants)
    for _ in range(10):
        for tenant in tenants:
            for probe in tenant.probes:
                verdict = (await run_probe(tenant, probe, platform.deps(manager))).verdict
                expected = Reason.OK if probe is DATASETS else Reason.ROUTE_UNAUTHORIZED
                assert verdict.reason is expected
        platform.now += 60.0
    assert "token_rejected" not in platform.events
    for tenant in tenants:
        assert manager.statuses[tenant.name].state is TokenState.VALID
        assert platform.requests[tenant.name, "/auth/user"] == 1  # `datasets` says it afterwards


async def test_two_routes_that_answer_401_at_once_share_one_check() -> None:
    platform, [tenant] = Platform(), tenants_with(1, FETCH, STREAM)
    manager = await platform.manager([tenant])
    for _ in range(3):
        deps = platform.deps(manager)
        results = await asyncio.gather(*(run_probe(tenant, each, deps) for each in tenant.probes))
        assert {result.verdict.reason for result in results} == {Reason.ROUTE_UNAUTHORIZED}
        platform.now += 60.0
    assert platform.requests["t0", "/auth/user"] == 3


async def test_there_is_one_check_a_minute_however_short_the_interval() -> None:
    platform, [tenant] = Platform(), tenants_with(1, FETCH)
    manager = await platform.manager([tenant])
    for _ in range(90):
        result = await run_probe(tenant, FETCH, platform.deps(manager))
        assert result.verdict.reason is Reason.ROUTE_UNAUTHORIZED
        platform.now += 1.0
    assert platform.requests["t0", "/auth/user"] == 2


@pytest.mark.parametrize("probes", [(FETCH,), (FETCH, DATASETS), (FETCH, STREAM)])
async def test_a_token_that_dies_later_is_rejected_within_a_minute(
    probes: tuple[Probe, ...],
) -> None:
    platform, [tenant] = Platform(), tenants_with(1, *probes)
    manager = await platform.manager([tenant])
    for _ in range(5):
        for probe in probes:
            await run_probe(tenant, probe, platform.deps(manager))
            platform.now += 60.0 / len(probes)
    assert manager.statuses["t0"].state is TokenState.VALID
    platform.is_alive, died_at = (lambda _: False), platform.now
    while "token_rejected" not in platform.events:
        for probe in probes:
            await run_probe(tenant, probe, platform.deps(manager))
            platform.now += 60.0 / len(probes)
        assert platform.now - died_at <= 120.0
    rejected_since = manager.statuses["t0"].rejected_since
    assert rejected_since is not None
    assert rejected_since - died_at <= 60.0


async def test_a_dead_token_is_rejected_at_once_and_checked_once() -> None:
    platform = Platform(frozenset(), is_alive=lambda _: False)
    [tenant] = tenants_with(1, FETCH, DATASETS)
    manager = await platform.manager([tenant])
    deps = platform.deps(manager)
    results = await asyncio.gather(*(run_probe(tenant, each, deps) for each in tenant.probes))
    assert {result.verdict.reason for result in results} == {Reason.TOKEN_REJECTED}
    await run_probe(tenant, FETCH, deps)
    assert platform.requests["t0", "/auth/user"] == 1
    assert manager.statuses["t0"].state is TokenState.REJECTED


async def test_a_token_that_was_regenerated_is_checked_anew() -> None:
    platform, [tenant] = Platform(), tenants_with(1, FETCH)
    platform.is_alive = lambda token: token == platform.environ["t0"]
    manager = await platform.manager([tenant])
    lively = await run_probe(tenant, FETCH, platform.deps(manager))
    platform.environ["t0"] = "regenerated"
    platform.now += 5.0
    await manager.load()
    regenerated = await run_probe(tenant, FETCH, platform.deps(manager))
    assert lively.token != regenerated.token
    assert regenerated.verdict.reason is Reason.ROUTE_UNAUTHORIZED
    assert platform.requests["t0", "/auth/user"] == 2
    assert manager.statuses["t0"].state is TokenState.VALID


async def test_an_oauth_token_is_not_renewed_for_a_route_that_refuses_all_tokens() -> None:
    client = OAuthClient("prober", TokenSource(TokenSourceKind.ENVIRONMENT, "t0"))
    source = TokenSource(TokenSourceKind.OAUTH, TOKEN_URL, client=client)
    tenant = a_tenant(name="t0", base_url="http://t0", token=source, probes=(FETCH, DATASETS))
    platform = Platform()
    manager = await platform.manager([tenant])
    for _ in range(10):
        for probe in tenant.probes:
            result = await run_probe(tenant, probe, platform.deps(manager))
            assert result.verdict.reason is not Reason.TOKEN_REJECTED
        platform.now += 60.0
    assert platform.requests["", "token"] <= 2
    assert manager.statuses["t0"].state is TokenState.VALID
    await manager.close()
