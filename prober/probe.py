"""One attempt, from token to result: the one path for daemon, terminal, demo and tests.

Get the token, ask, judge; when the token was rejected, see whether its source holds another one by
now, and if it does, ask once more with that.

From tenant, probe and token to the request that is sent.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from pydantic import SecretStr

from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Probe,
    ProbeResult,
    Request,
    Tenant,
    TokenRef,
    TransportOptions,
    Verdict,
)
from prober.outcomes import Endpoint, FailureKind, Reason
from prober.redaction import Redactor
from prober.tokens.manager import TokenLease
from prober.tokens.oauth_client import TokenUnavailable
from prober.version import current_version


def build_request(tenant: Tenant, probe: Probe, token: SecretStr, *, version: str) -> Request:
    """Return the request of `probe` against `tenant`, bearing `token`.

    The named User-Agent is needed: the CDN before the platform refuses library defaults.
    """
    return Request(
        method=probe.method,
        url=tenant.base_url + probe.path,
        headers=_headers(version, probe.headers, has_body=probe.body is not None),
        body=probe.body,
        authorization=SecretStr(f"Bearer {token.get_secret_value()}"),
        secrets=(token, *probe.secrets),
    )


@lru_cache(maxsize=1024)
def _headers(
    version: str, own: tuple[tuple[str, str], ...], *, has_body: bool
) -> tuple[tuple[str, str], ...]:
    headers = [
        ("User-Agent", f"prober/{version}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    if has_body:
        headers.append(("Content-Type", "application/json"))
    names = {name.lower() for name, _ in own}
    kept = [pair for pair in headers if pair[0].lower() not in names or pair[0] == "User-Agent"]
    return (*kept, *own)


class TokenProvider(Protocol):
    """Where an attempt gets its token, and whom it tells what became of it."""

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        """Return the token to use now, or why there is none."""
        ...

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease
    ) -> TokenLease | TokenUnavailable:
        """Return what there is in place of a rejected token; the same if nothing has changed."""
        ...

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        verdict: Verdict,
        status: int | None,
        started_at: float,
    ) -> None:
        """Take note of an answer."""
        ...


class HttpClient(Protocol):
    """Who asks. Raises nothing but cancellation."""

    async def exchange(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        """Send the request once and return what it brought."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeDeps:
    """What a run needs from others. `now` returns epoch seconds.

    `in_thread` calls a function without holding up the event loop; if None, the loop calls it.
    """

    tokens: TokenProvider
    client: HttpClient
    classify: Callable[[HttpExchange, Expectations], Verdict]
    now: Callable[[], float]
    in_thread: Callable[[Callable[[], Verdict]], Awaitable[Verdict]] | None = None


async def run_probe(tenant: Tenant, probe: Probe, deps: ProbeDeps) -> ProbeResult:
    """Probe once and return the result; raises nothing but cancellation."""
    grant = await deps.tokens.lease(tenant)
    if isinstance(grant, TokenUnavailable):
        return _without_token(tenant, probe, grant, deps)
    result = await _send(tenant, probe, grant, deps)
    if result.verdict.reason is Reason.TOKEN_REJECTED:
        renewed = await deps.tokens.refresh_rejected(tenant, grant)
        if isinstance(renewed, TokenLease) and renewed.ref != grant.ref:
            grant, result = renewed, await _send(tenant, probe, renewed, deps)
    _observe(tenant, probe, grant, result, deps.tokens)
    return result


MAX_INLINE_BODY_BYTES = 64 * 1024
"""A larger body is classified in a thread: its JSON may have very many keys."""


async def _classified(exchange: HttpExchange, probe: Probe, deps: ProbeDeps) -> Verdict:
    """Classify an exchange; a large body in a thread, since reading it takes long."""
    response = exchange.response
    if deps.in_thread is None or response is None or len(response.body) <= MAX_INLINE_BODY_BYTES:
        return deps.classify(exchange, probe.expectations)
    return await deps.in_thread(lambda: deps.classify(exchange, probe.expectations))


async def _send(tenant: Tenant, probe: Probe, lease: TokenLease, deps: ProbeDeps) -> ProbeResult:
    started_at = deps.now()
    request = build_request(tenant, probe, lease.token, version=current_version().version)
    exchange = await deps.client.exchange(request, probe, tenant.transport)
    verdict = await _classified(exchange, probe, deps)
    return ProbeResult(tenant.name, probe.name, started_at, exchange, verdict, lease.ref)


def _observe(
    tenant: Tenant, probe: Probe, lease: TokenLease, result: ProbeResult, tokens: TokenProvider
) -> None:
    response = result.exchange.response
    status = None if response is None else response.status
    tokens.observe(tenant, probe.name, lease.ref, result.verdict, status, result.started_at)


def _without_token(
    tenant: Tenant, probe: Probe, unavailable: TokenUnavailable, deps: ProbeDeps
) -> ProbeResult:
    now = deps.now()
    if unavailable.exchange is not None and unavailable.verdict is not None:
        return ProbeResult(
            tenant.name,
            probe.name,
            now,
            unavailable.exchange,
            unavailable.verdict,
            endpoint=Endpoint.IDENTITY,
        )
    exchange = HttpExchange(
        method=probe.method,
        url=Redactor(probe.secrets).text(tenant.base_url + probe.path),
        total_seconds=0.0,
        failure=Failure(FailureKind.TOKEN_MISSING, unavailable.problem),
    )
    verdict = deps.classify(exchange, probe.expectations)
    return ProbeResult(tenant.name, probe.name, now, exchange, verdict)
