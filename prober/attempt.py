"""One attempt, from token to result: the one path for daemon, terminal, demo and tests.

Get the token, ask, judge; when the token was rejected, see whether its source holds another one by
now, and if it does, ask once more with that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from prober.credential import TokenView
from prober.exchange.request import build_request
from prober.model import (
    Exchange,
    Expectations,
    Failure,
    Probe,
    Request,
    Result,
    Tenant,
    TransportOptions,
    Verdict,
)
from prober.outcomes import Counterpart, FailureKind, Reason
from prober.redaction import Redactor
from prober.tokens.identity import Withheld
from prober.tokens.keeper import Grant

VERSION = version("prober")


class Tokens(Protocol):
    """Where an attempt gets its token, and whom it tells what became of it."""

    async def grant(self, tenant: Tenant) -> Grant | Withheld:
        """Return the token to use now, or why there is none."""
        ...

    async def renewed(self, tenant: Tenant, rejected: Grant) -> Grant | Withheld:
        """Return what there is in place of a rejected token; the same if nothing has changed."""
        ...

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        view: TokenView,
        verdict: Verdict,
        status: int | None,
        began_at: float,
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
    grant = await house.tokens.grant(tenant)
    if isinstance(grant, Withheld):
        return _without_token(tenant, probe, grant, house)
    result = await _ask(tenant, probe, grant, house)
    if result.verdict.reason is Reason.TOKEN_REJECTED:
        renewed = await house.tokens.renewed(tenant, grant)
        if isinstance(renewed, Grant) and renewed.view != grant.view:
            grant, result = renewed, await _ask(tenant, probe, renewed, house)
    _observe(tenant, probe, grant, result, house.tokens)
    return result


async def _ask(tenant: Tenant, probe: Probe, grant: Grant, house: Collaborators) -> Result:
    started_at = house.now()
    request = build_request(tenant, probe, grant.token, version=VERSION)
    exchange = await house.client.exchange(request, probe, tenant.transport)
    verdict = house.judge(exchange, probe.expectations)
    return Result(tenant.name, probe.name, started_at, exchange, verdict, grant.view)


def _observe(tenant: Tenant, probe: Probe, grant: Grant, result: Result, tokens: Tokens) -> None:
    response = result.exchange.response
    status = None if response is None else response.status
    tokens.observe(tenant, probe.name, grant.view, result.verdict, status, result.started_at)


def _without_token(
    tenant: Tenant, probe: Probe, withheld: Withheld, house: Collaborators
) -> Result:
    now = house.now()
    if withheld.exchange is not None and withheld.verdict is not None:
        return Result(
            tenant.name,
            probe.name,
            now,
            withheld.exchange,
            withheld.verdict,
            counterpart=Counterpart.IDENTITY,
        )
    exchange = Exchange(
        method=probe.method,
        url=Redactor(probe.secrets).text(tenant.base_url + probe.path),
        total_seconds=0.0,
        failure=Failure(FailureKind.TOKEN_MISSING, withheld.problem),
    )
    verdict = house.judge(exchange, probe.expectations)
    return Result(tenant.name, probe.name, now, exchange, verdict)
