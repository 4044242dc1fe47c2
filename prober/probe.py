"""One run of a probe, from token to result; daemon, command line, demo and tests all use it.

Get the token, send the request, classify the response. If the token was rejected, read its source
again, and send the request once more if the source holds another token by now.
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
    """Return the request of `probe` to `tenant`, authorized by `token`.

    The explicit User-Agent is necessary: the platform's CDN rejects those of HTTP libraries.
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
    """Where a run gets its token, and reports how the platform responded to it."""

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        """Return the token to use now, or why there is none."""
        ...

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease
    ) -> TokenLease | TokenUnavailable:
        """Return the token after a new read of its source; the same one if nothing changed."""
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
        """Report the verdict on a request that was sent with `token`."""
        ...


class HttpClient(Protocol):
    """Sends requests. Raises nothing but cancellation."""

    async def exchange(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        """Send the request once and return the response or the failure."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeDeps:
    """The dependencies of a run. `now` returns epoch seconds.

    `in_thread` calls a function without blocking the event loop; if None, the loop calls it.
    """

    tokens: TokenProvider
    client: HttpClient
    classify: Callable[[HttpExchange, Expectations], Verdict]
    now: Callable[[], float]
    in_thread: Callable[[Callable[[], Verdict]], Awaitable[Verdict]] | None = None


async def run_probe(tenant: Tenant, probe: Probe, deps: ProbeDeps) -> ProbeResult:
    """Run a probe once and return the result; raises nothing but cancellation."""
    lease = await deps.tokens.lease(tenant)
    if isinstance(lease, TokenUnavailable):
        return _without_token(tenant, probe, lease, deps)
    result = await _send(tenant, probe, lease, deps)
    if result.verdict.reason is Reason.TOKEN_REJECTED:
        refreshed = await deps.tokens.refresh_rejected(tenant, lease)
        # The same token again would only be rejected again.
        if isinstance(refreshed, TokenLease) and refreshed.ref != lease.ref:
            lease, result = refreshed, await _send(tenant, probe, refreshed, deps)
    _observe(tenant, probe, lease, result, deps.tokens)
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
