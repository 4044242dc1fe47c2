"""One attempt, from token to result: the one path for daemon, terminal, demo and tests.

Get the token, ask, judge; when the token was rejected, read its source again and, should it hold
another token by now, ask once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from prober.errors import TokenUnavailableError
from prober.exchange.request import build_request
from prober.model import (
    Exchange,
    Expectations,
    Failure,
    Probe,
    Request,
    Result,
    Tenant,
    TokenView,
    TransportOptions,
    Verdict,
)
from prober.outcomes import FailureKind, Reason
from prober.tokens.keeper import Grant

VERSION = version("prober")


class Tokens(Protocol):
    """Where an attempt gets its token, and whom it tells what became of it."""

    def grant(self, tenant: Tenant) -> Grant:
        """Return the present token; raises TokenUnavailableError."""
        ...

    def observe(
        self, tenant: Tenant, view: TokenView, verdict: Verdict, status: int | None, at: float
    ) -> None:
        """Take note of an answer."""
        ...


class Client(Protocol):
    """Who asks. Raises nothing but cancellation."""

    async def exchange(self, request: Request, probe: Probe, options: TransportOptions) -> Exchange:
        """Send the request once and return what it brought."""
        ...


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What an attempt needs of the rest of the house. `now` tells epoch seconds."""

    tokens: Tokens
    client: Client
    judge: Callable[[Exchange, Expectations], Verdict]
    now: Callable[[], float]


async def attempt(tenant: Tenant, probe: Probe, house: Collaborators) -> Result:
    """Probe once and return the result; raises nothing but cancellation."""
    started_at = house.now()
    try:
        grant = house.tokens.grant(tenant)
        result = await _ask(tenant, probe, grant, house)
        if result.verdict.reason is Reason.TOKEN_REJECTED:
            renewed = house.tokens.grant(tenant)
            if renewed.view != grant.view:
                return await _ask(tenant, probe, renewed, house)
    except TokenUnavailableError as error:
        return _without_token(tenant, probe, started_at, str(error), house)
    return result


async def _ask(tenant: Tenant, probe: Probe, grant: Grant, house: Collaborators) -> Result:
    started_at = house.now()
    request = build_request(tenant, probe, grant.token, version=VERSION)
    exchange = await house.client.exchange(request, probe, tenant.transport)
    verdict = house.judge(exchange, probe.expectations)
    status = None if exchange.response is None else exchange.response.status
    house.tokens.observe(tenant, grant.view, verdict, status, house.now())
    return Result(tenant.name, probe.name, started_at, exchange, verdict, grant.view)


def _without_token(
    tenant: Tenant, probe: Probe, started_at: float, detail: str, house: Collaborators
) -> Result:
    exchange = Exchange(
        method=probe.method,
        url=tenant.base_url + probe.path,
        total_seconds=0.0,
        failure=Failure(FailureKind.TOKEN_MISSING, detail),
    )
    verdict = house.judge(exchange, probe.expectations)
    return Result(tenant.name, probe.name, started_at, exchange, verdict)
